//! What numbers are multiples of: a value that is looked for in place of another one must be one that there can be.

use event::DataType;

/// What the values of a type are multiples of, if of anything: 1, or the last digit of a decimal.
pub(crate) fn unit_of(data_type: DataType) -> Option<f64> {
    match data_type {
        DataType::Bigint => Some(1.0),
        DataType::Decimal { scale, .. } => Some(10_f64.powi(-i32::from(scale))),
        _ => None,
    }
}

/// So many units, as exactly as a double has it: of those below 1, which are tenths or the like, a part of a whole number.
pub(crate) fn times(count: f64, unit: f64) -> f64 {
    if unit < 1.0 { count / (1.0 / unit).round() } else { count * unit }
}

/// The first value that there can be from `to` on, upwards or downwards.
pub(crate) fn whole(to: f64, is_up: bool, unit: Option<f64>) -> f64 {
    match unit {
        None => to,
        Some(unit) if is_up => times((to / unit).ceil(), unit),
        Some(unit) => times((to / unit).floor(), unit),
    }
}
