//! `CASE` in both forms.

use event::DataType;
use sqlparser::ast::{CaseWhen, Expr};

use super::operator::comparison_bound;
use super::{Binder, Bound, Result, common_type};
use crate::ExpressionError;
use crate::kernel::comparison::Comparison;

impl Binder<'_> {
    pub(super) fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        expression: &Expr,
    ) -> Result<Bound> {
        let span = self.source.span(expression);
        let operand = operand.map(|operand| self.bind(operand)).transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for branch in conditions {
            whens.push(match &operand {
                None => self.boolean(&branch.condition)?,
                Some(operand) => {
                    let value = self.bind(&branch.condition)?;
                    let at = value.span.clone();
                    comparison_bound(Comparison::Equal, operand.clone(), value, at)?
                }
            });
            results.push(self.bind(&branch.result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.bind(otherwise)?,
            None => Bound::null(span.clone()),
        });
        let (mut results, data_type) = one_type(results, "the results of CASE")?;
        let otherwise = results.pop().unwrap_or_else(|| Bound::null(span.clone()));
        Bound::case(whens.into_iter().zip(results).collect(), otherwise, data_type, span)
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
