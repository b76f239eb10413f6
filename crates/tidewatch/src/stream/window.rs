//! The kinds of windows, and when they are put out: `[window]` of a config.
//!
//! Every window takes every option here; one that a kind does not have is a mistake that [`super::Windowed::build`]
//! names, as it is in a config.

use std::time::Duration;

use super::time::Early;
use super::words::{Call, Words, shown};
use crate::config::tree::Value;

/// Windows of a key.
#[derive(Debug, Clone)]
#[must_use = "windows do nothing until a stream has them"]
pub struct Window {
    pub(super) words: Words,
}

fn kind(function: &str, kind: &str) -> Call {
    Words::default().call(function).implied_text(&["type"], kind)
}

/// Windows of that size, of which one starts every `slide`. With a slide longer than the size events between windows
/// are left out.
pub fn sliding(size: Duration, slide: Duration) -> Window {
    Window { words: kind("sliding", "sliding").duration(&["size"], size).duration(&["slide"], slide).end() }
}

/// Windows of that size that follow one another.
pub fn tumbling(size: Duration) -> Window {
    Window { words: kind("tumbling", "tumbling").duration(&["size"], size).end() }
}

/// Windows that grow by a step up to a size, and then start anew.
pub fn cumulate(size: Duration, step: Duration) -> Window {
    Window { words: kind("cumulate", "cumulate").duration(&["size"], size).duration(&["step"], step).end() }
}

/// Sessions of a key: one ends when no event of it comes for that long.
pub fn session(gap: Duration) -> Window {
    Window { words: kind("session", "session").duration(&["gap"], gap).end() }
}

/// Sessions in which each event says in seconds how long its session lasts behind it: an expression.
pub fn session_by(gap: &str) -> Window {
    Window { words: kind("session_by", "session").text(&["gap_by"], gap).end() }
}

/// A row over the last `size` events of a key after every `size` of them, or after every [`Window::slide`].
pub fn count(size: u64) -> Window {
    Window { words: kind("count", "count").integer(&["size"], size).end() }
}

/// Every event is a row.
pub fn each() -> Window {
    Window { words: kind("each", "each").end() }
}

/// All events of a key are in one window, which is put out early, and only then.
pub fn global(early: impl Into<Early>) -> Window {
    Window { words: early_of(kind("global", "global"), early.into()).end() }
}

fn early_of(call: Call, early: Early) -> Call {
    match early {
        Early::Every(period) => call.duration(&["early"], period),
        Early::Events(events) => call.integer(&["early"], events),
    }
}

impl Window {
    fn option(self, name: &str, write: impl FnOnce(Call) -> Call) -> Self {
        Window { words: write(self.words.call(name)).end() }
    }

    /// Of count windows: events from one row to the next.
    pub fn slide(self, events: u64) -> Self {
        self.option(".slide", |call| call.integer(&["slide"], events))
    }

    /// How much later than at midnight of 1970-01-01 windows start; less than from one start to the next.
    pub fn offset(self, later: Duration) -> Self {
        self.option(".offset", |call| call.duration(&["offset"], later))
    }

    /// The same, earlier.
    pub fn offset_back(self, earlier: Duration) -> Self {
        let text = format!("-{}", shown(earlier));
        self.option(".offset_back", |call| call.word(&["offset"], &text[1..], &text))
    }

    /// The time zone whose clock windows follow, as `Asia/Seoul`. Default: UTC.
    pub fn zone(self, name: &str) -> Self {
        self.option(".zone", |call| call.text(&["zone"], name))
    }

    /// Windows of each key start a part of a slide later, each key's by another one.
    pub fn stagger(self) -> Self {
        self.option(".stagger", |call| call.implied(&["stagger"], Value::Boolean(true)))
    }

    /// For how long a key that has gone quiet still has rows, of windows without an event: a whole number of slides.
    pub fn quiet(self, time: Duration) -> Self {
        self.option(".quiet", |call| call.duration(&["quiet"], time))
    }

    /// Of count and global windows: event time without an event after which a key is forgotten. Default: never.
    pub fn expire_after(self, time: Duration) -> Self {
        self.option(".expire_after", |call| call.duration(&["expire_after"], time))
    }

    /// How long after a row of a key another one recalls it for `lag`. Default: a day.
    pub fn lag_within(self, time: Duration) -> Self {
        self.option(".lag_within", |call| call.duration(&["lag_within"], time))
    }

    /// How long after a window is due it takes events that come late.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        self.option(".allowed_lateness", |call| call.duration(&["allowed_lateness"], lateness))
    }

    /// In that time a row for each late event, instead of one at its end.
    pub fn late_each(self) -> Self {
        self.option(".late_each", |call| call.implied_text(&["late"], "each"))
    }

    /// Rows before a window is due, too: `every(minutes(1))` of event time, or `after(100)` events.
    pub fn early(self, early: impl Into<Early>) -> Self {
        self.option(".early", |call| early_of(call, early.into()))
    }

    /// No row when a window is due: only early and late ones.
    pub fn nothing_at_end(self) -> Self {
        self.option(".nothing_at_end", |call| call.implied(&["at_end"], Value::Boolean(false)))
    }

    /// Windows start anew with each row, so that nothing is put out twice.
    pub fn purge(self) -> Self {
        self.option(".purge", |call| call.implied(&["purge"], Value::Boolean(true)))
    }
}
