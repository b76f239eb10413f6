//! A typed expression, and how one is made from typed operands: conversions, common types, constant folding.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use event::DataType;

use crate::ExpressionError;
use crate::branch::{Branch, Case, Junction};
use crate::improve::renumber;
use crate::kernel::cast::{cast, null_of, try_cast};
use crate::node::{Call, Kernel, Node, Shape};
use crate::value::{Failures, Value};

/// Most steps of one expression, counted as often as they are evaluated.
const SIZE_MAX: usize = 20_000;
/// Deepest tree of steps.
const DEPTH_MAX: usize = 400;

/// An expression whose type is known.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) node: Node,
    /// `None` for a bare NULL, which takes the type that is needed.
    pub(crate) data_type: Option<DataType>,
    /// Where it stands in the text.
    pub(crate) span: Range<usize>,
    size: usize,
    depth: usize,
}

impl Bound {
    /// A column of the schema.
    pub(crate) fn column(index: usize, data_type: DataType, span: Range<usize>) -> Self {
        Bound { node: Node::Column(index), data_type: Some(data_type), span, size: 1, depth: 1 }
    }

    /// A constant: an array of length one.
    pub(crate) fn constant(one: ArrayRef, data_type: DataType, span: Range<usize>) -> Self {
        Bound { node: Node::Constant(one), data_type: Some(data_type), span, size: 1, depth: 1 }
    }

    /// A bare NULL.
    pub(crate) fn null(span: Range<usize>) -> Self {
        let node = Node::Constant(null_of(DataType::Boolean));
        Bound { node, data_type: None, span, size: 1, depth: 1 }
    }

    /// A constant text.
    pub(crate) fn text(text: &str, span: Range<usize>) -> Self {
        Bound::constant(Arc::new(StringArray::from(vec![text])), DataType::Varchar, span)
    }

    /// A constant integer.
    pub(crate) fn integer(value: i64, span: Range<usize>) -> Self {
        Bound::constant(Arc::new(Int64Array::from(vec![value])), DataType::Bigint, span)
    }

    /// The same at another place of the text.
    pub(crate) fn at(mut self, span: Range<usize>) -> Self {
        self.span = span;
        self
    }

    /// The same over columns in other places.
    pub(crate) fn renumbered(self, place: &dyn Fn(usize) -> usize) -> Self {
        Bound { node: renumber(&self.node, place), ..self }
    }

    /// A kernel over operands; evaluated at once if all are constants.
    pub(crate) fn call(
        name: &'static str,
        span: Range<usize>,
        operands: Vec<Bound>,
        data_type: DataType,
        fallible: bool,
        kernel: Kernel,
    ) -> Result<Bound, ExpressionError> {
        let constants = operands.iter().map(Bound::constant_array).collect::<Option<Vec<&ArrayRef>>>();
        if let Some(constants) = constants {
            let values: Vec<Value> =
                constants.into_iter().map(|one| Value::Column(Arc::clone(one))).collect();
            let mut failures = Failures::default();
            let one = kernel(&values, 1, &mut failures);
            return match failures.first() {
                Some(failure) => Err(ExpressionError::new(failure.detail.clone(), span)),
                None => Ok(Bound::constant(one, data_type, span)),
            };
        }
        let (size, depth) = measure(&operands);
        let arguments = operands.into_iter().map(|operand| operand.node).collect();
        let node = Node::Call(Arc::new(Call { name, kernel, arguments, fallible, shape: Shape::Other }));
        Bound { node, data_type: Some(data_type), span, size, depth }.within_limits()
    }

    /// The same call, with what it is told to later passes. Nothing if it was a constant.
    pub(crate) fn shaped(mut self, shape: Shape) -> Self {
        if let Node::Call(call) = &mut self.node
            && let Some(call) = Arc::get_mut(call)
        {
            call.shape = shape;
        }
        self
    }

    /// `AND` or `OR` of boolean terms.
    pub(crate) fn junction(
        conjunction: bool,
        terms: Vec<Bound>,
        span: Range<usize>,
    ) -> Result<Bound, ExpressionError> {
        let (size, depth) = measure(&terms);
        let terms = terms.into_iter().map(|term| Branch::new(term.node)).collect();
        let node = Node::Junction(Arc::new(Junction { conjunction, terms }));
        Bound { node, data_type: Some(DataType::Boolean), span, size, depth }.within_limits()
    }

