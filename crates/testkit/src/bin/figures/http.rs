//! Events that clients post, each answered once it is durable, beside a bare server that is posted the same by the same
//! clients: it appends bodies to a file with as few fsyncs, and does nothing else ([`Journal`]).
//!
//! The clock runs from the first request to the last answer. What the job has not read by then it reads afterwards, and it
//! must come to the same alerts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use testkit::http::{Client, connect, free_address};
use testkit::job::Job;
use testkit::process::{children, cpu, eventually};

use crate::bench::{Bench, Failure, check_equal, remove};
use crate::connector::{events, expect, expect_counted, lines, reading};
use crate::figure::{Figures, Target};
use crate::journal::Journal;

/// Clients, each with one request at a time.
const CLIENTS: usize = 8;
/// How long a step of the job may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is posted.
struct Shape {
    name: &'static str,
    /// Events of a body.
    batch: usize,
    /// Bodies at most: small ones take a round trip and an fsync all the same.
    bodies_max: usize,
    /// Settings of the source besides.
    settings: &'static str,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "posted, 1000 in a body", batch: 1_000, bodies_max: usize::MAX, settings: "" },
    Shape {
        name: "posted, 1000 in a body, duplicates left out",
        batch: 1_000,
        bodies_max: usize::MAX,
        settings: "dedup = { field = \"event_id\" }\n",
    },
    Shape { name: "posted, 10 in a body", batch: 10, bodies_max: 20_000, settings: "" },
];

/// Large bodies, the same without duplicates, small bodies.
pub(crate) fn http(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (count, whole) = events(bench)?;
    for shape in &SHAPES {
        let posted = usize::try_from(count)?.min(shape.bodies_max.saturating_mul(shape.batch));
        let input = first(bench, &whole, posted)?;
        let limit = bench.limit(&input)?.alerts;
        let bytes = std::fs::read(&input)?;
        let bodies = bodies(&bytes, shape.batch);
        let (mut bare, mut job) = (Vec::new(), Vec::new());
        for _ in 0..bench.repeat.div_ceil(2) {
            bare.push(post_barely(bench, &bodies)?);
            job.push(post_to_job(bench, shape, &bodies, &limit)?);
        }
        report(figures, shape.name, posted, bare, &job);
    }
    Ok(())
}

/// A file with only the first so many events.
fn first(bench: &Bench, whole: &Path, events: usize) -> Result<std::path::PathBuf, Failure> {
    let bytes = std::fs::read(whole)?;
    let length = bytes.split_inclusive(|byte| *byte == b'\n').take(events).map(<[u8]>::len).sum();
    let file = bench.folder.join("posted.ndjson");
    std::fs::write(&file, &bytes[..length])?;
    Ok(file)
}

/// So many lines each.
fn bodies(bytes: &[u8], batch: usize) -> Vec<&[u8]> {
    let (mut bodies, mut start, mut at) = (Vec::new(), 0, 0);
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        at += line.len();
        if number % batch == 0 || at == bytes.len() {
            bodies.push(&bytes[start..at]);
            start = at;
        }
    }
    bodies
}

/// Posts all bodies, and says how long it took until the last was answered.
fn post_all(address: SocketAddr, bodies: &[&[u8]]) -> Result<Duration, Failure> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| post_next(address, bodies, &next))).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| "a client panicked".to_owned())?)
    })?;
    Ok(begun.elapsed())
}

/// Posts the bodies that no other client has taken.
fn post_next(address: SocketAddr, bodies: &[&[u8]], next: &AtomicUsize) -> Result<(), String> {
    let mut client = Client::new(address);
    let headers = [("content-type", "application/x-ndjson")];
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        loop {
            let answer = client.post("/v1/events", &headers, body);
            match answer.map_err(|error| error.to_string())? {
                answer if answer.status == 200 => break,
                // It has not read enough of what came before.
                answer if answer.status == 429 => std::thread::sleep(Duration::from_millis(20)),
                answer => return Err(format!("an event is answered {} {}", answer.status, answer.body)),
            }
        }
    }
    Ok(())
}

