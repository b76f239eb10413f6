//! Sinks that are webhooks: what the config says of them, and what of it is never shown.

#[cfg(feature = "webhook")]
use std::time::Duration;

use super::{changed, compile, read};
use crate::config::{print, print_json};

/// The small job with a webhook of these lines.
fn with_hook(lines: &str) -> String {
    changed("[sink.alerts]\ntype = \"stdout\"\n", &format!("[sink.alerts]\ntype = \"webhook\"\n{lines}\n"))
}

#[cfg(not(feature = "webhook"))]
#[test]
fn a_program_without_the_feature_says_which_one_brings_it() {
    let error = compile(&with_hook("url = \"https://h/p\""), &[], &[]).unwrap_err();
    assert!(error.contains("built without `webhook`") && error.contains("--features full"), "{error}");
}

#[cfg(feature = "webhook")]
#[test]
fn a_webhook_is_careful_unless_it_is_told_otherwise() {
    use alert::{CircuitSpec, Reach, Receiver, Secret, Shape, SinkKind};
    let kind = |lines: &str| {
        compile(&with_hook(lines), &[], &[("HOOK", "https://h/p")]).unwrap().sinks[0].kind.clone()
    };
    let receiver = Receiver {
        url: Secret::Text("https://h/p".into()),
        ca: None,
        secret: None,
        token: None,
        batch: 1,
        timeout: Duration::from_secs(10),
        reach: Reach::default(),
        redirects: 0,
        circuit: CircuitSpec { failures: 5, pause: Duration::from_secs(30) },
        give_up_after: Duration::from_secs(300),
        undelivered: None,
    };
    let hook = |receiver: &Receiver| SinkKind::Webhook {
        receiver: Box::new(receiver.clone()),
        shape: Shape::Alerts,
    };
    assert_eq!(kind("url = { env = \"HOOK\" }"), hook(&receiver));
    assert_eq!(hook(&receiver).target(), "webhook");
    let told = r#"url = { file = "url" }
        secret = "whsec_aGk="
        token = "t"
        ca = "ca.pem"
        batch = 100
        timeout = "1s"
        allow_hosts = ["a.example.com", "*.example.com", "::1"]
        allow_private = true
        allow_http = true
        redirects = 3
        circuit_failures = 2
        circuit_pause = "1m"
        give_up_after = "0s"
        undelivered = "left.ndjson""#;
    let told = kind(told);
    let expected = Receiver {
        url: Secret::File("url".into()),
        ca: Some("ca.pem".into()),
        secret: Some(Secret::Text("whsec_aGk=".into())),
        token: Some(Secret::Text("t".into())),
        batch: 100,
        timeout: Duration::from_secs(1),
        reach: Reach {
            hosts: vec!["a.example.com".into(), "*.example.com".into(), "::1".into()],
            private: true,
            http: true,
        },
        redirects: 3,
        circuit: CircuitSpec { failures: 2, pause: Duration::from_secs(60) },
        give_up_after: Duration::ZERO,
        undelivered: Some("left.ndjson".into()),
    };
    assert_eq!(told, hook(&expected));
}

#[cfg(feature = "webhook")]
#[test]
fn what_cannot_be_a_receiver_is_said_at_its_word() {
    let cases = [
        ("batch = 1", "sink `alerts` has no `url`"),
        ("url = \"hooks/x\"", "not an address"),
        ("url = \"ftp://h/x\"", "does not begin with `https://`"),
        ("url = \"https://u:p@h/x\"", "use `token`"),
        ("url = \"https://h/x\"\nsecret = \"whsec_?\"", "is no base64"),
        ("url = \"https://h/x\"\nbatch = 0", "the range is 1 to 1000"),
        ("url = \"https://h/x\"\nallow_hosts = [\"https://h\"]", "`https://h` is not the name of a host"),
        ("url = \"https://h/x\"\nallow_hosts = [\"h:443\"]", "`h:443` is not the name of a host"),
        ("url = \"https://h/x\"\nallow_hosts = [\"a.*.h\"]", "`a.*.h` is not the name of a host"),
        ("url = \"https://h/x\"\nallow_host = [\"h\"]", "did you mean `allow_hosts`?"),
        ("url = \"https://h/x\"\nretry_for = \"1s\"", "unknown key `retry_for`"),
    ];
    for (lines, words) in cases {
        let error = compile(&with_hook(lines), &[], &[]).unwrap_err();
        assert!(error.contains(words), "{lines}: {error}");
    }
    let lines = "url = \"https://h/x\"\nundelivered = \"same\"\n[sink.quarantine]\npath = \"same\"";
    let error = compile(&with_hook(lines), &[], &[]).unwrap_err();
    assert!(error.contains("has the file of"), "{error}");
}

#[test]
fn neither_the_path_nor_the_secrets_of_a_webhook_are_ever_shown() {
    let one_line = changed(
        "[sink.alerts]\ntype = \"stdout\"",
        "[sink]\nalerts = { type = \"webhook\", url = \"https://h/hunter2\", secret = \"hunter2\", colour = 1 }",
    );
    let texts = [
        with_hook(
            "url = \"https://h/hunter2\"\nsecret = \"whsec_hunter2!\"\ntoken = \"hunter2\"\nmode = \"x\"",
        ),
        with_hook("url = \"ftp://h/x\"\nsecret = \"hunter2\"\ncolour = 1"),
        with_hook("url = { env = \"HOOK\" }\nsecret = { env = \"SECRET\" }"),
        one_line,
    ];
    let environment = [("HOOK", "https://h/hunter2"), ("SECRET", "hunter2")];
    for text in texts {
        for sets in [&["sink.alerts.token=hunter2"][..], &["sink.alerts.secret=whsec_hunter2!"]] {
            let reading = read(&text, sets, &environment);
            let found = crate::job::compile(&reading);
            let mut shown = format!("{:?} {:?}", found.as_ref().map(|job| &job.sinks), reading.config);
            for diagnostic in found.err().unwrap_or_default() {
                shown += &diagnostic.render(&reading.sources, false);
                shown += &diagnostic.to_json(&reading.sources).to_string();
            }
            shown += &print(&reading.findings.settings, &reading.sources);
            shown += &print_json(&reading.findings.settings, &reading.sources).to_string();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