    /// `CASE` with boolean conditions and results of one type.
    pub(crate) fn case(
        branches: Vec<(Bound, Bound)>,
        otherwise: Bound,
        data_type: DataType,
        span: Range<usize>,
    ) -> Result<Bound, ExpressionError> {
        let all = branches.iter().flat_map(|(when, then)| [when, then]).chain([&otherwise]);
        let (size, depth) = measure(all);
        let branches =
            branches.into_iter().map(|(when, then)| (Branch::new(when.node), Branch::new(then.node)));
        let case = Case { branches: branches.collect(), otherwise: Branch::new(otherwise.node) };
        Bound { node: Node::Case(Arc::new(case)), data_type: Some(data_type), span, size, depth }
            .within_limits()
    }

    /// The first operand that is not NULL; all are of one type.
    pub(crate) fn coalesce(
        operands: Vec<Bound>,
        data_type: DataType,
        span: Range<usize>,
    ) -> Result<Bound, ExpressionError> {
        let (size, depth) = measure(&operands);
        let branches = operands.into_iter().map(|operand| Branch::new(operand.node)).collect();
        Bound { node: Node::Coalesce(branches), data_type: Some(data_type), span, size, depth }
            .within_limits()
    }

    fn within_limits(self) -> Result<Bound, ExpressionError> {
        if self.size > SIZE_MAX {
            let message = format!("the expression has more than {SIZE_MAX} steps");
            return Err(ExpressionError::new(message, self.span));
        }
        if self.depth > DEPTH_MAX {
            let message = format!("the expression is deeper than {DEPTH_MAX} steps");
            return Err(ExpressionError::new(message, self.span));
        }
        Ok(self)
    }

    fn constant_array(&self) -> Option<&ArrayRef> {
        match &self.node {
            Node::Constant(one) => Some(one),
            _ => None,
        }
    }

    /// Whether it is a constant NULL, typed or bare.
    pub(crate) fn is_null(&self) -> bool {
        self.constant_array().is_some_and(|one| one.is_null(0))
    }

    fn constant_value(&self, data_type: DataType) -> Option<&ArrayRef> {
        self.constant_array().filter(|one| self.data_type == Some(data_type) && one.is_valid(0))
    }

    /// Its text, if it is a constant text.
    pub(crate) fn constant_text(&self) -> Option<&str> {
        self.constant_value(DataType::Varchar).map(|one| one.as_string::<i32>().value(0))
    }

    /// Its number, if it is a constant integer.
    pub(crate) fn constant_integer(&self) -> Option<i64> {
        self.constant_value(DataType::Bigint).map(|one| one.as_primitive::<Int64Type>().value(0))
    }

    /// Its number as a double, if it is a constant number.
    pub(crate) fn constant_double(&self) -> Option<f64> {
        self.data_type.filter(|data_type| data_type.is_numeric())?;
        let double = self.clone().cast(DataType::Double, false).ok()?;
        double.constant_value(DataType::Double).map(|one| one.as_primitive::<Float64Type>().value(0))
    }

    /// Its microseconds, if it is a constant time.
    pub(crate) fn constant_micros(&self) -> Option<i64> {
        let one = self.constant_array().filter(|one| one.is_valid(0))?;
        Some(one.as_primitive_opt::<TimestampMicrosecondType>()?.value(0))
    }

    /// Whether it is a date, a timestamp or an instant.
    pub(crate) fn is_time(&self) -> bool {
        matches!(self.data_type, Some(DataType::Date | DataType::Timestamp | DataType::TimestampTz))
    }

    /// Its type for a message.
    pub(crate) fn type_name(&self) -> String {
        self.data_type.map_or_else(|| "NULL".to_owned(), |data_type| data_type.to_string())
    }

    /// Digits before the point that an integer may need: those of a constant, else all of a bigint.
    fn digits(&self) -> u8 {
        self.constant_integer()
            .map_or(19, |value| value.unsigned_abs().checked_ilog10().unwrap_or(0) as u8 + 1)
    }

    /// Precision and scale of a decimal, or of the integer as one.
    pub(crate) fn decimal_shape(&self) -> Option<(u8, u8)> {
        match self.data_type? {
            DataType::Decimal { precision, scale } => Some((precision, scale)),
            DataType::Bigint => Some((self.digits(), 0)),
            _ => None,
        }
    }

    /// The same value in a type that holds it: the identity, a typed NULL, or a widening.
    pub(crate) fn widened(self, to: DataType) -> Result<Bound, ExpressionError> {
        match self.data_type {
            None => Ok(Bound::constant(null_of(to), to, self.span)),
            Some(from) if from == to => Ok(self),
            Some(_) => self.cast(to, false),
        }
    }

