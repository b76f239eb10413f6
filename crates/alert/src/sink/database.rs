//! What all databases do alike: open, take a delivery once, wait while the server is away.
//!
//! A delivery is one transaction: the record of what was delivered is compared and set, and the rows are
//! inserted. So it does not matter whether a broken connection had committed: the same again finds out.

use std::time::{Duration, Instant};

use super::ledger::{Delivered, Mismatch};
use super::table::Table;
use super::{Deliverer, Delivery, Opening, Sink, SinkError, SinkSpec, say};

/// The first pause before a database that is away is tried again; each next one is twice as long,
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Looks at the record and says what it shall be; `None` if there is nothing to write.
pub(super) type Judge<'a> = &'a mut dyn FnMut(Delivered) -> Result<Option<Delivered>, SinkError>;

/// A database with the one table of a sink.
pub(super) trait Database: Send {
    /// How messages call it; without a secret.
    fn describe(&self) -> String;

    /// Makes the tables that are not there, and checks the sink's.
    fn prepare(&mut self) -> Result<(), Failure>;

    /// Whether the table has rows of the job.
    fn has_rows(&mut self) -> Result<bool, Failure>;

    /// The error of a start afresh where there are rows of the job.
    fn not_empty(&self) -> SinkError;

    /// Sees to it that the record stays although there is nothing to deliver.
    fn keep(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// In one transaction: has the record judged, unless there is no judge; if there is something to write,
    /// inserts the rows whose names are not there yet, and writes the record. Returns once it is durable.
    fn transact(&mut self, judge: Option<Judge<'_>>, lines: &[u8]) -> Result<(), Failure>;
}

/// Why a database did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is away, busy or full, and may be back soon. Nothing is known of what it did last.
    Away(String),
    /// It does not let us in, or is none.
    Refused(String),
    /// It cannot.
    Failed(String),
    /// What was found in it is not what it should be.
    Sink(SinkError),
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        Failure::Sink(error)
    }
}

/// Which job, which sink, which table.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) sink: String,
    pub(super) job: String,
    pub(super) table: Table,
    generation: u64,
}

impl Place {
    pub(super) fn new(spec: &SinkSpec, deliverer: &Deliverer, table: &Table) -> Self {
        let Deliverer { job, generation } = deliverer.clone();
        Place { sink: spec.name.clone(), job, table: table.clone(), generation }
    }

    /// Which start of the job this is.
    #[cfg(feature = "kafka")]
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The error of a table that has rows of the job already.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn not_empty_error(&self, database: String) -> SinkError {
        SinkError::TableNotEmpty { sink: self.sink.clone(), table: self.table.name.clone(), database }
    }

    /// The error of a table that was made by somebody else.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn shape_error(&self, database: String, difference: String) -> SinkError {
        SinkError::TableShape {
            sink: self.sink.clone(),
            table: self.table.name.clone(),
            database,
            difference,
        }
    }

    /// The error of a line that has no such columns.
    pub(super) fn row_error(&self, error: &serde_json::Error) -> SinkError {
        SinkError::Row { sink: self.sink.clone(), words: error.to_string() }
    }
}

/// Opens a sink that is a table of a database.
pub(super) fn open<D: Database + 'static>(
    database: D,
    place: Place,
    opening: Opening<'_>,
) -> Result<Box<dyn Sink>, SinkError> {
    let mut sink = DatabaseSink { database, place, length: 0 };
    sink.attempt(Database::prepare)?;
    match opening {
        Opening::AtOnce => {}
        Opening::Fresh => sink.begin()?,
        Opening::Resume(deliveries) => sink.resume(deliveries)?,
        Opening::AfterAtOnce(last) => sink.go_on_after(last)?,
    }
    Ok(Box::new(sink))
}

struct DatabaseSink<D> {
    database: D,
    place: Place,
    length: u64,
}

impl<D: Database> DatabaseSink<D> {
    /// Makes the table ours, which must have nothing of the job in it.
    fn begin(&mut self) -> Result<(), SinkError> {
        let not_empty = self.database.not_empty();
        if self.attempt(Database::has_rows)? {
            return Err(not_empty);
        }
        let fresh = Delivered { generation: self.place.generation, ..Delivered::default() };
        // A run that died before its first delivery leaves a record of nothing, of whatever generation.
        let judge =
            |found: Delivered| if found.is_nothing() { Ok(Some(fresh)) } else { Err(Mismatch::Foreign) };
        self.transact(&[], judge).map_err(|error| match error {
            SinkError::Foreign { .. } => not_empty,
            other => other,
        })
    }

