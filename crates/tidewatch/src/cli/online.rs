//! `tidewatch check --online`: whether sources, sinks and state are there and let the job in.
//!
//! Each connector says what there is to try ([`ingest::probe`], [`alert::probe`], [`checkpoint::Location::probe`]);
//! nothing is read on, no row is written, and nothing stays that was not there before.

use std::time::{SystemTime, UNIX_EPOCH};

use alert::SinkKind;
use dataflow::Job;
use event::Probe;
use ingest::SourceKind;
use serde_json::{Value, json};

/// A clock that differs by more is wrong: signatures and credentials are refused by their time.
const SKEW_MAX_S: i64 = 60;

/// What was tried of one connector.
pub(super) struct Tried {
    /// `source NAME`, `sink NAME`, `model NAME` or `state`.
    of: String,
    probe: Probe,
}

/// Tries everything that the job has.
pub(super) fn try_all(job: &Job) -> Vec<Tried> {
    let mut all = Vec::new();
    let mut add = |of: String, probes: Vec<Probe>| {
        for probe in probes {
            let clock = probe.clock.map(clock);
            let skewed = clock.map(|probe| Tried { of: of.clone(), probe });
            all.push(Tried { of: of.clone(), probe });
            all.extend(skewed);
        }
    };
    for source in &job.sources {
        let of = format!("source `{}`", source.name);
        match &source.kind {
            SourceKind::Archive { address, .. } => add(of, vec![archive::probe(address)]),
            _ => add(of, ingest::probe(source)),
        }
    }
    for sink in &job.sinks {
        let of = format!("sink `{}`", sink.name);
        match &sink.kind {
            SinkKind::Archive { address } => add(of, vec![archive::probe(address)]),
            _ => add(of, alert::probe(sink)),
        }
    }
    for (model, inputs) in job.branches.iter().flat_map(|branch| branch.detection.inferences()) {
        let outcome = model.try_out(inputs).map(|()| "it answers".to_owned());
        add(format!("model `{}`", model.name()), vec![Probe::new("ask about a row of zeros", outcome)]);
    }
    if let Some(address) = &job.archive {
        add("archive".to_owned(), vec![archive::probe(address)]);
    }
    if let Some(state) = &job.state {
        add("state".to_owned(), state.location.probe());
    }
    all
}

/// Whether the clock here and the one there say the same.
fn clock(there: i64) -> Probe {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let skew = here.saturating_sub(there);
    let outcome = match skew.abs() <= SKEW_MAX_S {
        true => Ok(format!("{skew} s apart")),
        false => Err(format!("the clock here is {skew} s ahead of the one there")),
    };
    Probe::new("compare the clocks", outcome)
}

/// Whether all went well.
pub(super) fn all_well(tried: &[Tried]) -> bool {
    tried.iter().all(|tried| tried.probe.outcome.is_ok())
}

/// A line for each thing that was tried.
pub(super) fn lines(tried: &[Tried]) -> String {
    let line = |Tried { of, probe }: &Tried| match &probe.outcome {
        Ok(found) => format!("ok      {of}: {}: {found}\n", probe.what),
        Err(why) => format!("failed  {of}: {}: {why}\n", probe.what),
    };
    tried.iter().map(line).collect()
}

/// The same for programs.
pub(super) fn to_json(tried: &[Tried]) -> Value {
    let object = |Tried { of, probe }: &Tried| {
        let (ok, words) = match &probe.outcome {
            Ok(found) => (true, found),
            Err(why) => (false, why),
        };
        json!({ "of": of, "what": probe.what, "ok": ok, "words": words })
    };
    tried.iter().map(object).collect()
}