/// Seconds until a bare server has everything.
fn post_barely(bench: &Bench, bodies: &[&[u8]]) -> Result<f64, Failure> {
    let file = bench.folder.join("bare.journal");
    let journal = Journal::start(&file)?;
    let took = post_all(journal.address, bodies)?;
    let length = std::fs::metadata(&file)?.len();
    expect("bytes that a bare server has", length, bodies.iter().map(|body| body.len() as u64).sum())?;
    remove(&file)?;
    Ok(took.as_secs_f64())
}

/// Seconds.
struct Took {
    /// Until the last request was answered.
    answered: f64,
    /// Until the job had read everything, too.
    read: f64,
    /// Of the processor until then.
    cpu: f64,
}

/// What a job takes.
fn post_to_job(bench: &Bench, shape: &Shape, bodies: &[&[u8]], alerts: &Path) -> Result<Took, Failure> {
    let folder = bench.folder.join("http");
    remove(&folder)?;
    let (address, journal) = (free_address(), folder.join("journal"));
    let source = format!(
        "type = \"http\"\nlisten = \"{address}\"\ndir = \"{}\"\n{}",
        journal.display(),
        shape.settings
    );
    // Requests pass one another.
    let config = reading(bench, &source)?.config;
    let job = Job::new(&bench.program, config, &folder).with_alerts().with_state();
    let job = job.set("time.out_of_order", "5m");
    let running = job.invocation().start();
    eventually("a job that listens", PATIENCE, || connect(address).ok());
    let begun = Instant::now();
    let answered = post_all(address, bodies)?;
    eventually("a job that has read everything", PATIENCE, || {
        let status = job.ask(&["ctl", "status"]);
        (status["partitions"][0]["lag_bytes"] == 0).then_some(())
    });
    let read = begun.elapsed();
    let cpu = children(running.id()).into_iter().filter_map(cpu).sum::<Duration>();
    running.signal(Signal::SIGTERM);
    running.wait(PATIENCE).expect_code(0);
    let at_end = job.clone().set("source.events.end", "latest");
    at_end.invocation().start().wait(PATIENCE).expect_code(0);
    check_equal(&job.alerts_path(), alerts)?;
    expect_counted(&job.report(), bodies.iter().map(|body| lines(body).len() as u64).sum())?;
    remove(&folder)?;
    let [answered, read, cpu] = [answered, read, cpu].map(|time| time.as_secs_f64());
    Ok(Took { answered, read, cpu })
}

fn report(figures: &mut Figures, what: &str, count: usize, bare: Vec<f64>, job: &[Took]) {
    let median = |mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let of = |time: fn(&Took) -> f64| median(job.iter().map(time).collect());
    let (bare, answered, read, cpu) =
        (median(bare), of(|took| took.answered), of(|took| took.read), of(|took| took.cpu));
    let events = count as f64;
    let details =
        json!({ "count": count, "bare_s": bare, "answered_s": answered, "read_s": read, "cpu_s": cpu });
    figures.detail(what, details);
    figures.add(format!("{what}: events/s, a bare server"), events / bare, "", Target::None);
    figures.add(format!("{what}: events/s, the job"), events / answered, "", Target::None);
    figures.add(format!("{what}: events/s, read as well"), events / read, "", Target::None);
    figures.add(format!("{what}: the job over the bare server"), bare / answered, "", Target::None);
    figures.add(format!("{what}: CPU of each, the job"), cpu / events * 1e6, "us", Target::None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_so_many_lines_each_and_the_last_one_the_rest() {
        let text = b"a\nbb\nc\nd\ne";
        assert_eq!(bodies(text, 2), [&b"a\nbb\n"[..], b"c\nd\n", b"e"]);
        assert_eq!(bodies(b"a\nb\n", 2), [b"a\nb\n"]);
    }
}
