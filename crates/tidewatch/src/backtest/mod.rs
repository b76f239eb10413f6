//! A job run over data of which is known what went wrong: what its alerts are worth.
//!
//! The job is the one that runs live, on the same graph, so its alerts are the same bytes; only its sinks, its state and its
//! rates are taken away (`replay.rs`). Alerts become episodes (`alerts.rs`), which are measured by incidents (`measure.rs`). A
//! second run of the job without its rules gives all rows of features (`rows.rs`), for what a single threshold would have
//! found (`naive.rs`). [`crate::stream::Job::backtest`] is the way in for a program, `tidewatch backtest` for a person.

mod alerts;
mod job;
mod keys;
mod labels;
mod measure;
mod naive;
mod replay;
mod report;
mod rows;
mod times;

use std::collections::BTreeMap;

use dataflow::Summary;
use event::Own;
use ingest::{End, SourceKind};

use crate::config::Reading;
use crate::stream::RunFailure;

pub(crate) use labels::planted;
pub use labels::{Label, Labels, LabelsError};
pub use measure::{Delay, Measures, OfKind};
pub use naive::{Side, Threshold};
pub(crate) use replay::How;
pub use report::{Data, FittedOn, Naive, Report};

use alerts::Gathering;
use keys::{KeyForm, Keys};
use measure::{Episode, Incidents, tally};
use replay::replay;
use rows::{ROOM, Rows};

/// Gets each alert as a line, for whoever wants to keep it.
pub(crate) type Keep<'a> = &'a mut (dyn FnMut(&[u8]) -> anyhow::Result<()> + Send);

/// A job that can be measured: it has rules, and its data has an end and can be read more than once.
pub(crate) struct Backtest<'a> {
    reading: &'a Reading,
    own: &'a [Own],
    how: How,
    form: KeyForm,
    /// Branch and id of each rule.
    rules: Vec<(String, String)>,
    name: String,
}

/// The alerts of a run, and what they are to find.
pub(crate) struct Found {
    keys: Keys,
    incidents: Incidents,
    episodes: Vec<Episode>,
    summary: Summary,
}

/// All rows of a job, and how long its keys were watched.
pub(crate) struct Watched {
    rows: Rows,
    key_hours: f64,
}

/// Where the single threshold comes from that a job is compared with.
pub(crate) enum Fitted {
    /// It is the best one on the data itself.
    Here,
    /// It was the best one on other data, if there was one.
    Elsewhere(Option<Threshold>),
}

impl<'a> Backtest<'a> {
    /// A backtest of a config, with the aggregates of a program that it uses.
    ///
    /// # Errors
    /// If the config has mistakes, no rules, or a source without an end or that can be read only once.
    pub(crate) fn new(reading: &'a Reading, own: &'a [Own], how: How) -> Result<Self, RunFailure> {
        let job = job::compiled(reading, own)?;
        let rules = job::rules(reading);
        if let Some(whose) = job::without_rules(reading) {
            let words = format!("{whose} has no rules, so it has no alerts that could be measured");
            return Err(RunFailure::Refused(format!("{words}\nhint: add `[rules.ID]`")));
        }
        check_sources(&job)?;
        let form = KeyForm::new(job.transform.key_fields());
        Ok(Backtest { reading, own, how, form, rules, name: job.name })
    }

    /// Runs the job. Each alert is given to `keep`, as a sink would get it.
    ///
    /// # Errors
    /// If the run fails, or `keep` does.
    pub(crate) fn alerts(&self, labels: &Labels, keep: Keep<'_>) -> Result<Found, RunFailure> {
        let mut keys = Keys::default();
        let incidents = Incidents::new(labels, |key| keys.number(self.form.text_of(key)));
        let (job, sink) = job::of_alerts(self.reading, self.own)?;
        let mut gathering = Gathering::new(&self.form, &mut keys, &self.rules);
        let summary = replay(job, sink, self.how, |line| {
            keep(line)?;
            gathering.take(line)
        })?;
        let episodes = gathering.finish();
        Ok(Found { keys, incidents, episodes, summary })
    }

    /// Runs the job without its rules, for all of its rows.
    ///
    /// # Errors
    /// If the run fails.
    fn rows(&self, keys: &mut Keys) -> Result<Watched, RunFailure> {
        let (job, columns) = job::of_rows(self.reading, self.own)?;
        let mut rows = Rows::new(columns, ROOM);
        replay(job, 0, self.how, |line| rows.take(line, &self.form, keys))?;
        rows.sort();
        let key_hours = rows.keys() as f64 * rows.hours();
        Ok(Watched { rows, key_hours })
    }

