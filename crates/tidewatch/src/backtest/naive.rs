//! What a single threshold would have found: the least that a job has to be better than.
//!
//! One column of the rows of features, one side, one number: windows at or beyond it are bad, and those of a key that overlap
//! or touch are one episode with one alert, which lasts no longer than those of the job do: else the threshold that is always exceeded
//! would find everything with one. All columns and both sides are tried, at quantiles that lie the denser the rarer
//! they are, and then more closely around the best one. Knows no config and does no IO.

use std::fmt;

use serde::{Serialize, Serializer};

use super::measure::{Bout, Incidents, Measures, Tally};
use super::rows::{Rows, Table};

/// Quantiles that are tried of each column, on each side.
const QUANTILES: usize = 96;
/// Ranks that are tried between the neighbours of the best one.
const CLOSER: usize = 32;

/// On which side of a threshold windows are bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    /// At it or below.
    #[serde(rename = "<=")]
    Below,
    /// At it or above.
    #[serde(rename = ">=")]
    Above,
}

/// A threshold over one column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threshold {
    /// The branch of the job, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The feature or score.
    pub column: String,
    /// Which side is bad.
    pub side: Side,
    /// The number, of single precision.
    #[serde(serialize_with = "shortest")]
    pub value: f32,
    /// The number of the branch, from 0.
    #[serde(skip)]
    pub(super) table: usize,
}

/// Writes a number with the fewest digits that name it: as a double it would have more.
fn shortest<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(value.to_string().parse().unwrap_or(f64::from(*value)))
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = self.branch.iter().map(|branch| format!("{branch}.")).collect::<String>();
        let side = match self.side {
            Side::Below => "<=",
            Side::Above => ">=",
        };
        write!(f, "{branch}{} {side} {}", self.column, self.value)
    }
}

/// Where a threshold is sought.
#[derive(Clone, Copy)]
struct Place {
    table: usize,
    column: usize,
    side: Side,
}

/// A threshold by its rank among the values of its column, and what it is worth.
#[derive(Clone, Copy)]
struct Tried {
    place: Place,
    rank: usize,
    value: f32,
    f1: f64,
}

/// The threshold with the largest F1 over these rows. None without a number to compare, or if none finds anything.
pub(super) fn fit(rows: &Rows, incidents: &Incidents) -> Option<Threshold> {
    let mut best: Option<(Tried, Vec<f32>)> = None;
    for (number, table) in rows.tables.iter().enumerate() {
        for (column, values) in table.values.iter().enumerate() {
            let sorted = sorted(values);
            for side in [Side::Below, Side::Above] {
                let place = Place { table: number, column, side };
                let found = best_of(table, place, &sorted, &quantiles(sorted.len()), incidents);
                let before = best.as_ref().map_or(0.0, |(tried, _)| tried.f1);
                if let Some(found) = found.filter(|found| found.f1 > before) {
                    best = Some((found, sorted.clone()));
                }
            }
        }
    }
    let (coarse, sorted) = best?;
    let table = &rows.tables[coarse.place.table];
    let ranks = between(coarse.rank, &quantiles(sorted.len()));
    let fine = best_of(table, coarse.place, &sorted, &ranks, incidents).filter(|fine| fine.f1 > coarse.f1);
    let Tried { place, value, .. } = fine.unwrap_or(coarse);
    let column = table.columns[place.column].clone();
    Some(Threshold { branch: None, column, side: place.side, value, table: place.table })
}

/// What a threshold is worth over these rows, of keys that were watched for so many hours together. None if there is no such
/// column.
pub(super) fn apply(
    threshold: &Threshold,
    rows: &Rows,
    incidents: &Incidents,
    key_hours: f64,
) -> Option<Measures> {
    let table = rows.tables.get(threshold.table)?;
    let column = table.columns.iter().position(|column| *column == threshold.column)?;
    let mut tally = Tally::new(incidents);
    count(table, column, threshold.side, threshold.value, &mut tally);
    Some(tally.measures(key_hours))
}

/// The best of the thresholds at these ranks, the first of equals.
fn best_of(
    table: &Table,
    place: Place,
    sorted: &[f32],
    ranks: &[usize],
    incidents: &Incidents,
) -> Option<Tried> {
    let mut best: Option<Tried> = None;
    let mut last = None;
    for rank in ranks {
        let value = match place.side {
            Side::Below => *sorted.get(*rank)?,
            Side::Above => *sorted.get(sorted.len().checked_sub(rank + 1)?)?,
        };
        if last == Some(value) {
            continue;
        }
        last = Some(value);
        let mut tally = Tally::new(incidents);
        count(table, place.column, place.side, value, &mut tally);
        let f1 = tally.f1();
        if f1 > best.map_or(0.0, |best| best.f1) {
            best = Some(Tried { place, rank: *rank, value, f1 });
        }
    }
    best
}

