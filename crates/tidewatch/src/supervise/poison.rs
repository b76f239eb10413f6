//! `STATE/poison`: the records of a job that end the program, one JSON object a line.
//!
//! A decision that outlives everything: every later run of the job leaves the same records out, so that a
//! rerun, a rescale or a restart gives the same answer. The file is only ever appended to, and is durable
//! before the next process starts.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use dataflow::Poison;
use serde::{Deserialize, Serialize};

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    partition: String,
    offset: u64,
}

fn path(state: &Path) -> PathBuf {
    state.join("poison")
}

/// The records of a job that go to quarantine unread.
///
/// # Errors
/// If the file is there and cannot be read, or a line of it is not understood. A last line that is cut off
/// was never acted upon.
pub(crate) fn read(state: &Path) -> anyhow::Result<Vec<Poison>> {
    let path = path(state);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("read {}", path.display()))?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |(number, text): (usize, &str)| {
        let Line { partition, offset } = serde_json::from_str(text)
            .with_context(|| format!("line {} of {}", number + 1, path.display()))?;
        Ok(Poison { partition, offset })
    };
    whole.lines().enumerate().map(line).collect()
}

/// Adds a record, durably.
///
/// # Errors
/// If it could not be written.
pub(crate) fn add(state: &Path, poison: &Poison) -> anyhow::Result<()> {
    let path = path(state);
    let line = Line { partition: poison.partition.clone(), offset: poison.offset };
    let write = || -> std::io::Result<()> {
        // Behind a line that a crash has cut off a new one would not be read.
        let known = fs::read(&path).unwrap_or_default();
        let whole = known.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        file.write_all(format!("{}\n", serde_json::to_string(&line)?).as_bytes())?;
        file.sync_all()?;
        File::open(state)?.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_back_in_order_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let record = |offset| Poison { partition: "a \"b\"#3".to_owned(), offset };
        assert_eq!(read(folder.path()).unwrap(), []);
        add(folder.path(), &record(7)).unwrap();
        let mut file = OpenOptions::new().append(true).open(folder.path().join("poison")).unwrap();
        file.write_all(b"{\"partition\":\"a").unwrap();
        assert_eq!(read(folder.path()).unwrap(), [record(7)]);
        add(folder.path(), &record(1)).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [record(7), record(1)]);
        file.write_all(b"rubbish\n").unwrap();
        assert!(format!("{:#}", read(folder.path()).unwrap_err()).contains("line 3"));
    }
}
