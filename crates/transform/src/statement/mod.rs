//! The statement that describes a whole job: `SELECT .. FROM HOP(..) WHERE .. GROUP BY .. HAVING ..`, or several of them
//! with `UNION ALL` in between, taken apart.
//!
//! What stands where, and nothing more: each expression is a range of bytes of the text, so that whoever compiles
//! it compiles what was written and an error points to its word. What a job cannot do is refused here.

mod qualifiers;
mod reader;
mod windows;

use std::ops::Range;

use crate::ExpressionError;
use crate::source::Source;

pub use windows::{ArgumentValue, WindowArgument, WindowCall, WindowFunction};

/// A statement, or a `SELECT` of one that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text that all ranges are of: what was written, with blanks where a table stood in front of a name.
    pub text: String,
    /// The word `SELECT`.
    pub select: Range<usize>,
    /// What is selected, in order.
    pub items: Vec<SelectItem>,
    /// What stands behind `FROM`.
    pub windows: WindowCall,
    /// What stands behind `WHERE`.
    pub condition: Option<Part>,
    /// The words `GROUP BY`.
    pub group: Range<usize>,
    /// What stands behind them.
    pub keys: Vec<Part>,
    /// What stands behind `HAVING`.
    pub having: Option<Part>,
}

/// An expression that is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectItem {
    /// The expression.
    pub part: Part,
    /// What it is called, if there is `AS name`.
    pub name: Option<Name>,
}

/// An expression of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its bytes.
    pub span: Range<usize>,
    /// What is written there, the same for any blanks, for functions in any case, and for both quotes of names.
    pub words: String,
    /// The calls of aggregates in it, from left to right, with their filters.
    pub aggregates: Vec<AggregateWords>,
    /// The words outside of the aggregates that can be names of columns; keywords are among them.
    pub names: Vec<Name>,
    /// Whether it is no more than one name.
    pub is_name: bool,
}

impl Part {
    fn of_name(name: Name) -> Part {
        Part {
            span: name.span.clone(),
            words: name.text.clone(),
            aggregates: Vec::new(),
            names: vec![name],
            is_name: true,
        }
    }

    /// The name, if it is no more than one.
    pub fn name(&self) -> Option<&Name> {
        self.names.first().filter(|_| self.is_name)
    }
}

/// A call of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateWords {
    /// Which.
    pub function: &'static str,
    /// Its bytes, the filter included.
    pub span: Range<usize>,
}

/// A name, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name, quotes taken off.
    pub text: String,
    /// Its bytes, quotes included.
    pub span: Range<usize>,
    /// Whether it means a column wherever it stands in an expression: it is neither quoted nor a word of SQL.
    pub plain: bool,
}

