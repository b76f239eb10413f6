//! The alert object: a CloudEvents 1.0 event in JSON, its fields always in the same order.
//!
//! Holds nothing that differs between two runs: no wall clock, no worker, no epoch.

use std::fmt::Write;

use event::{
    CapGroup, Capped, Cause, ChangeKind, Detected, Hit, Muted, Outcome, RowSchema, Severity, Spans, Window,
};

use crate::cap::{CapSpec, RollUp};
use crate::explained::append_explanation;
use crate::identity::{Origin, append_episode, append_id, episode};
use crate::instant::append_instant;
use crate::json::{JsonColumn, append_double, append_string, member};
use crate::rollup::RollUpObject;
use crate::summary::Summary;

/// What an alert says of its rule besides what `detect` finds.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// The rule's name in the config.
    pub id: String,
    /// The sentence of its alerts.
    pub summary: Option<Summary>,
}

/// Writes alert objects of one job.
#[derive(Debug, Clone)]
pub(crate) struct AlertObject {
    job: String,
    /// Which of its branches, where there are several.
    branch: Option<String>,
    row: RowSchema,
    /// By rank.
    rules: Vec<AlertRule>,
    /// Names of what mutes alerts, by rank.
    mutes: Vec<String>,
    /// The columns of the row that make a group of a cap, with their names.
    cap_by: Vec<(usize, String)>,
    /// The rules whose alerts a cap counts; all if there is none.
    cap_rules: Vec<String>,
    /// From behind the id to the value of `subject`.
    source: Vec<u8>,
    /// `"name":` of every column of the row.
    members: Vec<Vec<u8>>,
}

/// What was detected, with what all alerts of it share.
pub(crate) struct Page<'a> {
    detected: &'a Detected,
    columns: &'a [JsonColumn<'a>],
    /// The window's object and its end, if all rows are of one window.
    shared: Option<[Vec<u8>; 2]>,
}

