//! The details of a hit: how bad it is, and the number behind it.
//!
//! Looked at for hits only, which are few; so a failure here is one of a row that a rule hit.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use event::{Batch, DataType, Hit, RowFailure, Verdict};

use crate::judging::RuleHit;
use crate::{Asked, Rule};

/// The hits with what their rules say of them, without the rows for which an expression failed; and those,
/// ascending. `asked` is who is asked about each rule's hits.
pub(crate) fn reach(
    rules: &[Rule],
    asked: &[Asked],
    batch: &Batch,
    hits: Vec<RuleHit>,
) -> (Vec<Hit>, Vec<RowFailure>) {
    let mut verdicts: Vec<Hit> =
        hits.iter().map(|hit| Hit { row: hit.row, verdict: None, change: None }).collect();
    let mut failures: Vec<RowFailure> = Vec::new();
    for (rank, (rule, asked)) in rules.iter().zip(asked).enumerate() {
        let rank = rank as u16;
        if !hits.iter().any(|hit| hit.rule == Some(rank)) {
            continue;
        }
        let score = rule.score.as_ref().map(|score| (score.evaluate(batch), score.data_type()));
        let escalate = rule.escalate.as_ref().map(|(when, severity)| (when.evaluate(batch), *severity));
        for (hit, place) in hits.iter().zip(&mut verdicts).filter(|(hit, _)| hit.rule == Some(rank)) {
            let row = hit.row as usize;
            let severity = match &escalate {
                Some((value, severity)) if holds(&value.column, row) => *severity,
                _ => rule.severity,
            };
            let severity = match rule.agreement {
                Some(enough) => asked.about(batch, row).raise(severity, enough),
                None => severity,
            };
            let score = score.as_ref().and_then(|(value, t)| number(&value.column, *t, row));
            place.verdict = Some(Verdict { rule: rank, severity, score, threshold: rule.threshold });
        }
        let failed = score.into_iter().map(|(value, _)| value).chain(escalate.into_iter().map(|(v, _)| v));
        for failure in failed.flat_map(|value| value.failures) {
            // The rule's expressions saw all rows that any rule hit: only its own hits concern it.
            let hit = RuleHit { row: failure.row as u32, rule: Some(rank) };
            if hits.binary_search(&hit).is_ok() {
                failures.push(failure);
            }
        }
    }
    failures.sort_by_key(|failure| failure.row);
    failures.dedup_by_key(|failure| failure.row);
    if !failures.is_empty() {
        verdicts.retain(|hit| failures.binary_search_by_key(&(hit.row as usize), |f| f.row).is_err());
    }
    (verdicts, failures)
}

fn holds(condition: &ArrayRef, row: usize) -> bool {
    let condition = condition.as_boolean();
    condition.is_valid(row) && condition.value(row)
}

fn number(column: &ArrayRef, data_type: DataType, row: usize) -> Option<f64> {
    if column.is_null(row) {
        return None;
    }
    match data_type {
        DataType::Double => Some(column.as_primitive::<Float64Type>().value(row)),
        DataType::Bigint => Some(column.as_primitive::<Int64Type>().value(row) as f64),
        DataType::Decimal { scale, .. } => {
            let unscaled = column.as_primitive::<Decimal128Type>().value(row);
            Some(unscaled as f64 / 10_f64.powi(i32::from(scale)))
        }
        _ => None,
    }
}
