//! Sources that clients post to.

use super::{changed, compile};

const POSTED: &str = "type = \"http\"\nlisten = \"127.0.0.1:8080\"\ndir = \"journal\"";

fn posted(more: &str) -> String {
    changed("type = \"file\"\npath = \"events.ndjson\"", &format!("{POSTED}\n{more}"))
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
    assert_eq!((http.listen.port(), http.journal_bytes, http.tokens.len()), (8080, 1 << 30, 2));
    let dedup = http.dedup.as_ref().unwrap();
    assert_eq!((dedup.fields.len(), dedup.fields[1].len(), dedup.last), (2, 2, 5));
    let limits = http.limits;
    assert_eq!((limits.body_bytes, limits.decompressed_bytes, limits.connections), (1024, 2048, 3));
    assert_eq!(limits.timeout, Duration::from_millis(100));
    assert!(http.tls.is_some() && !http.has_checkpoints);
    assert!(!format!("{job:?}").contains("0123456789abcdef"), "no secret is shown");
}
