//! `--report FILE`: the final counts as one JSON object.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use checkpoint::Location;
use dataflow::Summary;
use event::Watermark;
use serde_json::{Map, Value, json};

use crate::config::duration::format_instant;

/// Writes the report. A reader never sees half of it, unless `path` is a pipe or a device.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, job: &str, summary: &Summary) -> anyhow::Result<()> {
    let text = format!("{}\n", to_json(job, summary)?);
    let context = || format!("write the report {}", path.display());
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_special {
        return fs::write(path, text).with_context(context);
    }
    let beside = beside(path);
    fs::write(&beside, text).with_context(context)?;
    fs::rename(&beside, path).with_context(context)
}

/// Writes the report of a job that has no process: the totals are those of its newest checkpoint. It never says
/// that the job is finished, since what that checkpoint puts out may not have been delivered.
///
/// # Errors
/// If the state cannot be read, or the file not be written.
pub(crate) fn write_at_rest(path: &Path, job: &str, state: &Location) -> anyhow::Result<()> {
    let newest = state.open_existing().and_then(|store| match store {
        Some(store) => store.newest_readable(),
        None => Ok(None),
    });
    let newest = newest.context("read the totals for the report")?;
    write(path, job, &newest.as_ref().map_or_else(Summary::of_nothing, Summary::at))
}

/// A name for the file while it is written, in the same folder.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn to_json(job: &str, summary: &Summary) -> anyhow::Result<Value> {
    let mut report = Map::new();
    report.insert("job".to_owned(), json!(job));
    report.insert("finished".to_owned(), json!(summary.finished));
    report.insert("watermark".to_owned(), json!(instant(summary.watermark).map(format_instant)));
    if let Value::Object(counts) = serde_json::to_value(summary.counts).context("write the counts")? {
        report.extend(counts);
    }
    Ok(Value::Object(report))
}

/// The watermark as a time, if it is one.
pub(crate) fn instant(watermark: Watermark) -> Option<i64> {
    let none = watermark == Watermark::NONE || watermark == Watermark::FINISHED;
    (!none).then_some(watermark.0)
}

#[cfg(test)]
mod tests {
    use event::Counts;

    use super::*;

    #[test]
    fn a_report_has_the_counts_by_name_and_the_watermark_as_a_time() {
        let counts = Counts { read: 3, accepted: 2, quarantined: 1, windowed: 2, ..Counts::default() };
        let watermark = Watermark(1_700_000_000_000_000);
        let summary = Summary { counts, finished: false, watermark, already_finished: false };
        let report = to_json("podcast", &summary).unwrap();
        assert_eq!(report["job"], "podcast");
        assert_eq!(report["finished"], false);
        assert_eq!(report["watermark"], "2023-11-14T22:13:20Z");
        assert_eq!(
            (&report["read"], &report["quarantined"], &report["late"]),
            (&json!(3), &json!(1), &json!(0))
        );

        let end = Summary { finished: true, watermark: Watermark::FINISHED, ..summary };
        assert_eq!(to_json("podcast", &end).unwrap()["watermark"], Value::Null);
    }
}