/// Adds the episodes of a threshold.
fn count(table: &Table, column: usize, side: Side, threshold: f32, tally: &mut Tally<'_>) {
    let mut open: Option<(u32, Bout)> = None;
    for (row, value) in table.values[column].iter().enumerate() {
        let is_bad = match side {
            Side::Below => *value <= threshold,
            Side::Above => *value >= threshold,
        };
        if !is_bad {
            continue;
        }
        let (key, start, end) = (table.keys[row], table.starts[row], table.ends[row]);
        match &mut open {
            Some((of, bout))
                if *of == key && start <= bout.end && end.saturating_sub(bout.start) <= table.longest =>
            {
                bout.end = bout.end.max(end);
            }
            _ => {
                if let Some((of, bout)) = open.replace((key, Bout { start, known: end, end, opens: true })) {
                    tally.add(of, &[bout]);
                }
            }
        }
    }
    if let Some((of, bout)) = open {
        tally.add(of, &[bout]);
    }
}

/// The values that there are, ascending.
fn sorted(values: &[f32]) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    sorted
}

/// Ranks from 0 up to the middle of so many values, in steps that grow with the rank.
fn quantiles(count: usize) -> Vec<usize> {
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    let middle = (last / 2) as f64;
    let rank = |step: usize| {
        let share = step as f64 / (QUANTILES - 1) as f64;
        ((middle + 1.0).powf(share) - 1.0).round() as usize
    };
    let mut ranks: Vec<usize> = (0..QUANTILES).map(rank).collect();
    ranks.dedup();
    ranks
}

/// Ranks between the neighbours of one of these, evenly.
fn between(rank: usize, ranks: &[usize]) -> Vec<usize> {
    let at = ranks.partition_point(|other| *other < rank);
    let low = at.checked_sub(1).map_or(rank, |before| ranks[before]);
    let high = ranks.get(at + 1).copied().unwrap_or(rank);
    let mut closer: Vec<usize> = (0..=CLOSER).map(|step| low + (high - low) * step / CLOSER).collect();
    closer.dedup();
    closer
}

#[cfg(test)]
mod tests {
    use event::{DataType, Field};
    use serde_json::json;

    use super::super::keys::{KeyForm, Keys};
    use super::super::labels::{Label, Labels};
    use super::super::rows::{ROOM, Shape};
    use super::*;

    const MINUTE: i64 = 60_000;

    /// Rows of users, one a minute, with the values that `of` gives for a user and a minute.
    fn rows(users: i64, minutes: i64, of: impl Fn(i64, i64) -> [f64; 2]) -> (Rows, Keys) {
        let form = KeyForm::new(&[Field::new("user", DataType::Bigint)]);
        let columns = vec!["calm".to_owned(), "noise".to_owned()];
        let mut rows = Rows::new(vec![Shape { columns, overlap: 0, longest: 60 * MINUTE * 1000 }], ROOM);
        let mut keys = Keys::default();
        for minute in 0..minutes {
            for user in 0..users {
                let [calm, noise] = of(user, minute);
                let (start, end) = (minute * MINUTE, (minute + 1) * MINUTE);
                let line =
                    json!({ "0": user, "1": start, "2": end, "3": 0.0, "4": calm, "5": noise }).to_string();
                rows.take(line.as_bytes(), &form, &mut keys).unwrap();
            }
        }
        rows.sort();
        (rows, keys)
    }

    /// Each fifth user has an incident from minute 20 to 30.
    fn incidents(users: i64, keys: &mut Keys) -> Incidents {
        let label = |user| Label {
            key: json!(user),
            kind: String::new(),
            from: 20 * MINUTE,
            to: 30 * MINUTE - 1,
            cohort: None,
        };
        let labels = Labels { labels: (0..users).step_by(5).map(label).collect() };
        Incidents::new(&labels, |key| keys.number(key.to_string()))
    }

    fn is_wrong(user: i64, minute: i64) -> bool {
        user % 5 == 0 && (20..30).contains(&minute)
    }

