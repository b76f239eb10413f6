//! What is wrong with a configuration, shown the way rustc does: the place, the line, the word, the remedy.

use std::fmt::Write as _;

use serde_json::json;

use super::place::{Origin, Place, Sources};
use super::secret::hidden;

/// The classes of mistakes. A closed list; the codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The file is not TOML.
    Syntax,
    /// A key that no section knows.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value of another TOML type.
    WrongType,
    /// A value out of its range, or none of those that may be.
    BadValue,
    /// An override that cannot be applied.
    BadOverride,
    /// `${VAR}` in a string, where VAR is not set and has no default.
    UnsetVariable,
    /// The file cannot be read.
    Unreadable,
    /// A SQL expression that does not compile.
    Expression,
    /// An expression of the wrong type, as a rule that is not a condition.
    ExpressionType,
    /// Settings that exclude each other.
    Conflict,
    /// Two things of one name.
    NameTaken,
}

impl Code {
    /// The code as messages carry it.
    pub fn name(self) -> &'static str {
        match self {
            Code::Syntax => "E0101",
            Code::UnknownKey => "E0102",
            Code::MissingKey => "E0103",
            Code::WrongType => "E0104",
            Code::BadValue => "E0105",
            Code::BadOverride => "E0106",
            Code::UnsetVariable => "E0107",
            Code::Unreadable => "E0108",
            Code::Expression => "E0201",
            Code::ExpressionType => "E0202",
            Code::Conflict => "E0301",
            Code::NameTaken => "E0302",
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its class.
    pub code: Code,
    /// What is wrong, in words.
    pub message: String,
    /// Where, if it stands anywhere.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Diagnostic { code, message: message.into(), place: Some(place), help: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message for people, without a line end. `colour` puts it in colours; it reads as well without.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let paint = Paint { colour };
        let head = format!("error[{}]", self.code.name());
        let mut text = format!("{}: {}", paint.red(&head), paint.bold(&hidden(&self.message)));
        match &self.place {
            Some(place) => self.render_place(&mut text, place, sources, &paint),
            None => {
                if let Some(help) = &self.help {
                    let _ = write!(text, "\n  {} {help}", paint.cyan("help:"));
                }
            }
        }
        text
    }

    fn render_place(&self, text: &mut String, place: &Place, sources: &Sources, paint: &Paint) {
        let at = sources.position(place);
        let (from, number) = match &sources.get(place.source).origin {
            Origin::File(path) => {
                (format!("{}:{}:{}", path.display(), at.line, at.column), at.line.to_string())
            }
            Origin::Set(number) => (format!("--set, argument {number}"), String::from(" ")),
            Origin::Environment(_) => (String::from("the environment"), String::from(" ")),
            Origin::Call(call) => (call.to_string(), String::from(" ")),
        };
        let gutter = " ".repeat(number.len());
        let bar = paint.blue("|");
        let line = hidden(&at.text.replace('\t', " "));
        let carets = "^".repeat(at.width);
        let mark = match &self.help {
            Some(help) => format!("{} {} {help}", paint.red(&carets), paint.cyan("help:")),
            None => paint.red(&carets),
        };
        let arrow = paint.blue("-->");
        let _ = write!(
            text,
            "\n{gutter}{arrow} {from}\n{gutter} {bar}\n{} {bar} {line}\n{gutter} {bar} {}{mark}",
            paint.blue(&number),
            " ".repeat(at.column - 1),
        );
    }

    /// The same for programs.
    pub fn to_json(&self, sources: &Sources) -> serde_json::Value {
        let place =
            self.place.as_ref().map(|place| (&sources.get(place.source).origin, sources.position(place)));
        let (from, file, line, column) = match place {
            Some((Origin::File(path), at)) => {
                ("file".to_owned(), Some(path.display().to_string()), Some(at.line), Some(at.column))
            }
            Some((Origin::Set(number), at)) => (format!("set {number}"), None, None, Some(at.column)),
            Some((Origin::Environment(name), at)) => {
                (format!("environment {name}"), None, None, Some(at.column))
            }
            Some((Origin::Call(call), _)) => {
                let (line, column) = (call.line() as usize, call.column() as usize);
                ("call".to_owned(), Some(call.file().to_owned()), Some(line), Some(column))
            }
            None => ("none".to_owned(), None, None, None),
        };
        json!({
            "severity": "error",
            "code": self.code.name(),
            "message": hidden(&self.message),
            "from": from,
            "file": file,
            "line": line,
            "column": column,
            "help": self.help,
        })
    }
}

/// `1 error` or `3 errors`.
pub fn summary(errors: usize) -> String {
    match errors {
        1 => "1 error".to_owned(),
        many => format!("{many} errors"),
    }
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn red(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn blue(&self, text: &str) -> String {
        self.wrap("1;34", text)
    }

    fn cyan(&self, text: &str) -> String {
        self.wrap("36", text)
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }
}
