//! A figure: a number beside what it should reach, as a line of text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a figure should reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Nothing: it is printed to be compared.
    None,
}

impl Target {
    fn reached(self, value: f64) -> Option<bool> {
        match self {
            Target::AtMost(limit) => Some(value <= limit),
            Target::AtLeast(limit) => Some(value >= limit),
            Target::None => None,
        }
    }
}

/// One number.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
}

/// All of them, and what they were computed from.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    figures: Vec<Figure>,
    details: Vec<(String, Value)>,
    left_out: Vec<String>,
}

impl Figures {
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, target: Target) {
        self.figures.push(Figure { name: name.into(), value, unit, target });
    }

    pub(crate) fn detail(&mut self, name: impl Into<String>, value: Value) {
        self.details.push((name.into(), value));
    }

    /// Notes that there are no figures of something, and why.
    pub(crate) fn leave_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    /// A table: the figure, its value, what it should reach, and whether it does.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for Figure { name, value, unit, target } in &self.figures {
            let wanted = match target {
                Target::AtMost(limit) => format!("<= {limit}"),
                Target::AtLeast(limit) => format!(">= {limit}"),
                Target::None => String::new(),
            };
            let verdict = match target.reached(*value) {
                Some(true) => "ok",
                Some(false) => "MISSED",
                None => "",
            };
            let value = if value.abs() < 1000.0 { format!("{value:.3}") } else { format!("{value:.0}") };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<62} {value:>12} {unit:<9} {wanted:<8} {verdict}");
        }
        for what in &self.left_out {
            let _ = writeln!(text, "LEFT OUT: {what}");
        }
        text
    }

    pub(crate) fn to_json(&self, circumstances: Value) -> Value {
        let figure = |f: &Figure| {
            let (kind, limit) = match f.target {
                Target::AtMost(limit) => (json!("at most"), json!(limit)),
                Target::AtLeast(limit) => (json!("at least"), json!(limit)),
                Target::None => (Value::Null, Value::Null),
            };
            json!({
                "name": f.name, "value": f.value, "unit": f.unit,
                "target": limit, "target_is": kind, "reached": f.target.reached(f.value),
            })
        };
        json!({
            "circumstances": circumstances,
            "figures": self.figures.iter().map(figure).collect::<Vec<_>>(),
            "left_out": self.left_out,
            "details": self.details.iter().cloned().collect::<serde_json::Map<_, _>>(),
        })
    }
}
