//! Time zones: an instant as the clock of a zone shows it, and back.

use std::ops::Range;

use arrow_array::types::TimestampMicrosecondType;
use event::DataType;

use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::kernel::text::Texts;
use crate::kernel::zone::Zone;
use crate::kernel::{Numbers, collect_numbers, kernel};
use crate::node::Kernel;

type Micros = TimestampMicrosecondType;

pub(super) const TABLE: &[Function] = &[function("timezone", 1..=2, |call| match call.arguments.len() {
    1 => super::call("date_part", with_part("timezone", call.arguments, &call.span), call.span),
    _ => convert(call),
})];

/// The arguments of `date_part` for a function that is named after a part.
pub(super) fn with_part(part: &str, arguments: Vec<Bound>, span: &Range<usize>) -> Vec<Bound> {
    std::iter::once(Bound::text(part, span.clone())).chain(arguments).collect()
}

/// `time AT TIME ZONE zone`: of an instant a local time, of a local time an instant. The zone comes first.
pub(crate) fn at_time_zone(name: &'static str, operands: Vec<Bound>, span: Range<usize>) -> Result<Bound> {
    convert(Invocation::new(name, span, operands))
}

fn convert(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    let found = super::time::take_time(&mut call, 1)?;
    let to_local = found == DataType::TimestampTz;
    let output = if to_local { DataType::Timestamp } else { DataType::TimestampTz };
    let known = constant_zone(&call.arguments[0])?;
    let kernel = of_zones(output, known, move |zone, micros| match to_local {
        true => zone.local(micros),
        false => zone.instant(micros),
    });
    call.partial(output, kernel)
}

/// The zone, if its name is constant: a name that nobody knows is found when the expression is compiled.
pub(super) fn constant_zone(name: &Bound) -> Result<Option<Zone>> {
    let Some(text) = name.constant_text() else { return Ok(None) };
    Zone::find(text).map(Some).map_err(|message| {
        ExpressionError::new(message, name.span.clone()).help("zones have names as 'Asia/Seoul' or 'UTC'")
    })
}

/// A kernel over the name of a zone and a time. Names are looked up when they change from row to row.
fn of_zones(
    output: DataType,
    known: Option<Zone>,
    f: impl Fn(&Zone, i64) -> std::result::Result<i64, String> + Send + Sync + 'static,
) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let (names, times) = (Texts::of(&arguments[0]), Numbers::<Micros>::of(&arguments[1]));
        let last = std::cell::RefCell::new(known.clone().map(|zone| (names.get(0), zone)));
        collect_numbers::<Micros>(output, rows, failures, |row| {
            let (Some(name), Some(time)) = (names.get(row), times.get(row)) else { return Ok(None) };
            let mut last = last.borrow_mut();
            if last.as_ref().is_none_or(|(known, _)| *known != Some(name)) {
                *last = Some((Some(name), Zone::find(name)?));
            }
            let zone = &last.as_ref().expect("just found").1;
            f(zone, time).map(Some)
        })
    })
}
