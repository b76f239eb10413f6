//! Baselines against an oracle that follows the words of the design, one key at a time, in double precision.

use std::collections::BTreeMap;

use super::*;
use crate::Direction;
use crate::random::Random;

/// What the oracle knows of a key, hour and feature.
#[derive(Debug, Clone, Default)]
struct Known {
    learned: u32,
    mean: f64,
    variance: f64,
    /// Rows since the latch was set, with that which set it.
    latched: Option<u32>,
}

#[derive(Default)]
struct Oracle {
    known: BTreeMap<(u32, usize, usize), Known>,
    last: BTreeMap<u32, i64>,
    /// How near to a bound a decision was, at the nearest.
    narrowest: f64,
}

impl Oracle {
    fn new() -> Self {
        Oracle { narrowest: f64::INFINITY, ..Oracle::default() }
    }

    /// Periods since the key's last row.
    fn gap(&mut self, spec: &BaselineSpec, key: u32, due: i64) -> i32 {
        let last = self.last.insert(key, due);
        match (spec.period, last) {
            (Some(period), Some(last)) if spec.season == Season::None => {
                i32::try_from((due - last) / period).expect("a small gap").clamp(1, 64)
            }
            _ => 1,
        }
    }

    fn observe(
        &mut self,
        spec: &BaselineSpec,
        cell: (u32, usize, usize),
        gap: i32,
        value: f64,
    ) -> (f64, f64) {
        let known = self.known.entry(cell).or_default();
        let expected = if known.learned == 0 { f64::NAN } else { known.mean };
        if value.is_nan() {
            return (f64::NAN, expected);
        }
        let least = f64::from(spec.deviation_min).max(f64::from(spec.ratio_min) * known.mean.abs());
        let deviation = known.variance.sqrt().max(least);
        let z = match value - known.mean {
            0.0 => 0.0,
            off => (off / deviation).clamp(-1000.0, 1000.0),
        };
        let bad = match spec.direction {
            Direction::Low => -z,
            Direction::High => z,
            Direction::Both => z.abs(),
        };
        let (limit, release) = (f64::from(spec.limit), f64::from(spec.release));
        let warm = known.learned >= u32::from(spec.warmup);
        let bound = if known.latched.is_some() { release } else { limit };
        if warm {
            self.narrowest = self.narrowest.min((bad - bound).abs());
        }
        match known.latched {
            Some(rows) if bad >= release => {
                known.latched = Some(rows + 1);
                if rows >= u32::from(spec.latched_max) {
                    *known = Known::default();
                }
                return (z, expected);
            }
            None if warm && bad > limit => {
                known.latched = Some(1);
                return (z, expected);
            }
            Some(_) => {
                known.latched = None;
                known.learned = u32::from(spec.memory);
            }
            None => {}
        }
        let clip = f64::from(spec.clip) * deviation;
        let off = value - known.mean;
        let off = if warm && known.variance > 0.0 { off.clamp(-clip, clip) } else { off };
        let memory = f64::from(spec.memory);
        let rows = f64::from(known.learned + 1).min(memory);
        let past = (1.0 - 1.0 / rows) * (1.0 - 1.0 / memory).powi(gap - 1);
        known.variance = past * (known.variance + (1.0 - past) * off * off);
        known.mean += (1.0 - past) * off;
        known.learned += 1;
        (if warm { z } else { f64::NAN }, expected)
    }
}

