//! The windowed job in batch: slow, obvious, and written from the declarative rule alone.
//!
//! Every record carries `seen`, its own partition's watermark just before it (largest time so far, less the
//! bound, less one). **A window `[start, end)` holds a record if it covers its time and `end - 1 > seen`.** A
//! record that no window holds is late. Times are unitless ticks. There is no state, no order of work, no
//! clock: each window's records are collected, then each aggregate is computed from the whole list.

mod aggregate;
pub mod episodes;
pub mod exact;
pub mod triggers;

use std::collections::BTreeMap;

use event::AggregateFunction;

/// A value of a record or of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// A bigint.
    Int(i64),
    /// A double.
    Double(f64),
    /// A varchar.
    Text(String),
}

/// A bigint sum that does not fit a bigint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// One record that fits, in the order of its partition.
#[derive(Debug, Clone)]
pub struct Record {
    /// Encoded key: its bytes give the order of the rows.
    pub key: Vec<u8>,
    /// Event time.
    pub time: i64,
    /// What aggregates read, by index.
    pub values: Vec<Value>,
    /// Whether a filter of the job left it out: it still moves the watermark.
    pub filtered: bool,
    /// What the watermark of its partition is lifted to just before it, as one that slept is when it wakes; the least
    /// tick for nothing.
    pub lifted: i64,
}

impl Record {
    /// A record that passes the filters.
    pub fn new(key: impl Into<Vec<u8>>, time: i64, values: Vec<Value>) -> Record {
        Record { key: key.into(), time, values, filtered: false, lifted: i64::MIN }
    }
}

/// One aggregate of the job.
#[derive(Debug, Clone, Copy)]
pub struct Aggregate {
    /// What to compute.
    pub function: AggregateFunction,
    /// Index of its argument among a record's values; `None` only for `count(*)`.
    pub argument: Option<usize>,
    /// Index of the boolean that its `FILTER` reads.
    pub filter: Option<usize>,
    /// Whether equal values count once.
    pub distinct: bool,
    /// What part of the values lies below a percentile.
    pub fraction: f64,
}

impl Aggregate {
    /// `count(*)`.
    pub fn count() -> Aggregate {
        Aggregate {
            function: AggregateFunction::Count,
            argument: None,
            filter: None,
            distinct: false,
            fraction: 0.0,
        }
    }

    /// The function of an argument.
    pub fn of(function: AggregateFunction, argument: usize) -> Aggregate {
        Aggregate { function, argument: Some(argument), ..Aggregate::count() }
    }

    /// The same, over the records where value `filter` is true.
    pub fn filtered(self, filter: usize) -> Aggregate {
        Aggregate { filter: Some(filter), ..self }
    }

    /// The same, of values that differ.
    pub fn distinct(self) -> Aggregate {
        Aggregate { distinct: true, ..self }
    }

    /// The same, of the value that such a part of the values lies below.
    pub fn at(self, fraction: f64) -> Aggregate {
        Aggregate { fraction, ..self }
    }
}

/// Windows, all of which are counted off one by one.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Length of a window; of the longest of those that grow.
    pub size: i64,
    /// Distance of two windows' starts; of those that grow of two ends.
    pub slide: i64,
    /// Start of a window.
    pub offset: i64,
    /// Whether there are shorter ones of the same start, down to one slide.
    pub grows: bool,
}

impl Windows {
    /// Windows that start at the multiples of `slide`.
    pub fn sliding(size: i64, slide: i64) -> Windows {
        Windows { size, slide, offset: 0, grows: false }
    }

    /// The windows that cover a time, as (start, end).
    pub fn of(&self, time: i64) -> Vec<(i64, i64)> {
        let Windows { size, slide, offset, grows } = *self;
        let period = if grows { size } else { slide };
        let mut start = (time - offset).div_euclid(period) * period + offset;
        let mut windows = Vec::new();
        while start + size > time {
            let mut end = start + if grows { slide } else { size };
            while end <= start + size {
                if end > time {
                    windows.push((start, end));
                }
                end += slide;
            }
            start -= period;
        }
        windows
    }
}

