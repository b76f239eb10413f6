//! What the rules would have made of a row if some of its features had been others.

use dataflow::explain::{Judged, Row};

/// A feature that is to have another value: an expression over the row as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) feature: String,
    pub(super) expression: String,
}

impl Assignment {
    /// Reads `feature = expression`.
    pub(super) fn parse(text: &str) -> Result<Assignment, String> {
        let (feature, expression) =
            text.split_once('=').ok_or("write it as FEATURE=EXPRESSION, as in 'exits = 0'")?;
        let (feature, expression) = (feature.trim().to_owned(), expression.trim().to_owned());
        match feature.is_empty() || expression.is_empty() {
            true => Err("write it as FEATURE=EXPRESSION, as in 'exits = 0'".to_owned()),
            false => Ok(Assignment { feature, expression }),
        }
    }
}

/// A row that might have been.
pub(super) struct Supposition {
    /// What is different, in words.
    pub(super) words: String,
    /// Its features as JSON, by name.
    pub(super) features: Vec<(String, String)>,
    pub(super) judged: Judged,
    /// The rule of the alert, and whether it would have found the row.
    pub(super) rule: Option<String>,
    /// Events that it asks for, if it is not known whether there would have been as many.
    pub(super) assumed: Option<u64>,
}

impl Supposition {
    /// # Errors
    /// If there is no such feature, or no such value.
    pub(super) fn of(row: &Row<'_>, rule: Option<&str>, what_if: &[Assignment]) -> Result<Self, String> {
        if row.remembers() {
            let why = "scores of this job are detectors: what they would have said rests on what they knew then, which is gone";
            return Err(format!("--what-if: {why}"));
        }
        let mut supposed = row.clone();
        for Assignment { feature, expression } in what_if {
            // Each is over the row as it was, so that their order does not matter.
            supposed =
                supposed.taking(feature, row, expression).map_err(|why| format!("--what-if: {why}"))?;
        }
        let words: Vec<String> =
            what_if.iter().map(|it| format!("{} = {}", it.feature, it.expression)).collect();
        let asked_for = rule.and_then(|rule| row.min_events(rule)).filter(|least| *least > 1);
        Ok(Supposition {
            words: words.join(", "),
            features: supposed.features(),
            judged: supposed.judge(),
            rule: rule.map(str::to_owned),
            assumed: asked_for.filter(|_| row.records == u64::MAX),
        })
    }

    /// Whether the rule of the alert would have found it.
    pub(super) fn fires(&self) -> bool {
        self.judged.found.iter().any(|found| found.rule == self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_given_an_expression() {
        let parsed = Assignment::parse(" exits = greatest(exits - 2, 0) ").unwrap();
        assert_eq!(
            (parsed.feature.as_str(), parsed.expression.as_str()),
            ("exits", "greatest(exits - 2, 0)")
        );
        assert_eq!(Assignment::parse("a=b=c").unwrap().expression, "b=c");
        for wrong in ["exits", "=0", "exits=", ""] {
            assert!(Assignment::parse(wrong).is_err(), "{wrong}");
        }
    }
}
