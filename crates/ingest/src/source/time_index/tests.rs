//! The index held against the records themselves.

use proptest::prelude::*;

use super::*;

/// A record as the oracle sees it: its offset, its time, and the watermark just before it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    offset: u64,
    time: i64,
    seen: i64,
}

/// What happens to a partition.
#[derive(Debug, Clone)]
enum Step {
    /// A block of records is read, of these times beside the last one; each in so many bytes.
    Read { steps: Vec<i64>, bytes: u64 },
    /// It wakes, so much ahead of its watermark.
    Lift(i64),
    /// The job dies, and goes on from a checkpoint.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let near = prop_oneof![9 => -400_i64..600, 1 => -100_000_i64..100_000];
    prop_oneof![
        20 => (prop::collection::vec(near, 1..40), 1_u64..60_000).prop_map(|(steps, bytes)| Step::Read { steps, bytes }),
        1 => (0_i64..5_000).prop_map(Step::Lift),
        1 => Just(Step::Restart),
    ]
}

fn again(index: &TimeIndex) -> TimeIndex {
    TimeIndex::try_from(Packed::from(index.clone())).expect("what was written can be read")
}

/// Reads the blocks as an intake does, and remembers all records.
fn read(steps: &[Step], bound: i64) -> (TimeIndex, Vec<Seen>) {
    let (mut offset, mut time, mut watermark) = (0, 1_000_000_i64, i64::MIN);
    let mut index = TimeIndex::new(Position::stdin(0), Watermark::NONE);
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Restart => index = again(&index),
            Step::Lift(by) => {
                let before = Watermark(watermark);
                watermark = watermark.max(time.saturating_sub(bound) + by);
                index.lift(Position::stdin(offset), before, Watermark(watermark));
            }
            Step::Read { steps, bytes } => {
                let mut times = Vec::new();
                for step in steps {
                    // A wild time is that of one record, and does not carry the others along.
                    let own = time + step;
                    if step.abs() < 1000 {
                        time += step;
                    }
                    times.push(own);
                    all.push(Seen { offset, time: own, seen: watermark });
                    watermark = watermark.max(own - bound - 1);
                    offset += bytes;
                }
                index.add(times.len() as u64, bytes * times.len() as u64, &times);
                if index.is_due() {
                    index.begin(Position::stdin(offset), Watermark(watermark));
                }
            }
        }
    }
    (index, all)
}

/// The offsets that a run of stretches covers.
fn offsets(index: &TimeIndex, run: &Range<usize>) -> Range<u64> {
    let end = index.stretches().get(run.end).map_or(u64::MAX, |behind| behind.from.offset);
    index.stretches()[run.start].from.offset..end
}

proptest! {
    #[test]
    fn every_record_of_a_window_lies_in_what_is_read_for_it(
        steps in prop::collection::vec(step(), 1..120),
        bound in 0_i64..800,
        windows in prop::collection::vec((-3_000_i64..40_000, 1_i64..3_000, 0_i64..500), 1..12),
        resolution in prop_oneof![Just(TimeIndex::RESOLUTION), Just(16), Just(TimeIndex::RESOLUTION_MIN)],
    ) {
        let (index, all) = read(&steps, bound);
        let index = again(&index.thinned(resolution));
        prop_assert_eq!(index.totals().0, all.len() as u64);
        for (start, size, lateness) in windows {
            let window = 1_000_000 + start..1_000_000 + start + size;
            let before = window.end - 1 + lateness;
            let runs = index.runs(&window, before);
            let covered: Vec<Range<u64>> = runs.iter().map(|run| offsets(&index, run)).collect();
            prop_assert!(covered.is_sorted_by(|a, b| a.end < b.start), "runs are apart: {covered:?}");
            for record in all.iter().filter(|it| window.contains(&it.time) && it.seen < before) {
                prop_assert!(
                    covered.iter().any(|range| range.contains(&record.offset)),
                    "{record:?} of {window:?} is not in {covered:?}"
                );
            }
        }
        // The watermark where a stretch begins is the one that the next record has seen.
        for stretch in index.stretches() {
            let next = all.iter().find(|record| record.offset >= stretch.from.offset);
            prop_assert!(next.is_none_or(|next| next.seen == stretch.watermark.0), "{stretch:?} and {next:?}");
            // What it was before is what the records before it say, whatever lifts it there.
            let last = all.iter().rfind(|record| record.offset < stretch.from.offset);
            let said = last.map(|last| last.seen.max(last.time - bound - 1));
            prop_assert!(said.is_none_or(|said| said == stretch.before.0), "{stretch:?} behind {last:?}");
        }
    }

    #[test]
    fn bytes_from_anywhere_are_an_index_or_refused(next in any::<u64>(), count in any::<u64>(), numbers in any::<Vec<u8>>()) {
        let origins = vec![(count % 40, Position::stdin(0).origin)];
        if let Ok(index) = TimeIndex::try_from(Packed { next, origins, numbers }) {
            prop_assert!(!index.stretches().is_empty());
            let _ = index.runs(&(0..10), 10);
        }
    }
}