/// What to compute. Sizes in the ticks of the records' times.
#[derive(Debug, Clone)]
pub struct Job {
    /// How far a record may lie behind the latest of its partition.
    pub bound: i64,
    /// Which windows there are.
    pub windows: Windows,
    /// How long after a window is due it takes records, before it gives its row once more.
    pub lateness: i64,
    /// The columns of a row.
    pub aggregates: Vec<Aggregate>,
}

/// A window of a key that holds at least one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Start of the window.
    pub start: i64,
    /// End of the window.
    pub end: i64,
    /// How many rows of the window and key came before.
    pub revision: u64,
    /// The key.
    pub key: Vec<u8>,
    /// How many records it holds.
    pub records: u64,
    /// The aggregates, in the job's order.
    pub values: Vec<Result<Value, Overflow>>,
}

/// A record that no window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// Which partition.
    pub partition: usize,
    /// Which of its records.
    pub index: usize,
    /// The partition's watermark just before it.
    pub seen: i64,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// In canonical order: by the time at which they are due, end, start, key.
    pub rows: Vec<Row>,
    /// In the order (`seen`, partition, index).
    pub late: Vec<Late>,
    /// Records that went into at least one window.
    pub windowed: u64,
    /// Records that a filter left out, or that lie between two windows.
    pub filtered: u64,
}

/// A record with its place: first and last go by (time, partition, index).
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    partition: usize,
    index: usize,
    record: &'a Record,
}

