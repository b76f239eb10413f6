//! From the parser's tree to typed steps: names are resolved, types checked, constants computed.

mod aggregate;
mod arithmetic;
mod bound;
mod call;
mod condition;
mod interval;
mod interval_choice;
mod lag;
mod literal;
mod operator;
mod window;

pub(crate) use aggregate::{Collector, Condition, InputName, Inputs};
pub(crate) use arithmetic::arithmetic_bound;
pub(crate) use bound::{Bound, common_type, conversion_help};
pub(crate) use call::is_built_in;
pub(crate) use condition::one_type;
pub(crate) use interval::BoundInterval;
pub(crate) use lag::PREVIOUS;
pub(crate) use operator::{comparable, comparison_of};
pub(crate) use window::WINDOW;

use std::ops::Range;

use event::{DataType, Schema};
use sqlparser::ast::{AccessExpr, Expr, Ident, Subscript, UnaryOperator};

use crate::ExpressionError;
use crate::functions::{self, at_time_zone, bit_not, similar_to, subscript};
use crate::kernel::arithmetic::negate;
use crate::kernel::comparison::Comparison;
use crate::kernel::logic;
use crate::nearest::{nearest, suggestion};
use crate::node::Shape;
use crate::source::Source;

/// Deepest nesting of the parser's tree.
const NESTING_MAX: usize = 150;

/// Where an expression stands: what its names are, and whether aggregates are allowed.
pub(crate) enum Place<'a> {
    /// Over the columns of records, or of rows of features.
    Row,
    /// The same, inside the argument or filter of an aggregate.
    Aggregate,
    /// Over the results of aggregates, which are collected.
    Features(&'a mut Collector),
}

/// What an expression is: a value of a type that columns have, or an interval.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Value(Bound),
    Interval(BoundInterval),
}

impl Operand {
    /// The value, if it is one.
    pub(crate) fn value(self) -> Option<Bound> {
        match self {
            Operand::Value(bound) => Some(bound),
            Operand::Interval(_) => None,
        }
    }

    /// The value; an interval is an error that points to it.
    pub(crate) fn into_value(self) -> Result<Bound> {
        match self {
            Operand::Value(bound) => Ok(bound),
            Operand::Interval(interval) => {
                Err(ExpressionError::new("an interval is no value of a column", interval.span)
                    .help("add it to a time, compare it with another, or take its length with epoch(..)"))
            }
        }
    }
}

/// Binds one expression.
pub(crate) struct Binder<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) schema: &'a Schema,
    pub(crate) place: Place<'a>,
    pub(crate) depth: usize,
}

pub(crate) type Result<T> = std::result::Result<T, ExpressionError>;

impl<'a> Binder<'a> {
    pub(crate) fn new(source: &'a Source<'a>, schema: &'a Schema, place: Place<'a>) -> Self {
        Binder { source, schema, place, depth: 0 }
    }

    /// Types an expression and everything below it, which must be a value.
    pub(crate) fn bind(&mut self, expression: &Expr) -> Result<Bound> {
        self.operand(expression)?.into_value()
    }

    /// Types an expression and everything below it.
    pub(crate) fn operand(&mut self, expression: &Expr) -> Result<Operand> {
        if self.depth >= NESTING_MAX {
            let message = format!("the expression is nested deeper than {NESTING_MAX} levels");
            return Err(ExpressionError::new(message, self.source.whole()));
        }
        self.depth += 1;
        let operand = self.dispatch(expression);
        self.depth -= 1;
        operand
    }

    /// Types a condition: true where it holds, false where it does not or is NULL.
    pub(crate) fn bind_filter(&mut self, expression: &Expr) -> Result<Bound> {
        self.truth_test(expression, true, false, expression)
    }