/// An index of so many stretches of one record each, a second apart.
fn long(stretches: u64) -> TimeIndex {
    let mut index = TimeIndex::new(Position::stdin(0), Watermark::NONE);
    for number in 0..stretches {
        index.add(1, 100, &[number.cast_signed()]);
        index.begin(Position::stdin((number + 1) * 100), Watermark(number.cast_signed() - 1));
    }
    index
}

#[test]
fn an_index_stays_small_and_knows_what_is_young_and_no_part_of_all_too_badly() {
    let all = 3_000_000;
    let index = long(all);
    assert!(index.stretches().len() < 1200, "{}", index.stretches().len());
    assert_eq!(index.totals(), (all, all * 100));
    // The last minute is known to the second.
    let young = i64::try_from(all).unwrap() - 50;
    let runs = index.runs(&(young..young + 1), i64::MAX);
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!(offsets(&index, run), young as u64 * 100..(young as u64 + 1) * 100);
    // Of anything else no more than a hundredth of all, or a sixteenth of its age.
    for time in [0, 77, 12_345, 1_000_000, 2_000_000, 2_900_000, 2_999_000] {
        let runs = index.runs(&(time..time + 1), i64::MAX);
        let read: u64 = runs.iter().map(|run| offsets(&index, run)).map(|it| (it.end - it.start) / 100).sum();
        let age = all - time.cast_unsigned();
        assert!(read <= (all / 100).min(age / 16 + 2), "{read} records for the one of {time}");
    }
}

#[test]
fn a_packed_index_is_small_and_thinner_where_that_is_asked_for() {
    let index = long(1_000_000);
    let bytes = |index: &TimeIndex| Packed::from(index.clone()).numbers.len();
    assert!(bytes(&index) < 24_000, "{}", bytes(&index));
    let thin = index.thinned(16);
    assert!(bytes(&thin) < 2_000, "{}", bytes(&thin));
    assert_eq!(thin.totals(), index.totals());
    assert_eq!(thin, index.thinned(64).thinned(16), "to thin twice is to thin once");
}

#[test]
fn a_partition_that_is_lifted_before_it_has_read_anything_begins_there() {
    let mut index = TimeIndex::new(Position::stdin(0), Watermark::NONE);
    index.lift(Position::stdin(7), Watermark::NONE, Watermark(50));
    assert_eq!(index.stretches().len(), 1);
    assert_eq!((index.stretches()[0].from.offset, index.stretches()[0].watermark), (7, Watermark(50)));
    assert!(index.runs(&(0..100), 99).is_empty(), "nothing was read");
    index.add(1, 10, &[60]);
    assert_eq!(index.runs(&(0..100), 99), vec![0..1]);
    assert!(index.runs(&(0..100), 50).is_empty(), "all that is in it has seen the end of such a window");
}