impl Job {
    /// The rows and the late records of these partitions, each in its own order.
    pub fn run(&self, partitions: &[Vec<Record>]) -> Outcome {
        let mut outcome = Outcome::default();
        /// A record with what its partition had seen.
        type Seen<'a> = (Placed<'a>, i64);
        let mut windows: BTreeMap<(i64, i64, &[u8]), Vec<Seen<'_>>> = BTreeMap::new();
        for (partition, records) in partitions.iter().enumerate() {
            for (index, (record, seen)) in records.iter().zip(self.seen(records)).enumerate() {
                if record.filtered {
                    outcome.filtered += 1;
                    continue;
                }
                let covering = self.windows.of(record.time);
                if covering.is_empty() {
                    outcome.filtered += 1;
                    continue;
                }
                let mut held = false;
                let placed = Placed { partition, index, record };
                for (start, end) in covering {
                    if end - 1 + self.lateness > seen {
                        windows.entry((end, start, &record.key)).or_default().push((placed, seen));
                        held = true;
                    }
                }
                if held {
                    outcome.windowed += 1;
                } else {
                    outcome.late.push(Late { partition, index, seen });
                }
            }
        }
        outcome.late.sort_by_key(|late| (late.seen, late.partition, late.index));
        let mut rows = Vec::new();
        for ((end, start, key), records) in windows {
            let in_time = records.iter().filter(|(_, seen)| end - 1 > *seen).map(|(placed, _)| *placed);
            let (in_time, all): (Vec<_>, Vec<_>) =
                (in_time.collect(), records.iter().map(|(p, _)| *p).collect());
            let (few, first) = (in_time.len() < all.len(), u64::from(!in_time.is_empty()));
            if first == 1 {
                rows.push((end - 1, self.row((end, start, key), 0, in_time)));
            }
            if few {
                rows.push((end - 1 + self.lateness, self.row((end, start, key), first, all)));
            }
        }
        rows.sort_by(|(a_due, a), (b_due, b)| {
            (a_due, a.end, a.start, &a.key, a.revision).cmp(&(b_due, b.end, b.start, &b.key, b.revision))
        });
        outcome.rows = rows.into_iter().map(|(_, row)| row).collect();
        outcome
    }

    /// The partition's watermark just before each of its records; the least tick before the first.
    pub fn seen(&self, records: &[Record]) -> Vec<i64> {
        let mut watermark = i64::MIN;
        records
            .iter()
            .map(|record| {
                let seen = record.lifted.max(watermark);
                watermark = seen.max(record.time - self.bound - 1);
                seen
            })
            .collect()
    }

    fn row(&self, (end, start, key): (i64, i64, &[u8]), revision: u64, mut records: Vec<Placed<'_>>) -> Row {
        records.sort_by_key(|placed| (placed.record.time, placed.partition, placed.index));
        Row {
            start,
            end,
            revision,
            key: key.to_vec(),
            records: records.len() as u64,
            values: self.aggregates.iter().map(|aggregate| aggregate::compute(aggregate, &records)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a@7` is key a at time 7; partitions are divided by `|`; the answer is `key[start,end)=count`.
    fn check(job: (i64, i64, i64), input: &str, rows: &str, late: usize) {
        let (bound, size, slide) = job;
        let windows = Windows::sliding(size, slide);
        let job = Job { bound, windows, lateness: 0, aggregates: vec![Aggregate::count()] };
        let partitions: Vec<Vec<Record>> = input
            .split('|')
            .map(|part| {
                let words = part.split_whitespace().map(|word| word.split_once('@').expect("key@time"));
                words.map(|(key, time)| Record::new(key, time.parse().expect("a time"), vec![])).collect()
            })
            .collect();
        let outcome = job.run(&partitions);
        let text: Vec<String> = outcome
            .rows
            .iter()
            .map(|r| format!("{}[{},{})={}", String::from_utf8_lossy(&r.key), r.start, r.end, r.records))
            .collect();
        assert_eq!(text.join(" "), rows, "{input}");
        assert_eq!(outcome.late.len(), late, "{input}");
    }

    #[test]
    fn a_record_at_the_end_of_a_window_belongs_to_the_next() {
        check((0, 10, 10), "a@0 a@9 a@10", "a[0,10)=2 a[10,20)=1", 0);
    }

    #[test]
    fn a_sliding_window_counts_a_record_in_every_window_that_covers_it() {
        check((0, 10, 5), "a@7", "a[0,10)=1 a[5,15)=1", 0);
        check((0, 10, 5), "a@-1", "a[-10,0)=1 a[-5,5)=1", 0);
    }

    #[test]
    fn a_record_behind_the_bound_joins_only_the_windows_that_its_own_partition_still_holds_open() {
        // 12 makes the watermark 11: [0, 10) is closed for this partition, [5, 15) is not.
        check((0, 10, 5), "a@12 a@7", "a[5,15)=2 a[10,20)=1", 0);
        check((0, 10, 5), "a@30 a@7", "a[25,35)=1 a[30,40)=1", 1);
    }

    #[test]
    fn another_partition_is_never_the_reason_that_a_record_is_late() {
        check((0, 10, 10), "a@30 | a@7", "a[0,10)=1 a[30,40)=1", 0);
    }

    #[test]
    fn the_watermark_closes_a_window_exactly_at_its_last_tick() {
        // Watermark after 15 with bound 5 is 9, the last tick of [0, 10).
        check((5, 10, 10), "a@14 a@9", "a[0,10)=1 a[10,20)=1", 0);
        check((5, 10, 10), "a@15 a@9", "a[10,20)=1", 1);
    }

    #[test]
    fn rows_stand_by_end_then_key_whatever_the_order_of_the_input() {
        check((100, 10, 10), "b@12 a@11 b@3 a@2", "a[0,10)=1 b[0,10)=1 a[10,20)=1 b[10,20)=1", 0);
    }

    #[test]
    fn a_filtered_record_moves_the_watermark_and_is_in_no_window() {
        let job = Job { bound: 0, windows: Windows::sliding(10, 10), lateness: 0, aggregates: vec![] };
        let out = Record { filtered: true, ..Record::new("a", 30, vec![]) };
        let outcome = job.run(&[vec![out, Record::new("a", 5, vec![])]]);
        assert_eq!((outcome.filtered, outcome.windowed, outcome.late.len()), (1, 0, 1));
    }
}