    /// The best threshold over the data of this job, which is then that of another's training.
    ///
    /// # Errors
    /// If the run fails.
    pub(crate) fn train(&self, labels: &Labels) -> Result<Fitted, RunFailure> {
        let mut keys = Keys::default();
        let incidents = Incidents::new(labels, |key| keys.number(self.form.text_of(key)));
        let Watched { rows, .. } = self.rows(&mut keys)?;
        Ok(Fitted::Elsewhere(naive::fit(&rows, &incidents.of_keys(|key| rows.has(key, &keys)))))
    }

    /// What the alerts are worth, of each rule and together, beside the best single threshold.
    ///
    /// # Errors
    /// If the run that gives all rows fails.
    pub(crate) fn report(&self, found: &mut Found, fitted: Fitted) -> Result<(Report, Watched), RunFailure> {
        let watched = self.rows(&mut found.keys)?;
        let Watched { rows, key_hours } = &watched;
        let by_rule = |number: u16| found.episodes.iter().filter(move |episode| episode.rule == number);
        let rules = (0..).zip(&self.rules).map(|(number, (branch, id))| {
            let name = if branch.is_empty() { id.clone() } else { format!("{branch}/{id}") };
            (name, tally(&found.incidents, by_rule(number)).measures(*key_hours))
        });
        let counts = &found.summary.counts;
        let unseen = found.incidents.keys().filter(|key| !rows.is_there(*key));
        let report = Report {
            job: self.name.clone(),
            total: found.total(&watched),
            rules: rules.collect::<BTreeMap<_, _>>(),
            kinds: tally(&found.incidents, found.episodes.iter()).by_kind(),
            naive: self.naive(found, &watched, fitted),
            data: Data {
                events: counts.read,
                late: counts.late,
                quarantined: counts.quarantined,
                keys: rows.keys() as u64,
                hours: rows.hours(),
                labelled_keys: found.incidents.keys().count() as u64,
                labelled_keys_without_rows: unseen.count() as u64,
            },
        };
        Ok((report, watched))
    }

    fn naive(&self, found: &Found, watched: &Watched, fitted: Fitted) -> Option<Naive> {
        let Watched { rows, key_hours } = watched;
        let incidents = found.incidents.of_keys(|key| rows.has(key, &found.keys));
        let (threshold, fitted_on) = match fitted {
            Fitted::Elsewhere(threshold) => (threshold?, FittedOn::TrainingData),
            Fitted::Here => (naive::fit(rows, &incidents)?, FittedOn::SameData),
        };
        let share_of_keys = rows.share(&found.keys);
        let measures = naive::apply(&threshold, rows, &incidents, key_hours * share_of_keys)?;
        let branches = self.reading.config.iter().flat_map(|config| &config.branches);
        let branch = branches.map(|branch| branch.name.clone()).nth(threshold.table).flatten();
        let threshold = Threshold { branch, ..threshold };
        Some(Naive { measures, threshold, fitted_on, share_of_keys })
    }
}

impl Found {
    /// What all rules together are worth.
    pub(crate) fn total(&self, watched: &Watched) -> Measures {
        tally(&self.incidents, self.episodes.iter()).measures(watched.key_hours)
    }
}

/// Data is read to its end, and more than once.
fn check_sources(job: &dataflow::Job) -> Result<(), RunFailure> {
    for source in &job.sources {
        let name = &source.name;
        let words = match &source.kind {
            SourceKind::Stdin => format!(
                "the source `{name}` is standard input, and a backtest reads its data more than once\n\
                 hint: write the events to a file, and give that with `--data FILE`"
            ),
            SourceKind::Generate(spec) if spec.events.is_none() => format!(
                "the source `{name}` never ends\nhint: say how many events there are, as with `--set source.{name}.events=1000000`"
            ),
            _ if source.end == End::Never => format!(
                "the source `{name}` never ends\n\
                 hint: give recorded events with `--data FILE`, or end it where it ends now with `--set source.{name}.end=latest`"
            ),
            _ => continue,
        };
        return Err(RunFailure::Refused(words));
    }
    Ok(())
}
