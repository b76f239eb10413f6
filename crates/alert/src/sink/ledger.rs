//! What a database says it was given, held against what the checkpoints say.
//!
//! The record is a row of `tidewatch_delivered` for each job, sink and table, changed in the same
//! transaction as the rows that it speaks of. Pure: `database` asks, the databases store.

use xxhash_rust::xxh3::xxh3_64;

use super::Delivery;

/// The last delivery that a database took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delivered {
    /// Its checkpoint; 0 if there was none.
    pub(super) number: u32,
    /// The latest generation that opened the table.
    pub(super) generation: u64,
    /// Bytes of lines of all deliveries so far.
    pub(super) bytes: u64,
    /// Hash of the lines of the last one.
    pub(super) digest: u64,
}

/// Why the record and the checkpoints do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// A later generation has the table.
    Fenced,
    /// It was given what the checkpoints do not know.
    Ahead,
    /// It lacks what the checkpoints no longer hold.
    Behind,
    /// It was given something else.
    Foreign,
}

impl Delivered {
    /// Whether it is the record of a table that was never given anything.
    pub(super) fn is_nothing(&self) -> bool {
        self.number == 0 && self.bytes == 0
    }

    /// The record after that generation has opened the table.
    ///
    /// # Errors
    /// If a later one has.
    pub(super) fn claimed(self, generation: u64) -> Result<Delivered, Mismatch> {
        if self.generation > generation {
            return Err(Mismatch::Fenced);
        }
        Ok(Delivered { generation, ..self })
    }

    /// Checks that the deliveries, oldest first, go on from what the database has.
    ///
    /// # Errors
    /// If some would be lost, or the database was not given the same by the same checkpoints.
    pub(super) fn continued_by(&self, deliveries: &[Delivery]) -> Result<(), Mismatch> {
        let (Some(first), Some(last)) = (deliveries.first(), deliveries.last()) else {
            return if self.is_nothing() { Ok(()) } else { Err(Mismatch::Ahead) };
        };
        if self.number > last.number || self.bytes > last.end() {
            return Err(Mismatch::Ahead);
        }
        if self.bytes < first.start {
            return Err(Mismatch::Behind);
        }
        let taken = deliveries.iter().rfind(|delivery| delivery.number <= self.number);
        if self.bytes != taken.map_or(first.start, Delivery::end) {
            return Err(Mismatch::Foreign);
        }
        // Deliveries without lines leave no trace, so this may be an older one.
        match deliveries.iter().find(|delivery| delivery.number == self.number) {
            Some(same) if self.number > 0 && digest(&same.bytes) != self.digest => Err(Mismatch::Foreign),
            _ => Ok(()),
        }
    }

    /// The record after the delivery; `None` if the database has it already.
    ///
    /// # Errors
    /// If the delivery does not follow what the database has, or the generation is not the latest.
    pub(super) fn followed_by(
        &self,
        generation: u64,
        number: u32,
        start: u64,
        lines: &[u8],
    ) -> Result<Option<Delivered>, Mismatch> {
        self.claimed(generation)?;
        if self.number >= number {
            return Ok(None);
        }
        if self.bytes < start {
            return Err(Mismatch::Behind);
        }
        if self.bytes > start {
            return Err(Mismatch::Foreign);
        }
        let bytes = start + lines.len() as u64;
        Ok(Some(Delivered { number, generation, bytes, digest: digest(lines) }))
    }
}

fn digest(lines: &[u8]) -> u64 {
    xxh3_64(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(number: u32, start: u64, text: &str) -> Delivery {
        Delivery { number, start, bytes: text.as_bytes().to_vec() }
    }

    fn three() -> [Delivery; 3] {
        [delivery(7, 4, "one\n"), delivery(8, 8, ""), delivery(9, 8, "two\n")]
    }

    fn record(number: u32, bytes: u64, last: &str) -> Delivered {
        Delivered { number, generation: 1, bytes, digest: digest(last.as_bytes()) }
    }

    #[test]
    fn a_database_at_any_of_the_kept_checkpoints_goes_on() {
        for good in [record(5, 4, "old\n"), record(7, 8, "one\n"), record(9, 12, "two\n")] {
            assert_eq!(good.continued_by(&three()), Ok(()), "{good:?}");
        }
        assert_eq!(Delivered::default().continued_by(&[delivery(1, 0, "one\n")]), Ok(()));
        assert_eq!(Delivered::default().continued_by(&[]), Ok(()));
    }

    #[test]
    fn what_the_checkpoints_cannot_complete_or_did_not_put_out_is_refused() {
        let check = |found: Delivered, expected| {
            assert_eq!(found.continued_by(&three()), Err(expected), "{found:?}");
        };
        check(Delivered::default(), Mismatch::Behind);
        check(record(5, 3, "old\n"), Mismatch::Behind);
        check(record(10, 12, "two\n"), Mismatch::Ahead);
        check(record(9, 16, "two\n"), Mismatch::Ahead);
        check(record(7, 12, "one\n"), Mismatch::Foreign);
        check(record(5, 8, "old\n"), Mismatch::Foreign);
        check(record(9, 12, "six\n"), Mismatch::Foreign);
        assert_eq!(record(1, 4, "old\n").continued_by(&[]), Err(Mismatch::Ahead));
    }

    #[test]
    fn a_delivery_is_taken_once_and_only_from_the_latest_generation() {
        let found = record(7, 8, "one\n");
        let next = found.followed_by(2, 9, 8, b"two\n").unwrap().unwrap();
        assert_eq!(next, Delivered { generation: 2, ..record(9, 12, "two\n") });
        assert_eq!(next.followed_by(2, 9, 8, b"two\n"), Ok(None));
        assert_eq!(next.followed_by(2, 8, 8, b""), Ok(None));
        assert_eq!(next.followed_by(1, 10, 12, b"six\n"), Err(Mismatch::Fenced));
        assert_eq!(next.followed_by(1, 9, 8, b"two\n"), Err(Mismatch::Fenced));
        assert_eq!(next.followed_by(2, 10, 13, b"six\n"), Err(Mismatch::Behind));
        assert_eq!(next.followed_by(2, 10, 11, b"six\n"), Err(Mismatch::Foreign));
    }
}
