//! Why a row was what it was: its records read again from their source, its features computed once more, and what the rules would make
//! of others.
//!
//! Whoever holds an alert knows its key and its window ([`Asked`]). [`gather`] reads, of each partition, the stretches that may hold records of
//! it, by the index that the checkpoints have, decodes and transforms them as the job does, and judges for each whether the window held it:
//! by what its partition had seen before it, as the job does. [`Row`] gives the same aggregates, features, scores and rules the
//! records that were found, or values that somebody makes up.
//!
//! Nothing here changes a state, a sink or a source, and nothing waits for a job that runs.

mod reading;
mod row;

use std::sync::Arc;

use alert::{Instants, JsonColumn};
use arrow_array::{ArrayRef, BinaryArray};
use event::{Batch, Schema, Window};
use window::{Assigner, SequenceSpec, Windowing};

pub use reading::gather;
pub use row::{Judged, Row, RuleFound};

use crate::job::Job;
use crate::message::Columns;

/// A row of features that is asked about.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Place of its branch among those of the job.
    pub(crate) branch: usize,
    /// Its key, encoded.
    pub(crate) key: BinaryArray,
    /// Its window.
    pub window: Window,
    /// A record that has seen this, or more, came too late for the row.
    pub before: i64,
}

/// What an alert says of the row that it is about.
#[derive(Debug, Clone, Default)]
pub struct Said<'a> {
    /// The name of its branch, where the job has several.
    pub branch: Option<&'a str>,
    /// The values of its key as texts; `None` is NULL.
    pub key: Vec<Option<String>>,
    /// The first instant of its window, and the first behind it.
    pub window: (&'a str, &'a str),
    /// Whether it was put out once more, with records that came late.
    pub is_revised: bool,
}

impl Asked {
    /// Understands what an alert of that job says.
    ///
    /// # Errors
    /// What does not fit the job, in words.
    pub fn of(job: &Job, said: &Said<'_>) -> Result<Asked, String> {
        let branch = job.branches.iter().position(|branch| branch.renderer.branch() == said.branch);
        let branch = branch.ok_or_else(|| match said.branch {
            Some(name) => format!("the job has no branch `{name}`"),
            None => "the job has several branches, and the alert does not say which it is of".to_owned(),
        })?;
        let fields = job.transform.key_fields();
        if fields.len() != said.key.len() {
            return Err(format!("its key has {} values, that of the job {}", said.key.len(), fields.len()));
        }
        let columns = fields.iter().zip(&said.key);
        let columns = columns.map(|(field, text)| row::value(text.as_deref(), field.data_type));
        let columns = columns.collect::<Result<Vec<ArrayRef>, String>>()?;
        let key = job.transform.key_shape().encode(&columns);
        let window = Window { start: row::instant(said.window.0)?, end: row::instant(said.window.1)? };
        if window.end <= window.start {
            return Err("its window ends before it begins".to_owned());
        }
        let windowing = &job.branches[branch].window;
        let before = match is_of_numbers(windowing) {
            true => i64::MAX,
            false if said.is_revised => (window.end - 1).saturating_add(lateness(windowing)),
            false => window.end - 1,
        };
        Ok(Asked { branch, key, window, before })
    }

    /// Whether the window of such a row may hold no record at all: that of a key that has gone quiet.
    pub fn may_be_empty(&self, job: &Job) -> bool {
        matches!(&job.branches[self.branch].window, Windowing::Sliced(spec) if spec.quiet > 0)
    }

    fn key(&self) -> &[u8] {
        self.key.value(0)
    }
}

/// Whether a row is of so many records, whatever their times.
fn is_of_numbers(windowing: &Windowing) -> bool {
    match windowing {
        Windowing::Sliced(_) => false,
        Windowing::InOrder(SequenceSpec::Triggered(spec)) => spec.windows == Assigner::Global,
        Windowing::InOrder(spec) => matches!(spec, SequenceSpec::Count { .. }),
    }
}

/// How long after they are due windows take records.
fn lateness(windowing: &Windowing) -> i64 {
    match windowing {
        Windowing::Sliced(spec) => spec.lateness,
        Windowing::InOrder(SequenceSpec::Triggered(spec)) => match &spec.windows {
            Assigner::Shared(windows) => spec.lateness.max(windows.lateness),
            _ => spec.lateness,
        },
        Windowing::InOrder(_) => 0,
    }
}

/// Whether the window of a row held a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It did.
    Held,
    /// The record came too late for it.
    Late,
    /// Nobody can say: the watermark of its partition was lifted somewhere near it, because others had gone on while it slept.
    Undecided,
}

/// A record of the key with a time in the window.
#[derive(Debug, Clone)]
pub struct Event {
    /// Name of its partition.
    pub partition: Arc<str>,
    /// Its offset there.
    pub offset: u64,
    /// Its event time, in microseconds since 1970.
    pub time: i64,
    /// Whether the window held it.
    pub fate: Fate,
    /// Its first bytes; empty of those of which there are more than were asked for.
    pub raw: Vec<u8>,
    /// Ordinal of its partition.
    ordinal: u32,
    /// The watermark of its partition just before it, at least and at most.
    seen: (i64, i64),
    /// The columns in which it is, and where.
    place: (usize, u32),
}

/// Records and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Records.
    pub records: u64,
    /// Bytes that they were decoded from.
    pub bytes: u64,
}

/// What was found of a row.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The records of its key whose times lie in its window, by time, then partition and offset.
    pub events: Vec<Event>,
    /// What was read to find them.
    pub read: Amount,
    /// What the job has read up to the checkpoint, if there is one.
    pub known: Option<Amount>,
    /// Partitions that were read from, and how many there are.
    pub partitions: (usize, usize),
    /// Partitions, or whole sources, that could not be read, or not from where it matters on, with the reason.
    pub unread: Vec<(String, String)>,
    /// The columns of the events.
    pieces: Vec<(u32, Columns)>,
}

impl Evidence {
    /// How many of the events have that fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.events.iter().filter(|event| event.fate == fate).count()
    }

    /// Whether all that the row rests on was found.
    pub fn is_whole(&self) -> bool {
        self.unread.is_empty() && self.count(Fate::Undecided) == 0
    }
}

/// A batch of one row and no columns.
fn nothing() -> Batch {
    Batch::new(Arc::new(Schema::default()), Vec::new(), 1)
}

/// The only value of a column as JSON.
fn json(column: &ArrayRef) -> String {
    let mut text = Vec::new();
    JsonColumn::new(column, Instants::Rfc3339).append(0, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
