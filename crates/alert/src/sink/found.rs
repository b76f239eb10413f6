//! Alerts found again where a sink has put them, by their id or by that of their episode.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::kept::error_of;
use super::{Shape, SinkError, SinkKind, SinkSpec};

/// How every alert object begins.
const BEGINNING: &[u8] = br#"{"specversion":"1.0","id":""#;

/// What a roll-up has, which is no alert of a key, and begins as one does.
const ROLL_UP: &[u8] = br#""type":"tidewatch.rollup""#;

/// Which alerts are sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Those whose id, or whose episode's, begins with these hexadecimal digits.
    Named(&'a str),
    /// The last one.
    Last,
}

/// Takes the text of an alert object.
pub type TakeAlert<'a> = dyn FnMut(&str) + 'a;

/// Gives the alerts of a job that a sink holds and that may be the ones: more may be given than are wanted. In the order in which they came, or where a
/// table has none by the end of their windows. Returns whether the sink can be read and holds alerts at all.
///
/// # Errors
/// If what it keeps cannot be read. What is not there yet holds nothing.
pub fn find_alerts(
    spec: &SinkSpec,
    job: &str,
    wanted: Wanted<'_>,
    take: &mut TakeAlert<'_>,
) -> Result<bool, SinkError> {
    match &spec.kind {
        SinkKind::File { path } => {
            // To read a pipe would steal from its reader.
            if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
                return Ok(false);
            }
            let failed = |action, source| SinkError::Io {
                sink: spec.name.clone(),
                action,
                path: path.clone(),
                source,
            };
            match File::open(path) {
                Ok(file) => find_alerts_in(file, wanted, take).map_err(|source| failed("read", source))?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("open", error)),
            }
            Ok(true)
        }
        SinkKind::Sqlite { table, .. } | SinkKind::Postgres { table, .. } if table.shape != Shape::Alerts => {
            Ok(false)
        }
        SinkKind::Sqlite { path, table } => {
            sqlite(spec, (path, &table.name), job, wanted, take).map(|()| true)
        }
        SinkKind::Postgres { .. } => postgres(spec, job, wanted, take).map(|()| true),
        SinkKind::Stdout
        | SinkKind::Webhook { .. }
        | SinkKind::Kafka { .. }
        | SinkKind::Kinesis { .. }
        | SinkKind::Archive { .. } => Ok(false),
    }
}

/// The same of lines, whoever has kept them. A last line without an end is left out: somebody is writing it.
///
/// # Errors
/// If they cannot be read.
pub fn find_alerts_in(from: impl Read, wanted: Wanted<'_>, take: &mut TakeAlert<'_>) -> std::io::Result<()> {
    let mut from = BufReader::with_capacity(1 << 20, from);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = from.read_until(b'\n', &mut line)?;
        if read == 0 || !line.ends_with(b"\n") {
            break;
        }
        if !line.starts_with(BEGINNING) || memchr::memmem::find(&line, ROLL_UP).is_some() {
            continue;
        }
        match wanted {
            Wanted::Last => std::mem::swap(&mut line, &mut last),
            Wanted::Named(prefix) => {
                let is_one = memchr::memmem::find(&line, format!("\"{prefix}").as_bytes()).is_some();
                if is_one && let Ok(text) = std::str::from_utf8(&line) {
                    take(text);
                }
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(&last)
        && !text.is_empty()
    {
        take(text);
    }
    Ok(())
}

#[cfg(feature = "sqlite")]
fn sqlite(
    spec: &SinkSpec,
    (path, table): (&Path, &str),
    job: &str,
    wanted: Wanted<'_>,
    take: &mut TakeAlert<'_>,
) -> Result<(), SinkError> {
    if !path.exists() {
        return Ok(());
    }
    let found = super::sqlite::alerts(path, table, job, wanted, take);
    found.map_err(|failure| error_of(failure, spec.name.clone(), format!("`{}`", path.display())))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(
    spec: &SinkSpec,
    _place: (&Path, &str),
    _job: &str,
    _wanted: Wanted<'_>,
    _take: &mut TakeAlert<'_>,
) -> Result<(), SinkError> {
    Err(SinkError::NotBuilt { sink: spec.name.clone(), feature: "sqlite" })
}

#[cfg(feature = "postgres")]
fn postgres(
    spec: &SinkSpec,
    job: &str,
    wanted: Wanted<'_>,
    take: &mut TakeAlert<'_>,
) -> Result<(), SinkError> {
    let SinkKind::Postgres { url, ca, table } = &spec.kind else { return Ok(()) };
    let reader = super::Deliverer { job: job.to_owned(), generation: 0 };
    let place = super::database::Place::new(spec, &reader, table);
    let mut database = super::postgres::Postgres::new(place, url, ca.as_deref())?;
    let found = database.alerts(wanted);
    let describe = super::database::Database::describe(&database);
    let found = found.map_err(|failure| error_of(failure, spec.name.clone(), describe))?;
    found.iter().for_each(|alert| take(alert));
    Ok(())
}

#[cfg(not(feature = "postgres"))]
fn postgres(
    spec: &SinkSpec,
    _job: &str,
    _wanted: Wanted<'_>,
    _take: &mut TakeAlert<'_>,
) -> Result<(), SinkError> {
    Err(SinkError::NotBuilt { sink: spec.name.clone(), feature: "postgres" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, wanted: Wanted<'_>) -> Vec<String> {
        let mut found = Vec::new();
        find_alerts_in(text.as_bytes(), wanted, &mut |alert| found.push(alert.trim().to_owned())).unwrap();
        found
    }

    #[test]
    fn alerts_are_found_by_their_id_and_by_their_episode_and_half_a_line_is_none() {
        let alert = |id: &str, episode: &str| {
            format!("{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"data\":{{\"episode\":\"{episode}\"}}}}")
        };
        let (a, b) = (alert("aa01", "ee01"), alert("aa02", "ee01"));
        let text = format!("{a}\n{{\"plain\":\"aa01\"}}\n{b}\n{}", alert("aa03", "ee01"));
        assert_eq!(found(&text, Wanted::Named("aa01")), [a.as_str()]);
        assert_eq!(found(&text, Wanted::Named("ee0")), [a.as_str(), b.as_str()]);
        assert_eq!(found(&text, Wanted::Named("a01")), [""; 0]);
        assert_eq!(found(&text, Wanted::Last), [b.as_str()]);
        assert_eq!(found("", Wanted::Last), [""; 0]);
        let rolled = a.replace("\"data\"", "\"type\":\"tidewatch.rollup\",\"data\"");
        assert_eq!(found(&format!("{b}\n{rolled}\n"), Wanted::Last), [b.as_str()]);
        assert_eq!(found(&format!("{rolled}\n"), Wanted::Named("aa01")), [""; 0]);
    }
}
