//! A webhook over TLS: only a receiver whose certificate is believed gets a row.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use alert::{
    CircuitSpec, Deliverer, Mode, Reach, Receiver, Secret, Shape, SinkError, SinkKind, SinkSpec, open_fresh,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server with a certificate for `localhost` that takes one request and gives back its body; `None` if there was
/// no request.
fn serve(
    listener: TcpListener,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> JoinHandle<Option<String>> {
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .expect("a certificate with its key");
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().ok()?;
        let connection = ServerConnection::new(Arc::new(config)).ok()?;
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
        String::from_utf8(body).ok()
    })
}

fn spec(port: u16, ca: Option<PathBuf>) -> SinkSpec {
    let receiver = Receiver {
        url: Secret::Text(format!("https://localhost:{port}/path")),
        ca,
        secret: None,
        token: None,
        batch: 1,
        timeout: Duration::from_secs(5),
        reach: Reach { hosts: vec!["localhost".into()], ..Reach::default() },
        redirects: 0,
        circuit: CircuitSpec { failures: 5, pause: Duration::from_secs(1) },
        give_up_after: Duration::ZERO,
        undelivered: None,
    };
    let kind = SinkKind::Webhook { receiver: Box::new(receiver), shape: Shape::Alerts };
    SinkSpec { name: "hook".into(), kind, mode: Mode::AtOnce }
}

#[test]
fn a_row_goes_only_to_a_receiver_whose_certificate_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.cert.pem()).unwrap();
    for (ca, believed) in [(None, false), (Some(ca), true)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = serve(listener, &certificate);
        let deliverer = Deliverer { job: "job".into(), generation: 1 };
        let mut sink = open_fresh(&spec(port, ca), &deliverer).unwrap();
        let written = sink.write(b"{\"id\":\"a1\"}\n");
        drop(sink);
        match believed {
            true => written.unwrap(),
            false => {
                let error = written.unwrap_err();
                assert!(matches!(error, SinkError::Later { .. }), "{error:?}");
                assert!(error.to_string().contains("certificate"), "{error}");
            }
        }
        assert_eq!(server.join().unwrap(), believed.then(|| "{\"id\":\"a1\"}".to_owned()));
    }
}
