//! Functions of regular expressions. A constant pattern is compiled once, one of each row when it changes.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use event::DataType;
use regex::Regex;

use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::kernel::pattern::{Options, Rewrite, compile};
use crate::kernel::text::{Texts, collect_masks, text_predicate, text_to_text, try_collect_texts};
use crate::kernel::{Numbers, kernel};
use crate::value::Value;

pub(super) const TABLE: &[Function] = &[
    function("regexp_matches", 2..=3, |call| matches(call, false)),
    function("regexp_full_match", 2..=3, |call| matches(call, true)),
    function("regexp_extract", 2..=4, extract),
    function("regexp_replace", 3..=4, replace),
    function("regexp_escape", 1..=1, |mut call| {
        call.take_all(DataType::Varchar)?;
        call.total(DataType::Varchar, text_to_text(escape))
    }),
];

/// Every byte but letters, digits and `_` of ASCII gets a backslash.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
}

/// The patterns of a call: one for all rows, or one a row.
struct Patterns<'a> {
    texts: Texts<'a>,
    options: Options,
    whole: bool,
    last: Option<(&'a str, Arc<Regex>)>,
}

impl<'a> Patterns<'a> {
    fn of(value: &'a Value, options: Options, whole: bool, known: Option<&Arc<Regex>>) -> Self {
        let texts = Texts::of(value);
        let last = known.and_then(|regex| Some((texts.get(0)?, Arc::clone(regex))));
        Patterns { texts, options, whole, last }
    }

    /// The pattern of a row. Equal patterns in a row are compiled once.
    fn get(&mut self, row: usize) -> std::result::Result<Option<Arc<Regex>>, String> {
        let Some(text) = self.texts.get(row) else { return Ok(None) };
        if let Some((last, regex)) = &self.last
            && *last == text
        {
            return Ok(Some(Arc::clone(regex)));
        }
        let regex = Arc::new(compile(text, self.options, self.whole)?);
        self.last = Some((text, Arc::clone(&regex)));
        Ok(Some(regex))
    }
}

/// The options of a call, which are constant.
fn options(call: &mut Invocation, place: usize) -> Result<Options> {
    if call.arguments.len() <= place {
        return Ok(Options::default());
    }
    let argument = call.arguments.remove(place);
    let Some(text) = argument.constant_text() else {
        let message = format!("the options of `{}` are a constant text, as in 'i'", call.name);
        return Err(ExpressionError::new(message, argument.span));
    };
    Options::read(text).map_err(|message| ExpressionError::new(message, argument.span.clone()))
}

/// The pattern, if it is constant: a mistake in it is found when the expression is compiled.
fn constant(call: &Invocation, options: Options, whole: bool) -> Result<Option<Arc<Regex>>> {
    let pattern = &call.arguments[1];
    let Some(text) = pattern.constant_text() else { return Ok(None) };
    let regex = compile(text, options, whole);
    regex.map(|regex| Some(Arc::new(regex))).map_err(|m| ExpressionError::new(m, pattern.span.clone()))
}

fn matches(mut call: Invocation, whole: bool) -> Result<Bound> {
    let options = options(&mut call, 2)?;
    call.take_all(DataType::Varchar)?;
    if let Some(regex) = constant(&call, options, whole)? {
        call.arguments.truncate(1);
        return call.total(DataType::Boolean, text_predicate(move |text| regex.is_match(text)));
    }
    let kernel = kernel(move |arguments, rows, failures| {
        let texts = Texts::of(&arguments[0]);
        let mut patterns = Patterns::of(&arguments[1], options, whole, None);
        collect_masks(rows, failures, |row| match (texts.get(row), patterns.get(row)?) {
            (Some(text), Some(regex)) => Ok(Some(regex.is_match(text))),
            _ => Ok(None),
        })
    });
    call.partial(DataType::Boolean, kernel)
}

/// `regexp_extract(text, pattern[, group[, options]])`: empty where nothing matches.
fn extract(mut call: Invocation) -> Result<Bound> {
    let options = options(&mut call, 3)?;
    call.take(0, DataType::Varchar)?;
    call.take(1, DataType::Varchar)?;
    if call.arguments.len() == 2 {
        call.arguments.push(Bound::integer(0, call.span.clone()));
    }
    call.take(2, DataType::Bigint)?;
    let known = constant(&call, options, false)?;
    let kernel = kernel(move |arguments, rows, failures| {
        let (texts, groups) = (Texts::of(&arguments[0]), Numbers::<Int64Type>::of(&arguments[2]));
        let mut patterns = Patterns::of(&arguments[1], options, false, known.as_ref());
        try_collect_texts(rows, failures, |row, out| {
            let group = groups.get(row).unwrap_or(0);
            if !(0..=9).contains(&group) {
                return Err(format!("regexp_extract: group {group} is not from 0 to 9"));
            }
            let (Some(text), Some(regex)) = (texts.get(row), patterns.get(row)?) else { return Ok(None) };
            let found = regex.captures(text).and_then(|found| found.get(group as usize));
            out.push_str(found.map_or("", |found| found.as_str()));
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

/// `regexp_replace(text, pattern, replacement[, options])`: the first match; with `g` every one.
fn replace(mut call: Invocation) -> Result<Bound> {
    let options = options(&mut call, 3)?;
    call.take_all(DataType::Varchar)?;
    let known = constant(&call, options, false)?;
    if let (Some(regex), Some(text)) = (&known, call.arguments[2].constant_text()) {
        let checked = Rewrite::read(text, regex.captures_len() - 1);
        checked.map_err(|message| ExpressionError::new(message, call.arguments[2].span.clone()))?;
    }
    let kernel = kernel(move |arguments, rows, failures| {
        let (texts, rewrites) = (Texts::of(&arguments[0]), Texts::of(&arguments[2]));
        let mut patterns = Patterns::of(&arguments[1], options, false, known.as_ref());
        try_collect_texts(rows, failures, |row, out| {
            let (Some(text), Some(rewrite)) = (texts.get(row), rewrites.get(row)) else { return Ok(None) };
            let Some(regex) = patterns.get(row)? else { return Ok(None) };
            Rewrite::read(rewrite, regex.captures_len() - 1)?.apply(&regex, text, options.global, out);
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

/// `text ~ pattern`: somewhere in the text, with these options.
pub(crate) fn pattern_operator(
    name: &'static str,
    mut operands: Vec<Bound>,
    options: &str,
    span: Range<usize>,
) -> Result<Bound> {
    operands.push(Bound::text(options, span.clone()));
    matches(Invocation::new(name, span, operands), false)
}

/// `text SIMILAR TO pattern`: as a whole.
pub(crate) fn similar_to(operands: Vec<Bound>, span: Range<usize>) -> Result<Bound> {
    matches(Invocation::new("SIMILAR TO", span, operands), true)
}
