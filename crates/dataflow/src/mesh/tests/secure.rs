//! Certificates, and sessions that both ends use at full speed.

use super::*;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority of its own, with certificates that it signs, as PEM files in a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Authority {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    /// The files of a process whose certificate has that name.
    fn certify(&self, name: &str) -> TlsSpec {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        TlsSpec { cert: file("pem"), key: file("key"), ca: self.folder.join("ca.pem"), name: None }
    }
}

impl Process {
    fn tls(mut self, tls: &TlsSpec) -> Process {
        self.spec.tls = Some(tls.clone());
        self
    }
}

fn two() -> [Process; 2] {
    Process::all(2).try_into().unwrap_or_else(|_| panic!("two"))
}

#[test]
fn both_ends_write_and_read_at_full_speed_under_tls_without_waiting_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Authority::new(folder.path(), "ours").certify("127.0.0.1");
    let started = two().map(|process| process.tls(&tls).start());
    let [mut first, mut second] = started.map(joined);
    const BYTES: usize = 32 << 20;
    let byte = |at: usize| (at % 251) as u8;
    let data: Arc<Vec<u8>> = Arc::new((0..BYTES).map(byte).collect());
    let threads = [peer(&mut first, 1), peer(&mut second, 0)].map(|peer| {
        let (mut reader, mut writer, data) = (peer.clone(), peer, Arc::clone(&data));
        let writes = thread::spawn({
            let data = Arc::clone(&data);
            // Neither a multiple of a record nor of a read.
            move || data.chunks(99_991).for_each(|chunk| writer.write_all(chunk).unwrap())
        });
        let reads = thread::spawn(move || {
            let mut heard = vec![0; BYTES];
            reader.read_exact(&mut heard).unwrap();
            assert!(heard == *data, "other bytes");
        });
        (writes, reads)
    });
    for (writes, reads) in threads {
        writes.join().unwrap();
        reads.join().unwrap();
    }
}

#[test]
fn a_thread_that_waits_for_words_under_tls_does_not_keep_another_from_writing() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Authority::new(folder.path(), "ours").certify("127.0.0.1");
    let started = two().map(|process| {
        let mut process = process.tls(&tls);
        // A reader looks up once in 15 s.
        process.spec.timeout = Duration::from_secs(120);
        process.start()
    });
    let [mut first, mut second] = started.map(joined);
    let (mut here, mut there) = (peer(&mut first, 1), peer(&mut second, 0));
    let mut reader = here.clone();
    let waits = thread::spawn(move || reader.read(&mut [0]).unwrap());
    thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    here.write_all(b"words").unwrap();
    there.read_exact(&mut [0; 5]).unwrap();
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    there.write_all(b"!").unwrap();
    assert_eq!(outcome_of(waits), 1);
}

#[test]
fn nothing_that_is_said_under_tls_can_be_read_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let mut tls = authority.certify("tidewatch");
    tls.name = Some("tidewatch".to_owned());
    let [first, second] = two();
    let tap = TcpListener::bind(&first.hosts[0]).unwrap();
    let real = hosts(1).remove(0);
    let moved = Process { hosts: vec![real.clone(), second.hosts[1].clone()], ..first };
    let (first, second) = (moved.tls(&tls).start(), second.tls(&tls).start());
    let (from, _) = tap.accept().unwrap();
    let to = visit(&real);
    let passes = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                all.extend_from_slice(&buffer[..read]);
                to.write_all(&buffer[..read]).unwrap();
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
            all
        })
    };
    let heard = [passes(from.try_clone().unwrap(), to.try_clone().unwrap()), passes(to, from)];
    let (mut first, mut second) = (joined(first), joined(second));
    let (mut here, mut there) = (peer(&mut first, 1), peer(&mut second, 0));
    here.write_all(b"a secret of the job").unwrap();
    let mut said = [0; 19];
    there.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"a secret of the job");
    drop((here, there));
    for heard in heard.map(|thread| thread.join().unwrap()) {
        assert!(heard.len() > 500, "everything went this way");
        assert!(!heard.windows(8).any(|bytes| bytes == b"a secret" || bytes == b"tidewtch"));
    }
}

