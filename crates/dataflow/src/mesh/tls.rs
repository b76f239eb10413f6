//! Certificates, and a TLS session that one thread reads and another writes.
//!
//! Both ends show a certificate that the cluster's authority has signed. The one that connects also asks for
//! the other's name: its host as in the host file, or `mesh.tls.name` where all share one. TLS 1.3 only.
//!
//! The session's state is locked only to turn bytes into other bytes. Whoever waits for the socket holds
//! nothing that the other direction needs, so neither end can keep the other from reading.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::Resumption;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

use super::spec::{TlsSpec, unreadable};
use super::wire::Until;
use crate::job::RunError;

/// Plaintext that is sealed at once.
const CHUNK: usize = 64 << 10;

/// The certificates of this process, ready for both ends of a connection.
pub(super) struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    /// The name that every certificate has.
    name: Option<String>,
}

impl Tls {
    pub(super) fn load(spec: &TlsSpec) -> Result<Tls, RunError> {
        let chain = certificates("tls.cert", &spec.cert)?;
        let key = PrivateKeyDer::from_pem_file(&spec.key)
            .map_err(|error| unreadable("tls.key", &spec.key, &words(&error)))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates("tls.ca", &spec.ca)? {
            roots.add(certificate).map_err(|error| unreadable("tls.ca", &spec.ca, &error))?;
        }
        let refuse = |error: rustls::Error| {
            RunError::MeshRefused(format!(
                "`mesh.tls.cert` in {} and its key cannot be used: {error}",
                spec.cert.display()
            ))
        };
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&rustls::version::TLS13];
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(refuse)?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(refuse)?;
        client.resumption = Resumption::disabled();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| unreadable("tls.ca", &spec.ca, &error))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(refuse)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(refuse)?;
        // A connection lasts as long as the run: there is nothing to resume.
        server.send_tls13_tickets = 0;
        Ok(Tls { client: Arc::new(client), server: Arc::new(server), name: spec.name.clone() })
    }

    /// The session of the one that has connected to `host`, a `host:port`.
    pub(super) fn connect(&self, host: &str) -> io::Result<Connection> {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(&self.client), name).map_err(io::Error::other)?;
        Ok(session.into())
    }

    /// The session of the one that has accepted.
    pub(super) fn accept(&self) -> io::Result<Connection> {
        Ok(ServerConnection::new(Arc::clone(&self.server)).map_err(io::Error::other)?.into())
    }
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, RunError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(certificates) if certificates.is_empty() => {
            Err(unreadable(setting, path, &"there is no PEM certificate in it"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(setting, path, &words(&error))),
    }
}

fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is nothing of that kind in PEM in it".to_owned(),
        error => error.to_string(),
    }
}

/// Whether an error says that the certificates do not fit: trying again changes nothing.
pub(super) fn is_certificate(error: &io::Error) -> bool {
    use rustls::{AlertDescription, Error};
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match error {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => true,
        Some(Error::AlertReceived(alert)) => matches!(
            alert,
            AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError
        ),
        _ => false,
    }
}

/// A session while one thread both reads and writes: its handshake, and the greetings in it.
pub(super) struct Talk<'a> {
    pub(super) session: &'a mut Connection,
    pub(super) socket: Until<'a>,
}

impl Read for Talk<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.session.complete_io(&mut self.socket)?;
        }
    }
}

impl Write for Talk<'_> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.session.writer().write(plaintext)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() || self.session.wants_write() {
            self.session.complete_io(&mut self.socket)?;
        }
        Ok(())
    }
}

/// A session after its handshake, shared by the two directions of a connection.
pub(super) struct Session(Mutex<Connection>);

impl Session {
    pub(super) fn new(mut connection: Connection) -> Session {
        // What is sealed is written before more is sealed.
        connection.set_buffer_limit(None);
        Session(Mutex::new(connection))
    }

    /// Only for as long as bytes are sealed or opened.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads plaintext; 0 at the end. `sealed` is what was read of the socket and not opened yet.
    pub(super) fn read(&self, socket: &TcpStream, sealed: &mut Sealed, out: &mut [u8]) -> io::Result<usize> {
        loop {
            {
                let mut connection = self.lock();
                match connection.reader().read(out) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // Timely knows its last message: an end without a goodbye is one before that.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    read => return read,
                }
                if sealed.start < sealed.end {
                    let mut rest = &sealed.bytes[sealed.start..sealed.end];
                    connection.read_tls(&mut rest)?;
                    sealed.start = sealed.end - rest.len();
                    connection
                        .process_new_packets()
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    continue;
                }
            }
            let read = (&*socket).read(&mut sealed.bytes)?;
            if read == 0 {
                return Ok(0);
            }
            (sealed.start, sealed.end) = (0, read);
        }
    }

    /// Writes all of the plaintext. Whoever calls this keeps others from writing: records have an order.
    pub(super) fn write(
        &self,
        mut socket: &TcpStream,
        sealed: &mut Vec<u8>,
        plaintext: [&[u8]; 2],
    ) -> io::Result<()> {
        for chunk in plaintext.iter().flat_map(|part| part.chunks(CHUNK)) {
            {
                let mut connection = self.lock();
                connection.writer().write_all(chunk)?;
                drain(&mut connection, sealed)?;
            }
            socket.write_all(sealed)?;
        }
        Ok(())
    }

    /// Says goodbye; nothing can be written afterwards.
    pub(super) fn close(&self, mut socket: &TcpStream, sealed: &mut Vec<u8>) -> io::Result<()> {
        {
            let mut connection = self.lock();
            connection.send_close_notify();
            drain(&mut connection, sealed)?;
        }
        socket.write_all(sealed)
    }
}

fn drain(connection: &mut Connection, sealed: &mut Vec<u8>) -> io::Result<()> {
    sealed.clear();
    while connection.wants_write() {
        connection.write_tls(sealed)?;
    }
    Ok(())
}

/// Bytes of the socket that were not opened yet.
pub(super) struct Sealed {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Sealed {
    fn default() -> Self {
        Sealed { bytes: vec![0; CHUNK].into(), start: 0, end: 0 }
    }
}
