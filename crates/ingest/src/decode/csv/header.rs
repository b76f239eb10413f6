//! The header of CSV, and which of its names the job needs.

use super::field::{NoField, append_text, field};
use crate::decode::decoder::without_mark;
use crate::decode::misfit::Misfit;
use crate::decode::spec::DecodeSpec;

/// The names of the fields of each record, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvHeader {
    names: Vec<Vec<u8>>,
}

/// Why the first record of CSV is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// A quote is never closed, so that there is nothing behind the header.
    #[error("a quote that is never closed")]
    Open,
    /// Text follows a closing quote.
    #[error("text behind a closing quote at byte {0} of the line")]
    TextBehindQuote(usize),
    /// It is longer than a record may be.
    #[error("longer than `limits.record_bytes`, {0} bytes")]
    TooLong(usize),
}

impl CsvHeader {
    /// The names in the first record of a partition, which is whole.
    ///
    /// # Errors
    /// If it is none by RFC 4180.
    pub fn parse(record: &[u8]) -> Result<Self, HeaderFault> {
        let (mut names, mut at) = (Vec::new(), 0);
        loop {
            let field = field(record, at, true).map_err(|fault| match fault {
                NoField::Cut => HeaderFault::Open,
                NoField::TextBehindQuote(at) => HeaderFault::TextBehindQuote(at),
            })?;
            let mut name = Vec::new();
            append_text(&field, &mut name);
            names.push(name);
            if record.get(field.end) != Some(&b',') {
                return Ok(CsvHeader { names });
            }
            at = field.end + 1;
        }
    }

    /// Where the first record of a partition begins, behind a byte order mark and blank lines; `None` if that
    /// takes more bytes to say.
    pub(crate) fn start(bytes: &[u8], is_last: bool) -> Option<usize> {
        if bytes.len() < 3 && !is_last {
            return None;
        }
        let mut at = without_mark(bytes, 0);
        loop {
            match &bytes[at..] {
                [b'\n', ..] => at += 1,
                [b'\r', b'\n', ..] => at += 2,
                [] | [b'\r'] if !is_last => return None,
                _ => return Some(at),
            }
        }
    }

    /// Number of names.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    fn places<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let named = self.names.iter().enumerate().filter(move |(_, other)| **other == name.as_bytes());
        named.map(|(place, _)| place)
    }
}

/// Who wants the text of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The column at that place.
    Column(usize),
    /// Event time.
    Time,
    /// How far the partition has come.
    Punctuation,
}

/// What to do with the field at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nobody needs it.
    Skip,
    /// One wants it.
    One(Target),
    /// Several want it.
    Several(Vec<Target>),
}

/// What to do with each field of a record.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) actions: Vec<Action>,
    /// Columns that have no field, and are NULL.
    pub(super) absent: Vec<usize>,
    /// Why no record fits at all: a field that all of them need is not in the header, or a needed one is
    /// there twice.
    pub(super) unfit: Option<(Misfit, String)>,
}

impl Layout {
    pub(super) fn new(spec: &DecodeSpec, header: &CsvHeader) -> Self {
        let actions = vec![Action::Skip; header.count()];
        let mut layout = Layout { actions, absent: Vec::new(), unfit: None };
        for (column, field) in spec.fields.iter().enumerate() {
            let path = if field.path.is_empty() { field.name.clone() } else { field.path.join(".") };
            layout.add(header, &path, Target::Column(column), field.required);
        }
        layout.add(header, &spec.time.path.join("."), Target::Time, true);
        if let Some(punctuation) = &spec.punctuation {
            layout.add(header, &punctuation.path.join("."), Target::Punctuation, false);
        }
        layout
    }

    fn add(&mut self, header: &CsvHeader, name: &str, target: Target, required: bool) {
        let mut places = header.places(name);
        let (first, second) = (places.next(), places.next());
        let misfit = match (first, second) {
            (_, Some(_)) => Some(Misfit::Duplicate),
            (None, _) if required => Some(Misfit::Missing),
            _ => None,
        };
        if let Some(misfit) = misfit {
            self.unfit.get_or_insert((misfit, name.to_owned()));
        }
        match (first, target) {
            (Some(place), _) => self.actions[place].add(target),
            (None, Target::Column(column)) => self.absent.push(column),
            (None, Target::Time | Target::Punctuation) => {}
        }
    }
}

impl Action {
    /// Who wants it.
    pub(super) fn targets(&self) -> &[Target] {
        match self {
            Action::Skip => &[],
            Action::One(target) => std::slice::from_ref(target),
            Action::Several(targets) => targets,
        }
    }

    fn add(&mut self, target: Target) {
        match self {
            Action::Skip => *self = Action::One(target),
            Action::One(first) => *self = Action::Several(vec![*first, target]),
            Action::Several(targets) => targets.push(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::DataType;

    use super::*;
    use crate::{FieldSpec, TimeSpec, TimeUnit};

    fn names(record: &str) -> Result<Vec<String>, HeaderFault> {
        let header = CsvHeader::parse(record.as_bytes())?;
        Ok(header.names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect())
    }

    #[test]
    fn a_header_is_a_record_like_any_other() {
        assert_eq!(names("a,\"b,\"\"c\nd\",, e \r\n").unwrap(), ["a", "b,\"c\nd", "", " e "]);
        assert_eq!(names("a").unwrap(), ["a"]);
        assert_eq!(names("a,\"b\n"), Err(HeaderFault::Open));
        assert_eq!(names("\"a\"b\n"), Err(HeaderFault::TextBehindQuote(3)));
    }

    #[test]
    fn a_mark_and_blank_lines_stand_before_it() {
        let start = |text: &str, is_last| CsvHeader::start(text.as_bytes(), is_last);
        assert_eq!(start("\u{feff}\r\n\na,b", false), Some(6));
        assert_eq!(start("a,b", false), Some(0));
        assert_eq!((start("a", false), start("a", true)), (None, Some(0)));
        assert_eq!((start("\n\n\r", false), start("\n\n\r", true)), (None, Some(2)));
        assert_eq!(start("", true), Some(0));
    }

    #[test]
    fn a_field_is_found_by_its_path_joined_by_dots() {
        let time = TimeSpec::new(&["ts"], TimeUnit::Millis);
        let dotted =
            FieldSpec { path: vec!["a".into(), "b".into()], ..FieldSpec::new("x", DataType::Double) };
        let spec = DecodeSpec::new(vec![dotted, FieldSpec::new("absent", DataType::Double)], time);
        let layout = |header: &str| Layout::new(&spec, &CsvHeader::parse(header.as_bytes()).unwrap());
        let found = layout("b,a.b,ts,ts2");
        let (time, column) = (Action::One(Target::Time), Action::One(Target::Column(0)));
        assert_eq!(found.actions, [Action::Skip, column, time, Action::Skip]);
        assert_eq!((found.absent, found.unfit), (vec![1], None));
        assert_eq!(layout("a.b").unfit, Some((Misfit::Missing, "ts".to_owned())));
        assert_eq!(layout("a.b,ts,a.b").unfit, Some((Misfit::Duplicate, "a.b".to_owned())));
        assert_eq!(layout("a.b,ts,x,x").unfit, None, "nobody needs it");
    }
}
