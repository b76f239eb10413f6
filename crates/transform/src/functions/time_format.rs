//! Times as text by a format, and back.

use arrow_array::types::TimestampMicrosecondType;
use event::DataType;

use super::time::take_time;
use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::kernel::text::{Texts, number_to_text, text_to_number, try_collect_texts};
use crate::kernel::time_format::{Format, shown};
use crate::kernel::{Numbers, kernel};

type Micros = TimestampMicrosecondType;

pub(super) const TABLE: &[Function] = &[
    function("strftime", 2..=2, strftime),
    function("strptime", 2..=2, |call| strptime(call, false)),
    function("try_strptime", 2..=2, |call| strptime(call, true)),
];

fn constant_format(bound: &Bound) -> Result<Option<Format>> {
    let Some(text) = bound.constant_text() else { return Ok(None) };
    Format::read(text).map(Some).map_err(|message| {
        ExpressionError::new(message, bound.span.clone())
            .help("a format is written as in '%Y-%m-%d %H:%M:%S'")
    })
}

/// `strftime(time, format)`; the other way round is understood too, as in DuckDB.
fn strftime(mut call: Invocation) -> Result<Bound> {
    if call.arguments[1].is_time() {
        call.arguments.swap(0, 1);
    }
    let zoned = take_time(&mut call, 0)? == DataType::TimestampTz;
    call.take(1, DataType::Varchar)?;
    if let Some(format) = constant_format(&call.arguments[1])? {
        call.arguments.truncate(1);
        let kernel = number_to_text::<Micros>(move |micros, out| format.write(micros, zoned, out));
        return call.total(DataType::Varchar, kernel);
    }
    let kernel = kernel(move |arguments, rows, failures| {
        let (times, formats) = (Numbers::<Micros>::of(&arguments[0]), Texts::of(&arguments[1]));
        try_collect_texts(rows, failures, |row, out| {
            let (Some(micros), Some(format)) = (times.get(row), formats.get(row)) else { return Ok(None) };
            Format::read(format)?.write(micros, zoned, out);
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

/// `strptime(text, format)`: the format says whether it is a timestamp or an instant, so it is constant.
fn strptime(mut call: Invocation, attempt: bool) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    if call.arguments[1].is_null() {
        return Bound::null(call.span).widened(DataType::Timestamp);
    }
    let Some(format) = constant_format(&call.arguments[1])? else {
        let message = format!("the format of `{}` is a constant text", call.name);
        return Err(ExpressionError::new(message, call.arguments[1].span.clone()));
    };
    call.arguments.truncate(1);
    let output = if format.has_zone() { DataType::TimestampTz } else { DataType::Timestamp };
    let kernel = text_to_number::<Micros>(output, move |text| match format.parse(text) {
        Some(Ok(micros)) => Ok(Some(micros)),
        _ if attempt => Ok(None),
        Some(Err(detail)) => Err(detail),
        None => Err(format!("{} is not written in that format", shown(text))),
    });
    match attempt {
        true => call.total(output, kernel),
        false => call.partial(output, kernel),
    }
}
