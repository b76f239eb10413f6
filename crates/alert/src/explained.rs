//! Why a row is an alert, as its object says it.

use event::{Driver, Explanation, NearestChange};

use crate::json::{append_bigint, append_double, append_string};

/// Whole numbers are written as such up to here, where doubles still hold each of them.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends an explanation; `null` where there is none.
pub(crate) fn append_explanation(explanation: Option<&Explanation>, out: &mut Vec<u8>) {
    let Some(Explanation { drivers, nearest }) = explanation else {
        return out.extend_from_slice(b"null");
    };
    out.extend_from_slice(br#"{"drivers":"#);
    append_list(drivers, append_driver, out);
    out.extend_from_slice(br#","nearest":"#);
    match nearest {
        Some(changes) => append_list(changes, append_change, out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

fn append_list<T>(values: &[T], append: fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'[');
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        append(value, out);
    }
    out.push(b']');
}

fn append_driver(driver: &Driver, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"feature":"#);
    append_string(&driver.feature, out);
    out.extend_from_slice(br#","value":"#);
    append_value(driver.value, driver.whole, out);
    out.extend_from_slice(br#","expected":"#);
    match driver.expected {
        Some(expected) => append_double(expected, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","direction":"#);
    match driver.direction {
        Some(side) => append_string(side.name(), out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","share":"#);
    append_double(driver.share, out);
    out.push(b'}');
}

fn append_change(change: &NearestChange, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"feature":"#);
    append_string(&change.feature, out);
    out.extend_from_slice(br#","value":"#);
    append_value(change.value, change.whole, out);
    out.extend_from_slice(br#","to":"#);
    append_value(change.to, change.whole, out);
    out.push(b'}');
}

fn append_value(value: f64, whole: bool, out: &mut Vec<u8>) {
    if whole && value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        return append_bigint(value as i64, out);
    }
    append_double(value, out);
}
