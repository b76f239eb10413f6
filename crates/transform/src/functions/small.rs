//! Whole numbers smaller than a bigint: a cast to one checks that the value fits, and stays a bigint.

use std::ops::{Range, RangeInclusive};

use arrow_array::types::Int64Type;
use event::DataType;

use super::Result;
use crate::ExpressionError;
use crate::bind::Bound;
use crate::kernel::try_unary;

type I = Int64Type;

/// One of them.
#[derive(Debug)]
pub(crate) struct SmallInteger {
    pub(crate) names: &'static [&'static str],
    values: RangeInclusive<i64>,
}

/// All of them.
pub(crate) const SMALL_INTEGERS: &[SmallInteger] = &[
    SmallInteger { names: &["integer", "int", "int4", "signed"], values: -0x8000_0000..=0x7FFF_FFFF },
    SmallInteger { names: &["smallint", "int2", "short"], values: -0x8000..=0x7FFF },
    SmallInteger { names: &["tinyint"], values: -0x80..=0x7F },
    SmallInteger { names: &["uinteger"], values: 0..=0xFFFF_FFFF },
    SmallInteger { names: &["usmallint"], values: 0..=0xFFFF },
    SmallInteger { names: &["utinyint"], values: 0..=0xFF },
];

/// The bigint where it fits; where it does not it fails, or is NULL if only attempted.
pub(crate) fn within(value: Bound, small: &'static SmallInteger, attempt: bool) -> Result<Bound> {
    let (span, name): (Range<usize>, _) = (value.span.clone(), small.names[0]);
    if value.data_type != Some(DataType::Bigint) {
        return Err(ExpressionError::new(format!("this cannot be cast to {name}"), span));
    }
    let kernel = try_unary::<I, I, _>(DataType::Bigint, move |value| match small.values.contains(&value) {
        true => Ok(Some(value)),
        false if attempt => Ok(None),
        false => Err(format!("{value} does not fit a {name}")),
    });
    Bound::call("cast", span, vec![value], DataType::Bigint, !attempt, kernel)
}
