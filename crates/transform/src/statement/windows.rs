//! What stands behind FROM: a call of HOP, TUMBLE, CUMULATE, SESSION, COUNT, EACH or GLOBAL, alone or in
//! `TABLE(..)`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use event::{Batch, Schema};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::Name;
use super::reader::{Reader, Result};
use crate::nearest::suggestion;
use crate::{ExpressionError, compile};

/// Which windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowFunction {
    /// `TUMBLE(stream, time, size[, offset])`
    Tumble,
    /// `HOP(stream, time, slide, size[, offset])`
    Hop,
    /// `CUMULATE(stream, time, step, size[, offset])`
    Cumulate,
    /// `SESSION(stream [PARTITION BY key], time, gap)`
    Session,
    /// `COUNT(stream, time, size[, slide])`
    Count,
    /// `EACH(stream, time)`
    Each,
    /// `GLOBAL(stream, time, early)`
    Global,
}

/// The call behind FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowCall {
    /// Which windows.
    pub function: WindowFunction,
    /// The word for it.
    pub word: Range<usize>,
    /// The stream.
    pub table: Name,
    /// The column of event time.
    pub time: Name,
    /// The names behind `PARTITION BY`.
    pub partition: Option<Vec<Name>>,
    /// What else there is, in the order of the function.
    pub arguments: Vec<WindowArgument>,
}

/// An argument of windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowArgument {
    /// `size`, `slide`, `step`, `offset`, `gap`, or the name of an option.
    pub name: &'static str,
    /// Its bytes.
    pub span: Range<usize>,
    /// What it says.
    pub value: ArgumentValue,
}

/// What an argument of windows says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentValue {
    /// An interval, in microseconds.
    Micros(i64),
    /// A number of events.
    Number(i64),
    /// A text.
    Text(String),
    /// Yes or no.
    Truth(bool),
    /// An expression over an event.
    Expression,
}

impl fmt::Display for ArgumentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentValue::Micros(number) | ArgumentValue::Number(number) => write!(f, "{number}"),
            ArgumentValue::Text(text) => f.write_str(text),
            ArgumentValue::Truth(truth) => write!(f, "{truth}"),
            ArgumentValue::Expression => f.write_str("an expression"),
        }
    }
}

/// The functions with their arguments behind the stream and the time, and how many of those there must be.
const FUNCTIONS: [(&str, WindowFunction, &[&str], usize); 7] = [
    ("TUMBLE", WindowFunction::Tumble, &["size", "offset"], 1),
    ("HOP", WindowFunction::Hop, &["slide", "size", "offset"], 2),
    ("CUMULATE", WindowFunction::Cumulate, &["step", "size", "offset"], 2),
    ("SESSION", WindowFunction::Session, &["gap"], 1),
    ("COUNT", WindowFunction::Count, &["size", "slide"], 1),
    ("EACH", WindowFunction::Each, &[], 0),
    ("GLOBAL", WindowFunction::Global, &["early"], 1),
];

/// What else may be said, by name: of windows that all keys share, and of those that are due at their end.
const OF_SHARED: [&str; 3] = ["zone", "stagger", "quiet"];
const OF_DUE: [&str; 5] = ["allowed_lateness", "late", "early", "at_end", "purge"];

/// The options of a function, which stand behind their names.
fn options(function: WindowFunction) -> Vec<&'static str> {
    use WindowFunction::{Count, Cumulate, Each, Global, Hop, Session, Tumble};
    let own: Vec<&str> = match function {
        Tumble | Hop | Cumulate => OF_SHARED.into_iter().chain(OF_DUE).collect(),
        Session => ["gap_by"].into_iter().chain(OF_DUE).collect(),
        Global => vec!["purge", "expire_after"],
        Count => vec!["expire_after"],
        Each => Vec::new(),
    };
    own.into_iter().chain(["lag_within"]).collect()
}

/// The first two arguments.
const DATA: &str = "data";
const TIME: &str = "timecol";

