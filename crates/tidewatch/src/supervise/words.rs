//! What a supervisor says.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use dataflow::{Lag, ReadPartition, Receiving};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::desk::Answer;
use super::generation::End;
use super::link::Beat;
use crate::config::duration::{format_duration, format_instant};

/// Words to standard error. On a terminal they take the place of the line of progress that the child has
/// left there.
pub(super) fn say(words: &str) {
    let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    let _ = io::stderr().write_all(format!("{clear}{words}\n").as_bytes());
}

/// How a process ended.
pub(super) fn death(end: &End) -> String {
    use std::os::unix::process::ExitStatusExt;
    let how = match (end.status.code(), end.status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(name) => format!("was killed by {name}"),
            Err(_) => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
    };
    format!("the worker process {how}")
}

/// An answer that is all words.
pub(super) fn done(words: &str) -> Answer {
    Answer::Done { data: Value::Null, words: words.to_owned() }
}

/// How a job is.
pub(super) struct Status<'a> {
    pub(super) job: &'a str,
    pub(super) workers: u32,
    pub(super) restarts: u64,
    /// Id of the process, and for how long it has been there.
    pub(super) process: Option<(u32, Duration)>,
    pub(super) beat: Option<&'a Beat>,
}

impl Status<'_> {
    pub(super) fn answer(&self) -> Answer {
        let Status { job, workers, restarts, .. } = self;
        let beat = self.beat.cloned().unwrap_or_default();
        let watermark = beat.watermark.map(format_instant);
        let up = self.process.map(|(_, up)| up);
        let state = match (self.process, beat.reading_at, beat.stopped_at) {
            (None, ..) => "waiting to start again",
            (Some(_), None, _) => "starting",
            (Some(_), Some(_), None) => "running",
            (Some(_), Some(_), Some(_)) => "draining",
        };
        let data = json!({
            "job": job,
            "state": state,
            "workers": workers,
            "process": self.process.map(|(id, _)| id),
            "up_s": up.map(|up| up.as_secs_f64()),
            "restarts": restarts,
            "checkpoint": beat.committed,
            "watermark": watermark,
            "read_since_start": beat.read,
            "windows": beat.windows,
            "alerts": beat.alerts,
            "quarantined": beat.quarantined,
            "keys": beat.keys,
            "state_bytes": beat.state_bytes,
            "bytes_per_key": beat.state_bytes.checked_div(beat.keys),
            "partitions": beat.partitions.iter().map(partition).collect::<Vec<_>>(),
            "receivers": beat.receiving.iter().map(receiver).collect::<Vec<_>>(),
        });
        let plural = if *workers == 1 { "" } else { "s" };
        let up = up.map(|up| format!(" for {}", format_duration(Duration::from_secs(up.as_secs()))));
        let checkpoint = beat.committed.map_or("none".to_owned(), |number| number.to_string());
        let words = format!(
            "{job}: {state}{}, {workers} worker{plural}, {restarts} restarts\n\
             checkpoint {checkpoint}, watermark {}\n\
             {} events read since the start, {} windows, {} alerts, {} quarantined\n\
             windows of {} keys are open{}{}{}",
            up.unwrap_or_default(),
            watermark.as_deref().unwrap_or("-"),
            beat.read,
            beat.windows,
            beat.alerts,
            beat.quarantined,
            beat.keys,
            beat.state_bytes
                .checked_div(beat.keys)
                .map_or(String::new(), |bytes| format!(", {bytes} bytes each")),
            words_of_lag(&beat.partitions),
            beat.receiving.iter().map(words_of_receiver).collect::<String>()
        );
        Answer::Done { data, words }
    }
}

/// A partition that is read.
fn partition(read: &ReadPartition) -> Value {
    let lag = read.lag.unwrap_or_default();
    json!({
        "partition": read.partition,
        "watermark": read.watermark.map(format_instant),
        "asleep": read.asleep,
        "lag_records": lag.records,
        "lag_bytes": lag.bytes,
        "lag_ms": lag.millis,
    })
}

/// A sink with a receiver that may be away.
fn receiver(receiving: &Receiving) -> Value {
    json!({
        "sink": receiving.sink,
        "circuit": receiving.circuit,
        "since": format_instant(receiving.since),
        "rows_waiting": receiving.waiting,
    })
}

fn words_of_receiver(receiving: &Receiving) -> String {
    let Receiving { sink, circuit, since, waiting } = receiving;
    let since = format_instant(*since);
    format!("\nsink {sink}: circuit {} since {since}, {waiting} rows wait", circuit.words())
}

/// How far partitions are behind what there is; nothing where no source knows.
fn words_of_lag(partitions: &[ReadPartition]) -> String {
    let lags: Vec<Lag> = partitions.iter().filter_map(|read| read.lag).collect();
    let sum =
        |of: fn(&Lag) -> Option<u64>| lags.iter().map(of).sum::<Option<u64>>().filter(|_| !lags.is_empty());
    let (records, bytes) = (sum(|lag| lag.records), sum(|lag| lag.bytes));
    let oldest = lags.iter().filter_map(|lag| lag.millis).max();
    let asleep = partitions.iter().filter(|read| read.asleep).count();
    let parts = [
        records.map(|records| format!("{records} records behind")),
        bytes.filter(|_| records.is_none()).map(|bytes| format!("{bytes} bytes behind")),
        oldest.map(|millis| format!("the oldest of {}", format_duration(Duration::from_millis(millis)))),
        (asleep > 0).then(|| format!("{asleep} asleep")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match partitions.len() {
        0 => String::new(),
        count => format!(
            "\n{count} partitions are read{}",
            parts.iter().map(|part| format!(", {part}")).collect::<String>()
        ),
    }
}
