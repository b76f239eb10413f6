//! The podcast job on the bytes of a file, through the oracle: for inputs that the reference program does
//! not know, with records beyond the bound and lines that do not fit.
//!
//! Lines are read with `serde_json`, one whole value at a time, so this knows the plain cases of a bad line
//! (`malformed`, `missing`, `type`, `time_range`); the finer ones are a table in `tests/hostile.rs`.

use event::{AggregateFunction, Reason};
use serde_json::Value as Json;

use crate::lanes::{self, Line};
use crate::oracle::{Aggregate, Job, Record, Row, Value, Windows};

/// How the job is set; the default is that of `configs/podcast-reference.toml`.
#[derive(Debug, Clone)]
pub struct Podcast {
    /// How far a record may lie behind, in milliseconds.
    pub bound_ms: i64,
    /// Length of a window in milliseconds.
    pub size_ms: i64,
    /// Distance of windows in milliseconds.
    pub slide_ms: i64,
    /// Lanes that the file is cut into.
    pub lanes: usize,
    /// Bytes of a chunk of a lane.
    pub chunk: usize,
}

impl Default for Podcast {
    fn default() -> Self {
        Podcast {
            bound_ms: 5_000,
            size_ms: 600_000,
            slide_ms: 60_000,
            lanes: lanes::LANES,
            chunk: lanes::CHUNK,
        }
    }
}

/// A record that ends in quarantine, late ones included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    /// Its lane's watermark just before it, in microseconds.
    pub seen: i64,
    /// Position of its line in the file.
    pub offset: u64,
    /// Its lane.
    pub lane: usize,
    /// Why.
    pub reason: Reason,
    /// Its first bytes.
    pub raw: String,
}

/// What the job must answer.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The alert rows, in canonical order, each with its line end.
    pub alerts: String,
    /// What is in quarantine, in canonical order.
    pub quarantine: Vec<Quarantined>,
    /// Records read.
    pub read: u64,
    /// Records in at least one window.
    pub windowed: u64,
    /// Records that no window holds.
    pub late: u64,
    /// Records that did not fit.
    pub quarantined: u64,
    /// Windows that closed, counted per key.
    pub windows: u64,
}

/// Indexes into the values of a record.
const LISTEN_S: usize = 0;
const LISTEN: usize = 1;
const PAUSE: usize = 2;
const EXIT: usize = 3;

impl Podcast {
    /// The answer to these bytes.
    pub fn expect(&self, file: &[u8]) -> Expected {
        let mut expected = Expected::default();
        let mut partitions = Vec::new();
        let mut lines = Vec::new();
        for (lane, cut) in lanes::cut(file, self.lanes, self.chunk).into_iter().enumerate() {
            let (records, of_lane) = self.read_lane(file, lane, cut, &mut expected);
            partitions.push(records);
            lines.push(of_lane);
        }
        let outcome = self.job().run(&partitions);
        for late in &outcome.late {
            let line = &lines[late.partition][late.index];
            expected.quarantine.push(quarantined(file, late.seen, late.partition, line, Reason::Late));
        }
        expected.quarantine.sort();
        expected.late = outcome.late.len() as u64;
        expected.windowed = outcome.windowed;
        expected.windows = outcome.rows.len() as u64;
        expected.alerts = outcome.rows.iter().filter_map(alert).collect();
        expected
    }

    fn job(&self) -> Job {
        let count = Aggregate::count();
        Job {
            bound: self.bound_ms * 1_000,
            windows: Windows::sliding(self.size_ms * 1_000, self.slide_ms * 1_000),
            lateness: 0,
            aggregates: vec![
                count,
                Aggregate::of(AggregateFunction::Sum, LISTEN_S).filtered(LISTEN),
                count.filtered(PAUSE),
                count.filtered(EXIT),
            ],
        }
    }

    fn read_lane(
        &self,
        file: &[u8],
        lane: usize,
        cut: Vec<Line>,
        expected: &mut Expected,
    ) -> (Vec<Record>, Vec<Line>) {
        let (mut records, mut lines) = (Vec::<Record>::new(), Vec::new());
        let mut seen = i64::MIN;
        for line in cut {
            expected.read += 1;
            match read(&file[line.bytes.clone()]) {
                Ok(record) => {
                    seen = seen.max(record.time - self.bound_ms * 1_000 - 1);
                    records.push(record);
                    lines.push(line);
                }
                Err(reason) => {
                    expected.quarantined += 1;
                    expected.quarantine.push(quarantined(file, seen, lane, &line, reason));
                }
            }
        }
        (records, lines)
    }
}

