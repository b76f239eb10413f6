//! `tidewatch quarantine replay`: the records in quarantine as they were in their source, each once.
//!
//! A quarantine row has the first kibibyte of a record, bad bytes replaced; the record itself is read again
//! from its source, by partition and offset ([`super::again`]), and held against that beginning. Where the source cannot
//! be read again, a row that shows the whole record will do. What cannot be had is said, never made up.
//!
//! Beside a file of records stands one of their positions, so that the next replay can leave them out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use alert::Quarantined;
use anyhow::{Context, bail};
use clap::Args;
use dataflow::Job;
use event::Rejected;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::{OutputFormat, REFUSED, Style, put, say};
use super::again::{self, Known};
use super::verdict::{Judge, Verdict};
use super::{Which, count_by_reason, one_line};
use crate::same::is_device_or_pipe;

/// Records that are named one by one before the rest is only counted.
const NAMED_MAX: usize = 20;
/// A row with fewer bytes than this shows the whole record: of a longer one as many, but for a cut character.
const WHOLE_BYTES_MAX: usize = Rejected::RAW_BYTES_MAX - (char::MAX_LEN_UTF8 - 1);

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    #[command(flatten)]
    pub(super) which: Which,
    /// Where the records go, one a line; `-` is standard output. A file must be missing or empty
    #[arg(long, value_name = "FILE", default_value = "-")]
    into: PathBuf,
    /// Leave out what an earlier replay has written into this file. Repeatable
    #[arg(long, value_name = "FILE")]
    except: Vec<PathBuf>,
    /// Write no records, but say which of them the config as it is now would take
    #[arg(long, conflicts_with = "into")]
    check: bool,
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Position {
    partition: String,
    offset: u64,
}

pub(super) fn run(
    arguments: &ReplayArguments,
    job: &Job,
    rows: Vec<Quarantined>,
    style: &Style,
) -> anyhow::Result<ExitCode> {
    let before = before(&arguments.except)?;
    let (sought, of_features) = sought(rows, &before);
    let Found { mut records, lost } = find(job, sought);
    records.sort_by(|a, b| {
        (a.source, a.position.offset, &a.position).cmp(&(b.source, b.position.offset, &b.position))
    });
    let code = match arguments.check {
        true => check(job, &records, style)?,
        false => write(&arguments.into, &records, style)?,
    };
    if of_features > 0 && !style.quiet {
        say(&format!("{of_features} rows are rows of features, of which there is no record"));
    }
    Ok(if say_lost(&lost) { ExitCode::from(REFUSED) } else { code })
}

/// Says which records could not be had. Returns whether there are any.
fn say_lost(lost: &[(Position, String)]) -> bool {
    for (Position { partition, offset }, why) in lost.iter().take(NAMED_MAX) {
        say(&format!("warning: the record at {partition}@{offset} could not be had: {why}"));
    }
    if !lost.is_empty() {
        say(&format!("error: {} records could not be had; they are not among those that were", lost.len()));
    }
    !lost.is_empty()
}

/// The positions of records that were written before.
fn before(files: &[PathBuf]) -> anyhow::Result<BTreeSet<Position>> {
    let mut before = BTreeSet::new();
    for file in files {
        let path = positions_of(file);
        let named = || format!("read {}, which a replay leaves beside {}", path.display(), file.display());
        for line in BufReader::new(File::open(&path).with_context(named)?).lines() {
            before.insert(serde_json::from_str(&line.with_context(named)?).with_context(named)?);
        }
    }
    Ok(before)
}

fn positions_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".positions");
    PathBuf::from(name)
}

/// Rows by partition and offset.
type Sought = BTreeMap<String, BTreeMap<u64, Quarantined>>;

/// The records of these rows, each once however often a sink has it, and how many rows have none.
fn sought(rows: Vec<Quarantined>, before: &BTreeSet<Position>) -> (Sought, u64) {
    let (mut sought, mut of_features) = (Sought::new(), 0);
    for row in rows {
        let (Some(partition), Some(offset)) = (row.partition.clone(), row.offset) else {
            of_features += 1;
            continue;
        };
        let position = Position { partition, offset };
        if !before.contains(&position) {
            sought.entry(position.partition).or_default().entry(offset).or_insert(row);
        }
    }
    (sought, of_features)
}

