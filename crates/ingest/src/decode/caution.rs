//! Records that end the program: which are left out, which are read alone, and who is told what is in hand.
//!
//! Nothing here finds such a record. Whoever outlives the program does: it is told which bytes are being
//! decoded, and after a few deaths it knows the one record that was in hand each time.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Is told which bytes of a partition are decoded next.
pub trait Witness: Send + Sync {
    /// The records that begin in `offsets` are in hand from now on. One offset alone is that of one record.
    fn in_hand(&self, offsets: Range<u64>);
}

/// What is known of the records of a partition that end the program, or may. By default nothing.
#[derive(Clone, Default)]
pub struct Caution {
    poison: Vec<u64>,
    suspects: Vec<Range<u64>>,
    witness: Option<Arc<dyn Witness>>,
}

/// How a record is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Like any other.
    Read,
    /// As the only one of its call.
    ReadAlone,
    /// Not at all: it goes to quarantine.
    LeaveOut,
}

impl Caution {
    /// Records at the offsets `poison` go to quarantine unread, each of those in `suspects` is decoded by a
    /// call of its own, and `witness` is told what is in hand.
    pub fn new(mut poison: Vec<u64>, suspects: Vec<Range<u64>>, witness: Option<Arc<dyn Witness>>) -> Self {
        poison.sort_unstable();
        Caution { poison, suspects, witness }
    }

    /// Whether a record in these offsets is to be read alone.
    pub(crate) fn has_suspects(&self, offsets: &Range<u64>) -> bool {
        self.suspects.iter().any(|range| range.start < offsets.end && offsets.start < range.end)
    }

    /// How to treat the record at an offset.
    pub(super) fn treatment(&self, offset: u64) -> Treatment {
        if self.poison.binary_search(&offset).is_ok() {
            Treatment::LeaveOut
        } else if self.suspects.iter().any(|range| range.contains(&offset)) {
            Treatment::ReadAlone
        } else {
            Treatment::Read
        }
    }

    /// The first offset from this one on at which the treatment is, or may be, another than just before.
    pub(super) fn next(&self, offset: u64) -> u64 {
        let poison = self.poison.iter().copied().find(|poison| *poison >= offset).unwrap_or(u64::MAX);
        let ends = self.suspects.iter().map(|range| range.end).filter(|end| *end >= offset);
        ends.min().unwrap_or(u64::MAX).min(poison).min(self.next_suspect(offset))
    }

    /// The first offset from this one on that is to be read alone.
    fn next_suspect(&self, offset: u64) -> u64 {
        let ahead = self.suspects.iter().filter(|range| range.end > offset);
        ahead.map(|range| range.start.max(offset)).min().unwrap_or(u64::MAX)
    }

    /// Tells the witness that the records from `offset` on are next, up to those that are read alone.
    pub(super) fn tell(&self, offset: u64, end: u64) {
        self.tell_exactly(offset..end.min(self.next_suspect(offset)));
    }

    /// Tells the witness what comes next.
    pub(super) fn tell_exactly(&self, offsets: Range<u64>) {
        if let Some(witness) = self.witness.as_ref().filter(|_| !offsets.is_empty()) {
            witness.in_hand(offsets);
        }
    }
}

impl fmt::Debug for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caution").field("poison", &self.poison).field("suspects", &self.suspects).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use event::{DataType, Decoded, Reason};

    use super::*;
    use crate::{DecodeSpec, Decoder, FieldSpec, Piece, TimeSpec, TimeUnit};

    #[derive(Default)]
    struct Notes(Mutex<Vec<Range<u64>>>);

    impl Witness for Notes {
        fn in_hand(&self, offsets: Range<u64>) {
            self.0.lock().unwrap().push(offsets);
        }
    }

    const LINES: &[u8] =
        b"{\"ts\":1700000000000}\n{\"ts\":1700000000001}\nrubbish\n\n{\"ts\":1700000000002}\n";

    /// Offsets of the records of each call, the rejected ones with their reason, and what was in hand.
    type Calls = Vec<(Vec<u64>, Vec<(u64, Reason)>)>;

    fn decode(poison: Vec<u64>, suspects: Option<Range<u64>>) -> (Calls, Vec<Range<u64>>) {
        let time = TimeSpec::new(&["ts"], TimeUnit::Millis);
        let mut decoder = Decoder::new(DecodeSpec::new(vec![FieldSpec::new("x", DataType::Double)], time));
        let notes = Arc::new(Notes::default());
        decoder.set_caution(Caution::new(poison, suspects.into_iter().collect(), Some(notes.clone())));
        let mut piece = Some(Piece::new(LINES.to_vec(), 100));
        let mut calls = Vec::new();
        while let Some(next) = piece.take() {
            let (Decoded { records, rejected }, rest) = decoder.decode(next, usize::MAX);
            let rejected = rejected.iter().map(|record| (record.offset, record.reason)).collect();
            calls.push((records.offsets, rejected));
            piece = rest;
        }
        let told = notes.0.lock().unwrap().clone();
        (calls, told)
    }

    #[test]
    fn without_suspects_a_piece_is_in_hand_as_a_whole() {
        let (calls, told) = decode(vec![], None);
        assert_eq!(calls, [(vec![100, 121, 151], vec![(142, Reason::Malformed)])]);
        assert!(told.len() == 1 && told[0] == (100..172), "{told:?}");
    }

    #[test]
    fn a_record_that_is_poison_goes_to_quarantine_and_the_others_do_not_notice() {
        let (calls, _) = decode(vec![142, 121], None);
        assert_eq!(calls, [(vec![100, 151], vec![(121, Reason::Poison), (142, Reason::Poison)])]);
    }

    #[test]
    fn each_suspect_is_decoded_alone_and_named_before() {
        let (calls, told) = decode(vec![], Some(121..151));
        let expected: Calls = vec![
            (vec![100], vec![]),
            (vec![121], vec![]),
            (vec![], vec![(142, Reason::Malformed)]),
            (vec![151], vec![]),
        ];
        assert_eq!(calls, expected);
        // The blank line before the last record is a suspect that no record begins with.
        assert_eq!(told, [100..121, 121..122, 142..143, 150..151, 151..172]);
    }
}
