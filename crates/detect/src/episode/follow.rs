//! Follows the episodes of rows that are judged: what the rules hit goes to [`Episodes`], and only what changes one comes out.
//!
//! What is over has no row of its own: it becomes one with the key, its last bad window, and no features.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, new_null_array};
use arrow_select::concat::concat;
use event::{Batch, Detected, Hit, Muted, Span, Spans, Verdict};

use super::life_cycle::{Change, Judged};
use super::{EpisodeChange, Episodes};
use crate::Detection;
use crate::detection::window_columns;

/// A row that corrects what was said of its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrected {
    /// Encoded key.
    pub key: Vec<u8>,
    /// Its window, and where it stands in the order of outputs.
    pub span: Span,
}

impl Detection {
    /// Keeps of what the rules hit only what changes an episode. The rows of a key come in the order in which they are due, over
    /// all calls, and each window once, or, where it may be [corrected](Detection::correcting), a second time. `corrected` are all rows
    /// of that kind that were judged, hit or not.
    pub fn follow(
        &self,
        mut detected: Detected,
        corrected: &[Corrected],
        episodes: &mut Episodes,
    ) -> Detected {
        let (mut shown, mut over) = (Vec::new(), Vec::new());
        let mutes = self.muting(&detected);
        let mut still_bad: BTreeSet<(&[u8], i64, u16)> = BTreeSet::new();
        let keys = detected.keys.clone();
        for hit in std::mem::take(&mut detected.hits) {
            let Some(verdict) = hit.verdict else { continue };
            let (row, rule) = (hit.row as usize, verdict.rule);
            let span = detected.spans.of(row);
            // A row that a record causes may be due before its own time, even at no time at all.
            let is_corrected = self.is_correction(&span);
            let result = if is_corrected { span.window.due() } else { span.due };
            let muted = mutes.of(rule, row, result.max(span.window.end.saturating_sub(1)));
            let judged = Judged { span, severity: verdict.severity, muted };
            let mut show = |changed: EpisodeChange, is_about_it| match is_about_it {
                false => over.push(changed),
                true => {
                    let verdict = Verdict { severity: changed.change.severity, ..verdict };
                    shown.push(Hit {
                        verdict: Some(verdict),
                        change: Some(in_short(&changed.change)),
                        ..hit
                    });
                }
            };
            let key = keys.value(row);
            if is_corrected {
                still_bad.insert((key, span.window.end, rule));
                episodes.correct((key, rule), (result, span), Some(judged), &mut show);
            } else {
                episodes.bad(key, rule, judged, &mut |changed| {
                    let is_about_it = changed.change.kind.is_alarm();
                    show(changed, is_about_it);
                });
            }
        }
        // Of a row that failed nothing is known that would correct anything.
        let failed = &detected.failed;
        let failed: BTreeSet<(&[u8], i64)> = (0..failed.details.len())
            .map(|row| (failed.keys.value(row), failed.spans.of(row).window.end))
            .collect();
        for Corrected { key, span } in corrected {
            if failed.contains(&(key.as_slice(), span.window.end)) {
                continue;
            }
            for rule in 0..self.rules().len() as u16 {
                if !still_bad.contains(&(key.as_slice(), span.window.end, rule)) {
                    let place = (span.window.due(), *span);
                    episodes.correct((key, rule), place, None, &mut |changed, _| over.push(changed));
                }
            }
        }
        self.with_ends(Detected { hits: shown, ..detected }, over)
    }

    /// Whether a row is the second one of its window, or the first one of a window that had none in time.
    fn is_correction(&self, span: &Span) -> bool {
        self.lateness > 0 && span.due > span.window.due()
    }

    /// The rows among those that are judged which correct what was said of their windows.
    pub fn corrected(&self, keys: &BinaryArray, spans: &Spans) -> Vec<Corrected> {
        let own = spans.own().unwrap_or_default().iter().enumerate();
        let row = |(row, span): (usize, &Span)| Corrected { key: keys.value(row).to_vec(), span: *span };
        own.filter(|(_, span)| self.is_correction(span)).map(row).collect()
    }

