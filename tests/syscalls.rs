//! What the program asks of the real file system, seen and disturbed from outside by `strace`: what is to be
//! durable is synced before something rests on it, and whichever call fails, no later start believes it.
//!
//! `simulation.rs` does the same to the shipped code over a simulated disk; here are the calls themselves, which
//! no kill -9 can test, since the page cache outlives a process.
//!
//! Needs the right to trace. Without it the suite fails where `CI=true`, and says elsewhere that this was left
//! out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Finished, Invocation};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(60);
const LANES: usize = 2;
const EVENTS: u64 = 6_000;
/// Calls of a kind that are made to fail, one in each run.
const CALLS_MAX: usize = 14;

/// Whether processes can be traced here.
fn can_trace() -> bool {
    let there = Command::new(repository().join("scripts/packages.sh")).args(["strace", "strace"]).output();
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    match (there, traced) {
        (_, Ok(traced)) if traced.status.success() => true,
        (there, traced) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("cannot trace a process: {there:?} {traced:?}")
        }
        _ => {
            testkit::left_out::announce("calls that fail; it needs `strace` and the right to use it");
            false
        }
    }
}

struct Input {
    file: PathBuf,
    alerts: Vec<u8>,
}

fn input(folder: &Path) -> Input {
    let file = folder.join("events.ndjson");
    generate(EVENTS, 100, 23, &["--low-frac", "0.2"], &file);
    let bytes = std::fs::read(&file).expect("events");
    let expected = Podcast { lanes: LANES, ..Podcast::default() }.expect(&bytes);
    assert!(expected.alerts.lines().count() > 200);
    Input { file, alerts: expected.alerts.into_bytes() }
}

/// A job that takes half a second and some checkpoints.
fn job(folder: &Path, input: &Input) -> Job {
    Job::reference(PROGRAM, folder, &input.file)
        .set("source.events.lanes", LANES)
        .set("source.events.rate", 2 * EVENTS)
        .set("state.checkpoint_every", "\"60ms\"")
}

/// Runs it under `strace`, which writes to `log`.
fn traced(job: &Job, log: &Path, options: &[&str]) -> Finished {
    let under = Invocation::new("strace").args(["-f", "-y", "-s", "0", "-o"]).arg(log).args(options);
    job.invocation().arg("--no-supervise").under(under).start().wait(SOON)
}

#[test]
fn whichever_call_to_the_file_system_fails_the_next_start_puts_out_what_is_missing_and_nothing_twice() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let mut disturbed = String::new();
    for call in ["fdatasync", "fsync", "linkat", "unlink", "pwrite64"] {
        let mut failed = 0;
        for number in 1..=CALLS_MAX {
            let out = folder.path().join(format!("{call}-{number}"));
            let (job, log) = (job(&out, &input), out.join("strace.log"));
            let inject = format!("inject={call}:error=EIO:when={number}");
            let finished = traced(&job, &log, &["-e", &format!("trace={call}"), "-e", &inject]);
            let log = std::fs::read_to_string(&log).expect("a log");
            let Some(injected) = log.lines().find(|line| line.contains("(INJECTED)")) else {
                assert!(number > 2, "{call}: the program does not make such calls");
                break;
            };
            disturbed.push_str(&format!("{injected}\n"));
            failed += 1;
            assert_eq!(finished.code(), Some(1), "{call} {number} is believed: {}", finished.stderr);
            assert!(finished.stderr.contains("error: "), "{call} {number}: {}", finished.stderr);
            assert!(input.alerts.starts_with(&job.alerts()), "{call} {number}: not a prefix of the answer");
            job.clone().set("source.events.rate", 1_000_000).workers(2).run();
            assert!(job.alerts() == input.alerts, "{call} {number}: other alerts than the oracle");
        }
        eprintln!("{call}: {failed} calls have failed, one at a time");
    }
    // Of each thread the n-th call is counted: the first that comes so far has the fault.
    for place in ["/segments/", "/segments>", "/checkpoints/", "/checkpoints>", "alerts.ndjson"] {
        assert!(disturbed.contains(place), "no call to {place} has failed:\n{disturbed}");
    }
}

#[test]
fn a_sync_of_an_output_written_at_once_that_fails_for_want_of_space_is_not_tried_again_and_believed() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let (job, log) = (job(&out, &input).set("sink.alerts.mode", "\"at_once\""), folder.path().join("log"));
    let alerts = job.alerts_path().display().to_string();
    let only = ["-P", &alerts, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=ENOSPC:when=1"];
    let finished = traced(&job, &log, &only).expect_code(1);
    assert!(std::fs::read_to_string(&log).expect("a log").contains("(INJECTED)"));
    assert!(finished.stderr.contains("No space left"), "{}", finished.stderr);
    let seen = job.ask(&["checkpoints", "show"])["counts"]["alerts"].as_u64();
    assert_eq!(seen, Some(0), "a checkpoint counts lines as put out that may be lost");
}

