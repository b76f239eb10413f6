//! Operators: comparison, logic, intervals, `BETWEEN`, `IN`, `LIKE` and `||`.

use std::ops::Range;

use event::DataType;
use sqlparser::ast::{BinaryOperator, Expr, InTarget};

use super::arithmetic::{arithmetic_bound, arithmetic_of};
use super::{Binder, Bound, Operand, Result, common_type, conversion_help, interval_choice};
use crate::ExpressionError;
use crate::functions::{self, bit_operator, concatenate, pattern_operator};
use crate::kernel::comparison::{Comparison, between, comparison, in_integers, in_list, in_texts};
use crate::kernel::{like, logic};
use crate::node::Shape;

/// From this many constants on a list is searched instead of compared one by one.
const LIST_TO_SEARCH: usize = 4;

/// The comparison that an operator is.
pub(crate) fn comparison_of(operator: &BinaryOperator) -> Option<Comparison> {
    Some(match operator {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

impl Binder<'_> {
    pub(super) fn binary(
        &mut self,
        left: &Expr,
        operator: &BinaryOperator,
        right: &Expr,
        expression: &Expr,
    ) -> Result<Operand> {
        if matches!(operator, BinaryOperator::And | BinaryOperator::Or) {
            return self.junction(operator, expression).map(Operand::Value);
        }
        let operands = (self.operand(left)?, self.operand(right)?);
        match self.interval_operator(operator, operands.0, operands.1, expression) {
            Ok(with_interval) => with_interval,
            Err((left, right)) => self.of_values(operator, left, right, expression).map(Operand::Value),
        }
    }

    fn of_values(
        &mut self,
        operator: &BinaryOperator,
        left: Bound,
        right: Bound,
        expression: &Expr,
    ) -> Result<Bound> {
        let span = self.source.span(expression);
        if let Some(comparison) = comparison_of(operator) {
            return comparison_bound(comparison, left, right, span);
        }
        if let Some(arithmetic) = arithmetic_of(operator) {
            return arithmetic_bound(arithmetic, left, right, span);
        }
        let operands = vec![left, right];
        match operator {
            BinaryOperator::StringConcat => concatenate("||", operands, false, span),
            BinaryOperator::PGExp => functions::call("pow", operands, span),
            BinaryOperator::PGStartsWith => functions::call("starts_with", operands, span),
            BinaryOperator::PGRegexMatch => pattern_operator("~", operands, "", span),
            BinaryOperator::PGRegexNotMatch => negate(pattern_operator("!~", operands, "", span)?, true),
            BinaryOperator::PGRegexIMatch => pattern_operator("~*", operands, "i", span),
            BinaryOperator::PGRegexNotIMatch => negate(pattern_operator("!~*", operands, "i", span)?, true),
            bits => bit_operator(bits, operands, span).unwrap_or_else(|| {
                Err(self.error(expression, format!("the operator `{operator}` is not supported")))
            }),
        }
    }

    /// A chain of one operator is one junction: its length is no depth.
    fn junction(&mut self, operator: &BinaryOperator, expression: &Expr) -> Result<Bound> {
        let (mut terms, mut rest) = (Vec::new(), expression);
        while let Expr::BinaryOp { left, op, right } = rest
            && op == operator
        {
            terms.push(right.as_ref());
            rest = left.as_ref();
        }
        terms.push(rest);
        let terms = terms.into_iter().rev().map(|term| self.boolean(term)).collect::<Result<Vec<_>>>()?;
        Bound::junction(*operator == BinaryOperator::And, terms, self.source.span(expression))
    }

    pub(super) fn compare(
        &mut self,
        left: &Expr,
        operator: Comparison,
        right: &Expr,
        expression: &Expr,
    ) -> Result<Bound> {
        let span = self.source.span(expression);
        match (self.operand(left)?, self.operand(right)?) {
            (Operand::Value(left), Operand::Value(right)) => comparison_bound(operator, left, right, span),
            (left, right) => self.compare_intervals(operator, left, right, span),
        }
    }

    pub(super) fn between(
        &mut self,
        value: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
        expression: &Expr,
    ) -> Result<Bound> {
        let span = self.source.span(expression);
        let bound = match (self.operand(value)?, self.operand(low)?, self.operand(high)?) {
            (Operand::Value(value), Operand::Value(low), Operand::Value(high)) => {
                let (operands, data_type) = comparable(vec![value, low, high])?;
                if operands[2].node.fallible() {
                    between_in_steps(operands, span)?
                } else {
                    Bound::call("between", span, operands, DataType::Boolean, false, between(data_type))?
                }
            }
            (value, low, high) => {
                let (least, most) = (Comparison::GreaterOrEqual, Comparison::LessOrEqual);
                let above = self.compare_intervals(least, value.clone(), low, span.clone())?;
                let below = self.compare_intervals(most, value, high, span.clone())?;
                Bound::junction(true, vec![above, below], span)?
            }
        };
        negate(bound, negated)
    }

    pub(super) fn in_list(
        &mut self,
        value: &Expr,
        target: &InTarget,
        negated: bool,
        expression: &Expr,
    ) -> Result<Bound> {
        let InTarget::List(list) = target else {
            return Err(self.error(expression, "IN needs a list of values in parentheses"));
        };
        if list.is_empty() {
            return Err(self.error(expression, "the list of IN is empty"));
        }
        let mut operands = vec![self.operand(value)?];
        for item in list {
            operands.push(self.operand(item)?);
        }
        let span = self.source.span(expression);
        if interval_choice::any_interval(&operands) {
            let value = operands.remove(0);
            return negate(self.in_intervals(value, operands, span)?, negated);
        }
        let operands = operands.into_iter().filter_map(Operand::value).collect();
        let (operands, data_type) = comparable(operands)?;
        let (list, searched) = (&operands[1..], operands.len() > LIST_TO_SEARCH);
        let with_null = list.iter().any(Bound::is_null);
        let present = || list.iter().filter(|item| !item.is_null());
        let texts: Option<Vec<String>> =
            present().map(|item| item.constant_text().map(str::to_owned)).collect();
        let integers: Option<Vec<i64>> = present().map(Bound::constant_integer).collect();
        let kernel = match (texts, integers) {
            (Some(texts), None) if searched => Some(in_texts(texts, with_null)),
            (None, Some(integers)) if searched => Some(in_integers(integers, with_null)),
            _ => None,
        };
        let bound = match kernel {
            Some(kernel) => {
                let value = operands.into_iter().take(1).collect();
                Bound::call("in", span, value, DataType::Boolean, false, kernel)?
            }
            None => Bound::call("in", span, operands, DataType::Boolean, false, in_list(data_type))?,
        };
        negate(bound, negated)
    }

    /// `(fold, negated)`: `ILIKE` folds case.
    pub(super) fn like(
        &mut self,
        value: &Expr,
        pattern: &Expr,
        escape: Option<&sqlparser::ast::Expr>,
        (fold, negated): (bool, bool),
        expression: &Expr,
    ) -> Result<Bound> {
        let escape = match escape {
            None => None,
            Some(escape) => {
                let bound = self.bind(escape)?;
                let mut characters = bound.constant_text().unwrap_or_default().chars();
                match (characters.next(), characters.next()) {
                    (Some(one), None) => Some(one),
                    _ => return Err(ExpressionError::new("ESCAPE needs one character", bound.span)),
                }
            }
        };
        let (value, pattern) = (self.text(value, "LIKE")?, self.text(pattern, "LIKE")?);
        let span = self.source.span(expression);
        let bound = match pattern.constant_text() {
            Some(text) => {
                let kernel = like::constant(text, escape, fold)
                    .map_err(|detail| ExpressionError::new(detail, pattern.span.clone()))?;
                Bound::call("like", span, vec![value], DataType::Boolean, false, kernel)?
            }
            None => {
                let (operands, fallible) = (vec![value, pattern], escape.is_some());
                Bound::call("like", span, operands, DataType::Boolean, fallible, like::of_rows(escape, fold))?
            }
        };
        negate(bound, negated)
    }

    fn text(&mut self, expression: &Expr, what: &str) -> Result<Bound> {
        let bound = self.bind(expression)?;
        if bound.data_type.is_none_or(|data_type| data_type == DataType::Varchar) {
            return bound.widened(DataType::Varchar);
        }
        let message = format!("`{what}` needs a varchar, found a {}", bound.type_name());
        Err(ExpressionError::new(message, bound.span.clone())
            .maybe_help(conversion_help(&bound, DataType::Varchar)))
    }
}

/// `BETWEEN` whose upper end may fail: that end is needed only where the lower one does not decide.
fn between_in_steps(operands: Vec<Bound>, span: Range<usize>) -> Result<Bound> {
    let [value, low, high] =
        <[Bound; 3]>::try_from(operands).unwrap_or_else(|_| unreachable!("three operands"));
    let above = comparison_bound(Comparison::GreaterOrEqual, value.clone(), low, span.clone())?;
    let below = comparison_bound(Comparison::LessOrEqual, value, high, span.clone())?;
    Bound::junction(true, vec![above, below], span)
}

pub(super) fn negate(bound: Bound, negated: bool) -> Result<Bound> {
    if !negated {
        return Ok(bound);
    }
    Bound::call("not", bound.span.clone(), vec![bound], DataType::Boolean, false, logic::not())
}

/// The operands in their common type, or an error that points to the one to change.
pub(crate) fn comparable(operands: Vec<Bound>) -> Result<(Vec<Bound>, DataType)> {
    let data_type = match common_type(&operands) {
        // Comparing nothing but NULL gives NULL in any type.
        Ok(common) => common.unwrap_or(DataType::Boolean),
        Err(odd) => return Err(incomparable(&operands, odd)),
    };
    let operands =
        operands.into_iter().map(|operand| operand.widened(data_type)).collect::<Result<Vec<_>>>()?;
    Ok((operands, data_type))
}

fn incomparable(operands: &[Bound], odd: &Bound) -> ExpressionError {
    let first = operands.iter().find(|operand| operand.data_type.is_some()).unwrap_or(odd);
    let message = format!("a {} cannot be compared with a {}", first.type_name(), odd.type_name());
    // A constant is the operand that one would write differently.
    let constant = |bound: &Bound| matches!(bound.node, crate::node::Node::Constant(_));
    let (wrong, right) = if constant(first) && !constant(odd) { (first, odd) } else { (odd, first) };
    let help = right.data_type.and_then(|data_type| conversion_help(wrong, data_type));
    ExpressionError::new(message, wrong.span.clone()).maybe_help(help)
}

/// A comparison of two operands.
pub(super) fn comparison_bound(
    operator: Comparison,
    left: Bound,
    right: Bound,
    span: Range<usize>,
) -> Result<Bound> {
    let (operands, data_type) = comparable(vec![left, right])?;
    let equal_texts = (operator, data_type) == (Comparison::Equal, DataType::Varchar);
    let shape = if equal_texts { Shape::TextEquals } else { Shape::Other };
    let bound =
        Bound::call("compare", span, operands, DataType::Boolean, false, comparison(operator, data_type))?;
    Ok(bound.shaped(shape))
}
