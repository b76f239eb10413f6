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

/// The longest gap: a century, so that no time behind it is beyond reach.
const LONGEST: i64 = 36_525 * 86_400 * event::MICROS_PER_SECOND;

/// A compiled gap.
#[derive(Debug)]
pub(crate) struct Gap(Compiled);

/// Compiles the gap of a session: a number of seconds, over the columns of a record.
///
/// # Errors
/// If it is no expression, or not a number.
pub fn compile_gap_expression(sql: &str, schema: &Schema) -> Result<(), ExpressionError> {
    compile_gap(sql, schema, None).map(|_| ())
}

/// The same, of records for which a condition holds: it does not fail on others.
pub(crate) fn compile_gap(
    sql: &str,
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
        DataType::Double | DataType::Bigint => Ok(Gap(compiled)),
        other => {
            let message = format!("the gap of a session is a number of seconds, not a {other}");
            Err(ExpressionError::new(message, source.whole()).help("write for instance CAST(x AS double)"))
        }
    }
}

impl Gap {
    pub(crate) fn columns(&self) -> Vec<usize> {
        self.0.columns()
    }

    /// The gap of each row; rows without one fail, if they are among those that `mask` asks for.
    pub(crate) fn micros(
        &self,
        scope: Scope,
        mask: Option<&BooleanBuffer>,
        failures: &mut Failures,
    ) -> Vec<i64> {
        let column = self.0.column(scope, failures);
        let mut failed = vec![false; scope.rows];
        failures.iter().for_each(|failure| failed[failure.row] = true);
        let mut gaps = Vec::with_capacity(scope.rows);
        for row in 0..scope.rows {
            let micros = if column.is_null(row) {
                None
            } else if let Some(seconds) = column.as_primitive_opt::<Float64Type>() {
                Some((seconds.value(row) * event::MICROS_PER_SECOND as f64).round() as i64)
            } else {
                Some(column.as_primitive::<Int64Type>().value(row).saturating_mul(event::MICROS_PER_SECOND))
            };
            let good = micros.filter(|micros| *micros > 0);
            if good.is_none() && !failed[row] && mask.is_none_or(|mask| mask.value(row)) {
                let shown = if column.is_null(row) { "NULL" } else { "not above zero" };
                failures.push(row, format!("the gap of the session is {shown}"));
            }
            gaps.push(good.unwrap_or(1).min(LONGEST));
        }
        gaps
    }
}