    /// What may be an interval; everything else is a value.
    fn dispatch(&mut self, expression: &Expr) -> Result<Operand> {
        match expression {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Identifier(name) => self.named(name),
            Expr::Interval(interval) => self.interval(interval).map(Operand::Interval),
            Expr::UnaryOp { op, expr } => self.unary(op, expr, expression),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, expression),
            Expr::Function(function) => self.function(function, expression),
            Expr::Cast { kind, expr, data_type, format: None, .. } => self.cast(kind, expr, data_type),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), expression)
            }
            other => self.value(other).map(Operand::Value),
        }
    }

    fn value(&mut self, expression: &Expr) -> Result<Bound> {
        match expression {
            Expr::CompoundIdentifier(names) => Err(self.compound_name(names, expression)),
            Expr::Value(value) => literal::value(&value.value, self.source.range(value.span)),
            Expr::TypedString(typed) => literal::typed(typed, self.source.range(typed.value.span)),
            Expr::IsNull(operand) => self.null_test(operand, false, expression),
            Expr::IsNotNull(operand) => self.null_test(operand, true, expression),
            Expr::IsTrue(operand) => self.truth_test(operand, true, false, expression),
            Expr::IsNotTrue(operand) => self.truth_test(operand, true, true, expression),
            Expr::IsFalse(operand) => self.truth_test(operand, false, false, expression),
            Expr::IsNotFalse(operand) => self.truth_test(operand, false, true, expression),
            Expr::IsUnknown(operand) => self.unknown_test(operand, false, expression),
            Expr::IsNotUnknown(operand) => self.unknown_test(operand, true, expression),
            Expr::IsDistinctFrom(left, right) => self.compare(left, Comparison::Distinct, right, expression),
            Expr::IsNotDistinctFrom(left, right) => {
                self.compare(left, Comparison::NotDistinct, right, expression)
            }
            Expr::Between { expr, negated, low, high } => self.between(expr, low, high, *negated, expression),
            Expr::In { expr, target, negated, .. } => self.in_list(expr, target, *negated, expression),
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), (false, *negated), expression)
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), (true, *negated), expression)
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char: None } => {
                let operands = vec![self.bind(expr)?, self.bind(pattern)?];
                let matched = similar_to(operands, self.source.span(expression))?;
                operator::negate(matched, *negated)
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let operands = vec![self.bind(time_zone)?, self.bind(timestamp)?];
                at_time_zone("AT TIME ZONE", operands, self.source.span(expression))
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.subscript(root, access_chain, expression)
            }
            other => self.special_function(other),
        }
    }

    fn name(&mut self, name: &Ident) -> Result<Bound> {
        let span = self.source.range(name.span);
        if let Place::Features(collector) = &self.place {
            return collector.feature(name, self.schema, span);
        }
        match self.schema.index_of(&name.value) {
            Some(index) => Ok(Bound::column(index, self.schema.fields()[index].data_type, span)),
            None => Err(unknown_column(name, self.schema, span)),
        }
    }

    fn compound_name(&self, names: &[Ident], expression: &Expr) -> ExpressionError {
        let full = names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(".");
        let error = self.error(expression, format!("unknown column `{full}`"));
        if self.schema.index_of(&full).is_some() {
            return error.help(format!("a name with a dot is quoted: \"{full}\""));
        }
        error.help("columns have no table; declare a field for a value inside an object")
    }

    fn null_test(&mut self, operand: &Expr, negated: bool, expression: &Expr) -> Result<Bound> {
        let span = self.source.span(expression);
        let operand = match self.operand(operand)? {
            Operand::Value(operand) => operand,
            Operand::Interval(interval) => return interval::null_test(interval, negated, span),
        };
        let name = if negated { "is_not_null" } else { "is_null" };
        Bound::call(name, span, vec![operand], DataType::Boolean, false, logic::is_null(negated))
    }

    fn truth_test(
        &mut self,
        operand: &Expr,
        wanted: bool,
        negated: bool,
        expression: &Expr,
    ) -> Result<Bound> {
        let operand = self.boolean(operand)?;
        let span = self.source.span(expression);
        Bound::call("is", span, vec![operand], DataType::Boolean, false, logic::is(wanted, negated))
    }

    fn unknown_test(&mut self, operand: &Expr, negated: bool, expression: &Expr) -> Result<Bound> {
        let operand = self.boolean(operand)?;
        let span = self.source.span(expression);
        Bound::call("is_unknown", span, vec![operand], DataType::Boolean, false, logic::is_null(negated))
    }

    fn unary(&mut self, operator: &UnaryOperator, operand: &Expr, expression: &Expr) -> Result<Operand> {
        let span = self.source.span(expression);
        if *operator == UnaryOperator::Not {
            let operand = self.boolean(operand)?;
            let negated = Bound::call("not", span, vec![operand], DataType::Boolean, false, logic::not());
            return negated.map(Operand::Value);
        }
        if let (UnaryOperator::Minus, Some(least)) = (operator, literal::least_integer(operand)) {
            return Ok(Operand::Value(least.at(span)));
        }
        let operand = match self.operand(operand)? {
            Operand::Value(operand) => operand,
            Operand::Interval(interval) => return self.signed_interval(operator, interval, expression),
        };
        let value = match operator {
            UnaryOperator::Minus => negative(numeric(operand, "-")?, span),
            UnaryOperator::Plus => numeric(operand, "+"),
            UnaryOperator::BitwiseNot => bit_not(operand, span),
            UnaryOperator::PGAbs => functions::call("abs", vec![operand], span),
            other => Err(self.error(expression, format!("the operator `{other}` is not supported"))),
        };
        value.map(Operand::Value)
    }

    /// `text[place]`, `text[from:to]`.
    fn subscript(&mut self, root: &Expr, chain: &[AccessExpr], expression: &Expr) -> Result<Bound> {
        let [AccessExpr::Subscript(written)] = chain else { return Err(self.unsupported(expression)) };
        let text = self.bind(root)?;
        let bounds = match written {
            Subscript::Index { index } => {
                let index = self.bind(index)?;
                (Some(index.clone()), Some(index))
            }
            Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                let lower = lower_bound.as_ref().map(|bound| self.bind(bound)).transpose()?;
                (lower, upper_bound.as_ref().map(|bound| self.bind(bound)).transpose()?)
            }
            Subscript::Slice { .. } => return Err(self.unsupported(expression)),
        };
        subscript(text, bounds, self.source.span(expression))
    }

    /// Binds what must be boolean.
    fn boolean(&mut self, expression: &Expr) -> Result<Bound> {
        let operand = self.operand(expression)?;
        self.boolean_operand(operand)
    }

    fn boolean_operand(&mut self, operand: Operand) -> Result<Bound> {
        let bound = operand.into_value()?;
        if bound.data_type.is_none_or(|data_type| data_type == DataType::Boolean) {
            return bound.widened(DataType::Boolean);
        }
        let message = format!("expected a boolean condition, found a {}", bound.type_name());
        Err(ExpressionError::new(message, bound.span.clone())
            .help("compare it with something, as in `x > 0`"))
    }

    fn error(&self, expression: &Expr, message: impl Into<String>) -> ExpressionError {
        ExpressionError::new(message, self.source.span(expression))
    }

    fn unsupported(&self, expression: &Expr) -> ExpressionError {
        self.error(expression, format!("`{}` is not supported", short(&expression.to_string())))
    }
}

