//! The table of functions. To add one: a line in the table of its file, and a test with DuckDB's answer.

mod bits;
mod bucket;
mod choice;
mod code;
mod difference;
mod distance;
mod make;
mod math;
mod number;
mod pattern;
mod piece;
mod small;
mod text;
mod time;
mod time_format;
mod zone;

pub(crate) use bits::{bit_not, bit_operator};
pub(crate) use bucket::time_bucket;
pub(crate) use pattern::{pattern_operator, similar_to};
pub(crate) use piece::subscript;
pub(crate) use small::{SMALL_INTEGERS, SmallInteger, within};
pub(crate) use text::concatenate;
pub(crate) use zone::at_time_zone;

use std::ops::{Range, RangeInclusive};

use event::DataType;

use crate::ExpressionError;
use crate::bind::{Bound, conversion_help};
use crate::node::Kernel;

type Result<T> = std::result::Result<T, ExpressionError>;

/// Any number of arguments from one on.
pub(crate) const MANY: usize = usize::MAX;

/// A function: its name, how many arguments it takes, and how a call of it is typed and compiled.
pub(crate) struct Function {
    name: &'static str,
    arguments: RangeInclusive<usize>,
    build: fn(Invocation) -> Result<Bound>,
}

const fn function(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    build: fn(Invocation) -> Result<Bound>,
) -> Function {
    Function { name, arguments, build }
}

const TABLES: [&[Function]; 15] = [
    number::TABLE,
    math::TABLE,
    bits::TABLE,
    text::TABLE,
    piece::TABLE,
    code::TABLE,
    distance::TABLE,
    pattern::TABLE,
    time::TABLE,
    make::TABLE,
    difference::TABLE,
    time_format::TABLE,
    zone::TABLE,
    bucket::TABLE,
    choice::TABLE,
];

/// Types and compiles a call of the function of that name, which is lower case.
pub(crate) fn call(name: &str, arguments: Vec<Bound>, span: Range<usize>) -> Result<Bound> {
    match TABLES.into_iter().flatten().find(|function| function.name == name) {
        Some(function) => function.invoke(Invocation::new(function.name, span, arguments)),
        None => Err(ExpressionError::new(format!("`{name}` takes no such arguments"), span)),
    }
}

/// What to write instead of a function that many expect and that is not there on purpose.
pub(crate) fn advice(name: &str) -> Option<String> {
    let advice = match name {
        "now"
        | "current_timestamp"
        | "current_date"
        | "today"
        | "get_current_timestamp"
        | "random"
        | "uuid"
        | "gen_random_uuid" => "an answer depends on the input alone; `event_time` is the time of an event",
        "hash" => "DuckDB's hash changes between its versions; md5(..) and sha256(..) stay",
        "printf" | "format" => "join texts with `||`, and round(x, digits) numbers",
        "split" | "string_split" | "str_split" | "regexp_split_to_array" => {
            "there are no lists; split_part(text, separator, place) takes one"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// The names of all functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    TABLES.into_iter().flatten().map(|function| function.name)
}

impl Function {
    /// Types and compiles a call.
    fn invoke(&self, invocation: Invocation) -> Result<Bound> {
        let found = invocation.arguments.len();
        if self.arguments.contains(&found) {
            return (self.build)(invocation);
        }
        let (least, most) = (*self.arguments.start(), *self.arguments.end());
        let wanted = match (least, most) {
            (_, MANY) => format!("at least {least} argument{}", if least == 1 { "" } else { "s" }),
            (1, 1) => "1 argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        let message = format!("`{}` takes {wanted}, not {found}", self.name);
        Err(ExpressionError::new(message, invocation.span))
    }
}

/// One call of a function, with typed arguments.
pub(crate) struct Invocation {
    name: &'static str,
    span: Range<usize>,
    arguments: Vec<Bound>,
}

impl Invocation {
    pub(crate) fn new(name: &'static str, span: Range<usize>, arguments: Vec<Bound>) -> Self {
        Invocation { name, span, arguments }
    }

    /// Takes that argument as that type, widening it if need be.
    fn take(&mut self, place: usize, wanted: DataType) -> Result<()> {
        let argument = self.arguments[place].clone();
        let widens = match argument.data_type {
            None => true,
            Some(found) => found == wanted || (wanted == DataType::Double && found.is_numeric()),
        };
        if !widens {
            return Err(self.mismatch(&argument, &format!("a {wanted}"), wanted));
        }
        self.arguments[place] = argument.widened(wanted)?;
        Ok(())
    }

    /// Takes all arguments as that type.
    fn take_all(&mut self, wanted: DataType) -> Result<()> {
        (0..self.arguments.len()).try_for_each(|place| self.take(place, wanted))
    }

    /// Takes that argument as a number of whatever type, which is returned.
    fn take_number(&mut self, place: usize) -> Result<DataType> {
        let argument = &self.arguments[place];
        match argument.data_type {
            None => self.take(place, DataType::Double).map(|()| DataType::Double),
            Some(found) if found.is_numeric() => Ok(found),
            Some(_) => Err(self.mismatch(argument, "a number", DataType::Double)),
        }
    }

    fn mismatch(&self, argument: &Bound, wanted: &str, hint: DataType) -> ExpressionError {
        let message = format!("`{}` needs {wanted}, found a {}", self.name, argument.type_name());
        ExpressionError::new(message, argument.span.clone()).maybe_help(conversion_help(argument, hint))
    }

    /// The call, which cannot fail.
    fn total(self, output: DataType, kernel: Kernel) -> Result<Bound> {
        Bound::call(self.name, self.span, self.arguments, output, false, kernel)
    }

    /// The call, which can fail.
    fn partial(self, output: DataType, kernel: Kernel) -> Result<Bound> {
        Bound::call(self.name, self.span, self.arguments, output, true, kernel)
    }
}
