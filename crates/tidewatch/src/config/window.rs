//! `[window]`: which windows of event time a job has.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Reader, Section};
use super::value::{duration, filled_string, one_of, signed_duration};

/// `[window]`: which windows of event time there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// How windows follow one another.
    pub kind: WindowKind,
    /// Length of a window; of the longest with `type = "cumulate"`. Range: `1ms` to `366d`.
    pub size: Duration,
    /// From the start of a window to that of the next; `slide` with `type = "sliding"`, where events between
    /// windows that do not meet are left out and counted as `filtered`. With `type = "cumulate"` how much a window is
    /// longer than the one before it, `step`. Tumbling windows follow one another. Range: `1ms` to `366d`; at most
    /// 32767 in a window.
    pub slide: Duration,
    /// Start of a window in microseconds from 1970-01-01, from which the others are counted. Default: `0s`. Range:
    /// shorter than the time from one start to the next, either way.
    pub offset: i64,
    /// The time zone whose clock windows follow, as `Asia/Seoul`. Default: UTC.
    pub zone: Option<String>,
}

/// `window.type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// Windows of one size, each of which starts a slide behind the last.
    Sliding,
    /// Windows of one size, one after the other.
    Tumbling,
    /// Windows that grow by a step up to a size and then start anew.
    Cumulate,
}

const KINDS: &[(&str, WindowKind)] = &[
    ("sliding", WindowKind::Sliding),
    ("tumbling", WindowKind::Tumbling),
    ("cumulate", WindowKind::Cumulate),
];

/// The keys that only some kinds of windows have, and their kind.
const PERIODS: [(&str, WindowKind, &str); 2] = [
    ("slide", WindowKind::Sliding, "set `type = \"sliding\"`, or take `slide` out"),
    ("step", WindowKind::Cumulate, "set `type = \"cumulate\"`, or take `step` out"),
];

fn lengths() -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=Duration::from_secs(366 * 86_400)
}

/// The windows, and where the section stands; `None` only if a mistake was noted.
pub(super) fn read_window(root: &mut Section, reader: &mut Reader) -> Option<(Window, Place)> {
    let Some(mut section) = root.section(reader, "window") else {
        if root.entries().iter().all(|entry| entry.name != "window") {
            reader.report(Diagnostic {
                code: Code::MissingKey,
                message: "the job has no `[window]`".to_owned(),
                place: None,
                help: Some("add `[window]` with `type = \"tumbling\"` and `size = \"10m\"`".to_owned()),
            });
        }
        return None;
    };
    let place = section.place().clone();
    let types = "add `type = \"sliding\"`, `\"tumbling\"` or `\"cumulate\"`";
    let kind = section.required(reader, "type", types, one_of(KINDS));
    let size = section.required(reader, "size", "add `size = \"10m\"`", duration(lengths()));
    let slide = read_period(&mut section, reader, kind, size);
    let offset = section.or(reader, "offset", (0, "\"0s\""), signed_duration);
    let zone = section.optional(reader, "zone", filled_string);
    section.finish(reader);
    Some((Window { kind: kind?, size: size?, slide: slide?, offset, zone }, place))
}

/// The slide or the step; other kinds of windows have none.
fn read_period(
    section: &mut Section,
    reader: &mut Reader,
    kind: Option<WindowKind>,
    size: Option<Duration>,
) -> Option<Duration> {
    for (key, of, help) in PERIODS {
        if let (Some(kind), Some(entry)) = (kind.filter(|kind| *kind != of), section.entry(key)) {
            let message = match kind {
                WindowKind::Tumbling => format!("a tumbling window has no `{key}`: each follows the last"),
                WindowKind::Sliding => format!("a sliding window has no `{key}`: it moves by a `slide`"),
                WindowKind::Cumulate => format!("a window that grows has no `{key}`: it grows by a `step`"),
            };
            reader.report(Diagnostic::new(Code::Conflict, entry.key.clone(), message).with_help(help));
        }
    }
    match kind {
        Some(WindowKind::Sliding) => {
            section.required(reader, "slide", "add `slide = \"1m\"`", duration(lengths()))
        }
        Some(WindowKind::Cumulate) => {
            section.required(reader, "step", "add `step = \"1m\"`", duration(lengths()))
        }
        Some(WindowKind::Tumbling) => size,
        None => section.optional(reader, "slide", duration(lengths())),
    }
}
