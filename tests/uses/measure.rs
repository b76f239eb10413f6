//! What alerts are worth beside the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::path::Path;

use serde_json::Value;

use super::plan::{Plan, Planted};

/// An episode from its opening to its end, in milliseconds. One that is opened again is another alert.
#[derive(Debug, Clone)]
pub struct Alert {
    pub key: String,
    /// The window that opened it began then, and ended then.
    pub from: i64,
    pub opened: i64,
    /// Its last bad window ended then.
    pub to: i64,
}

/// How good alerts are.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Share of the alerts that find an incident.
    pub precision: f64,
    /// Share of the incidents that an alert finds.
    pub recall: f64,
    /// Alerts for each incident that is found.
    pub alerts_per_incident: f64,
    /// From the beginning of an incident to the end of the window that opens its first alert: the median.
    pub delay_s: f64,
}

impl Figures {
    pub fn f1(&self) -> f64 {
        2.0 * self.precision * self.recall / (self.precision + self.recall).max(f64::MIN_POSITIVE)
    }

    /// The mean of several.
    pub fn mean(all: &[Figures]) -> Figures {
        let mean = |of: fn(&Figures) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        Figures {
            precision: mean(|f| f.precision),
            recall: mean(|f| f.recall),
            alerts_per_incident: mean(|f| f.alerts_per_incident),
            delay_s: mean(|f| f.delay_s),
        }
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { precision, recall, alerts_per_incident, delay_s } = self;
        write!(
            f,
            "precision {precision:.3}, recall {recall:.3}, {alerts_per_incident:.2} alerts an incident, \
             after {:.1} min",
            delay_s / 60.0
        )
    }
}

/// The alerts of a config on a seed.
pub fn alerts(plan: &Plan, seed: u64, folder: &Path) -> Vec<Alert> {
    let key = plan.setting("key");
    let columns = [&key, "rule", "state", "window_start", "window_end"].map(str::to_owned);
    let mut open: BTreeMap<(String, String), Alert> = BTreeMap::new();
    let mut over = Vec::new();
    for word in plan.run(&plan.text, seed, &columns, folder) {
        let text = |name: &str| word[name].as_str().expect("a text").to_owned();
        let time = |name: &str| word[name].as_i64().expect("a time");
        let whose = (text(&key), text("rule"));
        let (from, to) = (time("window_start"), time("window_end"));
        match word["state"].as_str() {
            Some("opened" | "reopened") => {
                open.insert(whose.clone(), Alert { key: whose.0, from, opened: to, to });
            }
            Some("updated") => open.get_mut(&whose).expect("an episode").to = to,
            Some("resolved") => {
                let alert = open.remove(&whose).expect("an episode");
                over.push(Alert { to, ..alert });
            }
            other => panic!("{other:?} is no state"),
        }
    }
    over.extend(open.into_values());
    over
}

/// What alerts are worth. An alert finds an incident of its key if its windows overlap it.
pub fn figures(alerts: &[Alert], truth: &[Planted]) -> Figures {
    let mut first: BTreeMap<usize, i64> = BTreeMap::new();
    let mut right = BTreeSet::new();
    for (number, alert) in alerts.iter().enumerate() {
        for (incident, planted) in truth.iter().enumerate() {
            if planted.key == alert.key && alert.from <= planted.to && planted.from < alert.to {
                right.insert(number);
                let first = first.entry(incident).or_insert(alert.opened);
                *first = (*first).min(alert.opened);
            }
        }
    }
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    let mut delays: Vec<i64> = first.iter().map(|(i, opened)| (opened - truth[*i].from).max(0)).collect();
    delays.sort_unstable();
    Figures {
        precision: share(right.len(), alerts.len()),
        recall: share(first.len(), truth.len()),
        alerts_per_incident: share(right.len(), first.len()),
        delay_s: delays.get(delays.len() / 2).map_or(f64::INFINITY, |delay| *delay as f64 / 1000.0),
    }
}

/// The number in a column of a row.
pub fn number(row: &Value, name: &str) -> Option<f64> {
    row[name].as_f64()
}
