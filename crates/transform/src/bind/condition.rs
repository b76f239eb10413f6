//! `CASE` in both forms.

use event::DataType;
use sqlparser::ast::{CaseWhen, Expr};

use super::operator::comparison_bound;
use super::{Binder, Bound, Operand, Result, common_type, interval_choice};
use crate::ExpressionError;
use crate::kernel::comparison::Comparison;

impl Binder<'_> {
    pub(super) fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        expression: &Expr,
    ) -> Result<Operand> {
        let span = self.source.span(expression);
        let operand = operand.map(|operand| self.operand(operand)).transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for branch in conditions {
            whens.push(match &operand {
                None => self.boolean(&branch.condition)?,
                Some(operand) => {
                    let at = self.source.span(&branch.condition);
                    match (operand.clone(), self.operand(&branch.condition)?) {
                        (Operand::Value(operand), Operand::Value(value)) => {
                            let at = value.span.clone();
                            comparison_bound(Comparison::Equal, operand, value, at)?
                        }
                        (operand, value) => self.compare_intervals(Comparison::Equal, operand, value, at)?,
                    }
                }
            });
            results.push(self.operand(&branch.result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.operand(otherwise)?,
            None => Operand::Value(Bound::null(span.clone())),
        });
        if interval_choice::any_interval(&results) {
            let otherwise = results.remove(results.len() - 1);
            return interval_choice::case(&whens, results, otherwise, span).map(Operand::Interval);
        }
        let results = results.into_iter().filter_map(Operand::value).collect();
        let (mut results, data_type) = one_type(results, "the results of CASE")?;
        let otherwise = results.pop().unwrap_or_else(|| Bound::null(span.clone()));
        let case = Bound::case(whens.into_iter().zip(results).collect(), otherwise, data_type, span)?;
        Ok(Operand::Value(case))
    }
}

/// Operands that must be of one type, in that type.
pub(crate) fn one_type(operands: Vec<Bound>, what: &str) -> Result<(Vec<Bound>, DataType)> {
    let data_type = match common_type(&operands) {
        Ok(common) => common.unwrap_or(DataType::Bigint),
        Err(odd) => {
            let first = operands.iter().find(|operand| operand.data_type.is_some()).unwrap_or(odd);
            let message = format!(
                "{what} must be of one type: the first is a {}, this is a {}",
                first.type_name(),
                odd.type_name()
            );
            let help = first.data_type.and_then(|wanted| super::conversion_help(odd, wanted));
            return Err(ExpressionError::new(message, odd.span.clone()).maybe_help(help));
        }
    };
    let operands =
        operands.into_iter().map(|operand| operand.widened(data_type)).collect::<Result<Vec<_>>>()?;
    Ok((operands, data_type))
}
