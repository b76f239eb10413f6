//! Arithmetic: checked on integers and decimals, IEEE on doubles.

use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use event::DataType;

use crate::kernel::{binary, checked_binary, try_binary, try_unary, unary};
use crate::node::Kernel;

/// `+`, `-`, `*`, `/`, `//`, `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideWhole,
    Remainder,
}

impl Arithmetic {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::DivideWhole => "//",
            Arithmetic::Remainder => "%",
        }
    }
}

/// Arithmetic of two doubles.
pub(crate) fn doubles(operator: Arithmetic) -> Kernel {
    type F = Float64Type;
    let output = DataType::Double;
    match operator {
        Arithmetic::Add => binary::<F, F, F, _>(output, |a, b| a + b),
        Arithmetic::Subtract => binary::<F, F, F, _>(output, |a, b| a - b),
        Arithmetic::Multiply => binary::<F, F, F, _>(output, |a, b| a * b),
        Arithmetic::Divide | Arithmetic::DivideWhole => binary::<F, F, F, _>(output, |a, b| a / b),
        Arithmetic::Remainder => binary::<F, F, F, _>(output, |a, b| a % b),
    }
}

/// Arithmetic of two integers; a result that does not fit fails, and so does division by zero.
pub(crate) fn integers(operator: Arithmetic) -> Kernel {
    type I = Int64Type;
    let output = DataType::Bigint;
    match operator {
        Arithmetic::Add => {
            checked_binary::<I, _, _>(output, i64::overflowing_add, move |a, b| overflow(a, "+", b))
        }
        Arithmetic::Subtract => {
            checked_binary::<I, _, _>(output, i64::overflowing_sub, move |a, b| overflow(a, "-", b))
        }
        Arithmetic::Multiply => {
            checked_binary::<I, _, _>(output, i64::overflowing_mul, move |a, b| overflow(a, "*", b))
        }
        Arithmetic::Divide | Arithmetic::DivideWhole => try_binary::<I, I, I, _>(output, |a, b| match b {
            0 => Err(format!("{a} // 0 is a division by zero")),
            _ => a.checked_div(b).map(Some).ok_or_else(|| overflow(a, "//", b)),
        }),
        Arithmetic::Remainder => try_binary::<I, I, I, _>(output, |a, b| match b {
            0 => Err(format!("{a} % 0 is a division by zero")),
            _ => Ok(Some(a.wrapping_rem(b))),
        }),
    }
}

/// `//` of two doubles.
pub(crate) fn double_quotient() -> Kernel {
    type F = Float64Type;
    try_binary::<F, F, F, _>(DataType::Double, |a, b| match b == 0.0 {
        true => Err(format!("{a:?} // {b:?} is a division by zero")),
        false => Ok(Some(a / b)),
    })
}

fn overflow(a: i64, symbol: &str, b: i64) -> String {
    format!("{a} {symbol} {b} does not fit a bigint")
}

/// Type of the result of `left operator right`, or why there is none.
///
/// Sums and remainders have the larger scale, products the sum of the scales; 38 digits are the limit.
pub(crate) fn decimal_type(
    operator: Arithmetic,
    left: (u8, u8),
    right: (u8, u8),
) -> Result<DataType, String> {
    let scale = left.1.max(right.1);
    let whole = (left.0 - left.1).max(right.0 - right.1);
    let (precision, scale) = match operator {
        Arithmetic::Multiply => (left.0 + right.0, left.1 + right.1),
        Arithmetic::Remainder => (whole + scale, scale),
        _ => (whole + scale + 1, scale),
    };
    if scale > 38 {
        return Err(format!("the product has {scale} digits behind the point; 38 are the limit"));
    }
    Ok(DataType::Decimal { precision: precision.min(38), scale })
}

/// Arithmetic of two decimals: operands of `+`, `-` and `%` have the scale of the result.
pub(crate) fn decimals(operator: Arithmetic, output: DataType) -> Kernel {
    type D = Decimal128Type;
    let DataType::Decimal { precision, .. } = output else { unreachable!("decimals give a decimal") };
    let bound = 10i128.pow(u32::from(precision));
    let fits = move |(value, bad): (i128, bool)| (value, bad | (value >= bound) | (value <= -bound));
    let detail = move |_, _| format!("the result of `{}` does not fit a {output}", operator.symbol());
    match operator {
        Arithmetic::Add => checked_binary::<D, _, _>(output, move |a, b| fits(a.overflowing_add(b)), detail),
        Arithmetic::Subtract => {
            checked_binary::<D, _, _>(output, move |a, b| fits(a.overflowing_sub(b)), detail)
        }
        Arithmetic::Multiply => {
            checked_binary::<D, _, _>(output, move |a, b| fits(a.overflowing_mul(b)), detail)
        }
        _ => try_binary::<D, D, D, _>(output, |a, b| match b {
            0 => Err("`%` by zero is a division by zero".to_owned()),
            _ => Ok(Some(a.wrapping_rem(b))),
        }),
    }
}

/// Unary minus.
pub(crate) fn negate(operand: DataType) -> Kernel {
    match operand {
        DataType::Bigint => try_unary::<Int64Type, Int64Type, _>(operand, |a| {
            a.checked_neg().map(Some).ok_or_else(|| format!("-({a}) does not fit a bigint"))
        }),
        DataType::Decimal { .. } => unary::<Decimal128Type, Decimal128Type, _>(operand, |a| -a),
        _ => unary::<Float64Type, Float64Type, _>(operand, |a| -a),
    }
}