/// What must be a number.
fn numeric(bound: Bound, operator: &str) -> Result<Bound> {
    if bound.data_type.is_none_or(DataType::is_numeric) {
        return Ok(bound);
    }
    let message = format!("`{operator}` needs a number, found a {}", bound.type_name());
    Err(ExpressionError::new(message, bound.span.clone())
        .maybe_help(conversion_help(&bound, DataType::Double)))
}

fn negative(operand: Bound, span: Range<usize>) -> Result<Bound> {
    let data_type = operand.data_type.unwrap_or(DataType::Bigint);
    let (operand, fallible) = (operand.widened(data_type)?, data_type == DataType::Bigint);
    let shape = if data_type == DataType::Double { Shape::NegateDouble } else { Shape::Other };
    Ok(Bound::call("-", span, vec![operand], data_type, fallible, negate(data_type))?.shaped(shape))
}

/// The beginning of a piece of SQL, for a message.
pub(crate) fn short(sql: &str) -> String {
    match sql.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &sql[..end]),
        None => sql.to_owned(),
    }
}

fn unknown_column(name: &Ident, schema: &Schema, span: Range<usize>) -> ExpressionError {
    let known = || schema.fields().iter().map(|field| field.name.as_str());
    let error = ExpressionError::new(format!("unknown column `{}`", name.value), span);
    if name.quote_style == Some('"') && nearest(&name.value, known()).is_none() {
        return error.help(format!("double quotes name a column; a text is written '{}'", name.value));
    }
    error.maybe_help(suggestion(&name.value, known().collect::<Vec<_>>()))
}