impl Reader<'_> {
    pub(super) fn windows(&mut self) -> Result<WindowCall> {
        let wrapped = self.is_at(Keyword::TABLE) && self.peek_second() == &Token::LParen;
        if wrapped {
            self.expect(Keyword::TABLE)?;
            self.symbol(&Token::LParen)?;
        }
        if self.peek() == &Token::LParen {
            return Err(self.unexpected("windows"));
        }
        let word = self.here();
        let name = self.name()?;
        let known = FUNCTIONS.iter().find(|(known, ..)| name.text.eq_ignore_ascii_case(known));
        let Some(&(shown, function, names, needed)) = known else {
            let names = FUNCTIONS.map(|(known, ..)| known);
            let error = if self.peek() == &Token::LParen {
                ExpressionError::new(format!("unknown windows `{}`", name.text), word)
            } else {
                ExpressionError::new("no windows", word).help(format!(
                    "write for instance FROM TUMBLE({}, TIME, INTERVAL '10 minutes')",
                    name.text
                ))
            };
            let help = error.help.clone().or_else(|| suggestion(&name.text.to_uppercase(), names));
            return Err(error.maybe_help(help));
        };
        self.symbol(&Token::LParen)?;
        let (mut table, mut time, mut partition) = (None, None, None);
        let mut arguments: Vec<WindowArgument> = Vec::new();
        let all: Vec<&'static str> = [DATA, TIME].into_iter().chain(names.iter().copied()).collect();
        let mut position = 0;
        let end = loop {
            let argument = self.argument_name(shown, &all, &options(function), position)?;
            position += 1;
            let taken = match argument {
                DATA => table.is_some(),
                TIME => time.is_some(),
                _ => arguments.iter().any(|known| known.name == argument),
            };
            if taken {
                return Err(self.error(format!("`{argument}` is there twice")));
            }
            match argument {
                DATA => (table, partition) = self.stream(function).map(|(name, by)| (Some(name), by))?,
                TIME => time = Some(self.time()?),
                _ => arguments.push(self.argument(argument, function)?),
            }
            if !self.comma() {
                break self.symbol(&Token::RParen)?;
            }
        };
        if wrapped {
            self.symbol(&Token::RParen)?;
        }
        let lacks = |what: &str| {
            let list = all.iter().skip(2).map(|name| format!(", {name}")).collect::<String>();
            ExpressionError::new(format!("`{shown}` lacks `{what}`"), end.clone())
                .help(format!("write {shown}(STREAM, TIME{list})"))
        };
        let has = |name: &str| arguments.iter().any(|known| known.name == name);
        if let Some(missing) = names[..needed].iter().find(|name| !has(name) && !has("gap_by")) {
            return Err(lacks(missing));
        }
        arguments.sort_by_key(|argument| names.iter().position(|name| *name == argument.name));
        let table = table.ok_or_else(|| lacks(DATA))?;
        let time = time.ok_or_else(|| lacks(TIME))?;
        Ok(WindowCall { function, word, table, time, partition, arguments })
    }

    /// Which argument comes: by its name in front of `=>`, else by its place.
    fn argument_name(
        &mut self,
        shown: &str,
        all: &[&'static str],
        options: &[&'static str],
        position: usize,
    ) -> Result<&'static str> {
        if self.peek_second() != &Token::RArrow {
            let takes = all.len();
            return all.get(position).copied().ok_or_else(|| {
                self.error(format!("`{shown}` has one argument less"))
                    .help(format!("it takes at most {takes}"))
            });
        }
        let name = self.name()?;
        self.symbol(&Token::RArrow)?;
        let all = || all.iter().chain(options).copied();
        let known = all().find(|known| name.text.eq_ignore_ascii_case(known));
        known.ok_or_else(|| {
            let message = format!("`{shown}` has no `{}`", name.text);
            let help = suggestion(&name.text.to_lowercase(), all());
            ExpressionError::new(message, name.span).maybe_help(help)
        })
    }

    /// `events`, `TABLE events`, `TABLE events PARTITION BY user_id`.
    fn stream(&mut self, function: WindowFunction) -> Result<(Name, Option<Vec<Name>>)> {
        let as_flink = self.accept(Keyword::TABLE).is_some();
        if self.peek() == &Token::LParen {
            return Err(self.unexpected("the name of a stream"));
        }
        let table = self.name()?;
        if !self.is_at(Keyword::PARTITION) {
            // Without it Flink has sessions of all keys together.
            if as_flink && function == WindowFunction::Session {
                return Err(ExpressionError::new("SESSION lacks PARTITION BY", table.span.clone()).help(
                    format!("write TABLE {} PARTITION BY KEY: each key has its sessions", table.text),
                ));
            }
            return Ok((table, None));
        }
        if function != WindowFunction::Session {
            return Err(self.error("only SESSION has PARTITION BY").help("GROUP BY names the key"));
        }
        self.expect(Keyword::PARTITION)?;
        self.expect(Keyword::BY)?;
        if self.peek() != &Token::LParen {
            return Ok((table, Some(vec![self.name()?])));
        }
        self.symbol(&Token::LParen)?;
        let mut names = vec![self.name()?];
        while self.comma() {
            names.push(self.name()?);
        }
        self.symbol(&Token::RParen)?;
        Ok((table, Some(names)))
    }

    /// `ts` or `DESCRIPTOR(ts)`.
    fn time(&mut self) -> Result<Name> {
        let name = self.name()?;
        if !name.text.eq_ignore_ascii_case("descriptor") || self.peek() != &Token::LParen {
            return Ok(name);
        }
        self.symbol(&Token::LParen)?;
        let name = self.name()?;
        self.symbol(&Token::RParen)?;
        Ok(name)
    }

    fn argument(&mut self, name: &'static str, function: WindowFunction) -> Result<WindowArgument> {
        let interval = self.is_at(Keyword::INTERVAL);
        let part = self.part()?;
        let text = self.text(part.span.clone());
        let expected = |what: &str, help: &str| {
            let message = format!("expected {what}, found `{text}`");
            let error = ExpressionError::new(message, part.span.clone());
            if help.is_empty() { error } else { error.help(help) }
        };
        let number = || text.parse::<i64>().ok().filter(|number| *number > 0).map(ArgumentValue::Number);
        let value = match (name, function) {
            ("gap_by", _) => ArgumentValue::Expression,
            ("stagger" | "at_end" | "purge", _) => match text.to_ascii_lowercase().as_str() {
                "true" => ArgumentValue::Truth(true),
                "false" => ArgumentValue::Truth(false),
                _ => return Err(expected("TRUE or FALSE", "")),
            },
            ("zone" | "late", _) => {
                let inside = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
                ArgumentValue::Text(inside.ok_or_else(|| expected("a text in single quotes", ""))?.to_owned())
            }
            _ if interval => ArgumentValue::Micros(micros(text, &part.span)?),
            ("early", _) => number().ok_or_else(|| {
                expected(
                    "an interval or a whole number",
                    "write INTERVAL '1 minute', or 100 for every 100 events",
                )
            })?,
            (_, WindowFunction::Count) => number().ok_or_else(|| expected("a whole number", ""))?,
            _ => return Err(expected("an interval", "write INTERVAL '10 minutes'")),
        };
        Ok(WindowArgument { name, span: part.span, value })
    }
}

