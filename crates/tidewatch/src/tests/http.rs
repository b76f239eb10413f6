//! Sources that clients post to.

use super::{changed, compile};

const POSTED: &str = "type = \"http\"\nlisten = \"127.0.0.1:8080\"\ndir = \"journal\"";

fn posted(more: &str) -> String {
    changed("type = \"file\"\npath = \"events.ndjson\"", &format!("{POSTED}\n{more}"))
}

#[test]
fn two_sources_with_one_port_or_one_journal_are_refused() {
    let second = |listen: &str, dir: &str| {
        let more = format!("\n[source.more]\ntype = \"http\"\nlisten = \"{listen}\"\ndir = \"{dir}\"\n");
        compile(&posted(&more), &[], &[]).map(|_| ()).err().unwrap_or_default()
    };
    let shares =
        |error: &str, key: &str| error.contains(&format!("source `more` has the `{key}` of source `events`"));
    let (port, journal, neither) = (
        second("127.0.0.1:8080", "other"),
        second("127.0.0.1:8081", "journal"),
        second("127.0.0.1:8081", "other"),
    );
    assert!(shares(&port, "listen") && !shares(&port, "dir"), "{port}");
    assert!(shares(&journal, "dir") && !shares(&journal, "listen"), "{journal}");
    assert!(!neither.contains("source `more` has"), "{neither}");
}

#[cfg(not(feature = "http"))]
#[test]
fn a_program_without_the_feature_says_which_one_brings_it() {
    let error = compile(&posted(""), &[], &[]).unwrap_err();
    assert!(error.contains("this program was built without `http`"), "{error}");
}

#[cfg(feature = "http")]
#[test]
fn what_is_set_is_what_the_source_is_opened_with() {
    use std::time::Duration;

    use ingest::{End, SourceKind, Start};

    let more = r#"
journal_bytes = "1GiB"
tokens = [{ env = "TOKEN" }, { file = "token" }]
tls = { cert = "c.pem", key = "k.pem" }
dedup = { field = ["source", "data.id"], last = 5 }
body_bytes = "1KiB"
decompressed_bytes = 2048
connections = 3
timeout = "100ms"
start = "checkpoint"
end = "latest""#;
    let job = compile(&posted(more), &[], &[("TOKEN", "0123456789abcdef")]).unwrap();
    let source = &job.sources[0];
    assert_eq!((source.start, source.end), (Start::Checkpoint, End::Latest));
    let SourceKind::Http(http) = &source.kind else { panic!("{source:?}") };
    assert_eq!((http.serve.listen.port(), http.journal_bytes, http.serve.tokens.len()), (8080, 1 << 30, 2));
    let dedup = http.dedup.as_ref().unwrap();
    assert_eq!((dedup.fields.len(), dedup.fields[1].len(), dedup.last), (2, 2, 5));
    let limits = http.limits;
    assert_eq!((limits.body_bytes, limits.decompressed_bytes, http.serve.connections), (1024, 2048, 3));
    assert_eq!(limits.timeout, Duration::from_millis(100));
    assert!(http.serve.tls.is_some() && !http.has_checkpoints);
    assert!(!format!("{job:?}").contains("0123456789abcdef"), "no secret is shown");
}
