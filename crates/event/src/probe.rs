//! What `check --online` finds out about a connector, before a job runs.

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What: a few words, as `connect` or `insert into the table`.
    pub what: String,
    /// What was found, or why it cannot be; neither shows a secret.
    pub outcome: Result<String, String>,
    /// The second since 1970 that the other side says it is, where it does.
    pub clock: Option<i64>,
}

impl Probe {
    /// What came of trying that.
    pub fn new(what: impl Into<String>, outcome: Result<String, String>) -> Self {
        Probe { what: what.into(), outcome, clock: None }
    }
}
