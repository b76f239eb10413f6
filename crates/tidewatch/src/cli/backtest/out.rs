//! `--out DIR`: the alerts as a file sink would have them, and the report.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::inputs::{Stop, refused};

const ALERTS: &str = "alerts.ndjson";
const REPORT: &str = "report.json";

/// A folder that is filled. Its files get their names when they are whole.
pub(super) struct Out {
    folder: PathBuf,
    part: PathBuf,
    alerts: BufWriter<File>,
}

impl Out {
    /// Makes the folder. What it holds must not be the output of something else.
    pub(super) fn open(folder: &Path) -> Result<Out, Stop> {
        for name in [ALERTS, REPORT] {
            let path = folder.join(name);
            if path.metadata().is_ok_and(|found| found.len() > 0) {
                let words = format!("{} is not empty", path.display());
                return Err(refused(format!("{words}\nhint: set `--out` to a new folder")));
            }
        }
        let part = folder.join(format!("{ALERTS}.part"));
        let opened = fs::create_dir_all(folder).and_then(|()| File::create(&part));
        let alerts = opened.with_context(|| format!("write to {}", folder.display()))?;
        Ok(Out { folder: folder.to_owned(), part, alerts: BufWriter::with_capacity(1 << 16, alerts) })
    }

    /// Takes an alert.
    pub(super) fn take(&mut self, alert: &[u8]) -> anyhow::Result<()> {
        let written = self.alerts.write_all(alert).and_then(|()| self.alerts.write_all(b"\n"));
        written.with_context(|| format!("write {}", self.part.display()))
    }

    /// Gives the alerts their name, and writes the report beside them.
    pub(super) fn finish(mut self, report: &Value) -> anyhow::Result<()> {
        let written = self.alerts.flush().and_then(|()| fs::rename(&self.part, self.folder.join(ALERTS)));
        written.with_context(|| format!("write {}", self.folder.join(ALERTS).display()))?;
        let path = self.folder.join(REPORT);
        fs::write(&path, format!("{report}\n")).with_context(|| format!("write {}", path.display()))
    }
}