#[test]
fn what_a_checkpoint_names_is_durable_before_it_and_the_checkpoint_before_its_lines() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let (job, log) = (job(&out, &input).workers(2), folder.path().join("strace.log"));
    let calls = "trace=openat,write,pwrite64,linkat,fsync,fdatasync";
    traced(&job, &log, &["-e", calls]).expect_code(0);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    let mut order = Order::default();
    for call in calls_of(&std::fs::read_to_string(&log).expect("a log")) {
        order.take(&call);
    }
    assert!(order.checkpoints > 4 && order.deliveries > 2, "{order:?}");
    assert_eq!(order.offences, Vec::<String>::new());
}

/// A call, when it begins and when it has ended.
#[derive(Debug)]
struct Call {
    name: String,
    /// Its arguments and its result.
    text: String,
    ended: bool,
}

/// The calls of all threads: what changes something counts from its beginning, what makes durable from its end.
fn calls_of(log: &str) -> Vec<Call> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let call = |text: &str, ended| {
            let name = text.split('(').next().unwrap_or_default().to_owned();
            Call { name, text: text.to_owned(), ended }
        };
        if let Some(text) = rest.strip_suffix("<unfinished ...>") {
            calls.push(call(text, false));
            begun.insert(thread, text.to_owned());
        } else if rest.contains(" resumed>") {
            let result = rest.split_once("resumed>").map_or("", |(_, result)| result);
            calls.push(call(&format!("{}{result}", begun.remove(thread).unwrap_or_default()), true));
        } else {
            calls.push(call(rest, false));
            calls.push(call(rest, true));
        }
    }
    calls
}

/// What has been written, and what of it is durable.
#[derive(Debug, Default)]
struct Order {
    /// Files that were written since they were synced.
    dirty: BTreeSet<String>,
    /// Folders, with the files that were made in them since they were synced.
    made: BTreeMap<String, BTreeSet<String>>,
    checkpoints: usize,
    deliveries: usize,
    offences: Vec<String>,
}

impl Order {
    fn take(&mut self, call: &Call) {
        let quoted = || call.text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let of_descriptor = || call.text.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        match (call.name.as_str(), call.ended) {
            ("openat", false) if call.text.contains("O_CREAT") => {
                let path = quoted().first().cloned().unwrap_or_default();
                if let Some((folder, file)) = path.rsplit_once('/') {
                    self.made.entry(folder.to_owned()).or_default().insert(file.to_owned());
                }
            }
            ("write" | "pwrite64", false) => {
                let path = of_descriptor();
                if path.ends_with("alerts.ndjson") {
                    self.deliver();
                }
                self.dirty.insert(path);
            }
            ("fdatasync" | "fsync", true) if call.text.ends_with("= 0") => {
                let path = of_descriptor();
                self.dirty.remove(&path);
                self.made.remove(&path);
            }
            ("linkat", false) => {
                let paths = quoted();
                if let [draft, manifest] = paths.as_slice() {
                    self.commit(draft, manifest);
                }
            }
            _ => {}
        }
    }

    /// A manifest comes to be: all that it can name must be durable, and so must what it says was delivered.
    fn commit(&mut self, draft: &str, manifest: &str) {
        self.checkpoints += 1;
        let number = manifest.rsplit('/').next().unwrap_or_default();
        let is_named = |file: &str| file.get(..number.len()).is_some_and(|of| of <= number);
        let segment = |path: &&String| path.split_once("/segments/").is_some_and(|(_, file)| is_named(file));
        let mut unsynced: Vec<String> = self.dirty.iter().filter(segment).cloned().collect();
        unsynced
            .extend(self.dirty.iter().filter(|path| *path == draft || path.ends_with(".ndjson")).cloned());
        let folders = self.made.iter().filter(|(folder, _)| folder.ends_with("/segments"));
        unsynced.extend(folders.flat_map(|(_, files)| files.iter().filter(|file| is_named(file)).cloned()));
        self.offences.extend(unsynced.into_iter().map(|path| format!("{number} before {path}")));
        if let Some((folder, file)) = manifest.rsplit_once('/') {
            self.made.entry(folder.to_owned()).or_default().insert(file.to_owned());
        }
    }

    /// Lines go to the output: the checkpoint that holds them must be there for good.
    fn deliver(&mut self) {
        self.deliveries += 1;
        let is_manifest = |file: &&String| file.bytes().all(|byte| byte.is_ascii_digit());
        let folders = self.made.iter().filter(|(folder, _)| folder.ends_with("/checkpoints"));
        let unsure = folders.flat_map(|(_, files)| files.iter().filter(is_manifest));
        self.offences.extend(unsure.map(|file| format!("lines before {file}")));
    }
}