fn same(found: f32, expected: f64) -> bool {
    let found = f64::from(found);
    (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= 2e-3 * expected.abs().max(1.0)
}

/// Rows of 3 features and 5 keys with jumps, drifts and missing values, judged in portions of any size.
///
/// Gives how often a latch was found set.
fn agree_with_the_oracle(spec: &BaselineSpec, seed: u64) -> usize {
    const KEYS: u64 = 5;
    let mut random = Random::new(seed, 1);
    let mut columns = BaselineColumns::new(spec.clone(), 3).expect("baselines");
    let (mut oracle, mut out, mut latched) = (Oracle::new(), Deviations::default(), 0);
    let mut due = 0;
    for portion in 0..60 {
        let rows = 1 + (random.next() % 200) as usize;
        columns.grow(if portion < 10 { 3 } else { KEYS as usize });
        let keys = if portion < 10 { 3 } else { KEYS };
        let slots: Vec<u32> = (0..rows).map(|_| (random.next() % keys) as u32).collect();
        let dues: Vec<i64> = (0..rows)
            .map(|_| {
                due += (random.unit().powi(6) * 6e9) as i64;
                due
            })
            .collect();
        let level = [0.0, 0.0, 5.0, -20.0][(random.next() % 4) as usize];
        let mut value = || match random.next() % 20 {
            0 => f64::NAN,
            1 => 100.0 * random.unit(),
            _ => level + 10.0 + (0..12).map(|_| random.unit()).sum::<f64>(),
        };
        let values: Vec<Vec<f64>> = (0..3).map(|_| (0..rows).map(|_| value()).collect()).collect();
        let slices: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        columns.observe(&slots, Dues::Own(&dues), &slices, &mut out);
        for row in 0..rows {
            let (slot, hour) = (slots[row], (dues[row] / 3_600_000_000) as usize % spec.season.hours());
            let gap = oracle.gap(spec, slot, dues[row]);
            for (feature, values) in values.iter().enumerate() {
                let (z, expected) = oracle.observe(spec, (slot, hour, feature), gap, values[row]);
                let found = (counted(out.z[feature][row]), out.expected[feature][row]);
                assert!(same(found.0, z), "seed {seed}, row {row}: {found:?} {z} {expected}");
                assert!(same(found.1, expected), "seed {seed}, row {row}: {found:?} {z} {expected}");
            }
        }
        for ((slot, hour, feature), known) in &oracle.known {
            assert_eq!(columns.is_latched(*slot, *hour, *feature), known.latched.is_some(), "seed {seed}");
            latched += usize::from(known.latched.is_some());
        }
    }
    assert!(oracle.narrowest > 1e-6, "seed {seed} says nothing: {}", oracle.narrowest);
    latched
}

#[test]
fn baselines_say_what_the_design_says_key_by_key() {
    let spec = BaselineSpec::default();
    let variants = [
        spec.clone(),
        BaselineSpec { direction: Direction::Low, latched_max: 5, ..spec.clone() },
        BaselineSpec { direction: Direction::High, memory: 100, ..spec.clone() },
        BaselineSpec { period: Some(60_000_000), ..spec.clone() },
        BaselineSpec { season: Season::HourOfDay, ..spec.clone() },
        BaselineSpec { limit: 4.0, release: 0.5, clip: 1.0, ..spec },
    ];
    for variant in &variants {
        let latched: usize = (0..8).map(|seed| agree_with_the_oracle(variant, seed)).sum();
        assert!(latched > 20, "{variant:?} latched {latched} times");
    }
}

/// Deviations of the values of one key and feature.
fn deviations(spec: BaselineSpec, values: &[f64]) -> Vec<f32> {
    let mut columns = BaselineColumns::new(spec, 1).expect("baselines");
    columns.grow(1);
    let mut out = Deviations::default();
    columns.observe(&vec![0; values.len()], Dues::Shared(0), &[values], &mut out);
    out.z.concat()
}

#[test]
fn nothing_is_said_during_warm_up() {
    let z = deviations(BaselineSpec::default(), &[1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 90.0, 2.0]);
    assert!(z[..10].iter().all(|z| z.is_nan()) && !z[10].is_nan(), "{z:?}");
}

#[test]
fn what_is_latched_is_not_learned_until_it_has_lasted() {
    let spec = BaselineSpec { latched_max: 20, direction: Direction::High, ..BaselineSpec::default() };
    let noise = |row: usize| [0.0, 1.0, -1.0][row % 3];
    let values: Vec<f64> = (0..200).map(|row| noise(row) + if row < 50 { 0.0 } else { 30.0 }).collect();
    let z = deviations(spec, &values);
    // 20 rows of the new level stand out as much as the first did.
    assert!(z[50..70].iter().all(|z| *z > 20.0), "{:?}", &z[50..70]);
    // Then it is learned from the start, and is usual.
    assert!(z[70..=80].iter().skip(1).all(|z| z.is_nan()), "{:?}", &z[68..82]);
    assert!(z[82..].iter().all(|z| z.abs() < 3.0), "{:?}", &z[82..]);
}

#[test]
fn a_value_beside_a_constant_past_deviates_by_the_least_that_counts() {
    let past = [100.0; 40];
    let last = |spec: BaselineSpec, value: f64| {
        deviations(spec, &[&past[..], &[value]].concat()).last().copied().expect("a row")
    };
    assert_eq!(last(BaselineSpec::default(), 100.0), 0.0);
    assert!((last(BaselineSpec::default(), 102.0) - 2.0).abs() < 1e-4);
    assert!((last(BaselineSpec { deviation_min: 4.0, ..BaselineSpec::default() }, 102.0) - 0.5).abs() < 1e-4);
    let without = BaselineSpec { ratio_min: 0.0, ..BaselineSpec::default() };
    assert_eq!(counted(last(without.clone(), 99.0)), -DEVIATION_MAX);
    assert_eq!(counted(last(BaselineSpec::default(), f64::INFINITY)), DEVIATION_MAX);
    assert_eq!(without.calibrate(last(without.clone(), 99.0)), DEVIATION_MAX / without.limit);
    // On the side that is not bad it is learned, and what comes then has a deviation all the same.
    let low = BaselineSpec { direction: Direction::Low, ..BaselineSpec::default() };
    let z = deviations(low, &[&past[..], &[f64::INFINITY, 100.0]].concat());
    assert!(z[41].is_finite(), "{}", z[41]);
}

#[test]
fn hours_count_from_the_epoch_also_before_it() {
    const HOUR: i64 = 3_600_000_000;
    assert_eq!([0, HOUR - 1, HOUR, 25 * HOUR, -1].map(|time| Season::HourOfDay.hour(time)), [0, 0, 1, 1, 23]);
    assert_eq!([167 * HOUR, 168 * HOUR, -HOUR].map(|time| Season::HourOfWeek.hour(time)), [167, 0, 167]);
    assert_eq!(Season::None.hour(-5), 0);
}

#[test]
fn a_slot_that_another_key_gets_starts_empty_and_its_neighbours_stay() {
    let spec = BaselineSpec { season: Season::HourOfDay, ..BaselineSpec::default() };
    let mut columns = BaselineColumns::new(spec, 2).expect("baselines");
    columns.grow(3);
    let mut out = Deviations::default();
    let slots: Vec<u32> = (0..300).map(|row| row % 3).collect();
    let values: Vec<f64> = (0..300).map(|row| f64::from(row % 7)).collect();
    columns.observe(&slots, Dues::Shared(5), &[&values, &values], &mut out);
    let before = columns.clone();
    columns.clear(1);
    columns.observe(&[0, 1, 2], Dues::Shared(5), &[&[1.0; 3], &[1.0; 3]], &mut out);
    assert!(out.expected[1][1].is_nan() && !out.expected[1][0].is_nan() && !out.expected[0][2].is_nan());
    let bytes = bincode::serialize(&before).expect("bytes");
    assert!(bincode::deserialize::<BaselineColumns>(&bytes).expect("baselines") == before);
}

#[test]
fn a_deviation_calibrates_to_its_share_of_the_limit() {
    let low = BaselineSpec { direction: Direction::Low, ..BaselineSpec::default() };
    assert_eq!([-6.0, -3.0, 0.0, 9.0].map(|z| low.calibrate(z)), [2.0, 1.0, 0.0, 0.0]);
    assert!(low.calibrate(f32::NAN).is_nan());
}

#[test]
fn a_setting_out_of_range_is_refused_by_name() {
    let refused = |spec| BaselineColumns::new(spec, 1).expect_err("refused").to_string();
    let spec = BaselineSpec::default();
    assert!(refused(BaselineSpec { warmup: 1, ..spec.clone() }).contains("`warmup` of a detector is 1"));
    assert!(refused(BaselineSpec { memory: 5, ..spec.clone() }).contains("`memory`"));
    assert!(refused(BaselineSpec { limit: f32::NAN, ..spec.clone() }).contains("`limit`"));
    assert!(refused(BaselineSpec { release: 3.5, ..spec.clone() }).contains("`release`"));
    assert!(refused(BaselineSpec { period: Some(0), ..spec.clone() }).contains("`period`"));
    assert!(refused(BaselineSpec { latched_max: 0, ..spec }).contains("`latched_max`"));
}
