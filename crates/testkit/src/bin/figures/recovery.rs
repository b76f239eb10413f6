//! What a fault costs: from a death to the next output, the pause of a rescale, the disk that a state takes.
//!
//! One supervised job, paced so that it lives long enough. A part of its input passes until all keys are
//! alive; then the process that works is killed several times; then the job is rescaled down and up; at last
//! it is drained, goes on at full speed and ends. Its output must be the limit's.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::job::Job;
use testkit::process::{Running, children, eventually, send};

use crate::bench::{Bench, Failure, check_equal, remove, size};
use crate::figure::{Figures, Target};

/// How long one step of the job may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two faults: some checkpoints, so that the job is well again.
const WELL: Duration = Duration::from_secs(2);

/// The figures of faults.
pub(crate) fn recovery(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (events, users) = if bench.quick { (4_000_000, 100_000) } else { (20_000_000, 1_000_000) };
    let input = bench.events(events, users, 20)?;
    let folder = bench.folder.join("recovery");
    remove(&folder)?;
    let fast = Job::reference(&bench.program, folder, &input).set("state.checkpoint_every", "\"1s\"");
    // A window closes every second, so that each checkpoint has output: half a minute for all that follows.
    let paced = fast.clone().workers(2).set("source.events.rate", events / 40);
    let running = paced.invocation().start();
    // The windows of ten minutes take a quarter of this file.
    eventually("a quarter of the input", PATIENCE, || (read(&newest(&paced)?)? > events / 4).then_some(()));
    kills(&paced, &running, users, figures)?;
    rescales(&paced, figures)?;
    let most = most_on_disk(&paced.state_path())?;
    running.signal(Signal::SIGTERM);
    running.wait(PATIENCE).expect_code(0);
    disk(most, &paced, figures)?;
    fast.run();
    check_equal(&fast.alerts_path(), &bench.limit(&input)?.alerts)
}

/// What the newest checkpoint says, if there is one.
fn newest(job: &Job) -> Option<Value> {
    let finished = job.about(&["checkpoints", "show", "--format", "json"]).run();
    serde_json::from_slice(&finished.stdout).ok()
}

fn read(checkpoint: &Value) -> Option<u64> {
    checkpoint["counts"]["read"].as_u64()
}

fn kills(job: &Job, supervisor: &Running, users: u64, figures: &mut Figures) -> Result<(), Failure> {
    let mut waits = Vec::new();
    for _ in 0..3 {
        std::thread::sleep(WELL);
        let worker = *children(supervisor.id()).first().ok_or("the supervisor has no child")?;
        send(worker, Signal::SIGKILL);
        let died = Instant::now();
        waits.push(until_output(job, died).as_secs_f64());
    }
    waits.sort_by(f64::total_cmp);
    let name = format!("kill -9 with {users} keys to new output");
    figures.detail(name.clone(), json!(waits));
    figures.add(format!("{name}: median"), waits[waits.len() / 2], "s", Target::AtMost(2.0));
    figures.add(format!("{name}: longest"), waits[waits.len() - 1], "s", Target::AtMost(2.0));
    Ok(())
}

/// From a death until there is output that was not there then.
fn until_output(job: &Job, died: Instant) -> Duration {
    let length = || std::fs::metadata(job.alerts_path()).map_or(0, |metadata| metadata.len());
    let before = length();
    eventually("output after a death", PATIENCE, || (length() > before).then(|| died.elapsed()))
}

fn rescales(job: &Job, figures: &mut Figures) -> Result<(), Failure> {
    for workers in ["1", "2"] {
        std::thread::sleep(WELL);
        let answer = job.ask(&["ctl", "rescale", "-w", workers]);
        let number = |name: &str| answer[name].as_f64().ok_or(format!("a rescale said {answer}"));
        let (pause, load) = (number("pause_s")?, number("load_s")?);
        let name = format!("rescale to {workers}");
        figures.add(format!("{name}: pause"), pause, "s", Target::None);
        figures.add(format!("{name}: of it to load the state"), load, "s", Target::None);
        figures.add(format!("{name}: pause less load"), pause - load, "s", Target::AtMost(1.0));
        figures.detail(name, answer);
    }
    Ok(())
}

/// The most bytes that a folder holds within some checkpoints.
fn most_on_disk(folder: &Path) -> Result<u64, Failure> {
    std::thread::sleep(WELL);
    let watched = Instant::now();
    let mut most = 0;
    while watched.elapsed() < WELL {
        most = most.max(size(folder)?);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(most)
}

/// Against the state alone: the first checkpoint after a start holds it whole and nothing twice.
fn disk(most: u64, job: &Job, figures: &mut Figures) -> Result<(), Failure> {
    let drained = newest(job).ok_or("no checkpoint of a drained job")?;
    if drained["finished"] == true {
        return Err(
            "the job has come to its end before its state was measured; this machine is too slow".into()
        );
    }
    let still = job.clone().set("source.events.rate", 1);
    let running = still.invocation().start();
    let whole = eventually("a checkpoint that holds everything", PATIENCE, || {
        let newest = newest(&still)?;
        let is_later = newest["checkpoint"].as_u64() > drained["checkpoint"].as_u64();
        (is_later && newest["starts_generation"] == false).then_some(newest)
    });
    running.signal(Signal::SIGTERM);
    running.wait(PATIENCE).expect_code(0);
    let needed = |segment: &Value| segment["needed"].as_u64();
    let live: u64 = whole["segments"].as_array().into_iter().flatten().filter_map(needed).sum();
    figures.detail("disk", json!({ "most_bytes": most, "live_bytes": live }));
    figures.add("state on disk, at the most", most as f64 / 1e6, "MB", Target::None);
    figures.add("state on disk over the live state", most as f64 / live as f64, "", Target::AtMost(3.0));
    Ok(())
}
