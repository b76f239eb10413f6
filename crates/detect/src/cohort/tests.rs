//! What a worker tells and takes back, beside the plain rows.

use super::*;
use crate::Direction;
use crate::random::Random;

use super::super::{Answer, CohortSpec, Grouping};

const K: u32 = 3;

fn cohorts(lateness: i64) -> Cohorts {
    let grouping = Grouping { columns: Vec::new(), names: vec!["device".into()], lateness };
    let top = Method::Top { spec: TopSpec { direction: Direction::Low, k: K }, grouping: grouping.clone() };
    let cohort = Method::Cohort { spec: CohortSpec::default(), grouping };
    Cohorts::new(&[Detector::new(cohort, vec![]), Detector::new(top, vec![])]).expect("cohorts")
}

/// What is told altogether, by cohort.
type Collection = BTreeMap<(Group, Member), isize>;

fn apply(collection: &mut Collection, changes: Vec<Change>) {
    for Change { group, member, diff, .. } in changes {
        let place = (group, member);
        *collection.entry(place.clone()).or_default() += diff;
        if collection[&place] == 0 {
            collection.remove(&place);
        }
    }
}

fn answer(collection: &Collection, detector: u16, cohort: &[u8]) -> Answer {
    let of =
        |(group, _): &(&(Group, Member), &isize)| group.0.detector == detector && group.0.cohort == cohort;
    let members = collection.iter().filter(of).map(|((_, member), count)| (member, *count));
    Answer::of(members, if detector == 1 { K as usize + 1 } else { 0 })
}

/// What the rows of two cohorts say, reckoned plainly.
fn check(collection: &Collection, rows: &BTreeMap<Vec<u8>, (u32, f64)>) {
    for (cohort, name) in [(0, b"car"), (1, b"web")] {
        let mut values: Vec<(f64, &[u8])> = rows
            .iter()
            .filter(|(_, row)| row.0 == cohort)
            .map(|(key, row)| (row.1, key.as_slice()))
            .collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        let Answer::Worst(worst) = answer(collection, 1, name) else { panic!("no ranks") };
        let found: Vec<&[u8]> = worst.iter().map(|(_, key)| key.as_slice()).collect();
        let expected: Vec<&[u8]> = values.iter().take(K as usize + 1).map(|(_, key)| *key).collect();
        assert_eq!(found, expected);
        let mut bins: BTreeMap<i32, isize> = BTreeMap::new();
        values.iter().for_each(|(value, _)| *bins.entry(bin_of(*value)).or_default() += 1);
        let bins = bins.iter().map(|(bin, count)| (Member::Bin(*bin), *count)).collect::<Vec<_>>();
        let expected = Answer::of(bins.iter().map(|(member, count)| (member, *count)), 0);
        assert_eq!(answer(collection, 0, name), expected);
    }
}

fn members(detector: u16, due: i64, rows: &[(Vec<u8>, u32, f64)]) -> Members {
    let names = vec![Arc::from(&b"car"[..]), Arc::from(&b"web"[..])];
    let rows = rows.iter().map(|(key, cohort, value)| (*cohort, *value, key.clone())).collect();
    Members { detector, end: 100, due, names, rows }
}

#[test]
fn what_is_told_and_corrected_adds_up_to_the_rows_and_is_taken_back_whole() {
    let mut random = Random::new(11, 0);
    for _ in 0..200 {
        let mut cohorts = cohorts(50);
        let (mut collection, mut rows) = (Collection::new(), BTreeMap::new());
        for (round, due) in [(0, 99), (1, 149), (2, 149)] {
            let mut told = Vec::new();
            for _ in 0..1 + (random.next() % 12) {
                let key = format!("k{}", (random.next() % 14)).into_bytes();
                let value = (random.unit() * 6.0).floor();
                let value = if round > 0 && random.next().is_multiple_of(4) { f64::NAN } else { value };
                told.push((key, (random.next() % 2) as u32, value));
            }
            for (key, cohort, value) in &told {
                match value.is_nan() {
                    true => rows.remove(key),
                    false => rows.insert(key.clone(), (*cohort, *value)),
                };
            }
            for detector in [0, 1] {
                apply(&mut collection, cohorts.tell(members(detector, due, &told)));
            }
            check(&collection, &rows);
        }
        // A restart in between tells the same.
        let mut again = self::cohorts(50);
        cohorts.begin_save(true);
        while let Some(saved) = cohorts.save(3) {
            again.restore(saved, &|_| true);
        }
        let mut told_again = Collection::new();
        apply(&mut told_again, again.tell_again());
        assert_eq!(told_again, collection);
        assert_eq!(again.ends(), cohorts.ends());
        for (cohorts, mut collection) in [(cohorts, collection), (again, told_again)] {
            let mut cohorts = cohorts;
            // Not before all workers have told all of it.
            assert!(cohorts.advance(149).is_empty() && cohorts.advance(150).is_empty());
            apply(&mut collection, cohorts.advance(150));
            assert!(collection.is_empty() && cohorts.ends().is_empty());
        }
    }
}

#[test]
fn rows_that_are_not_corrected_are_told_in_parts_and_only_the_worst_are_held() {
    let mut random = Random::new(12, 0);
    let mut cohorts = cohorts(0);
    let (mut collection, mut rows) = (Collection::new(), BTreeMap::new());
    for part in 0..9 {
        let of_part = |row: u32| format!("k{part}-{row}").into_bytes();
        let told: Vec<(Vec<u8>, u32, f64)> = (0..9)
            .map(|row| (of_part(row), (random.next() % 2) as u32, (random.unit() * 30.0).floor()))
            .collect();
        rows.extend(told.iter().map(|(key, cohort, value)| (key.clone(), (*cohort, *value))));
        for detector in [0, 1] {
            apply(&mut collection, cohorts.tell(members(detector, 99, &told)));
        }
        check(&collection, &rows);
    }
    let held = cohorts.told.values().flat_map(|told| told.placed.values()).map(BTreeSet::len);
    assert!(held.max() == Some(K as usize + 1) && cohorts.ends().is_empty());
    assert!(cohorts.advance(100).is_empty());
    apply(&mut collection, cohorts.advance(100));
    assert!(collection.is_empty() && cohorts.told.is_empty());
}