    /// `CAST` or `TRY_CAST`.
    pub(crate) fn cast(self, to: DataType, attempt: bool) -> Result<Bound, ExpressionError> {
        let Some(from) = self.data_type else { return self.widened(to) };
        let span = self.span.clone();
        let Some((kernel, fallible)) = cast(from, to) else {
            return Err(ExpressionError::new(format!("a {from} cannot be cast to {to}"), span));
        };
        match attempt {
            true => Bound::call("try_cast", span, vec![self], to, false, try_cast(kernel)),
            false => {
                let widens = (from, to) == (DataType::Bigint, DataType::Double);
                let shape = if widens { Shape::IntegerToDouble } else { Shape::Other };
                Ok(Bound::call("cast", span, vec![self], to, fallible, kernel)?.shaped(shape))
            }
        }
    }
}

fn measure<'a>(operands: impl IntoIterator<Item = &'a Bound>) -> (usize, usize) {
    let zero = (1usize, 1usize);
    operands.into_iter().fold(zero, |(size, depth), operand| {
        (size.saturating_add(operand.size), depth.max(operand.depth + 1))
    })
}

/// The one type in which all operands can be taken without a silent cast between kinds of values;
/// `Ok(None)` if all are NULL, `Err` with the first operand that does not fit those before it.
pub(crate) fn common_type<'a>(
    operands: impl IntoIterator<Item = &'a Bound>,
) -> Result<Option<DataType>, &'a Bound> {
    let operands: Vec<&Bound> = operands.into_iter().collect();
    let with_time = operands.iter().any(|operand| operand.is_time());
    let mut so_far: Option<(DataType, u8)> = None;
    for operand in operands {
        let Some(next) = operand.data_type else { continue };
        // A text that is written out, beside a time, is a time.
        if with_time && operand.constant_text().is_some() {
            continue;
        }
        so_far = Some(match so_far {
            None => (next, operand.digits()),
            Some(first) => common_of_two(first, (next, operand.digits())).ok_or(operand)?,
        });
    }
    Ok(so_far.map(|(data_type, _)| data_type))
}

/// The numbers beside the types are the digits of integers.
fn common_of_two(left: (DataType, u8), right: (DataType, u8)) -> Option<(DataType, u8)> {
    let digits = left.1.max(right.1);
    let shape = |(data_type, digits)| match data_type {
        DataType::Decimal { precision, scale } => (precision - scale, scale),
        _ => (digits, 0),
    };
    let data_type = match (left.0, right.0) {
        (a, b) if a == b => a,
        (DataType::Double, b) if b.is_numeric() => DataType::Double,
        (a, DataType::Double) if a.is_numeric() => DataType::Double,
        (a, b) if a.is_numeric() && b.is_numeric() => {
            let ((whole_a, scale_a), (whole_b, scale_b)) = (shape(left), shape(right));
            let scale = scale_a.max(scale_b);
            DataType::Decimal { precision: (whole_a.max(whole_b) + scale).min(38), scale }
        }
        (DataType::Date, DataType::Timestamp) | (DataType::Timestamp, DataType::Date) => DataType::Timestamp,
        (DataType::TimestampTz, DataType::Date | DataType::Timestamp)
        | (DataType::Date | DataType::Timestamp, DataType::TimestampTz) => DataType::TimestampTz,
        _ => return None,
    };
    Some((data_type, digits))
}

/// Help for an operand that should have another type.
pub(crate) fn conversion_help(operand: &Bound, wanted: DataType) -> Option<String> {
    let found = operand.data_type?;
    if let (Some(text), true) = (operand.constant_text(), wanted != DataType::Varchar) {
        return match wanted {
            DataType::Date => Some(format!("write DATE '{text}'")),
            DataType::Timestamp => Some(format!("write TIMESTAMP '{text}'")),
            DataType::TimestampTz => Some(format!("write TIMESTAMPTZ '{text}'")),
            DataType::Boolean => Some("write TRUE or FALSE".to_owned()),
            _ if parses_as_number(text) => Some(format!("write {text} without quotes")),
            _ => Some(format!("CAST(.. AS {wanted}) reads a number out of a text")),
        };
    }
    if let (Some(number), DataType::Varchar) = (operand.constant_integer(), wanted) {
        return Some(format!("write '{number}' in quotes"));
    }
    cast(found, wanted).map(|_| format!("CAST(.. AS {wanted}) converts it"))
}

fn parses_as_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}
