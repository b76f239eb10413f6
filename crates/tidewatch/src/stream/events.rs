//! The chain of calls: events, then keyed, then in windows, with what the type so far allows.

use std::panic::Location;
use std::time::Duration;

use event::{DataType, Own, OwnAggregate};

use super::draft::Draft;
use super::endpoint::{Sink, Source};
use super::job::{Job, Mistakes};
use super::names::Names;
use super::rule::Rule;
use super::time::{Every, Unit};
use super::window::Window;
use super::words::{Call, Words};
use crate::config::tree::{Text, Value};

fn call(name: &str) -> Call {
    Words::default().call(name)
}

/// A stream of events. What follows is written as the fields of a config are: names, and expressions in SQL.
#[derive(Debug, Clone)]
#[must_use = "a stream does nothing until it is built and run"]
pub struct Events {
    draft: Draft,
}

/// The events of a source: [`super::file`], [`super::stdin`], [`super::generate`], [`super::kafka()`], [`super::kinesis()`],
/// [`super::http()`] or [`super::archive()`].
#[track_caller]
pub fn events(source: impl Into<Source>) -> Events {
    Events { draft: Draft::default() }.read("events", source.into(), Location::caller())
}

impl Events {
    fn read(mut self, word: &str, source: Source, at: &'static Location<'static>) -> Self {
        let name = self.draft.name_of(source.name, "events");
        let words = call(word).inner(&["source", &name], source.words).end();
        Events { draft: self.draft.with(words, at) }
    }

    /// The events of another source too.
    #[track_caller]
    pub fn and(self, source: impl Into<Source>) -> Self {
        self.read(".and", source.into(), Location::caller())
    }

