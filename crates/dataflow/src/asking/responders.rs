//! Who answers for models, without anything being recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use detect::{Inference, Inquiry, Probe, Responder};

/// Whoever answers for the models of a job, on one thread.
#[derive(Default)]
pub(crate) struct Responders(BTreeMap<u128, Box<dyn Responder>>);

impl Responders {
    /// Asks a model about some rows; NaN where no answer comes. Whoever answers says by itself that it does not.
    pub(crate) fn ask(&mut self, model: &dyn Inference, columns: &[Vec<f64>]) -> Vec<f64> {
        let rows = columns.first().map_or(0, Vec::len);
        let responder = self.0.entry(model.identity()).or_insert_with(|| model.open());
        match responder.ask(columns) {
            Ok(answers) if answers.len() == rows => answers,
            _ => vec![f64::NAN; rows],
        }
    }

    /// Asks a model about rows that there were not, as long as that; nothing where no answer comes.
    pub(super) fn suppose(
        &mut self,
        model: &dyn Inference,
        columns: &[Vec<f64>],
        within: Duration,
    ) -> Option<Vec<f64>> {
        let rows = columns.first().map_or(0, Vec::len);
        let responder = self.0.entry(model.identity()).or_insert_with(|| model.open());
        responder.suppose(columns, within).ok().filter(|answers| answers.len() == rows)
    }

    /// Asks about rows that there were not, while somebody waits: models on this machine alone.
    pub(crate) fn ask_here(&mut self, probe: &Probe<'_>) -> Vec<f64> {
        match probe.model.is_local() {
            true => self.ask(probe.model, probe.columns),
            false => vec![f64::NAN; probe.marks.len()],
        }
    }

    /// Answers questions about few rows at once, where the model is on this machine.
    pub(crate) fn ask_at_once(&mut self, inquiry: &Inquiry) -> Option<Vec<f64>> {
        let rows_max = inquiry.model.rows_max().max(1);
        let is_possible = inquiry.model.is_local() && inquiry.marks.len() <= rows_max;
        is_possible.then(|| self.ask(inquiry.model.as_ref(), &inquiry.columns))
    }
}
