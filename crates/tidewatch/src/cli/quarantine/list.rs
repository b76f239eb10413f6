//! `tidewatch quarantine list`.

use std::process::ExitCode;

use alert::Quarantined;
use clap::Args;
use serde_json::{Value, json};

use super::super::{OutputFormat, Style, put};
use super::{Which, count_by_reason, one_line};

/// Characters of a detail and of a record that a table shows.
const DETAIL_CHARS: usize = 80;
const RAW_CHARS: usize = 60;

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    pub(super) which: Which,
    /// Show no more than so many rows; all are counted
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

pub(super) fn run(
    arguments: &ListArguments,
    rows: &[Quarantined],
    style: &Style,
) -> anyhow::Result<ExitCode> {
    let counts = count_by_reason(rows.iter().map(|row| row.reason.as_str()));
    let shown = &rows[..arguments.limit.min(rows.len())];
    if style.format == OutputFormat::Json {
        let listed: Vec<Value> = shown.iter().map(row_json).collect();
        put(&format!("{}\n", json!({ "count": rows.len(), "by_reason": counts, "rows": listed })))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for row in shown {
        let place = match (&row.partition, row.offset) {
            (Some(partition), Some(offset)) => format!("{}@{offset}", one_line(partition, 200)),
            _ => "row of features".to_owned(),
        };
        let (detail, raw) = (one_line(&row.detail, DETAIL_CHARS), one_line(&row.raw, RAW_CHARS));
        text.push_str(&format!("{:<14} {place}  {detail}  {raw}\n", row.reason));
    }
    if shown.len() < rows.len() {
        text.push_str(&format!("... and {} more; `--limit` shows them\n", rows.len() - shown.len()));
    }
    counts.iter().for_each(|(reason, count)| text.push_str(&format!("{reason:<14} {count}\n")));
    text.push_str(&format!("{:<14} {}\n", "all", rows.len()));
    put(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn row_json(row: &Quarantined) -> Value {
    json!({
        "reason": row.reason,
        "detail": row.detail,
        "partition": row.partition,
        "offset": row.offset,
        "raw": row.raw,
    })
}
