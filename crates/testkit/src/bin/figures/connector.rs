//! What the figures of connectors have in common: the reference job with another source or another sink, in turns with
//! a bare client.
//!
//! A bare client reads or writes the same and does nothing else: its rate is what the server, the disk or the format
//! gives at the most. It runs in this process, the job in one of its own; servers take their part of the same cores, so
//! that ratios say more than rates. Whatever a job reads or writes is compared before its time is believed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::usage::{self, Usage};
use testkit::workload::repository;

use crate::bench::{Bench, Failure, Median, Plan, Run, check_equal};
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

/// The rows that sinks are to write, as the sink of files has them.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The events that they come of.
    pub(crate) input: PathBuf,
    /// The rows, a line each.
    pub(crate) bytes: Vec<u8>,
    /// What the job takes whose rows are thrown away: no sink makes it faster.
    nothing: Median,
}

impl Rows {
    /// Computes those of so many events, about as many rows.
    pub(crate) fn of(bench: &Bench, events: u64) -> Result<Rows, Failure> {
        Rows::of_users(bench, events, events / 50)
    }

    /// The same of so many users: the fewer events a user has, the more rows there are to an event.
    pub(crate) fn of_users(bench: &Bench, events: u64, users: u64) -> Result<Rows, Failure> {
        let input = bench.events(events, users, 5)?;
        let run = bench.run(&writing(bench, &input, &file(&bench.alerts_path()))?)?;
        let bytes = std::fs::read(&run.alerts)?;
        let thrown_away = writing(bench, &input, &file(Path::new("/dev/null")))?;
        let runs = (0..bench.repeat).map(|_| Ok(bench.run(&thrown_away)?.usage));
        let usages = runs.collect::<Result<Vec<Usage>, Failure>>()?;
        let rows = Rows { input, bytes, nothing: Median::of(&usages) };
        let windows = run.report["windows"].as_u64().ok_or("the report has no number of windows")?;
        expect("rows of a file", rows.count(), windows)?;
        Ok(rows)
    }

    /// How many they are.
    pub(crate) fn count(&self) -> u64 {
        lines(&self.bytes).len() as u64
    }

    /// The figures of a sink that has taken them. What a sink takes is compared without what it takes to compute rows.
    pub(crate) fn report(&self, figures: &mut Figures, what: &str, turns: &Turns) {
        let (job, bare, count) = (turns.job_median(), turns.bare_median(), self.count() as f64);
        turns.rates(figures, what, "rows", count, job);
        figures.detail(format!("{what}, thrown away"), self.nothing.to_json());
        let rate = count / self.nothing.wall_s;
        figures.add(format!("{what}: rows/s, the job that throws them away"), rate, "", Target::None);
        let added = |whole: f64, nothing: f64, bare: f64| (whole - nothing) / bare;
        let wall = added(job.wall_s, self.nothing.wall_s, bare.wall_s);
        let cpu = added(job.cpu_s, self.nothing.cpu_s, bare.cpu_s);
        figures.add(
            format!("{what}: time that the sink adds, over the bare client's"),
            wall,
            "",
            Target::None,
        );
        figures.add(format!("{what}: CPU that the sink adds, over the bare client's"), cpu, "", Target::None);
    }
}

/// What a bare client and a job took for the same.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    bare: Vec<Usage>,
    job: Vec<Usage>,
}

impl Turns {
    /// Measures the bare client once, which works in this process and in those that it starts, and gives what it gave.
    pub(crate) fn bare<T>(&mut self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let (done, usage) = usage::of(work)?;
        self.bare.push(usage);
        done
    }

    /// Notes what the job took.
    pub(crate) fn job(&mut self, usage: Usage) {
        self.job.push(usage);
    }

    /// What the bare client took.
    pub(crate) fn bare_median(&self) -> Median {
        Median::of(&self.bare)
    }

    /// What the job took.
    pub(crate) fn job_median(&self) -> Median {
        Median::of(&self.job)
    }

    /// The figures of a source: both rates, one over the other, and what each event costs.
    pub(crate) fn report(&self, figures: &mut Figures, what: &str, unit: &str, count: u64) {
        let job = self.job_median();
        self.rates(figures, what, unit, count as f64, job);
        let over = self.bare_median().wall_s / job.wall_s;
        figures.add(format!("{what}: the job over the bare client"), over, "", Target::None);
    }

    fn rates(&self, figures: &mut Figures, what: &str, unit: &str, count: f64, job: Median) {
        let bare = self.bare_median();
        figures.detail(what, json!({ "count": count, "bare": bare.to_json(), "job": job.to_json() }));
        for (who, median) in [("a bare client", bare), ("the job", job)] {
            figures.add(format!("{what}: {unit}/s, {who}"), count / median.wall_s, "", Target::None);
            figures.add(
                format!("{what}: CPU of each, {who}"),
                median.cpu_s / count * 1e6,
                "us",
                Target::None,
            );
        }
    }
}

/// Fails unless a job has come to these alerts, and has counted each of so many events: most events are in no alert.
pub(crate) fn expect_all(run: &Run, alerts: &Path, events: u64) -> Result<(), Failure> {
    check_equal(&run.alerts, alerts)?;
    expect_counted(&run.report, events)
}

/// Fails unless a report says that so many events came into windows.
pub(crate) fn expect_counted(report: &Value, events: u64) -> Result<(), Failure> {
    let windowed = report["windowed"].as_u64().ok_or("the report has no number of events in windows")?;
    expect("events in windows", windowed, events)
}

/// Fails in words unless a number is what it must be.
pub(crate) fn expect(what: &str, found: u64, wanted: u64) -> Result<(), Failure> {
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