fn quarantined(file: &[u8], seen: i64, lane: usize, line: &Line, reason: Reason) -> Quarantined {
    let raw = &file[line.bytes.clone()];
    let raw = String::from_utf8_lossy(&raw[..raw.len().min(1024)]).into_owned();
    Quarantined { seen, lane, offset: line.offset, reason, raw }
}

/// A record with its time in microseconds, or why the line does not fit.
fn read(line: &[u8]) -> Result<Record, Reason> {
    let Ok(Json::Object(object)) = serde_json::from_slice::<Json>(line) else {
        return Err(Reason::Malformed);
    };
    let field = |name: &str| object.get(name).unwrap_or(&Json::Null);
    let key = match field("user_id") {
        Json::String(key) => key.clone(),
        Json::Null => return Err(Reason::Missing),
        _ => return Err(Reason::Type),
    };
    let time = match field("ts") {
        Json::Null => return Err(Reason::Missing),
        ts => ts.as_i64().ok_or(Reason::Type)?,
    };
    // 1990-01-01 to 2100-01-01.
    if !(631_152_000_000..4_102_444_800_000).contains(&time) {
        return Err(Reason::TimeRange);
    }
    let event_type = match field("event_type") {
        Json::String(text) => text.as_str(),
        Json::Null => "",
        _ => return Err(Reason::Type),
    };
    let duration = match field("duration_s") {
        Json::Null => Value::Null,
        number => Value::Double(number.as_f64().ok_or(Reason::Type)?),
    };
    let is = |name: &str| Value::Bool(event_type == name);
    Ok(Record::new(key, time * 1_000, vec![duration, is("listen"), is("pause"), is("exit")]))
}

/// The plain row of a window, if it is an alert.
fn alert(row: &Row) -> Option<String> {
    let int = |i: usize| match row.values[i] {
        Ok(Value::Int(int)) => int,
        ref other => panic!("{other:?} is not a count"),
    };
    let (events, pauses, exits) = (int(0), int(2), int(3));
    let listen_s = if let Ok(Value::Double(sum)) = row.values[1] { sum } else { 0.0 };
    let score = (listen_s + 30.0) / (listen_s + 30.0 + 20.0 * pauses as f64 + 60.0 * exits as f64);
    (score < 0.3).then(|| {
        let key = Json::from(String::from_utf8_lossy(&row.key));
        let (start, end) = (row.start / 1_000, row.end / 1_000);
        let score = (score * 1e4).round() / 1e4;
        format!(
            "{{\"user_id\":{key},\"window_start\":{start},\"window_end\":{end},\"events\":{events},\
             \"listen_s\":{listen_s:?},\"pauses\":{pauses},\"exits\":{exits},\"score\":{score:?}}}\n"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{generate, reference, sorted_lines};

    #[test]
    fn where_nothing_is_late_the_oracle_agrees_with_the_reference_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, alerts) = (folder.path().join("events.ndjson"), folder.path().join("alerts.ndjson"));
        generate(30_000, 500, 3, &[], &file);
        let words = reference(&file, &alerts);
        let expected =
            Podcast { chunk: 1 << 16, ..Podcast::default() }.expect(&std::fs::read(&file).expect("events"));
        assert!(words.contains(&format!("windows={} ", expected.windows)), "{words}");
        assert_eq!((expected.read, expected.windowed, expected.late), (30_000, 30_000, 0));
        let alerts = std::fs::read(&alerts).expect("alerts");
        assert!(!alerts.is_empty());
        assert!(sorted_lines(expected.alerts.as_bytes()) == sorted_lines(&alerts));
    }

    #[test]
    fn lines_that_do_not_fit_are_in_quarantine_and_move_no_watermark() {
        let event = |ts: i64| {
            format!("{{\"user_id\":\"u\",\"ts\":{ts},\"event_type\":\"exit\",\"duration_s\":0.0}}\n")
        };
        let ok = 1_700_000_000_000;
        let file = [
            event(ok),
            event(253_402_300_799_000),
            "{\"user_id\":\"u\"}\n".to_owned(),
            "no\n".to_owned(),
            event(ok + 2_000_000),
            event(ok),
        ]
        .concat();
        let expected = Podcast::default().expect(file.as_bytes());
        assert_eq!((expected.read, expected.windowed, expected.late, expected.quarantined), (6, 2, 1, 3));
        let reasons: Vec<_> = expected.quarantine.iter().map(|row| row.reason.code()).collect();
        assert_eq!(reasons, ["time_range", "missing", "malformed", "late"]);
        assert_eq!(expected.alerts.lines().count(), 0, "one exit scores 0.33");
    }
}