impl<'a> Page<'a> {
    /// `columns` are those of the batch that was detected, with instants as RFC 3339.
    pub(crate) fn new(detected: &'a Detected, columns: &'a [JsonColumn<'a>]) -> Self {
        let shared = match &detected.spans {
            Spans::Shared(window) => {
                let (mut object, mut end) = (Vec::new(), Vec::new());
                append_window(*window, &mut object);
                append_quoted_instant(window.end, &mut end);
                Some([object, end])
            }
            Spans::Own(_) => None,
        };
        Page { detected, columns, shared }
    }

    /// Appends the window of a row, which is `window`.
    fn append_window(&self, window: Window, out: &mut Vec<u8>) {
        match &self.shared {
            Some([object, _]) => out.extend_from_slice(object),
            None => append_window(window, out),
        }
    }

    /// Appends the end of a row's window, which is `window`.
    fn append_end(&self, window: Window, out: &mut Vec<u8>) {
        match &self.shared {
            Some([_, end]) => out.extend_from_slice(end),
            None => append_quoted_instant(window.end, out),
        }
    }
}

impl AlertObject {
    /// `rules` are ordered by name here, whatever their order.
    pub(crate) fn new(job: &str, row: RowSchema, mut rules: Vec<AlertRule>) -> Self {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let source = format!(r#"","source":"tidewatch/{}","type":"tidewatch.alert""#, uri_segment(job));
        let members = row.schema().fields().iter().map(|field| member(&field.name)).collect();
        AlertObject {
            job: job.to_owned(),
            branch: None,
            row,
            rules,
            mutes: Vec::new(),
            cap_by: Vec::new(),
            cap_rules: Vec::new(),
            source: source.into_bytes(),
            members,
        }
    }

    /// The same for one of several branches.
    pub(crate) fn of_branch(self, name: &str) -> Self {
        AlertObject { branch: Some(name.to_owned()), ..self }
    }

    /// The branch, where there are several.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    /// The same where something mutes alerts, by these names.
    pub(crate) fn muted(self, mutes: Vec<String>) -> Self {
        AlertObject { mutes, ..self }
    }

    /// The same where a cap counts alerts.
    pub(crate) fn capping(self, cap: &CapSpec) -> Self {
        let fields = self.row.schema().fields();
        let cap_by = cap.by.iter().map(|column| (*column, fields[*column].name.clone())).collect();
        AlertObject { cap_by, cap_rules: cap.rules.clone(), ..self }
    }

    /// Name of what mutes an alert, unless the job does not have that any more.
    pub(crate) fn mute(&self, Muted(rank): Muted) -> Option<&str> {
        self.mutes.get(usize::from(rank)).map(String::as_str)
    }

    /// What a cap is to know of the alert of a hit; nothing of one that is muted, or of a rule that it does not count.
    pub(crate) fn capped(
        &self,
        page: &Page<'_>,
        (place, hit): (usize, &Hit),
        (branch, explains): (u16, bool),
    ) -> Option<Capped> {
        let (row, rule) = (hit.row as usize, self.rule(hit)?);
        let change = hit.change.filter(|change| change.muted.is_none())?;
        if !self.cap_rules.is_empty() && !self.cap_rules.contains(&rule.id) {
            return None;
        }
        let value = |(column, _): &(usize, String)| {
            let mut value = Vec::new();
            page.columns[*column].append(row, &mut value);
            value
        };
        let mut key = Vec::new();
        append_key(&page.columns[self.row.keys()], row, &mut key);
        let origin = Origin { job: &self.job, branch: self.branch.as_deref(), rule: Some(&rule.id) };
        let values = self.cap_by.iter().map(value).collect();
        Some(Capped {
            group: CapGroup { branch, rule: rule.id.clone(), values },
            key,
            severity: hit.verdict.map_or(Severity::Info, |verdict| verdict.severity),
            episode: episode(origin, page.detected.keys.value(row), change.first_end),
            is_alarm: change.kind.is_alarm(),
            is_first: matches!(change.kind, ChangeKind::Opened | ChangeKind::Reopened),
            causes: if explains { causes(page.detected, place) } else { Vec::new() },
        })
    }

    /// Appends the one alert for all that a cap kept back of a group in a minute.
    pub(crate) fn append_roll_up(&self, rolled: &RollUp, out: &mut Vec<u8>) {
        let by: Vec<String> = self.cap_by.iter().map(|(_, name)| name.clone()).collect();
        RollUpObject { job: &self.job, branch: self.branch.as_deref(), by: &by }.append(rolled, out);
    }

    /// The columns of a row.
    pub(crate) fn row(&self) -> &RowSchema {
        &self.row
    }

    /// Name of the rule that a hit belongs to.
    pub(crate) fn rule(&self, hit: &Hit) -> Option<&AlertRule> {
        hit.verdict.map(|verdict| &self.rules[usize::from(verdict.rule)])
    }

    /// Appends the alert of a hit, at that place of the hits. `scratch` is for the summary; without `explains` nothing is said of
    /// why.
    pub(crate) fn append(
        &self,
        page: &Page<'_>,
        (place, hit): (usize, &Hit),
        explains: bool,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let row = hit.row as usize;
        let (detected, columns) = (page.detected, page.columns);
        let keys = &columns[self.row.keys()];
        let (key, span) = (detected.keys.value(row), detected.spans.of(row));
        let rule = self.rule(hit);
        let rule_id = rule.map(|rule| rule.id.as_str());

        out.extend_from_slice(br#"{"specversion":"1.0","id":""#);
        let origin = Origin { job: &self.job, branch: self.branch.as_deref(), rule: rule_id };
        append_id(origin, key, span, out);
        out.extend_from_slice(&self.source);
        scratch.clear();
        append_key_text(keys, row, scratch);
        // CloudEvents has no empty subject.
        if !scratch.is_empty() {
            out.extend_from_slice(br#","subject":"#);
            append_utf8(scratch, out);
        }
        out.extend_from_slice(br#","time":"#);
        page.append_end(span.window, out);
        out.extend_from_slice(br#","datacontenttype":"application/json","data":{"job":"#);
        append_string(&self.job, out);
        if let Some(branch) = &self.branch {
            out.extend_from_slice(br#","branch":"#);
            append_string(branch, out);
        }
        out.extend_from_slice(br#","rule":"#);
        append_optional(rule_id, out);
        out.extend_from_slice(br#","severity":"#);
        append_optional(hit.verdict.map(|verdict| verdict.severity.name()), out);
        out.extend_from_slice(br#","key":"#);
        append_key(keys, row, out);
        out.extend_from_slice(br#","window":"#);
        page.append_window(span.window, out);
        match span.outcome {
            Outcome::Result => {}
            Outcome::Early => out.extend_from_slice(br#","early":true"#),
            Outcome::Revised => {
                out.extend_from_slice(format!(r#","revision":{}"#, span.sequence).as_bytes());
            }
        }
        if let Some(change) = hit.change {
            let (state, windows) = (change.kind.name(), change.windows);
            out.extend_from_slice(format!(r#","state":"{state}","windows":{windows}"#).as_bytes());
            if let Some(muted) = change.muted {
                out.extend_from_slice(br#","muted":"#);
                append_optional(self.mute(muted), out);
            }
        }
        out.extend_from_slice(br#","features":"#);
        self.append_columns(columns, self.row.features(), row, out);
        out.extend_from_slice(br#","score":"#);
        append_number(hit.verdict.and_then(|verdict| verdict.score), out);
        out.extend_from_slice(br#","scores":"#);
        self.append_columns(columns, self.row.scores(), row, out);
        out.extend_from_slice(br#","threshold":"#);
        append_number(hit.verdict.and_then(|verdict| verdict.threshold), out);
        if explains {
            out.extend_from_slice(br#","explanation":"#);
            append_explanation(detected.explanations.get(place).and_then(Option::as_ref), out);
        }
        out.extend_from_slice(br#","summary":"#);
        // What is over has no features that a sentence could name.
        let is_over = hit.change.is_some_and(|change| !change.kind.is_alarm());
        let summary = rule.and_then(|rule| rule.summary.as_ref()).filter(|_| !is_over);
        match (summary, rule_id, &hit.verdict) {
            (Some(summary), Some(rule), Some(verdict)) => {
                scratch.clear();
                summary.append(columns, keys.len(), row, rule, verdict, scratch);
                append_utf8(scratch, out);
            }
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","episode":""#);
        append_episode(origin, key, hit.change.map_or(span.first_end, |change| change.first_end), out);
        out.extend_from_slice(br#""}}"#);
    }

    /// Appends a row that has no alert, for a person who asks why: its key, window and features.
    pub(crate) fn append_row(
        &self,
        columns: &[JsonColumn<'_>],
        row: usize,
        window: Window,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(br#"{"key":"#);
        append_key(&columns[self.row.keys()], row, out);
        out.extend_from_slice(br#","window":"#);
        append_window(window, out);
        out.extend_from_slice(br#","features":"#);
        self.append_columns(columns, self.row.features(), row, out);
        out.push(b'}');
    }

    fn append_columns(
        &self,
        columns: &[JsonColumn<'_>],
        places: std::ops::Range<usize>,
        row: usize,
        out: &mut Vec<u8>,
    ) {
        out.push(b'{');
        for place in places.clone() {
            if place > places.start {
                out.push(b',');
            }
            out.extend_from_slice(&self.members[place]);
            columns[place].append(row, out);
        }
        out.push(b'}');
    }
}

/// Appends a key: the value of its only field, or an array of them.
fn append_key(keys: &[JsonColumn<'_>], row: usize, out: &mut Vec<u8>) {
    if let [key] = keys {
        return key.append(row, out);
    }
    out.push(b'[');
    for (place, key) in keys.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        key.append(row, out);
    }
    out.push(b']');
}

/// Appends a key as text: that of its only field bare, or the JSON array of them.
pub(crate) fn append_key_text(keys: &[JsonColumn<'_>], row: usize, out: &mut Vec<u8>) {
    match keys {
        [key] => key.append_text(row, out),
        _ => append_key(keys, row, out),
    }
}

fn append_utf8(text: &[u8], out: &mut Vec<u8>) {
    append_string(&String::from_utf8_lossy(text), out);
}

fn append_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => append_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn append_number(value: Option<f64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => append_double(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

pub(crate) fn append_quoted_instant(micros: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    append_instant(micros, out);
    out.push(b'"');
}

pub(crate) fn append_window(window: Window, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"start":"#);
    append_quoted_instant(window.start, out);
    out.extend_from_slice(br#","end":"#);
    append_quoted_instant(window.end, out);
    out.push(b'}');
}

/// A name as a segment of a URI's path (RFC 3986): everything but unreserved characters percent-encoded.
pub(crate) fn uri_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // A string takes every write.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

/// What drove the alert of a hit, at that place of the hits.
fn causes(detected: &Detected, place: usize) -> Vec<(String, Cause)> {
    let explanation = detected.explanations.get(place).and_then(Option::as_ref);
    let drivers = explanation.into_iter().flat_map(|explanation| &explanation.drivers);
    drivers.map(|driver| (driver.feature.clone(), Cause::of(driver))).collect()
}