/// The length of an interval, by the compiler of all expressions.
fn micros(text: &str, span: &Range<usize>) -> Result<i64> {
    let months = constant(text, "12 * year(", ") + month(@)", span)?;
    if months != 0 {
        return Err(ExpressionError::new("a month has no length of its own", span.clone())
            .help("write a number of days"));
    }
    constant(text, "epoch_us(", ")", span)
}

/// The value of a whole-number expression around `text`; `@` behind it stands for the text once more.
fn constant(text: &str, before: &str, after: &str, span: &Range<usize>) -> Result<i64> {
    let schema = Arc::new(Schema::new(Vec::new()));
    let whole = format!("{before}{text}{}", after.replace('@', text));
    let inside = |at: usize| (span.start + at.saturating_sub(before.len())).clamp(span.start, span.end);
    let expression = compile(&whole, &schema).map_err(|error| {
        let span = inside(error.span.start)..inside(error.span.end);
        ExpressionError { span, ..error }
    })?;
    let value = expression.evaluate(&Batch::new(Arc::clone(&schema), Vec::new(), 1));
    match value.failures.first() {
        Some(failure) => Err(ExpressionError::new(failure.detail.to_string(), span.clone())),
        None => Ok(value.column.as_primitive::<Int64Type>().value(0)),
    }
}
