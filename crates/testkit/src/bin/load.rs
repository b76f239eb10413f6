//! Loads a job from outside and measures its latency: writes podcast events at a steady rate to its
//! standard input, reads its alerts from its standard output.
//!
//! `load [--rate EVENTS_PER_S] [--seconds N] [--users N] [--json FILE] -- COMMAND ARGUMENT...`
//!
//! Latency runs from just before the write that holds the event which lets the watermark pass a window's
//! end, to the return of the read that holds the alert. Event time runs 600 times as fast as the clock, so
//! that with a slide of one minute a window closes every 100 ms. The first two seconds do not count.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use testkit::random::Random;

/// Event seconds per second.
const SPEED: f64 = 600.0;
/// `time.out_of_order` of the job under load.
const BOUND_MS: i64 = 5_000;
/// `window.slide` of the job under load.
const SLIDE_MS: i64 = 60_000;
/// Event time of the first event.
const START_MS: i64 = 1_700_000_000_000;
/// What the job does while it warms up is not measured.
const WARM_UP: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Load {
    rate: f64,
    seconds: f64,
    users: u64,
    json: Option<String>,
    command: Vec<String>,
}

fn main() -> ExitCode {
    match read_arguments().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "load: {e}");
            ExitCode::FAILURE
        }
    }
}

fn read_arguments() -> Result<Load, Failure> {
    let mut load = Load { rate: 50_000.0, seconds: 30.0, users: 10_000, json: None, command: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            load.command = arguments.by_ref().collect();
            break;
        }
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--rate" => load.rate = value.parse()?,
            "--seconds" => load.seconds = value.parse()?,
            "--users" => load.users = value.parse()?,
            "--json" => load.json = Some(value),
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    if load.command.is_empty() {
        return Err("which command? load [flags] -- COMMAND ARGUMENT...".into());
    }
    Ok(load)
}

fn run(load: Load) -> Result<(), Failure> {
    let mut child = Command::new(&load.command[0])
        .args(&load.command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", load.command[0]))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the command has no pipes".into());
    };
    let reader = std::thread::spawn(move || read_alerts(stdout));
    let written = write_events(&load, stdin)?;
    let alerts = reader.join().map_err(|_| "the reader of alerts panicked")??;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{} ended with {status}", load.command[0]).into());
    }
    report(&load, &written, &alerts)
}

/// What was written, and when.
struct Written {
    events: u64,
    first: Instant,
    last: Instant,
    /// For each window end, the instant before the write that let the watermark pass it.
    passed: BTreeMap<i64, Instant>,
}

fn write_events(load: &Load, mut stdin: ChildStdin) -> Result<Written, Failure> {
    let total = (load.rate * load.seconds) as u64;
    let mut random = Random::new(50);
    let mut batch = Vec::with_capacity(1 << 16);
    let mut due = (START_MS / SLIDE_MS + 1) * SLIDE_MS;
    let first = Instant::now();
    let mut written = Written { events: 0, first, last: first, passed: BTreeMap::new() };
    while written.events < total {
        let wanted = ((first.elapsed().as_secs_f64() * load.rate) as u64).min(total);
        batch.clear();
        let mut passed = Vec::new();
        for i in written.events..wanted {
            let time = START_MS + (i as f64 / load.rate * SPEED * 1_000.0) as i64;
            write_event(&mut batch, &mut random, i, time, load.users)?;
            while time >= due + BOUND_MS {
                passed.push(due);
                due += SLIDE_MS;
            }
        }
        let now = Instant::now();
        written.passed.extend(passed.into_iter().map(|end| (end, now)));
        stdin.write_all(&batch)?;
        written.events = wanted;
        written.last = Instant::now();
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(written)
}

/// Two users in a hundred leave more than they listen.
fn write_event(
    out: &mut Vec<u8>,
    random: &mut Random,
    number: u64,
    time: i64,
    users: u64,
) -> std::io::Result<()> {
    let user = random.below(users);
    let disengaged = user.is_multiple_of(50);
    let kind = match (disengaged, random.below(100)) {
        (true, 0..50) => "pause",
        (true, 50..80) => "exit",
        (false, 0..2) => "pause",
        _ => "listen",
    };
    let duration = if kind == "listen" { 1 + random.below(60) } else { 0 };
    writeln!(
        out,
        "{{\"event_id\":\"e-{number:08}\",\"user_id\":\"user-{user:06}\",\"episode_id\":\"ep-0001\",\
         \"event_type\":\"{kind}\",\"ts\":{time},\"position_s\":1.5,\"duration_s\":{duration}.0,\"device\":\"web\"}}"
    )
}

/// The window end of every alert, with the instant at which it was read.
fn read_alerts(mut stdout: ChildStdout) -> Result<Vec<(i64, Instant)>, Failure> {
    let mut alerts = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let count = stdout.read(&mut buffer)?;
        let now = Instant::now();
        if count == 0 {
            return Ok(alerts);
        }
        rest.extend_from_slice(&buffer[..count]);
        let whole = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for line in rest[..whole].split_inclusive(|&byte| byte == b'\n') {
            let end = window_end(line)
                .ok_or_else(|| format!("no window_end: {}", String::from_utf8_lossy(line)))?;
            alerts.push((end, now));
        }
        rest.drain(..whole);
    }
}

fn window_end(line: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.split_once("\"window_end\":")?.1;
    digits[..digits.find([',', '}'])?].parse().ok()
}

fn report(load: &Load, written: &Written, alerts: &[(i64, Instant)]) -> Result<(), Failure> {
    // Microseconds up to a minute, to three digits.
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for (end, read) in alerts {
        // Windows that only the end of the input closed have no such event.
        if let Some(wrote) = written.passed.get(end).filter(|at| **at - written.first >= WARM_UP) {
            histogram.saturating_record((read.saturating_duration_since(*wrote).as_micros() as u64).max(1));
        }
    }
    let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    let line = json!({
        "events": written.events,
        "events_per_s": written.events as f64 / (written.last - written.first).as_secs_f64(),
        "rate": load.rate,
        "alerts": alerts.len(),
        "measured": histogram.len(),
        "p50_ms": ms(0.5),
        "p90_ms": ms(0.9),
        "p99_ms": ms(0.99),
        "p999_ms": ms(0.999),
        "max_ms": histogram.max() as f64 / 1_000.0,
    });
    match &load.json {
        Some(file) => std::fs::write(file, format!("{line}\n"))?,
        None => writeln!(std::io::stdout(), "{line}")?,
    }
    Ok(())
}
