//! What only a server can do: break a connection, crash, stay away, speak TLS, refuse.

use super::*;

fn spec(database: &testkit::postgres::Database, retry_for: Duration) -> SinkSpec {
    let table = Table { name: "alerts".into(), shape: Shape::Alerts, retry_for };
    let kind = SinkKind::Postgres { url: alert::Secret::Text(database.url()), ca: None, table };
    SinkSpec { name: "sink".into(), kind, mode: Mode::ExactlyOnce }
}

#[test]
fn a_connection_that_is_ended_between_or_inside_deliveries_loses_and_doubles_nothing() {
    let Some(database) = testkit::postgres::database() else { return };
    let mut sink = open_fresh(&spec(&database, Duration::from_secs(30)), &deliverer(1)).unwrap();
    let lines =
        |number: u32| -> String { (0..1000).map(|row| alert(&format!("{number:03}-{row:04}"))).collect() };
    sink.deliver(1, lines(1).as_bytes()).unwrap();
    assert_eq!(database.disconnect_all(), 1);
    let worker = std::thread::spawn(move || {
        for number in 2..=40 {
            sink.deliver(number, lines(number).as_bytes()).unwrap();
            // So that there is time to be interrupted, however fast the machine.
            std::thread::sleep(Duration::from_millis(25));
        }
    });
    let mut ended = 0;
    while !worker.is_finished() {
        ended += database.disconnect_all();
        // Long enough for a delivery, so that they get on.
        std::thread::sleep(Duration::from_millis(150));
    }
    worker.join().unwrap();
    assert!(ended > 2, "only {ended} connections were ended");
    assert_eq!(database.query("SELECT count(*) FROM alerts"), ["40000"]);
    assert_eq!(database.query("SELECT number FROM tidewatch_delivered"), ["40"]);
}

#[test]
fn a_server_that_crashes_and_comes_back_is_waited_for_and_one_that_stays_away_is_a_failure() {
    let Some(database) = testkit::postgres::database_alone() else { return };
    let mut sink = open_fresh(&spec(&database, Duration::from_secs(30)), &deliverer(1)).unwrap();
    sink.deliver(1, alert("a").as_bytes()).unwrap();
    database.crash();
    let restarting = database.clone();
    let restart = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        restarting.restart();
    });
    sink.deliver(2, alert("b").as_bytes()).unwrap();
    restart.join().unwrap();
    assert_eq!(database.query("SELECT id FROM alerts ORDER BY id"), ["a", "b"]);

    let all = deliveries(&[&["a"], &["b"], &["c"]]);
    let mut sink =
        resume_exactly_once(&spec(&database, Duration::from_millis(500)), &deliverer(2), &all[..2]).unwrap();
    database.crash();
    let error = sink.deliver(3, &all[2].bytes).unwrap_err();
    assert!(matches!(error, SinkError::Unavailable { .. }) && !error.is_refusal(), "{error}");
    assert!(!error.to_string().contains("tidewatch@"), "{error}");
    database.restart();
    resume_exactly_once(&spec(&database, Duration::from_secs(30)), &deliverer(3), &all).unwrap();
    assert_eq!(database.query("SELECT id FROM alerts ORDER BY id"), ["a", "b", "c"]);
}

#[test]
fn a_database_that_is_not_there_and_an_address_that_is_none_are_refused() {
    let Some(database) = testkit::postgres::database() else { return };
    let open = |url: alert::Secret| {
        let mut spec = spec(&database, Duration::from_secs(30));
        if let SinkKind::Postgres { url: address, .. } = &mut spec.kind {
            *address = url;
        }
        refused(open_fresh(&spec, &deliverer(1)))
    };
    let text = |text: String| alert::Secret::Text(text);
    let error = open(text(database.url() + "x"));
    assert!(error.to_string().contains("does not exist"), "{error}");
    open(text("postgres://u:hunter2@/d".into()));
    // The server speaks no TLS.
    let error = open(text(database.url() + "?sslmode=require"));
    assert!(error.to_string().contains("TLS"), "{error}");
    let error = open(alert::Secret::File("none/url".into()));
    assert!(matches!(error, SinkError::SecretFile { .. }), "{error}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("url"), format!("{}\n", database.url())).unwrap();
    let mut good = spec(&database, Duration::ZERO);
    if let SinkKind::Postgres { url, .. } = &mut good.kind {
        *url = alert::Secret::File(folder.path().join("url"));
    }
    open_fresh(&good, &deliverer(1)).unwrap();
}

#[test]
fn with_tls_only_a_server_that_an_authority_that_is_believed_has_signed_gets_rows() {
    let Some(database) = testkit::postgres::database_alone() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("key.pem"));
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    database.speak_tls(&certificate, &key);
    let secure = |host: &str, authority: Option<PathBuf>| {
        let mut spec = spec(&database, Duration::from_secs(5));
        if let SinkKind::Postgres { url, ca, .. } = &mut spec.kind {
            let address = database.url().replace("127.0.0.1", host) + "?sslmode=require";
            (*url, *ca) = (alert::Secret::Text(address), authority);
        }
        open_fresh(&spec, &deliverer(1))
    };
    let mut sink = testkit::process::eventually("TLS", Duration::from_secs(10), || {
        secure("localhost", Some(certificate.clone())).ok()
    });
    sink.deliver(1, alert("a").as_bytes()).unwrap();
    let encrypted = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'tidewatch'";
    assert_eq!(database.query(encrypted), ["t"]);
    // Nobody that the system believes has signed it; the certificate is for another name.
    refused(secure("localhost", None));
    refused(secure("127.0.0.1", Some(certificate.clone())));
    refused(secure("localhost", Some(key)));
}
