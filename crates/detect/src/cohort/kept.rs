//! What a worker has told of its rows, so that it can be taken back: when a row is corrected, and when no row can be any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::bin_of;

use super::saved::{SavedRows, Saving};
use super::{Change, Group, Member, TopSpec};
use crate::detector::{Detector, Method};

/// What a worker tells of its rows of one window end.
#[derive(Debug, Clone, PartialEq)]
pub struct Members {
    /// Ordinal of the detector.
    pub(crate) detector: u16,
    pub(crate) end: i64,
    /// When the rows are due.
    pub(crate) due: i64,
    /// What cohorts have in common, encoded.
    pub(crate) names: Vec<Arc<[u8]>>,
    /// Cohort, value and key of each. The key is empty where nothing asks for it, the value NaN where one is missing.
    pub(crate) rows: Vec<(u32, f64, Vec<u8>)>,
}

/// What a worker has told in one branch: which detectors ask, and of which window ends.
#[derive(Debug)]
pub struct Cohorts {
    /// By ordinal of the detector.
    ways: Vec<Option<Way>>,
    pub(super) shapes: Vec<String>,
    /// How long after a window is due its rows may be corrected.
    lateness: i64,
    pub(super) told: BTreeMap<(i64, u16), Told>,
    /// All rows that are due before this are told.
    before: i64,
    pub(super) saving: Saving,
}

/// What is asked of members.
#[derive(Debug, Clone)]
enum Way {
    Percentile,
    Worst(TopSpec),
}

/// What was told of the rows of a window end for a detector.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// All changes, by when the rows are due: what takes them back.
    changes: BTreeMap<(i64, Vec<u8>, Member), isize>,
    /// Cohort and value of each key, where rows may be corrected.
    pub(super) rows: BTreeMap<Vec<u8>, Row>,
    /// The members of each cohort that may be among the worst.
    placed: BTreeMap<Vec<u8>, Placed>,
    /// Keys of which no snapshot says what they are by now.
    pub(super) changed: BTreeSet<Vec<u8>>,
}

/// Cohort and value of a key.
pub(super) type Row = (Vec<u8>, f64);
/// From the worst on.
type Placed = BTreeSet<(u64, Vec<u8>)>;
/// Changes of the members of cohorts.
type Changes = BTreeMap<(Vec<u8>, Member), isize>;

impl Cohorts {
    /// Of these detectors: nothing is told yet. `None` where none of them asks for cohorts.
    pub(crate) fn new(detectors: &[Detector]) -> Option<Cohorts> {
        let way = |detector: &Detector| match &detector.method {
            Method::Cohort { .. } => Some(Way::Percentile),
            Method::Top { spec, .. } => Some(Way::Worst(spec.clone())),
            _ => None,
        };
        let ways: Vec<Option<Way>> = detectors.iter().map(way).collect();
        let groupings = detectors.iter().filter_map(|detector| detector.method.grouping());
        let lateness = groupings.map(|grouping| grouping.lateness).max()?;
        Some(Cohorts {
            ways,
            shapes: detectors.iter().map(Detector::shape).collect(),
            lateness,
            told: BTreeMap::new(),
            before: i64::MIN,
            saving: Saving::default(),
        })
    }

    /// Notes what is told of rows, and says what that changes. A row of a key that has one already replaces it.
    pub fn tell(&mut self, members: Members) -> Vec<Change> {
        let Members { detector, end, due, names, rows } = members;
        let Some(Some(way)) = self.ways.get(usize::from(detector)) else { return Vec::new() };
        let told = self.told.entry((end, detector)).or_default();
        let corrected = self.lateness > 0;
        let changes = match way {
            Way::Percentile => told.count(&names, rows, corrected),
            Way::Worst(spec) => told.place(spec, &names, rows, corrected),
        };
        let changes = changes.into_iter().filter(|(_, diff)| *diff != 0);
        let change = |((cohort, member), diff): ((Vec<u8>, Member), isize)| {
            *told.changes.entry((due, cohort.clone(), member.clone())).or_default() += diff;
            Change { group: Group { detector, end, cohort }, member, due, diff }
        };
        changes.map(change).collect()
    }

    /// All rows that are due before `before` were told. Takes back what was told of window ends of which no row could be corrected any
    /// more when this was called before: by now all workers have told all of them.
    pub fn advance(&mut self, before: i64) -> Vec<Change> {
        let passed = std::mem::replace(&mut self.before, before);
        let mut changes = Vec::new();
        while let Some(entry) = self.told.first_entry()
            && is_over(entry.key().0, self.lateness, passed)
        {
            let ((end, detector), told) = entry.remove_entry();
            for ((due, cohort, member), told) in told.changes {
                let group = Group { detector, end, cohort };
                changes.push(Change { group, member, due, diff: -told });
            }
        }
        changes
    }

