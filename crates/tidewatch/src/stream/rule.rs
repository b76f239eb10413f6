//! When a row of features is an anomaly: `[rules.ID]` of a config.

use event::Severity;

use super::words::{Call, Words};

/// A rule.
#[derive(Debug, Clone)]
#[must_use = "a rule finds nothing until a stream has it"]
pub struct Rule {
    pub(super) words: Words,
    pub(super) id: String,
}

/// The rule of that id, which alerts carry.
pub fn rule(id: &str) -> Rule {
    Rule { words: Words::default().call("rule").shown(id).end(), id: id.to_owned() }
}

impl Rule {
    fn option(self, name: &str, write: impl FnOnce(Call) -> Call) -> Self {
        Rule { words: write(self.words.call(name)).end(), ..self }
    }

    /// The condition, over the key, the window, features and scores.
    pub fn when(self, condition: &str) -> Self {
        self.option(".when", |call| call.text(&["when"], condition))
    }

    /// Events that the window must hold: less is too little evidence. Default: 0.
    pub fn min_events(self, events: u64) -> Self {
        self.option(".min_events", |call| call.integer(&["min_events"], events))
    }

    /// How bad it is. Default: a warning.
    pub fn severity(self, severity: Severity) -> Self {
        self.option(".severity", |call| severity_of(call, &["severity"], severity))
    }

    /// How bad it is where this holds too.
    pub fn escalate(self, condition: &str, severity: Severity) -> Self {
        self.option(".escalate", |call| {
            severity_of(call.text(&["escalate", "when"], condition), &["escalate", "severity"], severity)
        })
    }

    /// What the alert says, as `"{key}: engagement {engagement:.2f}"`.
    pub fn summary(self, template: &str) -> Self {
        self.option(".summary", |call| call.text(&["summary"], template))
    }
}

fn severity_of(call: Call, path: &[&str], severity: Severity) -> Call {
    call.word(path, &format!("{severity:?}"), severity.name())
}
