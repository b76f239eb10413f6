//! The tables of databases: what is in them, column by column.
//!
//! Three shapes: alerts, plain rows, quarantine rows. Each row has a name that is the same in every run, so
//! that a row that comes again is no second row.

use std::fmt;
use std::time::Duration;

/// A table that rows are inserted into. It is made if it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub shape: Shape,
    /// How long a database that is away is waited for.
    pub retry_for: Duration,
}

/// What the rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Alerts, by their id.
    Alerts,
    /// Plain rows, by key and window. The rows must hold the columns of the key, `window_start` and
    /// `window_end` as they are.
    Rows {
        /// The columns of the key.
        key: Vec<String>,
        /// Whether the rows hold `rule`, which then is a part of their name.
        rule: bool,
    },
    /// Quarantine rows, by a hash of all that they say.
    Quarantine,
}

/// Name of the table in which a database keeps what it was given.
pub(super) const LEDGER: &str = "tidewatch_delivered";

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it has no NULL.
    pub(super) required: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    /// An instant, given as RFC 3339.
    Instant,
    /// A JSON object, given as text.
    Json,
}

/// The columns of a table that was found in a database.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Names and types.
    pub(super) columns: Vec<(String, String)>,
    /// Names of those in the primary key.
    pub(super) primary: Vec<String>,
}

const fn column(name: &'static str, kind: Kind, required: bool) -> Column {
    Column { name, kind, required }
}

const ALERTS: &[Column] = &[
    column("id", Kind::Text, true),
    column("job", Kind::Text, true),
    column("rule", Kind::Text, false),
    column("severity", Kind::Text, false),
    column("key", Kind::Text, true),
    column("window_start", Kind::Instant, true),
    column("window_end", Kind::Instant, true),
    column("score", Kind::Number, false),
    column("threshold", Kind::Number, false),
    column("summary", Kind::Text, false),
    column("alert", Kind::Json, true),
];

const ROWS: &[Column] = &[
    column("key", Kind::Text, true),
    column("window_start", Kind::Instant, true),
    column("window_end", Kind::Instant, true),
    column("row", Kind::Json, true),
];

const ROWS_OF_RULES: &[Column] = &[
    column("key", Kind::Text, true),
    column("window_start", Kind::Instant, true),
    column("window_end", Kind::Instant, true),
    column("rule", Kind::Text, true),
    column("row", Kind::Json, true),
];

const QUARANTINE: &[Column] = &[
    column("id", Kind::Text, true),
    column("reason", Kind::Text, true),
    column("detail", Kind::Text, true),
    column("partition", Kind::Text, false),
    column("offset", Kind::Integer, false),
    column("raw", Kind::Text, true),
];

impl Shape {
    /// The columns, in the order in which they are made and filled.
    pub(super) fn columns(&self) -> &'static [Column] {
        match self {
            Shape::Alerts => ALERTS,
            Shape::Rows { rule: false, .. } => ROWS,
            Shape::Rows { rule: true, .. } => ROWS_OF_RULES,
            Shape::Quarantine => QUARANTINE,
        }
    }

    /// Whether several jobs can share a table: its rows say of which job they are.
    pub(super) fn is_shared(&self) -> bool {
        *self == Shape::Alerts
    }

    /// The columns of the primary key, which are the first ones.
    pub(super) fn primary(&self) -> &'static [Column] {
        match self {
            Shape::Alerts | Shape::Quarantine => &self.columns()[..1],
            Shape::Rows { rule, .. } => &self.columns()[..3 + usize::from(*rule)],
        }
    }

    /// `CREATE TABLE IF NOT EXISTS` with the words that the database has for the kinds of columns.
    pub(super) fn create(&self, table: &str, type_of: fn(Kind) -> &'static str) -> String {
        let columns: Vec<String> = self
            .columns()
            .iter()
            .map(|Column { name, kind, required }| {
                let null = if *required { " NOT NULL" } else { "" };
                format!("\"{name}\" {}{null}", type_of(*kind))
            })
            .collect();
        let primary = quoted_list(self.primary());
        let columns = columns.join(", ");
        format!("CREATE TABLE IF NOT EXISTS \"{table}\" ({columns}, PRIMARY KEY ({primary}))")
    }

    /// What is different in the table that was found, in words. Columns of others are no harm.
    pub(super) fn difference(&self, found: &Found, type_of: fn(Kind) -> &'static str) -> Option<String> {
        for column in self.columns() {
            let Some((_, type_found)) = found.columns.iter().find(|(name, _)| name == column.name) else {
                return Some(format!("it has no column `{}`", column.name));
            };
            let wanted = type_of(column.kind);
            if !type_found.eq_ignore_ascii_case(wanted) {
                return Some(format!("its column `{}` is {type_found}, not {wanted}", column.name));
            }
        }
        let mut wanted: Vec<&str> = self.primary().iter().map(|column| column.name).collect();
        let mut primary: Vec<&str> = found.primary.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        primary.sort_unstable();
        (wanted != primary).then(|| format!("its primary key is not ({})", quoted_list(self.primary())))
    }
}

/// Names of columns, as SQL lists them.
pub(super) fn quoted_list(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    names.join(", ")
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.shape {
            Shape::Alerts => "alerts",
            Shape::Rows { .. } => "rows",
            Shape::Quarantine => "quarantine rows",
        };
        write!(formatter, "table {} of {shape}", self.name)
    }
}

impl Table {
    /// Why a table cannot have that name.
    pub fn check_name(name: &str) -> Result<(), &'static str> {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err("a table's name has letters, digits and `_`, and begins with no digit");
        }
        let lower = name.to_ascii_lowercase();
        if name.len() > 63 {
            return Err("a table's name has at most 63 characters");
        }
        match lower == LEDGER || lower.starts_with("sqlite_") || lower.starts_with("pg_") {
            true => Err("this name is taken by the database or by tidewatch"),
            false => Ok(()),
        }
    }
}
