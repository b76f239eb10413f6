//! Functions that take texts apart and fill them up. Places count characters (code points), as in DuckDB.

use arrow_array::types::Int64Type;
use event::DataType;

use super::{Function, Invocation, MANY, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::kernel::text::{Texts, collect_texts, text_to_text, try_collect_texts};
use crate::kernel::{Numbers, kernel};

/// Longest text that a function may make of a short one, in bytes.
const BYTES_MAX: usize = 1 << 20;

pub(super) const TABLE: &[Function] = &[
    function("left", 2..=2, |call| end_of(call, true)),
    function("right", 2..=2, |call| end_of(call, false)),
    function("lpad", 3..=3, |call| padded(call, true)),
    function("rpad", 3..=3, |call| padded(call, false)),
    function("repeat", 2..=2, repeat),
    function("reverse", 1..=1, |mut call| {
        call.take_all(DataType::Varchar)?;
        call.total(DataType::Varchar, text_to_text(|text, out| out.extend(text.chars().rev())))
    }),
    function("split_part", 3..=3, split_part),
    function("translate", 3..=3, translate),
    function("overlay", 3..=4, overlay),
    function("concat_ws", 2..=MANY, concat_ws),
];

/// `left`, `right`: that many characters, all but that many for a negative number.
fn end_of(mut call: Invocation, first: bool) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Bigint)?;
    let kernel = kernel(move |arguments, rows, _| {
        let (texts, counts) = (Texts::of(&arguments[0]), Numbers::<Int64Type>::of(&arguments[1]));
        collect_texts(rows, |row, out| {
            let (text, count) = (texts.get(row)?, counts.get(row)?);
            let size = text.chars().count() as i64;
            let kept = if count < 0 { size.saturating_add(count).max(0) } else { count.min(size) } as usize;
            match first {
                true => out.extend(text.chars().take(kept)),
                false => out.extend(text.chars().skip(size as usize - kept)),
            }
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// `lpad`, `rpad`: exactly that many characters, filled up or cut off at the end.
fn padded(mut call: Invocation, before: bool) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Bigint)?;
    call.take(2, DataType::Varchar)?;
    let name = call.name;
    let kernel = kernel(move |arguments, rows, failures| {
        let (texts, fills) = (Texts::of(&arguments[0]), Texts::of(&arguments[2]));
        let sizes = Numbers::<Int64Type>::of(&arguments[1]);
        try_collect_texts(rows, failures, |row, out| {
            let (Some(text), Some(size), Some(fill)) = (texts.get(row), sizes.get(row), fills.get(row))
            else {
                return Ok(None);
            };
            let size = size.max(0) as usize;
            let missing = size.saturating_sub(text.chars().count());
            if missing > 0 && fill.is_empty() {
                return Err(format!("{name}: there is nothing to fill up with"));
            }
            if size > BYTES_MAX {
                return Err(format!("{name}: a text of {size} characters is too long"));
            }
            let filling = fill.chars().cycle().take(missing);
            match before {
                true => out.extend(filling.chain(text.chars().take(size))),
                false => out.extend(text.chars().take(size).chain(filling)),
            }
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

fn repeat(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Bigint)?;
    let kernel = kernel(move |arguments, rows, failures| {
        let (texts, counts) = (Texts::of(&arguments[0]), Numbers::<Int64Type>::of(&arguments[1]));
        try_collect_texts(rows, failures, |row, out| {
            let (Some(text), Some(count)) = (texts.get(row), counts.get(row)) else { return Ok(None) };
            let count = if text.is_empty() { 0 } else { count.max(0) as usize };
            if count.saturating_mul(text.len()) > BYTES_MAX {
                return Err(format!("repeat: a text of more than {BYTES_MAX} bytes is too long"));
            }
            (0..count).for_each(|_| out.push_str(text));
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

/// `split_part(text, separator, place)`: from 1, a negative place counts from the end; empty where there is none.
fn split_part(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Varchar)?;
    call.take(2, DataType::Bigint)?;
    let kernel = kernel(move |arguments, rows, _| {
        let (texts, separators) = (Texts::of(&arguments[0]), Texts::of(&arguments[1]));
        let places = Numbers::<Int64Type>::of(&arguments[2]);
        collect_texts(rows, |row, out| {
            let (text, separator, place) = (texts.get(row)?, separators.get(row)?, places.get(row)?);
            let parts: Vec<&str> = match separator {
                "" => text.split("").filter(|part| !part.is_empty()).collect(),
                separator => text.split(separator).collect(),
            };
            let at = if place < 0 { place.saturating_add(parts.len() as i64) } else { place - 1 };
            if place != 0
                && let Some(part) = usize::try_from(at).ok().and_then(|at| parts.get(at))
            {
                out.push_str(part);
            }
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// Each character of the second text becomes the one at its place in the third, or goes.
fn translate(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = kernel(move |arguments, rows, _| {
        let [texts, from, to] = [0, 1, 2].map(|place| Texts::of(&arguments[place]));
        collect_texts(rows, |row, out| {
            let (text, from, to) = (texts.get(row)?, from.get(row)?, to.get(row)?);
            out.extend(text.chars().filter_map(|c| match from.chars().position(|other| other == c) {
                Some(place) => to.chars().nth(place),
                None => Some(c),
            }));
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// `overlay(text, new, from[, count])`: the new text in place of that many characters, by default of its own length.
fn overlay(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Varchar)?;
    (2..call.arguments.len()).try_for_each(|place| call.take(place, DataType::Bigint))?;
    let kernel = kernel(move |arguments, rows, _| {
        let (texts, news) = (Texts::of(&arguments[0]), Texts::of(&arguments[1]));
        let starts = Numbers::<Int64Type>::of(&arguments[2]);
        let counts = arguments.get(3).map(Numbers::<Int64Type>::of);
        collect_texts(rows, |row, out| {
            let (text, new, start) = (texts.get(row)?, news.get(row)?, starts.get(row)?);
            let own = new.chars().count() as i64;
            let count = match &counts {
                None => own,
                Some(counts) => Some(counts.get(row)?).filter(|count| *count >= 0).unwrap_or(own),
            };
            let before = start.saturating_sub(1);
            out.extend(text.chars().take(before.max(0) as usize));
            out.push_str(new);
            out.extend(text.chars().skip(before.saturating_add(count).max(0) as usize));
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// Joins what is not NULL, with the first argument in between; NULL only where that is.
fn concat_ws(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = kernel(move |arguments, rows, _| {
        let texts: Vec<Texts> = arguments.iter().map(Texts::of).collect();
        collect_texts(rows, |row, out| {
            let separator = texts[0].get(row)?;
            for (at, text) in texts[1..].iter().filter_map(|text| text.get(row)).enumerate() {
                if at > 0 {
                    out.push_str(separator);
                }
                out.push_str(text);
            }
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// `text[place]`, `text[from:to]`, both ends included.
pub(crate) fn subscript(
    text: Bound,
    (from, to): (Option<Bound>, Option<Bound>),
    span: std::ops::Range<usize>,
) -> Result<Bound> {
    if text.data_type.is_some_and(|data_type| data_type != DataType::Varchar) {
        let message = format!("only a varchar has characters, found a {}", text.type_name());
        return Err(ExpressionError::new(message, text.span));
    }
    let bound = |bound: Option<Bound>, other| bound.unwrap_or_else(|| Bound::integer(other, span.clone()));
    let operands = vec![text, bound(from, 1), bound(to, i64::MAX)];
    let mut call = Invocation::new("subscript", span.clone(), operands);
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Bigint)?;
    call.take(2, DataType::Bigint)?;
    let kernel = kernel(move |arguments, rows, _| {
        let texts = Texts::of(&arguments[0]);
        let [from, to] = [1, 2].map(|place| Numbers::<Int64Type>::of(&arguments[place]));
        collect_texts(rows, |row, out| {
            let (text, from, to) = (texts.get(row)?, from.get(row)?, to.get(row)?);
            let size = text.chars().count() as i64;
            let place = |place: i64| if place < 0 { place.saturating_add(size + 1) } else { place };
            let (from, to) = (place(from).max(1), place(to).min(size));
            out.extend(text.chars().skip(from as usize - 1).take((to - from + 1).max(0) as usize));
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}
