//! The gap of a session that each record brings along: an expression in seconds, as microseconds.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_buffer::BooleanBuffer;
use event::{DataType, Expression, Schema};

use crate::ExpressionError;
use crate::bind::{Binder, Condition, Place};
use crate::compiled::Compiled;
use crate::source::Source;
use crate::value::{Failures, Scope};

/// The longest gap that a session may have, as where all have the same.
const LONGEST: i64 = 366 * 86_400 * event::MICROS_PER_SECOND;

/// A compiled gap.
#[derive(Debug)]
pub(crate) struct Gap {
    seconds: Compiled,
    /// In microseconds.
    longest: i64,
}

/// Compiles the gap of a session: a number of seconds, over the columns of a record.
///
/// # Errors
/// If it is no expression, or not a number.
pub fn compile_gap_expression(sql: &str, schema: &Schema) -> Result<(), ExpressionError> {
    compile_gap(sql, None, schema, None).map(|_| ())
}

/// The same, of records for which a condition holds: it does not fail on others. No gap is more than `longest`
/// microseconds.
pub(crate) fn compile_gap(
    sql: &str,
    longest: Option<i64>,
    schema: &Schema,
    only: Option<&Condition>,
) -> Result<Gap, ExpressionError> {
    let source = Source::new(sql);
    let bound = Binder::new(&source, schema, Place::Row).bind(&source.parse()?)?;
    let bound = match only {
        Some(only) => only.of(bound)?,
        None => bound,
    };
    let compiled = Compiled::new(bound, schema)?;
    match compiled.data_type() {
        DataType::Double | DataType::Bigint => {
            Ok(Gap { seconds: compiled, longest: longest.unwrap_or(LONGEST).min(LONGEST) })
        }
        other => {
            let message = format!("the gap of a session is a number of seconds, not a {other}");
            Err(ExpressionError::new(message, source.whole()).help("write for instance CAST(x AS double)"))
        }
    }
}

impl Gap {
    pub(crate) fn columns(&self) -> Vec<usize> {
        self.seconds.columns()
    }

    /// The gap of each row; rows without one fail, if they are among those that `mask` asks for.
    pub(crate) fn micros(
        &self,
        scope: Scope,
        mask: Option<&BooleanBuffer>,
        failures: &mut Failures,
    ) -> Vec<i64> {
        let column = self.seconds.column(scope, failures);
        let mut failed = vec![false; scope.rows];
        failures.iter().for_each(|failure| failed[failure.row] = true);
        let mut gaps = Vec::with_capacity(scope.rows);
        for (row, failed) in failed.into_iter().enumerate() {
            let micros = if column.is_null(row) {
                None
            } else if let Some(seconds) = column.as_primitive_opt::<Float64Type>() {
                Some((seconds.value(row) * event::MICROS_PER_SECOND as f64).round() as i64)
            } else {
                Some(column.as_primitive::<Int64Type>().value(row).saturating_mul(event::MICROS_PER_SECOND))
            };
            let wrong = match micros {
                None => Some("NULL"),
                Some(micros) if micros <= 0 => Some("not above zero"),
                Some(micros) if micros > self.longest => Some("too long"),
                Some(_) => None,
            };
            let asked = mask.is_none_or(|mask| mask.value(row));
            if let Some(wrong) = wrong.filter(|_| !failed && asked) {
                failures.push(row, format!("the gap of the session is {wrong}"));
            }
            gaps.push(micros.filter(|_| wrong.is_none()).unwrap_or(1));
        }
        gaps
    }
}
