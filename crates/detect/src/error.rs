//! What can be wrong with a detection as the config asks for it.

use event::DataType;

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DetectError {
    /// A condition that is no condition.
    #[error("the condition of rule `{rule}` is a {found}, not a boolean")]
    Condition {
        /// Name of the rule.
        rule: String,
        /// Type of what stands there.
        found: DataType,
    },
    /// A score that is no number.
    #[error("rule `{rule}` compares a {found}, which is not a number")]
    Score {
        /// Name of the rule.
        rule: String,
        /// Type of what it compares.
        found: DataType,
    },
    /// A setting of a detector that cannot be.
    #[error("`{setting}` of a detector is {found}, which is not {wanted}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        found: f64,
        /// What it should be.
        wanted: &'static str,
    },
    /// A detector that is to look at what is known later than its own turn.
    #[error(
        "a detector of `{inputs}` stands behind a score that asks for the rows of other keys: put it before that score, and let it look \
         at nothing that rests on it"
    )]
    Behind {
        /// What it looks at.
        inputs: String,
    },
    /// Ranks have 16 bits.
    #[error("{0} rules are too many; at most 65536 are possible")]
    TooManyRules(usize),
}
