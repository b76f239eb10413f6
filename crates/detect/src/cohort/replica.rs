//! What all workers know of cohorts: each has the same, and judges its rows by it.

use std::collections::{BTreeMap, HashMap};

use arrow_array::BinaryArray;
use event::{NOTHING_BEFORE, Outcome, Spans};
use serde::{Deserialize, Serialize};

use super::kept::is_over;
use super::sketch::Pool;
use super::{Answer, Beside, CohortSpec, Group, Latches, TopSpec};
use crate::NearExpected;
use crate::detector::Evidence;

/// The worst of a cohort, and whether they are of the row's own window end.
type Listed<'a> = (&'a [(u64, Vec<u8>)], bool);

/// What is known of the cohorts of a detector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Replica {
    /// By window end and by what the keys have in common.
    ends: BTreeMap<i64, BTreeMap<Vec<u8>, Answer>>,
    /// All rows that are due before this are judged.
    before: i64,
}

/// How long what is known of a window end is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    /// How long after it is due its rows may be corrected.
    pub(crate) lateness: i64,
    /// For how long later window ends count it in.
    pub(crate) pooled: i64,
}

impl Replica {
    /// Nothing known yet.
    pub(crate) fn new() -> Replica {
        Replica { ends: BTreeMap::new(), before: i64::MIN }
    }

    /// Takes in what has changed: what is no answer any more, or a new one. What is said of a window end of which no row can be
    /// corrected any more is that it was taken back, which changes nothing.
    pub(crate) fn learn(&mut self, group: Group, answer: Answer, is_new: bool, needed: Needed) {
        if is_over(group.end, needed.lateness, self.before) {
            return;
        }
        let cohorts = self.ends.entry(group.end).or_default();
        if is_new {
            cohorts.insert(group.cohort, answer);
        } else if cohorts.get(&group.cohort) == Some(&answer) {
            cohorts.remove(&group.cohort);
        }
    }

    /// All rows that are due before `before` were judged: lets go of what no later row asks for. The last window end stays, for
    /// whoever asks about one that is still open. Says whether anything is gone.
    pub(crate) fn advance(&mut self, before: i64, needed: Needed) -> bool {
        self.before = self.before.max(before);
        let Some(last) = self.ends.keys().next_back().copied() else { return false };
        let held = self.ends.len();
        self.ends.retain(|end, _| {
            *end > last.saturating_sub(needed.pooled.max(1))
                || !is_over(end.saturating_add(needed.pooled), needed.lateness, self.before)
        });
        self.ends.len() < held
    }

    /// The window end that rows of `end` are judged by: itself, or the last one before it that has this cohort.
    fn last(&self, end: i64, cohort: &[u8]) -> Option<i64> {
        self.ends.range(..=end).rev().find(|(_, cohorts)| cohorts.contains_key(cohort)).map(|(end, _)| *end)
    }

    fn pool(&self, end: i64, cohort: &[u8], pooled: i64) -> Pool {
        let Some(last) = self.last(end, cohort) else { return Pool::default() };
        let first = last.saturating_sub(pooled.max(1)).saturating_add(1);
        let answers = self.ends.range(first..=last).filter_map(|(_, cohorts)| cohorts.get(cohort));
        Pool::of(answers.filter_map(|answer| match answer {
            Answer::Sketch(sketch) => Some(sketch),
            Answer::Worst(_) => None,
        }))
    }

