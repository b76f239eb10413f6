//! The best that a threshold on one number does, with episodes of the same life as those of a config.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;

use event::{ChangeKind, Severity};
use testkit::oracle::episodes::{Life, episodes};

use super::measure::{Alert, figures, number};
use super::plan::{Plan, Planted};

/// Values of a column that are tried, from the highest on: as shares of all rows.
const SHARES: [f64; 14] =
    [0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.15];
const SLIDE_MS: f64 = 60_000.0;

/// All rows of a config: of each key the windows, and the columns.
pub struct Rows {
    names: Vec<String>,
    keys: BTreeMap<String, Vec<Row>>,
}

struct Row {
    start: i64,
    end: i64,
    values: Vec<Option<f64>>,
}

/// A threshold on a column.
pub struct Naive {
    column: String,
    /// Whether what lies above is bad.
    is_above: bool,
    limit: f64,
}

/// What the features and scores of a config are, in each window of each key.
pub fn rows(plan: &Plan, seed: u64, folder: &Path) -> Rows {
    let key = plan.setting("key");
    let names: Vec<String> = ["features]", "score]"].iter().flat_map(|name| plan.names(name)).collect();
    let more = [&key, "window_start", "window_end"].map(str::to_owned);
    let columns: Vec<String> = more.iter().chain(&names).cloned().collect();
    let mut keys: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in plan.run(&plan.without_rules(), seed, &columns, folder) {
        let time = |name: &str| row[name].as_i64().expect("a time");
        let values = names.iter().map(|name| number(&row, name)).collect();
        let of_key = keys.entry(row[&key].as_str().expect("a text").to_owned()).or_default();
        of_key.push(Row { start: time("window_start"), end: time("window_end"), values });
    }
    Rows { names, keys }
}

impl Naive {
    /// The alerts that it gives.
    pub fn alerts(&self, plan: &Plan, rows: &Rows) -> Vec<Alert> {
        let place = rows.names.iter().position(|name| *name == self.column).expect("a column");
        let life = life(plan);
        let slide = slide(plan);
        let mut alerts = Vec::new();
        for (key, rows) in &rows.keys {
            let is_bad = |row: &&Row| {
                row.values[place].is_some_and(|value| match self.is_above {
                    true => value > self.limit,
                    false => value < self.limit,
                })
            };
            let bad: Vec<(i64, Severity)> =
                rows.iter().filter(is_bad).map(|row| (row.end / slide, Severity::Warning)).collect();
            let length = rows.first().map_or(0, |row| row.end - row.start);
            let until = bad.last().map_or(0, |(end, _)| end + life.resolve_after);
            for word in episodes(life, &bad, until) {
                let to = word.about * slide;
                match word.kind {
                    ChangeKind::Opened | ChangeKind::Reopened => {
                        alerts.push(Alert { key: key.clone(), from: to - length, opened: to, to });
                    }
                    _ => alerts.last_mut().expect("an alert").to = to,
                }
            }
        }
        alerts
    }
}

/// The best threshold on these rows, by the harmonic mean of precision and recall.
pub fn best(plan: &Plan, rows: &Rows, truth: &[Planted]) -> Naive {
    let mut best: Option<(f64, Naive)> = None;
    for (place, column) in rows.names.iter().enumerate() {
        let values = rows.keys.values().flatten().filter_map(|row| row.values[place]);
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        for (is_above, share) in
            [true, false].into_iter().flat_map(|above| SHARES.map(|share| (above, share)))
        {
            let from_end = (share * values.len() as f64) as usize;
            let at = if is_above { values.len().checked_sub(from_end + 1) } else { Some(from_end) };
            let Some(limit) = at.and_then(|at| values.get(at)).copied() else { continue };
            let naive = Naive { column: column.clone(), is_above, limit };
            let worth = figures(&naive.alerts(plan, rows), truth).f1();
            if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                best = Some((worth, naive));
            }
        }
    }
    best.expect("a column").1
}

impl Display for Naive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:.3}", self.column, if self.is_above { ">" } else { "<" }, self.limit)
    }
}

fn slide(plan: &Plan) -> i64 {
    let text = plan.setting("slide");
    let minutes: f64 = text.trim_end_matches('m').parse().expect("minutes");
    (minutes * SLIDE_MS) as i64
}

/// The config's `[alerts]`, in slides. A cooldown changes which word is said, not how many.
fn life(plan: &Plan) -> Life {
    let text = plan.setting("open_after");
    let (bad_windows, within) = text.split_once(" of ").expect("M of N");
    let minutes = |name: &str| -> i64 {
        plan.setting(name).trim_end_matches('m').parse::<i64>().expect("minutes") * SLIDE_MS as i64
    };
    Life {
        bad_windows: bad_windows.parse().expect("a number"),
        within: within.parse().expect("a number"),
        resolve_after: minutes("resolve_after") / slide(plan),
        longest: 60 * SLIDE_MS as i64 / slide(plan),
        cooldown: 30 * SLIDE_MS as i64 / slide(plan),
    }
}