/// Takes a statement apart: one `SELECT`, or those between which there is `UNION ALL`, in order. All have the same text.
///
/// # Errors
/// If it is none, or asks for what a job cannot do.
pub fn parse_statement(text: &str) -> Result<Vec<Statement>, ExpressionError> {
    let source = Source::new(text);
    let tokens = source.statement_tokens()?;
    let Some(blanked) = qualifiers::without_qualifiers(&source, text, &tokens) else {
        return reader::Reader::new(&source, &tokens).statements();
    };
    let source = Source::new(&blanked);
    let tokens = source.statement_tokens()?;
    reader::Reader::new(&source, &tokens).statements()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "SELECT user_id, 1 + sum(x) FILTER (WHERE y > 0) AS s, max(z)/count(*) AS \"m\" \
        FROM HOP(events, ts, INTERVAL '1 minute', INTERVAL '1' HOUR) WHERE z > 1 AND y < 2 \
        GROUP BY user_id, window_start, window_end HAVING s > count(*);";

    #[test]
    fn every_part_is_the_bytes_that_were_written() {
        let statement = parse_statement(SHORT).expect("a statement").remove(0);
        let at = |span: &Range<usize>| &SHORT[span.clone()];
        let items: Vec<&str> = statement.items.iter().map(|item| at(&item.part.span)).collect();
        assert_eq!(items, ["user_id", "1 + sum(x) FILTER (WHERE y > 0)", "max(z)/count(*)"]);
        let names = statement.items.iter().map(|item| item.name.as_ref().map(|name| name.text.as_str()));
        assert_eq!(names.collect::<Vec<_>>(), [None, Some("s"), Some("m")]);
        let aggregates = statement.items.iter().flat_map(|item| &item.part.aggregates);
        let aggregates: Vec<&str> = aggregates.map(|call| at(&call.span)).collect();
        assert_eq!(aggregates, ["sum(x) FILTER (WHERE y > 0)", "max(z)", "count(*)"]);
        assert_eq!(statement.condition.as_ref().map(|part| at(&part.span)), Some("z > 1 AND y < 2"));
        assert_eq!(statement.having.as_ref().map(|part| at(&part.span)), Some("s > count(*)"));
        let keys = statement.keys.iter().map(|key| key.name().map(|name| name.text.as_str()));
        assert_eq!(keys.collect::<Vec<_>>(), [Some("user_id"), Some("window_start"), Some("window_end")]);
        assert_eq!(at(&statement.group), "GROUP BY");
    }

    /// Windows as `kind table time argument=value ..`.
    fn windows(from: &str) -> String {
        let text = format!("SELECT k FROM {from} GROUP BY k");
        match parse_statement(&text) {
            Ok(mut statements) => {
                let windows = statements.remove(0).windows;
                let arguments =
                    windows.arguments.iter().map(|argument| format!(" {}={}", argument.name, argument.value));
                let partition = windows.partition.iter().flatten().map(|name| format!(" by {}", name.text));
                let parts: String = partition.chain(arguments).collect();
                format!("{:?} {} {}{parts}", windows.function, windows.table.text, windows.time.text)
            }
            Err(error) => format!("{} | {}", error.message, &text[error.span]),
        }
    }

    #[test]
    fn windows_are_written_short_as_flink_has_them_and_with_names() {
        const MINUTE: i64 = 60_000_000;
        let hop = format!("Hop events ts slide={MINUTE} size={}", 10 * MINUTE);
        for from in [
            "HOP(events, ts, INTERVAL '1 minute', INTERVAL '10 minutes')",
            "hop(events, DESCRIPTOR(ts), INTERVAL 1 MINUTE, INTERVAL 10 MINUTES)",
            "TABLE(HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '10' MINUTES))",
            "TABLE(HOP(DATA => TABLE events, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' MINUTES, \
             SLIDE => INTERVAL '1' MINUTE))",
        ] {
            assert_eq!(windows(from), hop, "{from}");
        }
        assert_eq!(
            windows("TUMBLE(e, t, INTERVAL '1 hour', INTERVAL '-9 hours')"),
            format!("Tumble e t size={} offset={}", 60 * MINUTE, -540 * MINUTE)
        );
        assert_eq!(
            windows("TABLE(CUMULATE(TABLE e, DESCRIPTOR(t), INTERVAL '1' HOUR, INTERVAL '1' DAY))"),
            format!("Cumulate e t step={} size={}", 60 * MINUTE, 1440 * MINUTE)
        );
        let session = format!("Session e t by k gap={}", 5 * MINUTE);
        for partition in ["k", "(k)"] {
            let from = format!(
                "TABLE(SESSION(TABLE e PARTITION BY {partition}, DESCRIPTOR(t), INTERVAL '5' MINUTES))"
            );
            assert_eq!(windows(&from), session);
        }
        assert_eq!(windows("SESSION(e PARTITION BY k, t, INTERVAL '5 minutes')"), session);
        assert_eq!(windows("COUNT(e, t, 10, 5)"), "Count e t size=10 slide=5");
        assert_eq!(windows("EACH(e, t)"), "Each e t");
    }

    #[test]
    fn each_select_of_a_union_has_its_own_clauses_and_tables() {
        let text = "SELECT a.k, count(*) AS n FROM EACH(e, t) a WHERE a.x > 1 GROUP BY k, user \
            UNION ALL SELECT b.k, sum(x) FROM COUNT(e, t, 5) AS b GROUP BY b.k HAVING sum(x) > a.b;";
        let statements = parse_statement(text).expect("a statement");
        let [first, second] = statements.as_slice() else { panic!("two statements") };
        let shown = |part: &Option<Part>| part.as_ref().map(|part| part.words.clone());
        assert_eq!((shown(&first.condition), shown(&first.having)), (Some("x > 1".to_owned()), None));
        assert_eq!(shown(&second.condition), None);
        // What is no table of this part stays.
        assert_eq!(shown(&second.having), Some("sum ( x ) > a . b".to_owned()));
        assert_eq!((first.keys.len(), second.keys.len()), (2, 1));
        assert_eq!((&first.text, first.text.len()), (&second.text, text.len()));
        for (text, message) in [
            ("SELECT k FROM EACH(e, t) GROUP BY k UNION SELECT k", "UNION without ALL is not supported"),
            ("SELECT k FROM EACH(e, t) GROUP BY k UNION ALL k", "expected SELECT, found `k`"),
            ("SELECT k FROM EACH(e, t) UNION ALL SELECT k", "expected GROUP, found `UNION`"),
            ("(SELECT k FROM EACH(e, t) UNION ALL SELECT k)", "sub-queries are not supported"),
        ] {
            assert_eq!(parse_statement(text).expect_err(text).message, message);
        }
    }

    #[test]
    fn windows_that_are_none_are_refused_at_the_word() {
        for (from, expected) in [
            ("events", "no windows | events"),
            ("HOPP(e, t)", "unknown windows `HOPP` | HOPP"),
            ("HOP(e, t, INTERVAL '1 minute')", "`HOP` lacks `size` | )"),
            ("TUMBLE(e, t, INTERVAL '1 month')", "a month has no length | INTERVAL '1 month'"),
            ("TUMBLE(e, t, 10)", "expected an interval, found `10` | 10"),
            ("TUMBLE(e, t, INTERVAL 'soon')", "this interval is not understood | 'soon'"),
            ("TUMBLE(e, t, WIDTH => INTERVAL '1 hour')", "`TUMBLE` has no `WIDTH` | WIDTH"),
            ("SESSION(e, t, INTERVAL '1 m', 5)", "`SESSION` has one argument less | 5"),
            ("COUNT(e, t, 0.5)", "expected a whole number, found `0.5` | 0.5"),
            (
                "HOP(e PARTITION BY k, t, INTERVAL '1 m', INTERVAL '1 m')",
                "only SESSION has PARTITION BY | PARTITION",
            ),
            ("TABLE(SESSION(TABLE e, DESCRIPTOR(t), INTERVAL '1' MINUTE))", "SESSION lacks PARTITION BY | e"),
        ] {
            let found = windows(from);
            assert!(found.starts_with(expected.split(" | ").next().unwrap_or_default()), "{from}: {found}");
            assert!(found.ends_with(expected.rsplit(" | ").next().unwrap_or_default()), "{from}: {found}");
        }
    }
}
