//! `[window]`: which windows of event time a job has.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::{Code, Diagnostic};
use super::place::{Place, Sources};
use super::section::{Read, Reader, Section};
use super::tree::{Node, Value};
use super::value::{Sql, boolean, duration, filled_string, integer, one_of, signed_duration, sql};

/// `[window]`: which windows of event time there are, and when they are put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What holds an event.
    pub shape: WindowShape,
    /// When it is put out, unless that follows from what it is.
    pub firing: Firing,
    /// How long after a row of a key, by when they are due, another one recalls it for `lag`. Default: `1d`, or two slides
    /// if that is longer. Range: `1ms` to `366d`, a slide at least.
    pub lag_within: Option<Duration>,
}

/// What holds an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowShape {
    /// Windows that all keys share: `type = "sliding"`, `"tumbling"`, `"cumulate"`.
    Shared(SharedWindow),
    /// `type = "session"`: a session of a key ends when no event of it comes for `gap`; sessions that overlap or touch
    /// are one. Range of `gap`: `1ms` to `366d`.
    Session {
        /// Event time without an event after which a session ends.
        gap: Duration,
    },
    /// The same with `gap_by`: each event says in seconds how long its session lasts behind it.
    SessionBy {
        /// A number of seconds, over the columns of an event.
        gap: Sql,
    },
    /// `type = "count"`: after every `slide` events of a key a row over its last `size`.
    Count {
        /// Events of a row. Range: from `1`.
        size: u64,
        /// Events from one row to the next. Default: `size`. Range: from `1`; at most 16382 in a `size`.
        slide: u64,
        /// Event time without an event after which a key is forgotten. Default: never. Range: `1ms` to `366d`.
        expire_after: Option<Duration>,
    },
    /// `type = "each"`: every event is a row.
    Each,
    /// `type = "global"`: all events of a key are in one window, which `early` puts out.
    Global {
        /// As that of count windows.
        expire_after: Option<Duration>,
    },
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
    /// The time zone whose clock windows follow, as `Asia/Seoul`. Default: UTC.
    pub zone: Option<String>,
    /// Whether the windows of a key start a part of a slide later, each key's by another one. Default: `false`.
    pub stagger: bool,
    /// For how long a key that has gone quiet still has rows, of windows without an event. Default: `0s`. Range: `0s` to
    /// `366d`, a whole number of slides.
    pub quiet: Duration,
}

/// When windows are put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// How long after a window is due it takes events that come late. Default: `0s`. Range: `0s` to `366d`.
    pub allowed_lateness: Duration,
    /// `late`: whether it is put out again `"once"`, when that time is over, or for `"each"` of them. Default: `"once"`.
    pub late: LateRows,
    /// When it is put out before it is due, too.
    pub early: Option<EarlyRows>,
    /// Whether it is put out when it is due. Default: `true`, but for `type = "global"`.
    pub at_end: bool,
    /// Whether it starts anew with each row, so that nothing is put out twice. Default: `false`.
    pub purge: bool,
}

/// When rows are put out for late events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateRows {
    /// Once, when the time for them is over.
    Once,
    /// For each of them.
    Each,
}

/// When a window is put out before it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyRows {
    /// `early = "1m"`: every so much event time. Range: `1ms` to `366d`.
    Every(Duration),
    /// `early = 100`: after every so many events. Range: from `1`.
    Events(u64),
}

impl Window {
    /// From the start of a window to that of the next, where all keys share them.
    pub fn slide(&self) -> Option<Duration> {
        if let WindowShape::Shared(shared) = &self.shape { Some(shared.slide) } else { None }
    }
}

impl Firing {
    /// Once, when a window is due.
    pub const AT_END: Firing = Firing {
        allowed_lateness: Duration::ZERO,
        late: LateRows::Once,
        early: None,
        at_end: true,
        purge: false,
    };
}

#[derive(Clone, Copy, PartialEq)]
enum WindowKind {
    Sliding,
    Tumbling,
    Cumulate,
    Session,
    Count,
    Each,
    Global,
}