/// A record that was had again.
struct Record {
    /// Number of its source in the config; behind all of them if it is in none.
    source: usize,
    position: Position,
    bytes: Vec<u8>,
}

/// What was had, and what could not be, and why.
#[derive(Default)]
struct Found {
    records: Vec<Record>,
    lost: Vec<(Position, String)>,
}

/// Finds the records, in their sources or in their rows.
fn find(job: &Job, mut sought: Sought) -> Found {
    let (mut found, mut unread) = (Found::default(), Vec::new());
    let known = Known::of(job);
    for (number, source) in job.sources.iter().enumerate() {
        let infos = again::partitions(source).unwrap_or_else(|error| {
            say(&format!("warning: the source `{}` cannot be read: {error}", source.name));
            unread.push(source.name.as_str());
            Vec::new()
        });
        for info in &infos {
            let Some(rows) = sought.remove(&info.id) else { continue };
            let (mut again, failure) = again::read(job, source, info, &known, &rows);
            for (offset, row) in rows {
                let nothing = || Err(failure.clone().unwrap_or_else(|| ingest::NOTHING_THERE.to_owned()));
                let settled = settle(again.remove(&offset).unwrap_or_else(nothing), &row);
                found.add(number, Position { partition: info.id.clone(), offset }, settled);
            }
        }
    }
    let why = match unread.as_slice() {
        [] => "no source of the config has this partition".to_owned(),
        names => format!("the source `{}` cannot be read", names.join("`, `")),
    };
    for (partition, rows) in sought {
        for (offset, row) in rows {
            let settled = settle(Err(why.clone()), &row);
            found.add(job.sources.len(), Position { partition: partition.clone(), offset }, settled);
        }
    }
    found
}

impl Found {
    fn add(&mut self, source: usize, position: Position, settled: Result<Vec<u8>, String>) {
        match settled {
            Ok(bytes) => self.records.push(Record { source, position, bytes }),
            Err(why) => self.lost.push((position, why)),
        }
    }
}

/// The record of a row: what its source has there, if that is still the same one, else what the row shows, if
/// that is all of it.
///
/// # Errors
/// Why neither is.
fn settle(read: Result<Vec<u8>, String>, row: &Quarantined) -> Result<Vec<u8>, String> {
    // Databases do not take NUL, so that a row in one shows another character there.
    let shown = |text: &str| text.replace('\0', "\u{FFFD}");
    let why = match read {
        Ok(record) => {
            if shown(&String::from_utf8_lossy(Rejected::head(&record))) == shown(&row.raw) {
                return Ok(record);
            }
            "its source has another record there now".to_owned()
        }
        Err(why) => why,
    };
    if row.raw.len() < WHOLE_BYTES_MAX && !row.raw.contains('\u{FFFD}') {
        return Ok(row.raw.clone().into_bytes());
    }
    Err(format!("{why}, and its row does not show all of it"))
}

