//! Names of the window that a row is of: its edges are columns, its length is made of them.

use std::ops::Range;

use event::{DataType, RowSchema};
use sqlparser::ast::Ident;

use super::{Binder, Bound, Operand, Place, Result, interval};

/// The first of the window's columns while features are bound: how many aggregates come before is not known yet.
pub(crate) const WINDOW: usize = usize::MAX / 2;

/// The names, for suggestions.
pub(super) const NAMES: [&str; 4] = [
    RowSchema::WINDOW_START,
    RowSchema::WINDOW_END,
    RowSchema::WINDOW_DURATION,
    RowSchema::WINDOW_DURATION_S,
];

impl Binder<'_> {
    /// A bare name: a column, a feature, or something of the window.
    pub(super) fn named(&mut self, name: &Ident) -> Result<Operand> {
        match self.window_length(name) {
            Some(length) => length,
            None => self.name(name).map(Operand::Value),
        }
    }

    /// The window's length, if that is what the name means here.
    fn window_length(&self, name: &Ident) -> Option<Result<Operand>> {
        let in_seconds = name.value == RowSchema::WINDOW_DURATION_S;
        if !in_seconds && name.value != RowSchema::WINDOW_DURATION {
            return None;
        }
        let span = self.source.range(name.span);
        let (start, end) = self.window_edges(&name.value, &span)?;
        let length = interval::difference(&end, &start, &span)?;
        Some(length.and_then(|length| match in_seconds {
            true => interval::seconds(length, span).map(Operand::Value),
            false => Ok(Operand::Interval(length)),
        }))
    }

    /// The edges of the window, unless there is none or that name means something else.
    fn window_edges(&self, name: &str, span: &Range<usize>) -> Option<(Bound, Bound)> {
        let edge = |column| Bound::column(column, DataType::TimestampTz, span.clone());
        match &self.place {
            Place::Features(collector) if collector.has_feature(name) => None,
            Place::Features(_) => Some((edge(WINDOW), edge(WINDOW + 1))),
            Place::Row | Place::Aggregate if self.schema.index_of(name).is_some() => None,
            Place::Row | Place::Aggregate => {
                let column = |name| {
                    let column = self.schema.index_of(name)?;
                    (self.schema.fields()[column].data_type == DataType::TimestampTz).then(|| edge(column))
                };
                Some((column(RowSchema::WINDOW_START)?, column(RowSchema::WINDOW_END)?))
            }
        }
    }
}

/// An edge of the window among aggregates.
pub(super) fn edge(name: &str, span: &Range<usize>) -> Option<Bound> {
    let edges = [RowSchema::WINDOW_START, RowSchema::WINDOW_END];
    let place = edges.iter().position(|edge| *edge == name)?;
    Some(Bound::column(WINDOW + place, DataType::TimestampTz, span.clone()))
}