#[test]
fn who_has_no_certificate_of_the_authority_is_turned_away_and_the_right_one_still_joins() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let theirs = Authority::new(folder.path(), "theirs").certify("127.0.0.1");
    let [first, second] = two();
    let first = first.tls(&ours.certify("127.0.0.1")).start();
    let brief = Process { patience: Duration::from_millis(300), ..second.clone() };

    let said = words(brief.clone().join());
    assert!(said.contains("of the two") && said.contains("mesh.tls"), "{said}");

    // It trusts our authority, which does not know it.
    let unsigned = TlsSpec { ca: ours.folder.join("ca.pem"), ..theirs.clone() };
    let error = brief.clone().tls(&unsigned).join().map(|_| ()).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("certificate"), "{error}");

    // It does not trust our authority.
    let error = brief.clone().tls(&theirs).join().map(|_| ()).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("certificate"), "{error}");

    assert!(!is_let_in_without_a_certificate(&second.hosts[0], &ours), "a client without a certificate");

    let second = second.tls(&ours.certify("127.0.0.1")).start();
    check_that_they_hear_each_other(&peer(&mut joined(first), 1), &peer(&mut joined(second), 0));
}

/// Whether a TLS client that shows nothing gets to the end of a greeting.
fn is_let_in_without_a_certificate(host: &str, authority: &Authority) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "127.0.0.1".try_into().unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = visit(host);
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let key = crate::mesh::handshake::key(b"");
    crate::mesh::handshake::connect(&mut stream, &greeting_of_process_1(), &key).is_ok()
}

#[test]
fn a_certificate_for_another_host_is_refused_unless_all_share_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let tls = authority.certify("tidewatch.example");
    let [first, second] = two();
    let first = first.tls(&tls).start();
    let error = second.clone().tls(&tls).join().map(|_| ()).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("certificate"), "{error}");
    let named = TlsSpec { name: Some("tidewatch.example".to_owned()), ..tls };
    joined(second.tls(&named).start());
    joined(first);
}

#[test]
fn files_that_are_no_certificates_are_refused_with_their_setting_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let good = Authority::new(folder.path(), "ours").certify("127.0.0.1");
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    std::fs::write(&empty, "no PEM\n").unwrap();
    for path in [missing, empty] {
        for (setting, spec) in [
            ("tls.cert", TlsSpec { cert: path.clone(), ..good.clone() }),
            ("tls.key", TlsSpec { key: path.clone(), ..good.clone() }),
            ("tls.ca", TlsSpec { ca: path.clone(), ..good.clone() }),
        ] {
            let cluster = Cluster { workers: 1, process: 0, hosts: hosts(2) };
            let spec = MeshSpec { tls: Some(spec), ..MeshSpec::default() };
            let error = open(&cluster, &spec).map(|_| ()).unwrap_err();
            let said = error.to_string();
            assert!(error.is_refusal() && said.contains(setting), "{said}");
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
    }
}

#[test]
fn hosts_that_are_no_loopback_need_certificates_or_a_word() {
    let hosts = vec!["127.0.0.1:0".to_owned(), "10.1.2.3:7000".to_owned()];
    let cluster = Cluster { workers: 1, process: 0, hosts };
    let opened = |spec: &MeshSpec| open(&cluster, spec).map(|_| ());
    let error = opened(&MeshSpec::default()).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("10.1.2.3:7000"), "{error}");
    opened(&MeshSpec { insecure: true, ..MeshSpec::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tls = Some(Authority::new(folder.path(), "ours").certify("127.0.0.1"));
    opened(&MeshSpec { tls, ..MeshSpec::default() }).unwrap();
}