    #[test]
    fn a_column_that_tells_incidents_apart_is_found_with_its_side_and_threshold() {
        for side in [Side::Above, Side::Below] {
            let sign = if side == Side::Above { 1.0 } else { -1.0 };
            let (rows, mut keys) = rows(50, 60, |user, minute| {
                let ordinary = ((user * 31 + minute * 17) % 10) as f64;
                [if is_wrong(user, minute) { 12.5 * sign } else { ordinary * sign }, ordinary]
            });
            let incidents = incidents(50, &mut keys);
            let threshold = fit(&rows, &incidents).unwrap();
            assert_eq!((threshold.column.as_str(), threshold.side), ("calm", side));
            assert_eq!(f64::from(threshold.value), 12.5 * sign, "{threshold}");
            let measures = apply(&threshold, &rows, &incidents, 50.0).unwrap();
            assert_eq!((measures.precision, measures.recall), (Some(1.0), Some(1.0)));
            assert_eq!((measures.episodes, measures.alerts), (10, 10), "ten minutes are one episode");
            assert_eq!(measures.delay_s.p95, Some(60.0));
            assert_eq!(measures.alerts_per_1000_key_hours, Some(200.0));
        }
    }

    #[test]
    fn the_best_of_all_thresholds_is_hardly_better_than_the_one_that_is_found() {
        let noise = |user: i64, minute: i64| ((user * 7919 + minute * 104_729) % 1009) as f64 / 1009.0;
        let of = |user, minute| {
            let lift = if is_wrong(user, minute) { 0.35 } else { 0.0 };
            [noise(user, minute) + lift, noise(minute, user)]
        };
        let (rows, mut keys) = rows(60, 60, of);
        let incidents = incidents(60, &mut keys);
        let found = apply(&fit(&rows, &incidents).unwrap(), &rows, &incidents, 1.0).unwrap();
        let mut best = 0.0f64;
        for column in 0..2 {
            for side in [Side::Below, Side::Above] {
                for value in sorted(&rows.tables[0].values[column]) {
                    let mut tally = Tally::new(&incidents);
                    count(&rows.tables[0], column, side, value, &mut tally);
                    best = best.max(tally.f1());
                }
            }
        }
        assert!(found.f1.unwrap() >= best - 0.03, "{found:?}, and the best is {best}");
    }

    #[test]
    fn a_threshold_of_other_data_is_measured_as_it_is() {
        let (train, mut train_keys) =
            rows(10, 40, |user, minute| [if is_wrong(user, minute) { 5.0 } else { 1.0 }, 0.0]);
        let threshold = fit(&train, &incidents(10, &mut train_keys)).unwrap();
        // Here the same number is nothing special.
        let (other, mut keys) = rows(10, 40, |_, _| [6.0, 0.0]);
        let measures = apply(&threshold, &other, &incidents(10, &mut keys), 1.0).unwrap();
        assert_eq!(
            (measures.precision, measures.recall),
            (Some(0.2), Some(1.0)),
            "each user is one long episode"
        );
    }

    #[test]
    fn what_is_always_bad_is_not_one_episode_that_finds_all() {
        let (rows, mut keys) = rows(10, 10 * 60, |_, _| [1.0, 0.0]);
        let measures =
            apply(&fit(&rows, &incidents(10, &mut keys)).unwrap(), &rows, &incidents(10, &mut keys), 1.0);
        let measures = measures.unwrap();
        assert_eq!((measures.episodes, measures.precision), (100, Some(0.02)), "an hour each");
    }

    #[test]
    fn without_a_number_or_an_incident_there_is_no_threshold() {
        let (rows, mut keys) = rows(5, 5, |_, _| [f64::NAN, f64::NAN]);
        assert_eq!(fit(&rows, &incidents(5, &mut keys)), None);
        let (rows, _) = self::rows(5, 5, |_, minute| [minute as f64, 0.0]);
        assert_eq!(fit(&rows, &Incidents::default()), None);
    }

    #[test]
    fn ranks_are_dense_where_values_are_rare_and_reach_the_middle() {
        assert_eq!(quantiles(0), Vec::<usize>::new());
        assert_eq!(quantiles(1), [0]);
        assert_eq!(quantiles(5), [0, 1, 2]);
        let many = quantiles(1_000_001);
        assert_eq!((many[0], many[1], *many.last().unwrap()), (0, 1, 500_000));
        assert!(many.is_sorted() && many.len() > 80);
        assert_eq!(between(1, &[0, 1, 2]), [0, 1, 2]);
        assert_eq!(between(0, &[0, 100]).first(), Some(&0));
        assert_eq!(between(100, &[0, 100]).last(), Some(&100));
    }
}
