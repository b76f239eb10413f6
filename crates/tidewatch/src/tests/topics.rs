//! Topics of Apache Kafka: what the config says of them, what it must not say, and what is never shown.

#[cfg(feature = "kafka")]
use std::time::Duration;

#[cfg(feature = "kafka")]
use alert::{Secret, Shape, SinkKind};
#[cfg(feature = "kafka")]
use event::Topic;
#[cfg(feature = "kafka")]
use ingest::{End, Isolation, SourceKind, Start};

use super::{changed, compile};

/// The small job from a topic, with more lines of its section.
fn from_topic(lines: &str) -> String {
    let source = "type = \"file\"\npath = \"events.ndjson\"\n";
    changed(source, &format!("type = \"kafka\"\nbrokers = \"a:1,b:2\"\ntopic = \"t\"\n{lines}\n"))
}

#[cfg(not(feature = "kafka"))]
#[test]
fn what_was_not_built_in_is_named_with_what_brings_it() {
    let error = compile(&from_topic(""), &[], &[]).unwrap_err();
    assert!(error.contains("built without `kafka`") && error.contains("--features kafka"), "{error}");
}

#[cfg(feature = "kafka")]
fn refused(text: &str, words: &[&str]) -> String {
    let error = compile(text, &[], &[("PW", "hunter2")]).unwrap_err();
    for word in words {
        assert!(error.contains(word), "no {word:?} in:\n{error}");
    }
    assert!(!error.contains("hunter2"), "the secret is shown:\n{error}");
    error
}

#[cfg(feature = "kafka")]
#[test]
fn a_topic_is_read_from_its_beginning_without_an_end_unless_it_is_said() {
    let source =
        |lines: &str| compile(&from_topic(lines), &[], &[("PW", "hunter2")]).unwrap().sources[0].clone();
    let plain = source("");
    let topic = Topic { brokers: "a:1,b:2".into(), name: "t".into(), options: vec![] };
    assert_eq!(
        plain.kind,
        SourceKind::Kafka { topic, isolation: Isolation::ReadCommitted, queue_bytes: 64 << 20 }
    );
    assert_eq!((plain.start, plain.end, plain.rate), (Start::Earliest, End::Never, None));
    let other = source(
        "start = \"2024-01-01T00:00:00Z\"\nend = \"latest\"\nisolation = \"read_uncommitted\"\nqueue_bytes = \"8MiB\"\n\
         options = { \"client.id\" = \"me\", \"fetch.min.bytes\" = 7, \"sasl.password\" = { env = \"PW\" } }",
    );
    assert_eq!((other.start, other.end), (Start::At(1_704_067_200_000_000), End::Latest));
    let SourceKind::Kafka { topic, isolation, queue_bytes } = other.kind else { panic!("another source") };
    assert_eq!((isolation, queue_bytes), (Isolation::ReadUncommitted, 8 << 20));
    let text = |text: &str| Secret::Text(text.into());
    let options =
        [("client.id", text("me")), ("fetch.min.bytes", text("7")), ("sasl.password", text("hunter2"))];
    assert_eq!(topic.options, options.map(|(name, value)| (name.to_owned(), value)));
}

#[cfg(feature = "kafka")]
#[test]
fn options_that_are_ours_nested_or_secrets_in_plain_sight_are_refused() {
    let option = |line: &str| from_topic(&format!("[source.events.options]\n{line}"));
    refused(&option("\"group.id\" = \"g\""), &["`group.id` is not to be set"]);
    refused(&option("\"isolation.level\" = \"g\""), &["set `isolation`"]);
    refused(&option("security.protocol = \"SSL\""), &["points in its name", "quote it"]);
    refused(&option("\"linger.ms\" = 1.5"), &["expected a string"]);
    refused(&option("\"sasl.password\" = \"hunter2\""), &["is a secret", "{ env ="]);
    refused(&option("\"sasl.password\" = { env = \"NO\" }"), &["`NO` is not set"]);
    refused(&from_topic("options = { \"ssl.key.password\" = \"hunter2\", \"a.b\" = 1.5 }"), &["is a secret"]);
}

#[cfg(feature = "kafka")]
#[test]
fn names_brokers_and_bounds_that_cannot_be_are_refused() {
    let with = |from: &str, to: &str| from_topic("").replacen(from, to, 1);
    refused(&with("topic = \"t\"", "topic = \"a topic\""), &["a topic's name has letters"]);
    refused(&with("topic = \"t\"", ""), &["source `events` has no `topic`"]);
    refused(&with("a:1,b:2", "http://a:1"), &["not a list of `HOST:PORT`"]);
    refused(&from_topic("end = \"soon\""), &["`soon` is none of latest, never"]);
    refused(&from_topic("start = \"soon\""), &["it is \"earliest\", \"latest\", \"checkpoint\" or a time"]);
}

#[cfg(feature = "kafka")]
#[test]
fn a_sink_has_a_topic_and_its_rows_have_their_key_in_them() {
    let sink = |lines: &str| {
        let kind = "type = \"kafka\"\nbrokers = [\"a:1\", \"b:2\"]\ntopic = \"out\"";
        changed("[sink.alerts]\ntype = \"stdout\"\n", &format!("[sink.alerts]\n{kind}\n{lines}\n"))
    };
    let topic = Topic { brokers: "a:1,b:2".into(), name: "out".into(), options: vec![] };
    let job = compile(&sink("transactional_id = \"id\"\nretry_for = \"5s\""), &[], &[]).unwrap();
    let (transactional_id, retry_for) = (Some("id".to_owned()), Duration::from_secs(5));
    let expected =
        SinkKind::Kafka { topic: topic.clone(), transactional_id, shape: Shape::Alerts, retry_for };
    assert_eq!(job.sinks[0].kind, expected);
    assert_eq!(expected.target(), "kafka topic out");
    let plain = |columns: &str| sink(&format!("format = \"plain\"\ncolumns = [{columns}]"));
    compile(&plain("\"user_id\", \"events\""), &[], &[]).unwrap();
    refused(&plain("\"events\""), &["need the column `user_id`", "key of the message"]);
    // What it reads it must not write.
    let both = from_topic("").replacen(
        "[sink.alerts]\ntype = \"stdout\"\n",
        "[sink.alerts]\ntype = \"kafka\"\nbrokers = \"a:1,b:2\"\ntopic = \"t\"\n",
        1,
    );
    refused(&both, &["sink `alerts` has the topic of the source `events`"]);
}
