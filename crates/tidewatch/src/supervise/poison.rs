//! The records of a job that end the program: notes in its state, one JSON object each.
//!
//! A decision that outlives everything: every later run of the job leaves the same records out, so that a
//! rerun, a rescale or a restart gives the same answer. Notes are never removed, and one is durable before
//! the next process starts.

use anyhow::Context;
use checkpoint::Location;
use dataflow::Poison;
use serde::{Deserialize, Serialize};

const TOPIC: &str = "poison";

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    partition: String,
    offset: u64,
}

/// The records of a job that go to quarantine unread.
///
/// # Errors
/// If a note cannot be read, or is not understood.
pub(crate) fn read(state: &Location) -> anyhow::Result<Vec<Poison>> {
    let notes = state.open()?.notes(TOPIC)?;
    let poison = notes.into_iter().map(|(path, note)| {
        let Note { partition, offset } =
            serde_json::from_slice(&note).with_context(|| format!("understand {}", path.display()))?;
        Ok(Poison { partition, offset })
    });
    poison.collect()
}

/// Adds a record, durably.
///
/// # Errors
/// If it could not be written.
pub(crate) fn add(state: &Location, poison: &Poison) -> anyhow::Result<()> {
    let note = Note { partition: poison.partition.clone(), offset: poison.offset };
    Ok(state.open()?.note(TOPIC, serde_json::to_string(&note)?.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_back_once_and_what_is_not_understood_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let state = Location::Dir(folder.path().to_owned());
        let record = |offset| Poison { partition: "a \"b\"#3".to_owned(), offset };
        assert_eq!(read(&state).unwrap(), []);
        for offset in [7, 1, 7] {
            add(&state, &record(offset)).unwrap();
        }
        let mut found = read(&state).unwrap();
        found.sort_by_key(|poison| poison.offset);
        assert_eq!(found, [record(1), record(7)]);
        state.open().unwrap().note(TOPIC, b"rubbish").unwrap();
        assert!(format!("{:#}", read(&state).unwrap_err()).contains("notes/poison-"));
    }
}
