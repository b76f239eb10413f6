//! What the figures of connectors have in common: the reference job with another source or another sink, in turns with
//! a bare client.
//!
//! A bare client reads or writes the same and does nothing else: its rate is what the server, the disk or the format
//! gives at the most. It runs in this process, the job in one of its own; servers take their part of the same cores, so
//! that ratios say more than rates. Whatever a job reads or writes is compared before its time is believed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use testkit::usage::Usage;
use testkit::workload::repository;

use crate::bench::{Bench, Failure, Median, Plan};
use crate::figure::{Figures, Target};

/// Makes a row of every window that closes, so that sinks have something to do.
const EVERY_ROW: (&str, &str) = ("rules.low-engagement.when", "score >= 0");

/// Events that sources are to read, in a file, and how many they are.
pub(crate) fn events(bench: &Bench) -> Result<(u64, PathBuf), Failure> {
    let (events, users) = if bench.quick { (200_000, 4_000) } else { (2_000_000, 40_000) };
    Ok((events, bench.events(events, users, 5)?))
}

/// Lines without their ends.
pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// Words of a config for a source or a sink that is a file.
pub(crate) fn file(path: &Path) -> String {
    format!("type = \"file\"\npath = \"{}\"\n", path.display())
}

/// The reference job from another source to the file of alerts.
pub(crate) fn reading(bench: &Bench, source: &str) -> Result<Plan<'static>, Failure> {
    job(bench, source, &file(&bench.alerts_path()))
}

/// The reference job from a file to another sink, which gets a row of every window.
pub(crate) fn writing(bench: &Bench, input: &Path, sink: &str) -> Result<Plan<'static>, Failure> {
    Ok(job(bench, &file(input), sink)?.set(EVERY_ROW.0, EVERY_ROW.1))
}

/// The reference job with other words for its source and its sink.
fn job(bench: &Bench, source: &str, sink: &str) -> Result<Plan<'static>, Failure> {
    let text = std::fs::read_to_string(repository().join("configs/podcast-reference.toml"))?;
    let text = between(&text, "[source.events]\n", "[event]", source)?;
    let text = between(&text, "[sink.alerts]\n", "format =", sink)?;
    Ok(Plan::whole(bench.config("connector.toml", &text)?))
}

/// The text with what stands between two others replaced.
fn between(text: &str, from: &str, to: &str, new: &str) -> Result<String, Failure> {
    let (head, rest) = text.split_once(from).ok_or_else(|| format!("the config has no {from:?}"))?;
    let at = rest.find(to).ok_or_else(|| format!("the config has no {to:?}"))?;
    Ok(format!("{head}{from}{new}{}", &rest[at..]))
}

/// The rows that sinks are to write: those of that many events, as the sink of files has them.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The events.
    pub(crate) input: PathBuf,
    /// The rows, a line each.
    pub(crate) bytes: Vec<u8>,
    /// What the job takes whose rows are thrown away: no sink makes it faster.
    nothing: Median,
}

impl Rows {
    /// Computes them.
    pub(crate) fn of(bench: &Bench, events: u64) -> Result<Rows, Failure> {
        let input = bench.events(events, events / 50, 5)?;
        let run = bench.run(&writing(bench, &input, &file(&bench.alerts_path()))?)?;
        let bytes = std::fs::read(&run.alerts)?;
        let mut usages = Vec::new();
        for _ in 0..bench.repeat {
            usages.push(bench.run(&writing(bench, &input, &file(Path::new("/dev/null")))?)?.usage);
        }
        Ok(Rows { input, bytes, nothing: Median::of(&usages) })
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        lines(&self.bytes).len()
    }

    /// The figures of a sink that has taken them.
    pub(crate) fn report(&self, figures: &mut Figures, what: &str, turns: &Turns) {
        turns.report(figures, what, "rows", self.count());
        let count = self.count() as f64;
        figures.detail(format!("{what}, thrown away"), self.nothing.to_json());
        let name = format!("{what}: rows/s, the job that throws them away");
        figures.add(name, count / self.nothing.wall_s, "", Target::None);
    }
}

/// What a bare client and a job took for the same.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    bare_s: Vec<f64>,
    job: Vec<Usage>,
}

impl Turns {
    /// Times the bare client once, and gives what it gave.
    pub(crate) fn bare<T>(&mut self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let begun = Instant::now();
        let done = work()?;
        self.bare_s.push(begun.elapsed().as_secs_f64());
        Ok(done)
    }

    /// Notes what the job took.
    pub(crate) fn job(&mut self, usage: Usage) {
        self.job.push(usage);
    }

    /// What the job took.
    pub(crate) fn job_median(&self) -> Median {
        Median::of(&self.job)
    }

    /// The figures: both rates, and one over the other.
    pub(crate) fn report(&self, figures: &mut Figures, what: &str, unit: &str, count: usize) {
        let mut bare = self.bare_s.clone();
        bare.sort_by(f64::total_cmp);
        let bare = bare.get(bare.len() / 2).copied().unwrap_or(f64::NAN);
        let (job, count) = (self.job_median(), count as f64);
        figures.detail(what, json!({ "count": count, "bare_wall_s": bare, "job": job.to_json() }));
        figures.add(format!("{what}: {unit}/s, a bare client"), count / bare, "", Target::None);
        figures.add(format!("{what}: {unit}/s, the job"), count / job.wall_s, "", Target::None);
        figures.add(format!("{what}: the job over the bare client"), bare / job.wall_s, "", Target::None);
        figures.add(format!("{what}: CPU of the job, of each"), job.cpu_s / count * 1e6, "us", Target::None);
    }
}

/// The result of work, or in words that it is not what it must be.
pub(crate) fn expect(what: &str, found: usize, wanted: usize) -> Result<(), Failure> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found} and not {wanted}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_two_words_is_replaced_and_nothing_else() {
        let replaced = between("a\n[b]\nold\n[c]\nd\n", "[b]\n", "[c]", "new\n").unwrap();
        assert_eq!(replaced, "a\n[b]\nnew\n[c]\nd\n");
        assert!(between("a", "[b]", "[c]", "").is_err());
    }
}
