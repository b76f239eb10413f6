//! `${VAR}` and `${VAR:-default}` in the strings of the file.
//!
//! Only values, never keys; `$${` stands for `${`. A string without `$` is left as it is, so that its
//! place stays exact.

use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::tree::{Node, Table, Text, Value};

/// Puts the variables into every string of `table`.
pub(super) fn substitute(
    table: &mut Table,
    variable: &dyn Fn(&str) -> Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for entry in &mut table.entries {
        substitute_node(&mut entry.node, variable, diagnostics);
    }
}

fn substitute_node(
    node: &mut Node,
    variable: &dyn Fn(&str) -> Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    match &mut node.value {
        Value::Text(text) if text.text.contains("${") => match expand(&text.text, variable) {
            Ok(expanded) => *text = Text { text: expanded, verbatim: None },
            Err(problem) => diagnostics.push(problem.at(text, &node.place)),
        },
        Value::Array(nodes) => {
            nodes.iter_mut().for_each(|node| substitute_node(node, variable, diagnostics));
        }
        Value::Table(table) => substitute(table, variable, diagnostics),
        _ => {}
    }
}

/// What is wrong with a `${..}`, and where in its string.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    message: String,
    help: String,
    start: usize,
    length: usize,
}

impl Problem {
    fn at(self, text: &Text, value: &Place) -> Diagnostic {
        let place = match text.verbatim {
            Some(offset) => {
                let start = offset + self.start;
                Place { source: value.source, span: start..start + self.length }
            }
            None => value.clone(),
        };
        Diagnostic::new(Code::UnsetVariable, place, self.message).with_help(self.help)
    }
}

fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    let mut expanded = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[..start].ends_with('$') {
            // The first `$` is already out.
            expanded.push_str(&text[at..start]);
            expanded.push('{');
            at = start + 2;
            continue;
        }
        expanded.push_str(&text[at..start]);
        let Some(length) = text[start..].find('}') else {
            return Err(Problem {
                message: "`${` without `}`".to_owned(),
                help: "write `$${` for the two characters".to_owned(),
                start,
                length: 2,
            });
        };
        let inside = &text[start + 2..start + length];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        // As in a shell, `:-` also covers a variable that is set to nothing.
        let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
        match value.or_else(|| default.map(str::to_owned)) {
            Some(value) => expanded.push_str(&value),
            None => {
                return Err(Problem {
                    message: format!("the environment variable `{name}` is not set"),
                    help: format!("set it, or give a default: `${{{name}:-default}}`"),
                    start,
                    length: length + 1,
                });
            }
        }
        at = start + length + 1;
    }
    expanded.push_str(&text[at..]);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let variable = |name: &str| match name {
            "STREAM" => Some("podcasts".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(expand(text, &variable).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn a_variable_comes_before_its_default() {
        check("${STREAM}", "podcasts");
        check("a-${STREAM:-x}-${OTHER:-y}-b", "a-podcasts-y-b");
        check("${OTHER:-}", "");
        check("${EMPTY}", "");
        check("${EMPTY:-full}", "full");
        check("cost: $5", "cost: $5");
        check("$${STREAM}", "${STREAM}");
    }

    #[test]
    fn an_unset_variable_without_a_default_is_named() {
        let problem = expand("x${OTHER}", &|_| None).unwrap_err();
        assert_eq!(problem.message, "the environment variable `OTHER` is not set");
        assert_eq!((problem.start, problem.length), (1, 8));
        assert_eq!(expand("${OTHER", &|_| None).unwrap_err().message, "`${` without `}`");
    }
}
