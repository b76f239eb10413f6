//! Where sources begin and end: what each may say, and why it may not say the rest.

use ingest::{End, Start};

use super::{changed, compile};

const HTTP: &str = "type = \"http\"\nlisten = \"127.0.0.1:8080\"\ndir = \"journal\"";
const ARCHIVE: &str = "type = \"archive\"\ndir = \"archive\"";
const FILE: &str = "type = \"file\"\npath = \"events/\"";

fn of(source: &str, lines: &str) -> Result<(Start, End), String> {
    let text = changed("type = \"file\"\npath = \"events.ndjson\"", &format!("{source}\n{lines}"));
    compile(&text, &[], &[]).map(|job| (job.sources[0].start, job.sources[0].end))
}

#[test]
fn files_begin_anywhere_and_end_by_default() {
    assert_eq!(of(FILE, ""), Ok((Start::Earliest, End::Latest)));
    assert_eq!(of(FILE, "start = \"latest\"\nend = \"never\""), Ok((Start::Latest, End::Never)));
    assert_eq!(of(FILE, "start = 1970-01-01T00:00:01Z"), Ok((Start::At(1_000_000), End::Latest)));
    assert_eq!(of(FILE, "start = \"checkpoint\""), Ok((Start::Checkpoint, End::Latest)));
    let error = of(FILE, "start = \"newest\"").unwrap_err();
    assert!(error.contains("it is \"earliest\", \"latest\", \"checkpoint\" or a time"), "{error}");
}

#[cfg(feature = "http")]
#[test]
fn a_journal_is_read_from_its_beginning_or_its_end_on_unless_it_is_said() {
    assert_eq!(of(HTTP, ""), Ok((Start::Earliest, End::Never)));
    assert_eq!(of(HTTP, "start = \"latest\"\nend = \"latest\""), Ok((Start::Latest, End::Latest)));
    assert_eq!(of(HTTP, "start = 1970-01-01T00:00:01Z"), Ok((Start::At(1_000_000), End::Never)));
}

#[cfg(feature = "archive")]
#[test]
fn an_archive_begins_anywhere_and_ends() {
    assert_eq!(of(ARCHIVE, ""), Ok((Start::Earliest, End::Latest)));
    assert_eq!(of(ARCHIVE, "start = 1970-01-01T00:00:01Z"), Ok((Start::At(1_000_000), End::Latest)));
    assert_eq!(of(ARCHIVE, "start = \"latest\""), Ok((Start::Latest, End::Latest)));
    assert_eq!(of(ARCHIVE, "start = \"checkpoint\"\nend = \"latest\""), Ok((Start::Checkpoint, End::Latest)));
}

#[test]
fn what_a_source_cannot_do_is_refused_with_the_reason_and_what_to_do() {
    for (source, line, words) in [
        (ARCHIVE, "end = \"never\"", ["up to what is visible", "`end` of `archive` is \"latest\""]),
        ("type = \"stdin\"", "start = \"earliest\"", ["begins with its first byte", "remove it"]),
        ("type = \"stdin\"", "end = \"never\"", ["ends where it is closed", "remove it"]),
        ("type = \"generate\"", "end = \"latest\"", ["end where `events` says", "set `events`"]),
    ] {
        let error = of(source, line).unwrap_err();
        for word in words {
            assert!(error.contains(word), "no {word:?} in:\n{error}");
        }
    }
}