    /// Takes in what a snapshot says, after all that were taken before it. `owns` says whether a key belongs here. Rows of a detector
    /// that is another one by now are left out.
    pub fn restore(&mut self, saved: SavedRows, owns: &dyn Fn(&[u8]) -> bool) {
        let Some(detector) = self.shapes.iter().position(|shape| *shape == saved.shape) else { return };
        let told = self.told.entry((saved.end, detector as u16)).or_default();
        for (key, row) in saved.rows.into_iter().filter(|(key, _)| owns(key)) {
            match row {
                Some(row) => told.rows.insert(key, row),
                None => told.rows.remove(&key),
            };
        }
    }

    /// All that was told of rows that were restored, as if none of them had been corrected since.
    pub fn tell_again(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for ((end, detector), told) in std::mem::take(&mut self.told) {
            let mut names: Vec<Arc<[u8]>> = Vec::new();
            let mut rows = Vec::with_capacity(told.rows.len());
            let mut places: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            for (key, (cohort, value)) in told.rows {
                let place = *places.entry(cohort).or_insert_with_key(|cohort| {
                    names.push(Arc::from(cohort.as_slice()));
                    names.len() as u32 - 1
                });
                rows.push((place, value, key));
            }
            changes.extend(self.tell(Members { detector, end, due: end.saturating_sub(1), names, rows }));
        }
        changes
    }
}

/// Whether no row of a window end is corrected, where all rows are known that are due before `before`.
pub(super) fn is_over(end: i64, lateness: i64, before: i64) -> bool {
    end.saturating_sub(1).saturating_add(lateness) < before
}

impl Told {
    /// Notes the row of a key, and gives the one that it had.
    fn replace(&mut self, key: Vec<u8>, row: Option<Row>) -> Option<Row> {
        self.changed.insert(key.clone());
        match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        }
    }

    fn count(&mut self, names: &[Arc<[u8]>], rows: Vec<(u32, f64, Vec<u8>)>, corrected: bool) -> Changes {
        let mut counted: BTreeMap<(u32, i32), isize> = BTreeMap::new();
        let mut changes = Changes::new();
        for (cohort, value, key) in rows {
            let known = !value.is_nan();
            if corrected {
                let row = known.then(|| (names[cohort as usize].to_vec(), value));
                if let Some((cohort, value)) = self.replace(key, row) {
                    *changes.entry((cohort, Member::Bin(bin_of(value)))).or_default() -= 1;
                }
            }
            if known {
                *counted.entry((cohort, bin_of(value))).or_default() += 1;
            }
        }
        for ((cohort, bin), count) in counted {
            *changes.entry((names[cohort as usize].to_vec(), Member::Bin(bin))).or_default() += count;
        }
        changes
    }

    fn place(
        &mut self,
        spec: &TopSpec,
        names: &[Arc<[u8]>],
        rows: Vec<(u32, f64, Vec<u8>)>,
        corrected: bool,
    ) -> Changes {
        // One more than have a rank: what is behind them is where another one would have none.
        let k = spec.k as usize + 1;
        let worst = |placed: Option<&Placed>| -> Vec<(u64, Vec<u8>)> {
            placed.into_iter().flatten().take(k).cloned().collect()
        };
        let mut before: BTreeMap<Vec<u8>, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        for (cohort, value, key) in rows {
            let row = (!value.is_nan()).then(|| (names[cohort as usize].to_vec(), value));
            let old = if corrected { self.replace(key.clone(), row.clone()) } else { None };
            if let Some((cohort, value)) = old {
                let placed = self.placed.entry(cohort.clone()).or_default();
                before.entry(cohort).or_insert_with(|| worst(Some(placed)));
                placed.remove(&(spec.order(value), key.clone()));
            }
            if let Some((cohort, value)) = row {
                let placed = self.placed.entry(cohort.clone()).or_default();
                let member = (spec.order(value), key);
                // Without corrections whoever is behind the worst now will never be among them.
                if !corrected && placed.len() >= k && placed.last().is_some_and(|last| *last < member) {
                    continue;
                }
                before.entry(cohort).or_insert_with(|| worst(Some(placed)));
                placed.insert(member);
                if !corrected && placed.len() > k {
                    placed.pop_last();
                }
            }
        }
        let mut changes = Changes::new();
        for (cohort, before) in before {
            let after = worst(self.placed.get(&cohort));
            for (members, diff) in [(before, -1), (after, 1)] {
                for (order, key) in members {
                    *changes.entry((cohort.clone(), Member::Placed { order, key })).or_default() += diff;
                }
            }
        }
        changes
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
