//! `[window]`: which windows of event time a job has.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Reader, Section};
use super::value::{duration, filled_string, integer, one_of, signed_duration};

/// `[window]`: which windows of event time there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// Windows that all keys share: `type = "sliding"`, `"tumbling"`, `"cumulate"`.
    Shared(SharedWindow),
    /// `type = "session"`: a session of a key ends when no event of it comes for `gap`; sessions that overlap or touch
    /// are one. Range of `gap`: `1ms` to `366d`.
    Session {
        /// Event time without an event after which a session ends.
        gap: Duration,
    },
    /// `type = "count"`: after every `slide` events of a key a row over its last `size`.
    Count {
        /// Events of a row. Range: from `1`.
        size: u64,
        /// Events from one row to the next. Default: `size`. Range: from `1`; at most 16382 in a `size`.
        slide: u64,
    },
    /// `type = "each"`: every event is a row.
    Each,
}

/// Windows that all keys share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedWindow {
    /// Whether windows grow by a step up to a size and then start anew.
    pub grows: bool,
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
    /// How long after a window is due it takes records that come late, after which its row is put out once more for
    /// the keys that had any. Default: `0s`. Range: `0s` to `366d`.
    pub allowed_lateness: Duration,
    /// The time zone whose clock windows follow, as `Asia/Seoul`. Default: UTC.
    pub zone: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum WindowKind {
    Sliding,
    Tumbling,
    Cumulate,
    Session,
    Count,
    Each,
}

const KINDS: &[(&str, WindowKind)] = &[
    ("sliding", WindowKind::Sliding),
    ("tumbling", WindowKind::Tumbling),
    ("cumulate", WindowKind::Cumulate),
    ("session", WindowKind::Session),
    ("count", WindowKind::Count),
    ("each", WindowKind::Each),
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
    let types =
        "add `type = \"sliding\"`, `\"tumbling\"`, `\"cumulate\"`, `\"session\"`, `\"count\"` or `\"each\"`";
    let kind = section.required(reader, "type", types, one_of(KINDS));
    let window = match kind {
        Some(WindowKind::Session) => {
            let gap = section.required(reader, "gap", "add `gap = \"30m\"`", duration(lengths()));
            gap.map(|gap| Window::Session { gap })
        }
        Some(WindowKind::Count) => {
            let size = section.required(reader, "size", "add `size = 100`", integer(1..=u64::MAX));
            let slide = section.optional(reader, "slide", integer(1..=u64::MAX));
            size.map(|size| Window::Count { size, slide: slide.unwrap_or(size) })
        }
        Some(WindowKind::Each) => Some(Window::Each),
        shared => read_shared(&mut section, reader, shared).map(Window::Shared),
    };
    section.finish(reader);
    Some((window.filter(|_| kind.is_some())?, place))
}

fn read_shared(section: &mut Section, reader: &mut Reader, kind: Option<WindowKind>) -> Option<SharedWindow> {
    let size = section.required(reader, "size", "add `size = \"10m\"`", duration(lengths()));
    let slide = read_period(section, reader, kind, size);
    let offset = section.or(reader, "offset", (0, "\"0s\""), signed_duration);
    let zone = section.optional(reader, "zone", filled_string);
    let latest = Duration::ZERO..=*lengths().end();
    let allowed_lateness =
        section.or(reader, "allowed_lateness", (Duration::ZERO, "\"0s\""), duration(latest));
    Some(SharedWindow {
        allowed_lateness,
        grows: kind == Some(WindowKind::Cumulate),
        size: size?,
        slide: slide?,
        offset,
        zone,
    })
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
                WindowKind::Sliding => format!("a sliding window has no `{key}`: it moves by a `slide`"),
                WindowKind::Cumulate => format!("a window that grows has no `{key}`: it grows by a `step`"),
                _ => format!("a tumbling window has no `{key}`: each follows the last"),
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
        None => section.optional(reader, "slide", duration(lengths())),
        Some(_) => size,
    }
}
