//! Why alerts are alerts, where that takes a model that is not on this machine: asked about rows that there were not, and recorded
//! like every answer, since what is put out rests on it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use checkpoint::Answers;
use detect::Probe;
use event::Detected;

use super::Responders;
use crate::job::Job;
use crate::world::World;

/// After so many requests in a row that were not answered a model is asked no more about what was found at once.
const SILENT_MAX: u32 = 3;

/// Whoever asks, with what was recorded and what is to be.
pub(super) struct Recall<'a> {
    known: &'a mut HashMap<u128, f64>,
    responders: &'a mut Responders,
    world: &'a World,
    /// Since when what was found is held back.
    since: Instant,
    /// How often in a row models have not answered.
    silent: BTreeMap<u128, u32>,
    /// What was said to these questions; some are asked several times.
    said: HashMap<u128, f64>,
    fresh: Answers,
}

impl<'a> Recall<'a> {
    pub(super) fn new(
        known: &'a mut HashMap<u128, f64>,
        responders: &'a mut Responders,
        (world, since): (&'a World, Instant),
    ) -> Self {
        let (silent, said, fresh) = (BTreeMap::new(), HashMap::new(), Answers::default());
        Recall { known, responders, world, since, silent, said, fresh }
    }

    /// Says of what was found in each branch why it was. Gives what is to be recorded.
    pub(super) fn explain(mut self, job: &Job, found: &mut [(usize, Detected)]) -> Answers {
        for (branch, detected) in found {
            let detection = &job.branches[*branch].detection;
            detection.explain(*branch, detected, &mut |probe| self.ask(probe));
        }
        self.fresh
    }

    fn ask(&mut self, probe: &Probe<'_>) -> Vec<f64> {
        if probe.model.is_local() {
            return self.responders.ask(probe.model, probe.columns);
        }
        let mut open: Vec<usize> = Vec::new();
        for (row, mark) in probe.marks.iter().enumerate() {
            if !self.said.contains_key(mark) {
                match self.known.remove(mark) {
                    Some(answer) => self.say(*mark, answer),
                    None => open.push(row),
                }
            }
        }
        // A row that stands there twice is asked about once.
        open.sort_by_key(|row| (probe.marks[*row], *row));
        open.dedup_by_key(|row| probe.marks[*row]);
        open.sort_unstable();
        if !open.is_empty() {
            let answers = self.ask_about(probe, &open);
            open.iter().zip(answers).for_each(|(row, answer)| self.say(probe.marks[*row], answer));
        }
        probe.marks.iter().map(|mark| self.said.get(mark).copied().unwrap_or(f64::NAN)).collect()
    }

    /// No answer comes once the alerts have waited for long enough.
    fn ask_about(&mut self, probe: &Probe<'_>, rows: &[usize]) -> Vec<f64> {
        let waited = self.world.now().saturating_duration_since(self.since);
        let within = probe.model.explains_within().saturating_sub(waited);
        let identity = probe.model.identity();
        let silent = self.silent.entry(identity).or_default();
        if within.is_zero() || *silent >= SILENT_MAX {
            return vec![f64::NAN; rows.len()];
        }
        let of = |column: &Vec<f64>| rows.iter().map(|row| column[*row]).collect();
        let columns: Vec<Vec<f64>> = probe.columns.iter().map(of).collect();
        let answers = self.responders.suppose(probe.model, &columns, within);
        *silent = if answers.is_some() { 0 } else { *silent + 1 };
        answers.unwrap_or_else(|| vec![f64::NAN; rows.len()])
    }

    fn say(&mut self, mark: u128, answer: f64) {
        self.said.insert(mark, answer);
        self.fresh.marks.push(mark);
        self.fresh.answers.push(answer);
    }
}