    /// The job's name, a part of every alert's id. Default: `job`.
    #[track_caller]
    pub fn named(self, name: &str) -> Self {
        let words = call(".named").text(&["name"], name).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// Which field event time is, and how it is written.
    #[track_caller]
    pub fn time(self, field: &str, unit: Unit) -> Self {
        let words = call(".time").text(&["event", "time", "field"], field);
        let words = words.word(&["event", "time", "unit"], &format!("{unit:?}"), unit.name()).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// A field that expressions may name. Only those that the job uses are decoded.
    #[track_caller]
    pub fn field(self, name: &str, data_type: DataType) -> Self {
        let words = call(".field").shown(name);
        let words = words.written(&["event", "fields", name], &shown(data_type), Some(of_type(data_type)));
        Events { draft: self.draft.with(words.end(), Location::caller()) }
    }

    /// A field that lies elsewhere in the event: dots part the names of objects, as in `payload.duration`.
    #[track_caller]
    pub fn field_at(self, name: &str, path: &str, data_type: DataType) -> Self {
        let words = call(".field_at").shown(name).text(&["event", "fields", name, "path"], path);
        let key = ["event", "fields", name, "type"];
        let words = words.written(&key, &shown(data_type), Some(of_type(data_type))).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// How much later than a younger one an event may come without being late. Default: 5 s.
    #[track_caller]
    pub fn out_of_order(self, most: Duration) -> Self {
        let words = call(".out_of_order").duration(&["time", "out_of_order"], most).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// Times never fall, so that each says that all before it have come. In place of [`Events::out_of_order`].
    #[track_caller]
    pub fn monotonic(self) -> Self {
        let words = call(".monotonic").implied_text(&["time", "watermark"], "monotonic").end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// How far event time has come is what events say in that field: no event at or below its value is to come. In place
    /// of [`Events::out_of_order`].
    #[track_caller]
    pub fn watermark(self, field: &str, unit: Unit) -> Self {
        let words = call(".watermark").text(&["time", "watermark", "field"], field);
        let words = words.word(&["time", "watermark", "unit"], &format!("{unit:?}"), unit.name()).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// After this time without events a partition of an endless source no longer holds the others back. Default: never.
    #[track_caller]
    pub fn idle_partition_after(self, time: Duration) -> Self {
        let words = call(".idle_partition_after").duration(&["time", "idle_partition_after"], time).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// How far a partition may be ahead of the others in event time before it waits for them. Default: any way.
    #[track_caller]
    pub fn max_drift(self, most: Duration) -> Self {
        let words = call(".max_drift").duration(&["time", "max_drift"], most).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// Event times that are sane, the end exclusive: `"1990-01-01"`, `"2100-01-01"` by default. Others go to quarantine.
    #[track_caller]
    pub fn time_range(self, from: &str, to: &str) -> Self {
        let range = [from.to_owned(), to.to_owned()];
        let words = call(".time_range").texts(&["time", "range"], &range).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// NULL is a key as any other. By default an event whose key is NULL goes to quarantine.
    #[track_caller]
    pub fn with_null_keys(self) -> Self {
        let words = call(".with_null_keys").implied_text(&["event", "null_key"], "group").end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// A column that is computed of an event. It may use those before it.
    #[track_caller]
    pub fn derive(self, name: &str, expression: &str) -> Self {
        let words = call(".derive").named(&["transform"], name, expression).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// Leaves out, and counts, events for which a condition is not true.
    #[track_caller]
    pub fn filter(mut self, condition: &str) -> Self {
        let name = self.draft.name_of(None, "where");
        let words = call(".filter").text(&["transform", "where", &name], condition).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// The same with a name, which a state knows it by. Default: `where`, of further ones `where_2` and so on.
    #[track_caller]
    pub fn filter_named(mut self, name: &str, condition: &str) -> Self {
        self.draft.name_of(Some(name.to_owned()), "where");
        let words = call(".filter_named").named(&["transform", "where"], name, condition).end();
        Events { draft: self.draft.with(words, Location::caller()) }
    }

    /// Any other setting of a config, as `--set` has it: `flow.tick=1ms`. It comes last and wins.
    #[track_caller]
    pub fn set(self, setting: &str) -> Self {
        Events { draft: self.draft.set(setting, Location::caller()) }
    }

    /// An aggregate of the program's own, which features use by its name.
    #[track_caller]
    pub fn with_aggregate(self, aggregate: impl OwnAggregate) -> Self {
        Events { draft: self.draft.with_own(Own::new(aggregate), Location::caller()) }
    }

    /// The key: a field, a derived column, or several of them. A field that is not declared is a text.
    #[track_caller]
    pub fn key_by(self, key: impl Into<Names>) -> Keyed {
        let Names(names) = key.into();
        let words = call(".key_by").texts(&["event", "key"], &names).end();
        Keyed { draft: self.draft.with(words, Location::caller()) }
    }
}

/// The type as Rust has it.
fn shown(data_type: DataType) -> String {
    format!("{data_type:?}")
}

fn of_type(data_type: DataType) -> Value {
    Value::Text(Text { text: data_type.to_string(), verbatim: None })
}

/// Events of keys.
#[derive(Debug, Clone)]
#[must_use = "a stream does nothing until it is built and run"]
pub struct Keyed {
    draft: Draft,
}

impl Keyed {
    /// The windows of each key.
    #[track_caller]
    pub fn window(self, window: Window) -> Windowed {
        let words = call(".window").inner(&["window"], window.words).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }
}

/// Events of keys in windows: what is computed of them, what is an anomaly, and where it goes.
#[derive(Debug, Clone)]
#[must_use = "a stream does nothing until it is built and run"]
pub struct Windowed {
    draft: Draft,
}

impl Windowed {
    /// A feature of each key and window: an expression over aggregates of the events, as
    /// `count(*) FILTER (WHERE event_type = 'pause')`. It may use those before it.
    #[track_caller]
    pub fn aggregate(self, name: &str, expression: &str) -> Self {
        let words = call(".aggregate").named(&["features"], name, expression).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// An aggregate of the program's own, which features use by its name.
    #[track_caller]
    pub fn with_aggregate(self, aggregate: impl OwnAggregate) -> Self {
        Windowed { draft: self.draft.with_own(Own::new(aggregate), Location::caller()) }
    }

    /// A score: an expression over the key, the window, features and scores before it.
    #[track_caller]
    pub fn score(self, name: &str, expression: &str) -> Self {
        let words = call(".score").named(&["score"], name, expression).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// When a row is an anomaly. A job without rules puts every row out, to sinks of plain rows.
    #[track_caller]
    pub fn detect(self, rule: Rule) -> Self {
        let words = call(".detect").inner(&["rules", &rule.id], rule.words).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// Where what was found goes.
    #[track_caller]
    pub fn alert_to(mut self, sink: impl Into<Sink>) -> Self {
        let Sink { words, name } = sink.into();
        let name = self.draft.name_of(name, "alerts");
        let words = call(".alert_to").inner(&["sink", &name], words).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// Where records that are late go. Without it they go where those that do not fit do.
    #[track_caller]
    pub fn late_to(self, sink: impl Into<Sink>) -> Self {
        let words = call(".late_to").inner(&["sink", "late"], sink.into().words).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// Where records that do not fit go. Without it they are only counted.
    #[track_caller]
    pub fn quarantine_to(self, sink: impl Into<Sink>) -> Self {
        let words = call(".quarantine_to").inner(&["sink", "quarantine"], sink.into().words).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// Keeps checkpoints in a directory or a bucket (`s3://BUCKET/PREFIX`), so that the next run of the job goes on
    /// where this one stopped.
    #[track_caller]
    pub fn state(self, dir: &str, Every(period): Every) -> Self {
        let words =
            call(".state").text(&["state", "dir"], dir).duration(&["state", "checkpoint_every"], period);
        Windowed { draft: self.draft.with(words.end(), Location::caller()) }
    }

    /// Keeps every record that is read in the archive in a directory or a bucket (`s3://BUCKET/PREFIX`), from which another
    /// job reads them again ([`super::archive()`]). Needs a state, and the cargo feature `archive`.
    #[track_caller]
    pub fn archive_to(self, dir: &str) -> Self {
        let words = call(".archive_to").text(&["archive", "dir"], dir).end();
        Windowed { draft: self.draft.with(words, Location::caller()) }
    }

    /// Any other setting of a config, as `--set` has it: `flow.tick=1ms`. It comes last and wins.
    #[track_caller]
    pub fn set(self, setting: &str) -> Self {
        Windowed { draft: self.draft.set(setting, Location::caller()) }
    }

    /// Checks and compiles the job. Opens no file.
    ///
    /// # Errors
    /// All that is wrong, each at the word of its call.
    pub fn build(self) -> Result<Job, Mistakes> {
        self.draft.build()
    }
}
