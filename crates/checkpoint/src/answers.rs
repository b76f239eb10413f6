//! Answers that somebody outside gave, kept until no checkpoint is kept that a run could go on from and would ask again.
//!
//! Whoever asks records what was answered before anything rests on it; a run that comes to the same question once more, since the one
//! before it died ahead of its checkpoint, finds the answer here. A question is known by 128 bits that nothing else has.

use serde::{Deserialize, Serialize};

use crate::store::ANSWERS;
use crate::{CodecError, Kind, Retained, Store, StoreError, decode, encode};

/// What was answered to some questions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Which start of the job began from nothing the life in which they were given.
    pub born: u64,
    /// What tells each question from all others.
    pub marks: Vec<u128>,
    /// The answers, in the same order; NaN where none came.
    pub answers: Vec<f64>,
}

impl Store {
    /// Records answers durably, under a name that begins with the interval in which they were given. `name` tells them from all others
    /// of that interval.
    ///
    /// # Errors
    /// If they could not be written.
    pub fn record(&self, interval: u32, name: &str, answers: &Answers) -> Result<(), StoreError> {
        let path = format!("{ANSWERS}/{interval:010}-{name}");
        let damaged = |source| StoreError::Damaged { path: self.disk().place(&path), source };
        let bytes = encode(Kind::Answers, answers).map_err(damaged)?;
        self.disk().commit(&path, bytes.into()).map_err(self.io_error("write", &path))
    }

    /// All answers that are recorded of a life of the job, by the start that began it, in no order.
    ///
    /// # Errors
    /// If they cannot be read, or are damaged.
    pub fn recorded(&self, born: u64) -> Result<Vec<Answers>, StoreError> {
        let mut recorded = Vec::new();
        for name in self.list_answers()? {
            // A draft was never recorded.
            if interval_of(&name).is_none() || name.contains(".draft") {
                continue;
            }
            let path = format!("{ANSWERS}/{name}");
            let bytes = match self.disk().read(&path, None) {
                Ok(bytes) => bytes,
                // Another process has come to a checkpoint behind it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.io_error("read", &path)(error)),
            };
            let answers: Answers = decode(Kind::Answers, &bytes)
                .and_then(|answers: Answers| match answers.marks.len() == answers.answers.len() {
                    true => Ok(answers),
                    false => Err(CodecError::Checksum),
                })
                .map_err(|source| StoreError::Note { path: self.disk().place(&path), source })?;
            if answers.born == born {
                recorded.push(answers);
            }
        }
        Ok(recorded)
    }

    /// Removes the answers that no run can ask for which goes on from one of the checkpoints that are kept.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn forget_answers(&self, retained: &Retained) -> Result<(), StoreError> {
        let Some(oldest) = retained.oldest() else { return Ok(()) };
        for name in self.list_answers()? {
            if interval_of(&name).is_some_and(|interval| interval < oldest) {
                self.remove(&format!("{ANSWERS}/{name}"))?;
            }
        }
        Ok(())
    }

    fn list_answers(&self) -> Result<Vec<String>, StoreError> {
        match self.disk().list(ANSWERS) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(self.io_error("list", ANSWERS)),
        }
    }
}

/// The interval in which the answers of a file were given, if it is one of answers.
fn interval_of(name: &str) -> Option<u32> {
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(mark: u128, answer: f64) -> Answers {
        Answers { born: 3, marks: vec![mark], answers: vec![answer] }
    }

    #[test]
    fn what_was_recorded_is_there_for_the_next_run_and_damage_is_refused_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(store.recorded(0).expect("nothing"), []);
        store.record(7, "000-1", &answers(u128::MAX, 0.25)).expect("a record");
        store.record(7, "001-1", &answers(3, f64::NAN)).expect("a record");
        std::fs::write(folder.path().join("answers/0000000007-002-1.draft-77"), b"half").expect("a draft");

        let again = Store::open(folder.path()).expect("a store").recorded(3).expect("what was recorded");
        let mut all: Vec<(u128, u64)> =
            again.iter().map(|answers| (answers.marks[0], answers.answers[0].to_bits())).collect();
        all.sort_unstable();
        assert_eq!(all, [(3, f64::NAN.to_bits()), (u128::MAX, 0.25_f64.to_bits())]);

        assert_eq!(store.recorded(2).expect("what was recorded"), [], "of another life");

        let path = folder.path().join("answers/0000000007-000-1");
        let mut bytes = std::fs::read(&path).expect("a file");
        *bytes.last_mut().expect("bytes") ^= 1;
        std::fs::write(&path, bytes).expect("write");
        let words = store.recorded(9).expect_err("damage").to_string();
        assert!(words.contains("0000000007-000-1"), "{words}");
    }
}