    /// Makes the table ours. What it was given before it took rows at once stays on record: deliveries go on
    /// from there, and rows that it has already it does not take twice.
    fn go_on_after(&mut self, last: u32) -> Result<(), SinkError> {
        let generation = self.place.generation;
        let mut record = Delivered::default();
        self.transact(&[], |found| {
            if found.number > last {
                return Err(Mismatch::Ahead);
            }
            record = found.claimed(generation)?;
            Ok(Some(record))
        })
        .map_err(|error| ahead_of(error, last))?;
        self.length = record.bytes;
        Ok(())
    }

    /// Makes the table ours, so that no older generation delivers any more, and completes it.
    fn resume(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let generation = self.place.generation;
        let mut record = Delivered::default();
        self.transact(&[], |found| {
            // First what says most: a state that was restored has an older generation too.
            found.continued_by(deliveries)?;
            record = found.claimed(generation)?;
            Ok((record != found).then_some(record))
        })
        .map_err(|error| ahead_of(error, deliveries.last().map_or(0, |delivery| delivery.number)))?;
        self.length = record.bytes;
        for delivery in deliveries.iter().filter(|delivery| delivery.number > record.number) {
            self.deliver(delivery.number, &delivery.bytes)?;
        }
        Ok(())
    }

    /// A transaction that is tried until the database is there.
    fn transact(
        &mut self,
        lines: &[u8],
        mut judge: impl FnMut(Delivered) -> Result<Option<Delivered>, Mismatch>,
    ) -> Result<(), SinkError> {
        let database = self.database.describe();
        let Place { sink, generation, .. } = self.place.clone();
        let mut judge = |found: Delivered| {
            judge(found).map_err(|mismatch| {
                let (sink, database, has) = (sink.clone(), database.clone(), found.number);
                match mismatch {
                    Mismatch::Fenced => {
                        SinkError::Fenced { sink, database, latest: found.generation, generation }
                    }
                    Mismatch::Ahead => SinkError::Ahead { sink, database, has, last: 0 },
                    Mismatch::Behind => SinkError::Behind { sink, database, has },
                    Mismatch::Foreign => SinkError::Foreign { sink, database, has },
                }
            })
        };
        self.attempt(|database| database.transact(Some(&mut judge), lines))
    }

    /// Tries again while the database is away, for a bounded time.
    fn attempt<T>(&mut self, mut work: impl FnMut(&mut D) -> Result<T, Failure>) -> Result<T, SinkError> {
        let (begun, retry_for) = (Instant::now(), self.place.table.retry_for);
        let mut pause = PAUSE_MIN;
        loop {
            let failure = match work(&mut self.database) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let (sink, database) = (self.place.sink.clone(), self.database.describe());
            let words = match failure {
                Failure::Sink(error) => return Err(error),
                Failure::Failed(words) => return Err(SinkError::Database { sink, database, words }),
                Failure::Refused(words) => return Err(SinkError::Refused { sink, database, words }),
                Failure::Away(words) => words,
            };
            if begun.elapsed() + pause > retry_for {
                return Err(SinkError::Unavailable { sink, database, after: begun.elapsed(), words });
            }
            // Once, and not if the next try goes well.
            if pause == PAUSE_MIN * 2 {
                say(&format!("warning: sink `{sink}` waits for {database}, at most {retry_for:?}: {words}"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// The same error, which says where the state ends.
fn ahead_of(error: SinkError, last: u32) -> SinkError {
    match error {
        SinkError::Ahead { sink, database, has, .. } => SinkError::Ahead { sink, database, has, last },
        other => other,
    }
}

impl<D: Database> Sink for DatabaseSink<D> {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        self.attempt(|database| database.transact(None, lines))?;
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Every transaction is durable.
    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn deliver(&mut self, number: u32, lines: &[u8]) -> Result<(), SinkError> {
        if lines.is_empty() {
            return self.attempt(Database::keep);
        }
        let (generation, start) = (self.place.generation, self.length);
        let mut length = start;
        self.transact(lines, |found| {
            let next = found.followed_by(generation, number, start, lines)?;
            // What it has already counts in what it says of itself.
            length = next.as_ref().map_or(found.bytes, |next| next.bytes);
            Ok(next)
        })?;
        self.length = length;
        Ok(())
    }
}
