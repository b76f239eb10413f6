//! What a rule is: a condition over a row, the evidence that it asks for, and how bad a hit is.
//!
//! The config makes them, [`Detection`](crate::Detection) applies them. The text of a rule's summary is
//! the business of `alert`.

use std::sync::Arc;

use event::{DataType, Expression, Severity};

use crate::{DetectError, LifeCycle};

/// A rule over the rows of features and scores. Its expressions see the whole row.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name in the config. The order of the names is the order of the rules.
    pub id: String,
    /// The condition, a boolean. NULL is no hit.
    pub when: Arc<dyn Expression>,
    /// What the condition compares, a number, if it is one comparison.
    pub score: Option<Arc<dyn Expression>>,
    /// What it is compared with.
    pub threshold: Option<f64>,
    /// Records that the window must hold for the rule to apply: less is too little evidence.
    pub min_events: u64,
    /// How bad a hit is.
    pub severity: Severity,
    /// A second condition, a boolean, and how bad a hit is that fulfils it.
    pub escalate: Option<(Arc<dyn Expression>, Severity)>,
    /// Families of detectors whose agreement makes a hit worse by one step: see [`Witnesses::asked`](crate::Witnesses::asked).
    pub agreement: Option<usize>,
    /// For how much event time after a key was first seen nothing is a hit of it; 0 for none.
    pub grace: i64,
    /// When what it finds is an episode, if that is what is put out; else each row is.
    pub life_cycle: Option<LifeCycle>,
}

impl Rule {
    pub(crate) fn check(&self) -> Result<(), DetectError> {
        let conditions = [Some(&self.when), self.escalate.as_ref().map(|(when, _)| when)];
        for condition in conditions.into_iter().flatten() {
            if condition.data_type() != DataType::Boolean {
                return Err(DetectError::Condition { rule: self.id.clone(), found: condition.data_type() });
            }
        }
        match &self.score {
            Some(score) if !score.data_type().is_numeric() => {
                Err(DetectError::Score { rule: self.id.clone(), found: score.data_type() })
            }
            _ => Ok(()),
        }
    }
}