    /// Judges rows by their percentile. `unit` is what values are multiples of, if of anything.
    pub(crate) fn percentiles(
        &self,
        (spec, near, unit): (&CohortSpec, &NearExpected, Option<f64>),
        beside: &Beside,
        spans: &Spans,
        evidence: &mut Evidence,
        mut latches: Option<Latches<'_>>,
    ) {
        let rows = beside.values.len();
        evidence.outputs = vec![vec![f64::NAN; rows]; 3];
        evidence.statistics = vec![vec![f32::NAN; rows]];
        evidence.before = vec![vec![NOTHING_BEFORE; rows]];
        let mut pools: HashMap<(i64, u32), (Pool, f64)> = HashMap::new();
        for (row, value) in beside.values.iter().enumerate() {
            let (span, cohort) = (spans.of(row), beside.cohorts[row]);
            let (pool, median) = pools.entry((span.window.end, cohort)).or_insert_with(|| {
                let pool = self.pool(span.window.end, &beside.names[cohort as usize], spec.pooled);
                let median = pool.median();
                (pool, median)
            });
            let known = !value.is_nan() && pool.members() >= spec.members;
            let percentile = known.then(|| pool.percentile(*value));
            let beyond = percentile.map(|percentile| spec.beyond(percentile));
            let corrected = span.outcome == Outcome::Revised;
            let latches = latches.as_mut();
            let (was, is) = latches.map_or((false, false), |latches| {
                latches.judge(spec, beside.slots[row], span.due, beyond, corrected)
            });
            if !value.is_nan() {
                evidence.outputs[2][row] = pool.members() as f64;
            }
            let (Some(percentile), Some(beyond)) = (percentile, beyond) else { continue };
            let score = near.spare(spec.score(beyond, is), *value, *median);
            evidence.outputs[0][row] = score;
            evidence.outputs[1][row] = percentile;
            evidence.shares[0][row] = score as f32;
            evidence.expected[0][row] = *median as f32;
            evidence.statistics[0][row] = (*value - *median) as f32;
            if score > 1.0 {
                evidence.before[0][row] = spec.instead(pool, *value, percentile, was, unit);
            }
        }
    }

    /// Gives the worst rows their ranks.
    pub(crate) fn ranks(
        &self,
        (spec, unit): (&TopSpec, Option<f64>),
        beside: &Beside,
        (keys, spans): (&BinaryArray, &Spans),
        evidence: &mut Evidence,
    ) {
        let rows = beside.values.len();
        evidence.outputs = vec![vec![f64::NAN; rows]];
        evidence.statistics = vec![vec![f32::NAN; rows]];
        evidence.before = vec![vec![NOTHING_BEFORE; rows]];
        // The list of each cohort, and whether it is of the row's own window end.
        let mut lists: HashMap<(i64, u32), Listed<'_>> = HashMap::new();
        for (row, value) in beside.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let (end, cohort) = (spans.of(row).window.end, beside.cohorts[row]);
            let (worst, is_own) = *lists.entry((end, cohort)).or_insert_with(|| {
                let name = &beside.names[cohort as usize][..];
                let last = self.last(end, name);
                match last.and_then(|last| self.ends.get(&last)?.get(name)) {
                    Some(Answer::Worst(worst)) => (worst.as_slice(), last == Some(end)),
                    _ => (&[], true),
                }
            });
            let (order, key) = (spec.order(*value), keys.value(row));
            let ahead = worst.partition_point(|(other, name)| (*other, name.as_slice()) < (order, key));
            // Of a window before this one, the key itself does not count.
            let is_itself = |(_, name): &(u64, Vec<u8>)| name.as_slice() == key;
            let itself = !is_own && worst[..ahead].iter().any(is_itself);
            let rank = ahead + 1 - usize::from(itself);
            if rank <= spec.k as usize {
                evidence.outputs[0][row] = rank as f64;
                evidence.shares[0][row] = 1.0;
                // The first that has no rank: behind it, neither has this one.
                if let Some((order, name)) = worst.get(spec.k as usize).filter(|_| is_own) {
                    let edge = spec.value(*order);
                    evidence.expected[0][row] = edge as f32;
                    evidence.statistics[0][row] = (*value - edge) as f32;
                    evidence.before[0][row] = match name.as_slice() < key {
                        // Of equal values the keys decide.
                        true => spec.without_rank(edge),
                        false => spec.without_rank(spec.behind(edge, unit)),
                    };
                }
            }
        }
    }
}
