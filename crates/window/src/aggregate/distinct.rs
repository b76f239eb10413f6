//! Values as codes of 128 bits, by which bags tell them apart, and what is asked of values that differ.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type};
use event::DataType;
use sha2::{Digest, Sha256};

use super::bag::Bag;
use super::column::word_values;
use super::exact::Exact;
use super::ordered::{sort_key, sort_value};
use super::sketch::register;

/// Longest text, in bytes, that is its own code: the top byte is its length.
const TEXT_MAX: usize = 15;
/// The top byte of a longer text's code.
const DIGEST: u8 = 0xFF;

/// The code of the value in a row.
type Codes<'a> = Box<dyn Fn(usize) -> u128 + 'a>;

/// The codes of a column's values: equal values have equal codes. Doubles are equal as SQL has it: both zeros are
/// one value, all NaN are one.
pub(super) fn codes(column: &ArrayRef, data_type: DataType) -> Codes<'_> {
    match data_type {
        DataType::Varchar => {
            let texts = column.as_string::<i32>();
            Box::new(|row| text_code(texts.value(row).as_bytes()))
        }
        DataType::Decimal { .. } => {
            let decimals = column.as_primitive::<Decimal128Type>();
            Box::new(|row| decimals.value(row) as u128)
        }
        DataType::Double => {
            let doubles = column.as_primitive::<Float64Type>();
            Box::new(|row| code_of(sort_key(doubles.value(row) + 0.0)))
        }
        _ => {
            let words = word_values(column, data_type);
            Box::new(move |row| code_of(words(row)))
        }
    }
}

fn code_of(word: i64) -> u128 {
    u128::from(word as u64)
}

/// A short text with its length, or 120 bits of a longer one's digest: nobody finds two texts with the same.
fn text_code(text: &[u8]) -> u128 {
    let mut code = [0; 16];
    if text.len() <= TEXT_MAX {
        code[..text.len()].copy_from_slice(text);
        code[TEXT_MAX] = text.len() as u8;
    } else {
        code[..TEXT_MAX].copy_from_slice(&Sha256::digest(text)[..TEXT_MAX]);
        code[TEXT_MAX] = DIGEST;
    }
    u128::from_le_bytes(code)
}

/// Registers and ranks of a column's values in a HyperLogLog: of a text by its bytes, of all else by those of its
/// code, the lowest first.
pub(super) fn registers(column: &ArrayRef, data_type: DataType) -> Box<dyn Fn(usize) -> i32 + '_> {
    if data_type == DataType::Varchar {
        let texts = column.as_string::<i32>();
        return Box::new(|row| register(texts.value(row).as_bytes()));
    }
    let code = codes(column, data_type);
    Box::new(move |row| register(&code(row).to_le_bytes()))
}

/// The sum of the different numbers in a bag of codes; of decimals that of their digits.
pub(super) fn sum_of(values: &Bag<u128>, data_type: DataType) -> Exact {
    let mut sum = Exact::new();
    for (code, _) in values.iter() {
        match data_type {
            DataType::Double => sum.add(sort_value(code as i64)),
            DataType::Decimal { .. } => sum.add_scaled(code as i128, 0),
            _ => sum.add_scaled(i128::from(code as i64), 0),
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use arrow_array::{Array, Float64Array, StringArray};

    use super::*;

    fn different(column: ArrayRef, data_type: DataType) -> usize {
        let codes = codes(&column, data_type);
        (0..column.len()).map(codes).collect::<BTreeSet<u128>>().len()
    }

    #[test]
    fn equal_values_have_equal_codes_and_others_do_not() {
        let doubles = vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0, -1.0, f64::INFINITY];
        assert_eq!(different(Arc::new(Float64Array::from(doubles)), DataType::Double), 5);
        let long = "a text of more than fifteen bytes";
        let texts = ["", "\0", "\0\0", "a", "a\0", "fifteen bytes..", "sixteen bytes ..", long, long];
        assert_eq!(different(Arc::new(StringArray::from(texts.to_vec())), DataType::Varchar), 8);
    }

    #[test]
    fn what_looks_like_a_digest_is_still_another_text() {
        let long = "another text of more than fifteen bytes";
        let mut digest = text_code(long.as_bytes()).to_le_bytes();
        digest[TEXT_MAX] = TEXT_MAX as u8;
        assert_ne!(text_code(&digest[..TEXT_MAX]), text_code(long.as_bytes()));
    }
}