/// Says what the config as it is now would make of the records.
fn check(job: &Job, records: &[Record], style: &Style) -> anyhow::Result<ExitCode> {
    let mut judge = Judge::new(job);
    let (mut accepted, mut filtered, mut rejected) = (0u64, 0u64, Vec::new());
    for Record { position, bytes, .. } in records {
        match judge.judge(bytes, position.offset) {
            Verdict::Accepted => accepted += 1,
            Verdict::Filtered => filtered += 1,
            Verdict::Rejected(reason, detail) => rejected.push((position, reason.code(), detail)),
        }
    }
    let counts = count_by_reason(rejected.iter().map(|(_, reason, _)| *reason));
    if style.format == OutputFormat::Json {
        let rows: Vec<_> = rejected
            .iter()
            .map(|(position, reason, detail)| {
                let Position { partition, offset } = position;
                json!({ "partition": partition, "offset": offset, "reason": reason, "detail": detail })
            })
            .collect();
        let totals = json!({
            "records": records.len(),
            "accepted": accepted,
            "filtered": filtered,
            "by_reason": counts,
            "rejected": rows,
        });
        put(&format!("{totals}\n"))?;
    } else {
        let mut text = String::new();
        for (Position { partition, offset }, reason, detail) in rejected.iter().take(NAMED_MAX) {
            text.push_str(&format!(
                "{reason:<14} {}@{offset}  {}\n",
                one_line(partition, 200),
                one_line(detail, 80)
            ));
        }
        text.push_str(&format!("{:<14} {accepted}\n{:<14} {filtered}\n", "accepted", "filtered"));
        counts.iter().for_each(|(reason, count)| text.push_str(&format!("{reason:<14} {count}\n")));
        put(&text)?;
    }
    Ok(if rejected.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// Writes the records, and beside a file their positions.
fn write(into: &Path, records: &[Record], style: &Style) -> anyhow::Result<ExitCode> {
    if into.as_os_str() == "-" || is_device_or_pipe(into) {
        let written = match into.as_os_str() == "-" {
            true => write_records(io::stdout().lock(), records),
            false => File::options().append(true).open(into).and_then(|file| write_records(file, records)),
        };
        match written {
            // A reader that has seen enough is no error.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => bail!("write the records: {error}"),
            _ => {}
        }
    } else {
        if into.metadata().is_ok_and(|found| found.len() > 0) {
            say(&format!("error: {} is not empty: a record could be in it twice", into.display()));
            say("hint: set another file; `--except` leaves out what is in this one");
            return Ok(ExitCode::from(REFUSED));
        }
        write_file(into, records).with_context(|| format!("write {}", into.display()))?;
    }
    if !style.quiet {
        say(&format!("{} records written", records.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that has records has all of them, and their positions beside it: those come first, under their name,
/// and the records get theirs at the end.
fn write_file(into: &Path, records: &[Record]) -> io::Result<()> {
    let mut positions = Vec::new();
    for record in records {
        serde_json::to_writer(&mut positions, &record.position)?;
        positions.push(b'\n');
    }
    in_one_piece(&positions_of(into), |file| file.write_all(&positions))?;
    in_one_piece(into, |file| write_records(file, records))
}

/// Writes a file under another name, makes it durable, and gives it its own.
fn in_one_piece(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = File::create(&part)?;
    fill(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

fn write_records(to: impl Write, records: &[Record]) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    for record in records {
        to.write_all(&record.bytes)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(raw: &str) -> Quarantined {
        let (reason, detail) = ("type".to_owned(), String::new());
        Quarantined { reason, detail, partition: Some("f#0".into()), offset: Some(0), raw: raw.into() }
    }

    #[test]
    fn a_record_is_that_of_its_source_if_it_begins_as_its_row_does() {
        let long = "x".repeat(3000).into_bytes();
        let head = row(&"x".repeat(1024));
        assert_eq!(settle(Ok(long.clone()), &head), Ok(long));
        assert_eq!(settle(Ok(b"a\xFF\0".to_vec()), &row("a\u{FFFD}\0")), Ok(b"a\xFF\0".to_vec()));
        let in_a_database = row("a\u{FFFD}\u{FFFD}");
        assert_eq!(settle(Ok(b"a\xFF\0".to_vec()), &in_a_database), Ok(b"a\xFF\0".to_vec()));
        let other = settle(Ok(b"other".to_vec()), &head).unwrap_err();
        assert!(other.contains("another record"), "{other}");
    }

    #[test]
    fn a_row_stands_for_its_record_only_if_it_shows_all_of_it() {
        let gone = || Err("standard input cannot be read again".to_owned());
        assert_eq!(settle(gone(), &row("{\"a\"}")), Ok(b"{\"a\"}".to_vec()));
        assert_eq!(settle(gone(), &row(&"x".repeat(1020))).unwrap().len(), 1020);
        // A record of 1022 bytes may have been cut before a character.
        assert!(settle(gone(), &row(&"x".repeat(1021))).is_err());
        let bad = settle(gone(), &row("a\u{FFFD}")).unwrap_err();
        assert!(bad.starts_with("standard input"), "{bad}");
    }

    #[test]
    fn a_record_is_sought_once_however_often_its_row_came_and_not_if_it_was_had_before() {
        let rows = vec![row("a"), row("a"), Quarantined { offset: Some(9), ..row("b") }];
        let (found, _) = sought(rows.clone(), &BTreeSet::new());
        assert_eq!(found["f#0"].keys().collect::<Vec<_>>(), [&0, &9]);
        let had = BTreeSet::from([Position { partition: "f#0".into(), offset: 9 }]);
        let (found, of_features) = sought(rows, &had);
        assert_eq!((found["f#0"].len(), of_features), (1, 0));
    }
}
