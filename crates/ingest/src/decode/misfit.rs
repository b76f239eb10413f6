//! Why a record does not fit: small and copyable while decoding, in words once it is certain.

use event::Reason;

/// What a value or a structure ran against. Says nothing about which field: the record knows that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Not JSON, in these words.
    Malformed(&'static str),
    /// A string whose escapes are no Unicode text.
    LoneSurrogate,
    /// Not a value of the declared type.
    Type,
    /// Null where a value is required.
    Missing,
    /// An event time outside the range.
    TimeRange,
    /// Nested too deep.
    TooDeep,
    /// A needed name stands twice.
    Duplicate,
}

impl Misfit {
    /// The code of the quarantine row.
    pub(super) fn reason(self) -> Reason {
        match self {
            Misfit::Malformed(_) | Misfit::LoneSurrogate => Reason::Malformed,
            Misfit::Type => Reason::Type,
            Misfit::Missing => Reason::Missing,
            Misfit::TimeRange => Reason::TimeRange,
            Misfit::TooDeep => Reason::TooDeep,
            Misfit::Duplicate => Reason::Duplicate,
        }
    }
}

/// A misfit and the words for it.
#[derive(Debug)]
pub(super) struct Failure {
    /// The code of the quarantine row.
    pub(super) reason: Reason,
    /// What happened, naming the field and the value.
    pub(super) detail: String,
}

impl Failure {
    /// A misfit of the record as a whole, at that byte of the line.
    #[cold]
    pub(super) fn of_record(misfit: Misfit, at: usize) -> Box<Failure> {
        let detail = match misfit {
            Misfit::Malformed(what) => format!("{what} at byte {at} of the line"),
            Misfit::LoneSurrogate => format!("a lone surrogate at byte {at} of the line"),
            Misfit::TooDeep => "the record is nested too deep".to_owned(),
            other => format!("{} at byte {at} of the line", other.reason()),
        };
        Box::new(Failure { reason: misfit.reason(), detail })
    }

    /// A misfit of the value of a field; `expected` is the type in words, `value` starts with the value.
    #[cold]
    pub(super) fn of_field(misfit: Misfit, name: &str, expected: &str, value: &[u8]) -> Box<Failure> {
        Self::of_value(misfit, name, expected, excerpt(value))
    }

    /// The same of a field of CSV, which holds that text.
    #[cold]
    pub(super) fn of_cell(misfit: Misfit, name: &str, expected: &str, text: &[u8]) -> Box<Failure> {
        match misfit {
            Misfit::Duplicate => {
                let detail = format!("`{name}` stands twice in the header");
                Box::new(Failure { reason: misfit.reason(), detail })
            }
            _ => Self::of_value(misfit, name, expected, shown(text)),
        }
    }

    fn of_value(misfit: Misfit, name: &str, expected: &str, value: String) -> Box<Failure> {
        let detail = match misfit {
            Misfit::Malformed(what) => format!("`{name}`: {what}"),
            Misfit::LoneSurrogate => format!("`{name}` holds a lone surrogate"),
            Misfit::Type => format!("`{name}` is not a {expected}: {value}"),
            Misfit::Missing => format!("`{name}` is missing"),
            Misfit::TimeRange => format!("`{name}` lies outside the range of event times: {value}"),
            Misfit::TooDeep => format!("`{name}` is nested too deep"),
            Misfit::Duplicate => format!("`{name}` stands twice in its object"),
        };
        Box::new(Failure { reason: misfit.reason(), detail })
    }
}

/// The first characters of the JSON value at the start of `bytes`, for a message.
fn excerpt(bytes: &[u8]) -> String {
    let line_end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes[..line_end].trim_ascii();
    let end = match line.first() {
        Some(b'"') => line[1..].iter().position(|&byte| byte == b'"').map_or(line.len(), |at| at + 2),
        Some(b'{' | b'[') => line.len(),
        _ => line.iter().position(|byte| b",}] \t\r".contains(byte)).unwrap_or(line.len()),
    };
    shown(&line[..end])
}

/// The first characters of a text, for a message.
fn shown(text: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 40;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * CHARACTERS_MAX)]).into_owned();
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}
