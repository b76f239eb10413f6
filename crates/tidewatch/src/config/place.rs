//! Where a piece of the configuration was written: in the file, on the command line, in the environment, in a
//! program.
//!
//! Every value and every key carries a [`Place`], so that an error can point to the word.

use std::ops::Range;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// What a text of the configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The config file.
    File(PathBuf),
    /// The `--set` argument of that number, counted from 1.
    Set(usize),
    /// The environment variable of that name.
    Environment(String),
    /// A call of a program that makes a job, in that line of its source.
    Call(&'static Location<'static>),
}

/// A text that was read, kept so that errors can show its lines.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is.
    pub origin: Origin,
    /// All of it. An override is kept as `PATH=VALUE`, a call as it could be written.
    pub text: String,
}

/// All texts of one configuration.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

/// A range of bytes of one of the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Ordinal of the text.
    pub source: usize,
    /// Its bytes.
    pub span: Range<usize>,
}

/// A place as people count: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position<'a> {
    /// Number of the line.
    pub line: usize,
    /// Number of the first character.
    pub column: usize,
    /// How many characters on that line.
    pub width: usize,
    /// The whole line.
    pub text: &'a str,
}

impl Sources {
    /// Keeps a text and returns its ordinal.
    pub fn add(&mut self, origin: Origin, text: String) -> usize {
        self.sources.push(Source { origin, text });
        self.sources.len() - 1
    }

    /// The text of that ordinal.
    pub fn get(&self, source: usize) -> &Source {
        &self.sources[source]
    }

    /// The path of the config file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.sources.iter().find_map(|source| match &source.origin {
            Origin::File(path) => Some(path.as_path()),
            _ => None,
        })
    }

    /// Line and column of a place.
    pub fn position(&self, place: &Place) -> Position<'_> {
        let text = self.sources[place.source].text.as_str();
        let start = floor_boundary(text, place.span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line_end = line_start + text[line_start..line_end].trim_end_matches('\r').len();
        let end = floor_boundary(text, place.span.end).clamp(start, line_end.max(start));
        Position {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: &text[line_start..line_end],
        }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str, span: Range<usize>) -> (usize, usize, usize, String) {
        let mut sources = Sources::default();
        let source = sources.add(Origin::Set(1), text.to_owned());
        let at = sources.position(&Place { source, span });
        (at.line, at.column, at.width, at.text.to_owned())
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        assert_eq!(position("a = 1\nüü = 2\r\n", 11..12), (2, 4, 1, "üü = 2".to_owned()));
    }

    #[test]
    fn a_place_at_the_very_end_or_across_lines_stays_on_its_line() {
        assert_eq!(position("a =", 3..3), (1, 4, 1, "a =".to_owned()));
        assert_eq!(position("abc\ndef", 1..6), (1, 2, 2, "abc".to_owned()));
        assert_eq!(position("abc", 9..12), (1, 4, 1, "abc".to_owned()));
    }
}
