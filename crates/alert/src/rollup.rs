//! The roll-up: one object that speaks for all alerts of a group that a cap kept back in a minute.
//!
//! A CloudEvents 1.0 event as alerts are, of a type of its own, with what tables and topics ask of an alert: an id, a job, a rule,
//! a key and a window.

use event::{CapGroup, CappedMinute, Cause, ChangeKind, Driver, Explanation, Window};

use crate::cap::RollUp;
use crate::explained::append_explanation;
use crate::identity::{Origin, append_roll_up, append_roll_up_episode};
use crate::json::append_string;
use crate::object::{append_quoted_instant, append_window, uri_segment};

/// Drivers that are named at most.
const DRIVERS_MAX: usize = 5;

/// Writes the roll-ups of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RollUpObject<'a> {
    pub(crate) job: &'a str,
    /// Which of its branches, where there are several.
    pub(crate) branch: Option<&'a str>,
    /// Names of the columns that make a group, in the order of its values.
    pub(crate) by: &'a [String],
}

impl RollUpObject<'_> {
    pub(crate) fn append(self, rolled: &RollUp, out: &mut Vec<u8>) {
        let RollUp { group, start, end, first, counted } = rolled;
        let window = Window { start: *start, end: *end };
        out.extend_from_slice(br#"{"specversion":"1.0","id":""#);
        let origin = Origin { job: self.job, branch: self.branch, rule: Some(&group.rule) };
        append_roll_up(origin, &group.values, *start, out);
        let source =
            format!(r#"","source":"tidewatch/{}","type":"tidewatch.rollup","#, uri_segment(self.job));
        out.extend_from_slice(source.as_bytes());
        out.extend_from_slice(br#""subject":"#);
        append_string(&group.rule, out);
        out.extend_from_slice(br#","time":"#);
        append_quoted_instant(*end, out);
        out.extend_from_slice(br#","datacontenttype":"application/json","data":{"job":"#);
        append_string(self.job, out);
        if let Some(branch) = self.branch {
            out.extend_from_slice(br#","branch":"#);
            append_string(branch, out);
        }
        out.extend_from_slice(br#","rule":"#);
        append_string(&group.rule, out);
        out.extend_from_slice(br#","severity":"#);
        match counted.worst {
            Some(severity) => append_string(severity.name(), out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","key":"#);
        append_values(&group.values, out);
        out.extend_from_slice(br#","window":"#);
        append_window(window, out);
        out.extend_from_slice(br#","group":{"#);
        for (place, (name, value)) in self.by.iter().zip(&group.values).enumerate() {
            out.extend_from_slice(if place > 0 { b"," } else { b"" });
            append_string(name, out);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.extend_from_slice(br#"},"episode":""#);
        append_roll_up_episode(origin, &group.values, *first, out);
        let state = if first == start { ChangeKind::Opened } else { ChangeKind::Updated };
        out.extend_from_slice(br#"","state":"#);
        append_string(state.name(), out);
        let CappedMinute { sent, kept_back, keys, examples, .. } = counted;
        let counts = format!(
            r#","alerts":{},"sent":{sent},"kept_back":{kept_back},"keys":{},"examples":["#,
            sent + kept_back,
            keys.len()
        );
        out.extend_from_slice(counts.as_bytes());
        out.extend_from_slice(&examples.join(&b','));
        out.extend_from_slice(br#"],"explanation":"#);
        append_explanation(explanation(counted).as_ref(), out);
        out.extend_from_slice(br#","summary":"#);
        append_string(&self.summary(group, counted), out);
        out.extend_from_slice(b"}}");
    }

    /// A sentence for a person.
    fn summary(self, group: &CapGroup, counted: &CappedMinute) -> String {
        let CappedMinute { sent, kept_back, keys, .. } = counted;
        let of = |(name, value): (&String, &Vec<u8>)| format!("{name} {}", String::from_utf8_lossy(value));
        let group_words: Vec<String> = self.by.iter().zip(&group.values).map(of).collect();
        let whose =
            if group_words.is_empty() { String::new() } else { format!(" ({})", group_words.join(", ")) };
        let (rule, alerts, keys) = (&group.rule, sent + kept_back, keys.len());
        format!(
            "{rule}{whose}: {alerts} alerts of {keys} keys in a minute, {kept_back} of them only told here"
        )
    }
}

/// What drove the alerts together, the largest share first. No change of one key would have kept all of them from being alerts.
fn explanation(counted: &CappedMinute) -> Option<Explanation> {
    let alerts = counted.sent + counted.kept_back;
    let driver = |(feature, cause): (&String, &Cause)| cause.driver(feature, alerts);
    let mut drivers: Vec<Driver> = counted.causes.iter().map(driver).collect();
    drivers.sort_by(|a, b| b.share.total_cmp(&a.share));
    drivers.truncate(DRIVERS_MAX);
    drivers.retain(|driver| driver.share > 0.0);
    (!drivers.is_empty()).then_some(Explanation { drivers, nearest: None })
}

/// The values of a group: nothing, the only one, or an array.
fn append_values(values: &[Vec<u8>], out: &mut Vec<u8>) {
    match values {
        [] => out.extend_from_slice(b"null"),
        [value] => out.extend_from_slice(value),
        values => {
            out.push(b'[');
            out.extend_from_slice(&values.join(&b','));
            out.push(b']');
        }
    }
}