const KINDS: &[(&str, WindowKind)] = &[
    ("sliding", WindowKind::Sliding),
    ("tumbling", WindowKind::Tumbling),
    ("cumulate", WindowKind::Cumulate),
    ("session", WindowKind::Session),
    ("count", WindowKind::Count),
    ("each", WindowKind::Each),
    ("global", WindowKind::Global),
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
    let types = "add `type = \"sliding\"`, `\"tumbling\"`, `\"cumulate\"`, `\"session\"`, `\"count\"`, `\"each\"` or \
         `\"global\"`";
    let kind = section.required(reader, "type", types, one_of(KINDS));
    let shape = match kind {
        Some(WindowKind::Session) => read_session(&mut section, reader),
        Some(WindowKind::Count) => {
            let size = section.required(reader, "size", "add `size = 100`", integer(1..=u64::MAX));
            let slide = section.optional(reader, "slide", integer(1..=u64::MAX));
            let expire_after = section.optional(reader, "expire_after", duration(lengths()));
            size.map(|size| WindowShape::Count { size, slide: slide.unwrap_or(size), expire_after })
        }
        Some(WindowKind::Each) => Some(WindowShape::Each),
        Some(WindowKind::Global) => {
            let expire_after = section.optional(reader, "expire_after", duration(lengths()));
            Some(WindowShape::Global { expire_after })
        }
        shared => read_shared(&mut section, reader, shared).map(WindowShape::Shared),
    };
    let firing = match kind {
        Some(WindowKind::Count | WindowKind::Each) => Firing::AT_END,
        Some(WindowKind::Global) => read_global(&mut section, reader),
        _ => read_firing(&mut section, reader),
    };
    let lag_within = section.optional(reader, "lag_within", duration(lengths()));
    section.finish(reader);
    let window = shape.map(|shape| Window { shape, firing, lag_within });
    Some((window.filter(|_| kind.is_some())?, place))
}

fn read_session(section: &mut Section, reader: &mut Reader) -> Option<WindowShape> {
    let by = section.optional(reader, "gap_by", sql);
    if by.is_none() && section.entries().iter().all(|entry| entry.name != "gap_by") {
        let gap = section.required(reader, "gap", "add `gap = \"30m\"`", duration(lengths()));
        return gap.map(|gap| WindowShape::Session { gap });
    }
    if let Some(entry) = section.entry("gap") {
        let message = "a session has `gap` or `gap_by`";
        let diagnostic = Diagnostic::new(Code::Conflict, entry.key.clone(), message);
        reader.report(diagnostic.with_help("take one of them out"));
    }
    by.map(|gap| WindowShape::SessionBy { gap })
}

fn read_firing(section: &mut Section, reader: &mut Reader) -> Firing {
    const LATE: &[(&str, LateRows)] = &[("once", LateRows::Once), ("each", LateRows::Each)];
    let latest = Duration::ZERO..=*lengths().end();
    let allowed_lateness =
        section.or(reader, "allowed_lateness", (Duration::ZERO, "\"0s\""), duration(latest));
    let late = section.or(reader, "late", (LateRows::Once, "\"once\""), one_of(LATE));
    let early = section.optional(reader, "early", read_early);
    let at_end = section.or(reader, "at_end", (true, "true"), boolean);
    let purge = section.or(reader, "purge", (false, "false"), boolean);
    Firing { allowed_lateness, late, early, at_end, purge }
}

fn read_global(section: &mut Section, reader: &mut Reader) -> Firing {
    let help = "add `early = 100` for every 100 events, or `early = \"1m\"`";
    let early = section.required(reader, "early", help, read_early);
    let purge = section.or(reader, "purge", (false, "false"), boolean);
    Firing { early, at_end: false, purge, ..Firing::AT_END }
}

/// A length of event time, or a number of events.
fn read_early(sources: &Sources, node: &Node) -> Read<EarlyRows> {
    match node.value {
        Value::Integer(_) => integer(1..=u64::MAX)(sources, node).map(EarlyRows::Events),
        _ => duration(lengths())(sources, node).map(EarlyRows::Every),
    }
}

fn read_shared(section: &mut Section, reader: &mut Reader, kind: Option<WindowKind>) -> Option<SharedWindow> {
    let size = section.required(reader, "size", "add `size = \"10m\"`", duration(lengths()));
    let slide = read_period(section, reader, kind, size);
    let offset = section.or(reader, "offset", (0, "\"0s\""), signed_duration);
    let zone = section.optional(reader, "zone", filled_string);
    let stagger = section.or(reader, "stagger", (false, "false"), boolean);
    let longest = Duration::ZERO..=*lengths().end();
    let quiet = section.or(reader, "quiet", (Duration::ZERO, "\"0s\""), duration(longest));
    let grows = kind == Some(WindowKind::Cumulate);
    Some(SharedWindow { grows, size: size?, slide: slide?, offset, zone, stagger, quiet })
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
