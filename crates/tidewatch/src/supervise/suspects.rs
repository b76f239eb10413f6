//! Which record ends the program: what was in hand at each death, put together.
//!
//! The first death leaves blocks of records in hand ([`dataflow::Custody`]): each is a suspect. The next
//! process reads them one by one, so that a second death leaves one record; a third at the same record makes
//! it poison. A death with something else in hand, or nothing, starts anew, so that deaths that have nothing
//! to do with records (an operator's kill -9, a machine out of memory) never name one by chance: that would
//! take three of them within the same record. A death that another process of the job has caused says nothing
//! either way.

use std::ops::Range;

use dataflow::InHand;

use super::link::Ending;

/// Deaths that make a record poison.
const DEATHS: u32 = 3;

/// Records under suspicion, with the number of deaths at which they were in hand.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    known: Vec<(u32, Range<u64>, u32)>,
}

impl Suspects {
    /// Takes note of a death. Returns the records that are poison: partitions by number, and offsets.
    pub(crate) fn died(&mut self, ending: Option<Ending>, in_hand: Vec<InHand>) -> Vec<(u32, u64)> {
        if ending.is_some_and(Ending::is_by_others) {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.known);
        let mut poison = Vec::new();
        for InHand { partition, offsets, .. } in in_hand {
            let covers = |(of, range, _): &&(u32, Range<u64>, u32)| {
                *of == partition && range.start <= offsets.start && offsets.end <= range.end
            };
            let deaths = 1 + before.iter().filter(covers).map(|(.., deaths)| *deaths).max().unwrap_or(0);
            let is_record = offsets.end == offsets.start + 1;
            if is_record && deaths >= DEATHS {
                poison.push((partition, offsets.start));
            } else {
                self.known.push((partition, offsets, deaths));
            }
        }
        poison
    }

    /// What the next process is to read one by one.
    pub(crate) fn to_read_alone(&self) -> Vec<(u32, Range<u64>)> {
        self.known.iter().map(|(partition, offsets, _)| (*partition, offsets.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand(partition: u32, offsets: Range<u64>) -> InHand {
        InHand { partition, offsets, fell: false }
    }

    #[test]
    fn a_block_then_a_record_of_it_twice_names_the_record() {
        let mut suspects = Suspects::default();
        assert_eq!(suspects.died(None, vec![hand(0, 0..1000), hand(1, 500..900)]), []);
        assert_eq!(suspects.to_read_alone(), [(0, 0..1000), (1, 500..900)]);
        assert_eq!(suspects.died(None, vec![hand(1, 640..641)]), []);
        assert_eq!(suspects.to_read_alone(), [(1, 640..641)]);
        assert_eq!(suspects.died(None, vec![hand(1, 640..641)]), [(1, 640)]);
        assert_eq!(suspects.to_read_alone(), []);
    }

    #[test]
    fn deaths_at_other_places_or_without_anything_in_hand_start_anew() {
        let mut suspects = Suspects::default();
        suspects.died(None, vec![hand(0, 0..1000)]);
        suspects.died(None, vec![hand(0, 10..11)]);
        assert_eq!(suspects.died(None, vec![]), []);
        assert_eq!(suspects.died(None, vec![hand(0, 10..11)]), [], "one death of three");
        assert_eq!(suspects.died(None, vec![hand(1, 10..11)]), [], "another partition");
    }

    #[test]
    fn a_death_that_another_process_has_caused_neither_accuses_nor_acquits() {
        let mut suspects = Suspects::default();
        suspects.died(None, vec![hand(0, 0..1000)]);
        for ending in [Ending::Bereft, Ending::Alone] {
            assert_eq!(suspects.died(Some(ending), vec![hand(1, 7..8)]), []);
            assert_eq!(suspects.to_read_alone(), [(0, 0..1000)]);
        }
        suspects.died(None, vec![hand(0, 10..11)]);
        assert_eq!(suspects.died(Some(Ending::Bereft), vec![]), []);
        assert_eq!(suspects.died(Some(Ending::Panicked), vec![hand(0, 10..11)]), [(0, 10)]);
    }

    #[test]
    fn a_block_is_never_poison_however_often_it_is_in_hand() {
        let mut suspects = Suspects::default();
        for _ in 0..5 {
            assert_eq!(suspects.died(None, vec![hand(0, 0..1000)]), []);
        }
    }
}