    /// Which rows some time of silence is about.
    fn muting(&self, detected: &Detected) -> Muting<'_> {
        let when = self.mutes.iter().map(|mute| {
            let when = mute.when.as_ref().filter(|_| !detected.hits.is_empty())?;
            Some(when.evaluate(&detected.batch).column)
        });
        Muting { detection: self, when: when.collect() }
    }

    /// What is over because event time has come to `reached`, and all rows that are due until then were followed; `None` if
    /// nothing is, as mostly.
    pub fn advance(&self, reached: i64, episodes: &mut Episodes) -> Option<Detected> {
        let mut over = Vec::new();
        episodes.advance(reached, &mut |changed| over.push(changed));
        (!over.is_empty()).then(|| self.with_ends(self.nothing(), over))
    }

    /// Adds a row for each change that has none.
    fn with_ends(&self, detected: Detected, over: Vec<EpisodeChange>) -> Detected {
        if over.is_empty() {
            return detected;
        }
        let rows = detected.batch.rows();
        let keys = BinaryArray::from_iter_values(over.iter().map(|changed| &changed.key));
        let own: Vec<Span> = over.iter().map(|changed| changed.change.span).collect();
        let schema = self.row_schema().schema();
        let mut columns = self.key_shape().decode(&keys);
        columns.extend(window_columns(&Spans::Own(own.clone()), 0..over.len()));
        let computed = &schema.fields()[columns.len()..];
        columns.extend(computed.iter().map(|field| new_null_array(&field.data_type.arrow(), over.len())));
        let ends = over.iter().zip(rows as u32..).map(|(EpisodeChange { rule, change, .. }, row)| {
            let threshold = self.rules()[usize::from(*rule)].threshold;
            let verdict = Verdict { rule: *rule, severity: change.severity, score: None, threshold };
            Hit { row, verdict: Some(verdict), change: Some(in_short(change)) }
        });
        let spans = (0..rows).map(|row| detected.spans.of(row)).chain(own).collect();
        let columns =
            detected.batch.columns().iter().zip(&columns).map(|(before, after)| joined(before, after));
        Detected {
            spans: Spans::Own(spans),
            keys: joined_keys(&detected.keys, &keys),
            batch: Batch::new(Arc::clone(schema), columns.collect(), rows + over.len()),
            hits: detected.hits.into_iter().chain(ends).collect(),
            evidence: detected.evidence,
            explanations: Vec::new(),
            failed: detected.failed,
        }
    }
}

/// The job's times of silence, and which of the rows that were hit each is about.
struct Muting<'a> {
    detection: &'a Detection,
    when: Vec<Option<ArrayRef>>,
}

impl Muting<'_> {
    /// Which of them a hit of a rule falls into, at that time: the first.
    fn of(&self, rule: u16, row: usize, time: i64) -> Option<Muted> {
        let Detection { mutes, rules, .. } = self.detection;
        let rule = &rules[usize::from(rule)].id;
        let is_about = |when: &Option<ArrayRef>| {
            when.as_ref().is_none_or(|when| when.is_valid(row) && when.as_boolean().value(row))
        };
        let rank = mutes.iter().zip(&self.when).position(|(mute, when)| {
            (mute.rules.is_empty() || mute.rules.contains(rule)) && mute.times.has(time) && is_about(when)
        })?;
        Some(Muted(rank as u16))
    }
}

fn in_short(change: &Change) -> event::Change {
    let Change { kind, first_end, windows, muted, .. } = *change;
    event::Change { kind, first_end, windows, muted }
}

fn joined(before: &ArrayRef, after: &ArrayRef) -> ArrayRef {
    if before.is_empty() {
        return Arc::clone(after);
    }
    concat(&[before.as_ref(), after.as_ref()]).expect("columns of one type, whose rows fit in one column")
}

fn joined_keys(before: &BinaryArray, after: &BinaryArray) -> BinaryArray {
    let before = before.iter().map(Option::unwrap_or_default);
    BinaryArray::from_iter_values(before.chain(after.iter().map(Option::unwrap_or_default)))
}
