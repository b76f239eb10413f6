//! The features of an alert beside those that its events give.

use dataflow::Job;
use dataflow::explain::{Asked, Evidence, Row};
use serde_json::Value;

/// What came of computing the features once more.
pub(super) struct Comparison {
    /// How many events the row is of.
    pub(super) records: u64,
    /// The features as JSON, by name; or why there are none.
    pub(super) features: Result<Vec<(String, Value)>, String>,
    /// The features that differ: the name, what the alert says, and what the events give.
    pub(super) differences: Vec<(String, Value, Value)>,
    /// Why a difference would say nothing, if that is so.
    pub(super) doubt: Option<&'static str>,
}

impl Comparison {
    pub(super) fn of(job: &Job, asked: &Asked, alert: &Value, evidence: &Evidence) -> Self {
        let said = &alert["data"]["features"];
        let row = Row::of_events(job, asked, evidence);
        let recalls = row.as_ref().is_ok_and(Row::recalls);
        let records = row.as_ref().map_or(0, |row| row.records);
        let features = row.map(|row| {
            let parsed = |(name, json): (String, String)| {
                // What is no JSON is shown as it is.
                let value = serde_json::from_str(&json).unwrap_or(Value::String(json));
                (name, value)
            };
            row.features().into_iter().map(parsed).collect::<Vec<_>>()
        });
        let own = features.iter().flatten();
        let differences = own
            .filter(|(name, value)| said.get(name) != Some(value))
            .map(|(name, value)| (name.clone(), said[name].clone(), value.clone()))
            .collect();
        let data = &alert["data"];
        let doubts = [
            (!evidence.unread.is_empty(), "not all of the source could be read"),
            (!evidence.is_whole(), "of some events nobody can say whether the window held them"),
            (recalls, "some features ask for earlier rows of the key, which are not computed again"),
            (records == 0 && asked.may_be_empty(job), "the key had gone quiet: the row is of no event"),
            (asked.before == i64::MAX, "the row is of a number of records, not of a time"),
            (data.get("early").is_some(), "the row was put out before the window ended"),
            (data["state"] == "resolved", "the alert says that an episode is over"),
            (data["state"] == "withdrawn", "the alert says that an episode never was"),
        ];
        let doubt = doubts.into_iter().find_map(|(holds, why)| holds.then_some(why));
        Comparison { records, features, differences, doubt }
    }

    /// Whether the events give what the alert says.
    pub(super) fn is_equal(&self) -> bool {
        self.features.is_ok() && self.differences.is_empty()
    }

    /// Whether they give something else although all of them were found.
    pub(super) fn contradicts(&self) -> bool {
        !self.is_equal() && self.doubt.is_none()
    }
}
