//! `start` and `end` of a source: where it begins that no checkpoint knows, and where it ends.
//!
//! What a source cannot do is refused here, with the reason, as far as its type says so. What depends on what is there, as
//! whether a path is a file that grows or a directory, whoever opens the source refuses.

use ingest::{End, Start};

use super::diagnostic::{Code, Diagnostic};
use super::duration::parse_instant;
use super::section::{Reader, Section};
use super::source::SourceKind;
use super::tree::Value;
use super::value::{bad_value, one_of, string};

const ENDS: &[(&str, End)] = &[("latest", End::Latest), ("never", End::Never)];
/// The default of what is finite, and of what is not.
const TO_LATEST: (End, &str) = (End::Latest, "\"latest\"");
const ENDLESS: (End, &str) = (End::Never, "\"never\"");

/// Why a source does not begin or end there, and what to do.
struct No {
    message: &'static str,
    help: &'static str,
}

const SHOWN_ARCHIVE: No = No {
    message: "an archive is read up to what is visible at the job's first start",
    help: "`end` of `archive` is \"latest\"; to go on with what comes read the source itself",
};
const STDIN: No = No {
    message: "standard input begins with its first byte and ends where it is closed",
    help: "remove it",
};
const GENERATED: No = No {
    message: "made-up events end where `events` says, or never",
    help: "remove it, and set `events` if they are to end",
};

/// Reads both.
pub(super) fn read_bounds(
    kind: Option<&SourceKind>,
    section: &mut Section,
    reader: &mut Reader,
) -> (Start, End) {
    match kind {
        Some(SourceKind::File { .. } | SourceKind::Objects { .. }) => read(section, reader, TO_LATEST),
        Some(SourceKind::Kafka { .. } | SourceKind::Kinesis(_) | SourceKind::Http(_)) => {
            read(section, reader, ENDLESS)
        }
        Some(SourceKind::Archive { .. }) => {
            let (start, end) = read(section, reader, TO_LATEST);
            refuse_if(end == End::Never, "end", &SHOWN_ARCHIVE, section, reader);
            (start, end)
        }
        // Where they begin and end is a part of what they are.
        Some(SourceKind::Stdin) => {
            refuse_if(true, "start", &STDIN, section, reader);
            refuse_if(true, "end", &STDIN, section, reader);
            (Start::Earliest, End::Latest)
        }
        Some(SourceKind::Generate(_)) => {
            refuse_if(true, "end", &GENERATED, section, reader);
            (Start::Earliest, End::Latest)
        }
        None => (Start::Earliest, End::Latest),
    }
}

/// Says that a key which is there may not be so.
fn refuse_if(is_so: bool, key: &'static str, no: &No, section: &mut Section, reader: &mut Reader) {
    // Asked only for what is there: a key that no source of this type has is suggested to nobody.
    if !is_so || !section.entries().iter().any(|entry| entry.name == key) {
        return;
    }
    if let Some(entry) = section.entry(key) {
        let diagnostic = Diagnostic::new(Code::BadValue, entry.node.place.clone(), no.message);
        reader.report(diagnostic.with_help(no.help));
    }
}

fn read(section: &mut Section, reader: &mut Reader, default: (End, &str)) -> (Start, End) {
    let start = section.or(reader, "start", (Start::Earliest, "\"earliest\""), |sources, node| {
        let text = match &node.value {
            Value::Datetime(text) => text.clone(),
            _ => string(sources, node)?,
        };
        match text.as_str() {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            "checkpoint" => Ok(Start::Checkpoint),
            time => parse_instant(time).map(Start::At).map_err(|message| {
                let help = "it is \"earliest\", \"latest\", \"checkpoint\" or a time";
                bad_value(node, format!("{message}; {help}"))
            }),
        }
    });
    let end = section.or(reader, "end", default, one_of(ENDS));
    (start, end)
}
