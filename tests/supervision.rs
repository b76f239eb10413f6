//! A job that is supervised: whatever happens to its process, it goes on, and ends with the bytes of a run
//! that nothing happened to.

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::hosts::write_host_file;
use testkit::job::{Job, json_lines};
use testkit::process::{Invocation, Running, children, eventually, is_alive, send};
use testkit::random::{Random, seed};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(30);
const EVENTS: u64 = 40_000;

/// Events, and the alerts of a run that nothing happens to.
struct Input {
    file: PathBuf,
    alerts: Vec<u8>,
}

fn input(folder: &Path) -> Input {
    let file = folder.join("events.ndjson");
    generate(EVENTS, 500, 12, &["--low-frac", "0.1"], &file);
    let job = plan(&folder.join("undisturbed"), &file);
    job.run();
    let alerts = job.alerts();
    assert!(!alerts.is_empty());
    Input { file, alerts }
}

/// As fast as it goes, with many checkpoints.
fn plan(folder: &Path, file: &Path) -> Job {
    Job::reference(PROGRAM, folder, file)
        .set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
}

/// The same for some seconds.
fn paced(folder: &Path, input: &Input) -> Job {
    plan(folder, &input.file).set("source.events.rate", 10_000)
}

/// The process that does the work, once there is one other than `not`.
fn worker_of(supervisor: u32, not: Option<u32>) -> u32 {
    eventually("a worker process", SOON, || {
        children(supervisor).into_iter().find(|id| Some(*id) != not && is_program(*id))
    })
}

fn is_program(id: u32) -> bool {
    // Between fork and exec it is a copy of its parent; what tells it is its environment.
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    is_alive(id) && environment.windows(21).any(|name| name == b"TIDEWATCH_SUPERVISED=")
}

fn first_delivery(job: &Job) {
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
}

#[test]
fn a_worker_process_that_is_killed_is_started_again_and_the_output_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input).workers(2);
    let running = job.invocation().start();
    let mut random = Random::new(seed(5));
    let mut last = None;
    for _ in 0..4 {
        let worker = worker_of(running.id(), last);
        std::thread::sleep(Duration::from_millis(100 + random.below(500)));
        send(worker, Signal::SIGKILL);
        last = Some(worker);
    }
    let finished = running.wait(SOON).expect_code(0);
    assert!(job.alerts() == input.alerts, "other alerts:\n{}", finished.stderr);
    assert_eq!(job.report()["read"], EVENTS);
    assert_eq!(finished.stderr.matches("was killed by SIGKILL; going on").count(), 4, "{}", finished.stderr);
    assert!(finished.stderr.contains("reading again after"), "{}", finished.stderr);
    assert!(job.quarantine().is_empty());
}

#[test]
fn a_worker_process_dies_with_its_supervisor() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    let running = job.invocation().start();
    let worker = worker_of(running.id(), None);
    first_delivery(&job);
    running.kill();
    eventually("the worker is gone", Duration::from_secs(2), || (!is_alive(worker)).then_some(()));
    // And the same command goes on.
    let job = plan(&folder.path().join("out"), &input.file);
    job.run();
    assert!(job.alerts() == input.alerts, "other alerts");
}

#[test]
fn a_worker_process_that_is_stopped_is_noticed_by_its_silence_and_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input).set("supervise.hang_after", "\"1s\"");
    let running = job.invocation().start();
    let worker = worker_of(running.id(), None);
    first_delivery(&job);
    send(worker, Signal::SIGSTOP);
    let stopped = Instant::now();
    worker_of(running.id(), Some(worker));
    assert!(stopped.elapsed() < Duration::from_secs(15), "{:?}", stopped.elapsed());
    let finished = running.wait(SOON).expect_code(0);
    assert!(finished.stderr.contains("no sign of life"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts, "other alerts");
}

/// An event that matters: its offset, its text, and the alerts without it.
fn victim(folder: &Path, input: &Input) -> (u64, String, Vec<u8>) {
    let text = std::fs::read_to_string(&input.file).expect("events");
    let alerts = json_lines(&input.alerts);
    let alert = &alerts[alerts.len() / 2];
    let is_in = |line: &&str| {
        let event: Value = serde_json::from_str(line).expect("an event");
        let (time, bounds) = (event["ts"].as_i64(), [&alert["window_start"], &alert["window_end"]]);
        event["user_id"] == alert["user_id"] && time >= bounds[0].as_i64() && time < bounds[1].as_i64()
    };
    let line = text.lines().find(is_in).expect("an event of the alert").to_owned();
    let offset = text.find(&line).expect("the line") as u64;
    let without = folder.join("without.ndjson");
    // Rubbish of the same length is quarantined like the real thing, and nothing else moves.
    std::fs::write(&without, text.replacen(&line, &"x".repeat(line.len()), 1)).expect("write");
    let job = plan(&folder.join("without"), &without);
    job.run();
    assert!(job.alerts() != input.alerts, "the record does not matter");
    (offset, line, job.alerts())
}

fn check_poison(variable: &str, changes: &[(&str, &str)], processes: usize, workers: usize) {
    check_poison_that(variable, |line| line.to_owned(), changes, processes, workers);
}

/// `names` says what the variable has to hold for that record to be the one.
fn check_poison_that(
    variable: &str,
    names: impl Fn(&str) -> String,
    changes: &[(&str, &str)],
    processes: usize,
    workers: usize,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let (offset, line, expected) = victim(folder.path(), &input);
    let named = names(&line);
    let job = plan(&folder.path().join("out"), &input.file).with_quarantine();
    let mut job = job.processes(processes).workers(workers);
    for (name, value) in changes {
        job = job.set(name, value);
    }
    let finished = job.invocation().env(variable, &named).run().expect_code(0);
    let rows = job.quarantine();
    assert_eq!(rows.len(), 1, "{rows:?}\n{}", finished.stderr);
    assert_eq!(rows[0]["reason"], "poison");
    assert_eq!(rows[0]["offset"], offset);
    assert_eq!(rows[0]["raw"], line);
    // Those of other processes, which end because one of them has died, do not count.
    let deaths = finished.stderr.lines().filter(|line| line.contains("; going on"));
    let counted = deaths.filter(|line| processes == 1 || line.contains("SIGABRT")).count();
    assert_eq!(counted, 3, "{}", finished.stderr);
    assert!(job.alerts() == expected, "other alerts than without the record");
    assert_eq!(job.report()["quarantined"], 1);

    // Decided once and for all: also by a run that nobody supervises, from the start of the input.
    for folder in ["segments", "checkpoints"] {
        std::fs::remove_dir_all(job.state_path().join(folder)).expect("remove");
    }
    std::fs::remove_file(job.alerts_path()).expect("remove");
    std::fs::remove_file(job.quarantine_path()).expect("remove");
    let job = job.processes(1);
    job.invocation().arg("--no-supervise").env(variable, &named).run().expect_code(0);
    assert!(job.alerts() == expected && job.quarantine() == rows);
}

#[test]
fn a_record_that_ends_the_process_three_times_goes_to_quarantine_for_ever() {
    for (processes, workers) in [(1, 1), (1, 3), (2, 2)] {
        check_poison("TIDEWATCH_TEST_POISON", &[], processes, workers);
    }
}

#[test]
fn a_record_that_makes_a_worker_panic_is_found_as_well() {
    check_poison("TIDEWATCH_TEST_PANIC", &[], 1, 2);
}

#[test]
fn a_record_that_the_windows_fall_over_is_found_as_well() {
    let name = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("an event");
        let time = event["ts"].as_i64().expect("a time");
        format!("{}@{}", event["user_id"].as_str().expect("a user"), time * 1000)
    };
    check_poison_that("TIDEWATCH_TEST_PANIC_IN_WINDOWS", name, &[], 1, 3);
}

#[test]
fn a_record_that_holds_a_worker_up_for_ever_is_found_as_well() {
    check_poison("TIDEWATCH_TEST_STUCK", &[("supervise.hang_after", "\"700ms\"")], 1, 2);
}

#[test]
fn a_running_job_goes_on_with_other_numbers_of_workers_and_tells_the_pause() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input).workers(1);
    let running = job.invocation().start();
    first_delivery(&job);
    for workers in ["3", "2"] {
        let answer = job.ask(&["ctl", "rescale", "-w", workers]);
        assert_eq!(answer["to"].to_string(), workers);
        let pause = answer["pause_s"].as_f64().expect("a pause");
        assert!(pause > 0.0 && pause < 5.0, "{answer}");
        let status = job.ask(&["ctl", "status"]);
        assert_eq!((status["workers"].to_string().as_str(), &status["state"]), (workers, &"running".into()));
        let held = eventually("something is held", SOON, || {
            let status = job.ask(&["ctl", "status"]);
            status["bytes_per_key"].as_u64().map(|bytes| (status["keys"].as_u64(), bytes))
        });
        assert!(held.0 > Some(0) && held.1 > 8 && held.1 < 100_000, "{held:?}");
        let lag = eventually("partitions are read", SOON, || {
            let status = job.ask(&["ctl", "status"]);
            let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
            partitions
                .iter()
                .map(|read| read["lag_bytes"].as_u64())
                .sum::<Option<u64>>()
                .filter(|lag| *lag > 0)
        });
        let length = std::fs::metadata(&input.file).expect("the input").len();
        assert!(lag < length, "{lag} of {length} bytes are left");
        std::thread::sleep(Duration::from_millis(300));
    }
    for (workers, code) in [("0", 2), ("x", 2)] {
        job.about(&["ctl", "rescale", "-w", workers]).run().expect_code(code);
    }
    let finished = running.wait(SOON).expect_code(0);
    assert!(finished.stderr.contains("rescaled from 1 to 3 workers"), "{}", finished.stderr);
    assert!(finished.stderr.contains("rescaled from 3 to 2 workers"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts, "other alerts");
    assert_eq!(job.report()["read"], EVENTS);
    let nobody = job.about(&["ctl", "status"]).run().expect_code(1);
    assert!(nobody.stderr.contains("no such job runs"), "{}", nobody.stderr);
}

#[test]
fn what_is_refused_is_not_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = plan(&folder.path().join("out"), &input.file);
    std::fs::write(job.alerts_path(), "somebody's work\n").expect("write");
    let finished = job.invocation().run().expect_code(3);
    assert!(!finished.stderr.contains("going on"), "{}", finished.stderr);
    assert!(finished.wall < Duration::from_secs(5));
}

#[test]
fn without_supervision_the_process_that_was_started_does_the_work_and_its_death_is_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    let running = job.invocation().arg("--no-supervise").start();
    first_delivery(&job);
    assert!(children(running.id()).is_empty());
    assert_eq!(running.kill().code(), None);
    // Without a state there is nothing to go on from, so nobody supervises either.
    let running = Invocation::new(PROGRAM).args(["run", "configs/podcast.toml"]).pipe_stdout().start();
    std::thread::sleep(Duration::from_millis(300));
    assert!(children(running.id()).is_empty());
}

#[test]
fn a_job_that_comes_no_further_is_given_up_after_so_many_starts_if_one_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let (_, line, _) = victim(folder.path(), &input);
    // No checkpoint on the way, however slow the machine is: that would be progress.
    let job = plan(&folder.path().join("out"), &input.file).set("state.checkpoint_every", "\"1h\"");
    let give_up =
        |count: &str| job.invocation().args(["--max-restarts", count]).env("TIDEWATCH_TEST_POISON", &line);
    let finished = give_up("1").run().expect_code(1);
    assert_eq!(finished.stderr.matches("; going on").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("given up after 1 starts"), "{}", finished.stderr);
}

#[test]
fn two_processes_are_started_again_and_meet_again_when_one_dies() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    let hosts = write_host_file(folder.path(), 2);
    let start = |process: &str| -> Running {
        job.invocation().arg("--hosts").arg(&hosts).args(["--process", process]).start()
    };
    let running = [start("0"), start("1")];
    first_delivery(&job);
    for victim in [1, 0] {
        let id = running[victim].id();
        let worker = worker_of(id, None);
        send(worker, Signal::SIGKILL);
        worker_of(id, Some(worker));
        let length = job.alerts().len();
        eventually("the job goes on", SOON, || (job.alerts().len() > length).then_some(()));
    }
    let refused = job.about(&["ctl", "rescale", "-w", "2"]).run().expect_code(3);
    assert!(refused.stderr.contains("2 processes"), "{}", refused.stderr);
    for process in running {
        process.wait(SOON).expect_code(0);
    }
    assert!(job.alerts() == input.alerts, "other alerts");
}

#[test]
fn ctrl_c_in_a_terminal_counts_once_although_it_reaches_both_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    // `script` runs a command in a terminal of its own; what is typed comes through its input.
    let command = shell_words(&job);
    if Command::new("script").arg("--version").output().is_err() {
        testkit::left_out::announce("there is no `script` to make a terminal");
        return;
    }
    let mut running = Invocation::new("script")
        .args(["--quiet", "--return", "--command", &command])
        .arg(folder.path().join("typescript"))
        .pipe_stdin()
        .pipe_stdout()
        .start();
    let mut terminal = running.stdout.take().expect("a terminal");
    std::thread::spawn(move || terminal.read_to_end(&mut Vec::new()));
    first_delivery(&job);
    running.stdin.as_mut().expect("a keyboard").write_all(&[3]).expect("Ctrl-C");
    // Drained, not left at once: the code is 0 and not 130.
    running.wait(SOON).expect_code(0);
    let half = job.alerts();
    assert!(half.len() < input.alerts.len() && input.alerts.starts_with(&half));
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_takes_the_worker_process_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    let mut running = job.invocation().start();
    first_delivery(&job);
    let worker = worker_of(running.id(), None);
    // It does not drain, but it is not hung for half a minute either.
    send(worker, Signal::SIGSTOP);
    running.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.is_running());
    running.signal(Signal::SIGINT);
    running.wait(SOON).expect_code(130);
    assert!(!is_alive(worker));
}

#[test]
fn a_job_that_cannot_write_its_report_says_so_and_ends_with_a_failure_and_is_not_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = plan(&folder.path().join("out"), &input.file);
    symlink("/dev/full", job.report_path()).expect("a device without space");
    for _ in 0..2 {
        let finished = job.invocation().start().wait(SOON).expect_code(1);
        assert!(finished.stderr.contains("write the report"), "{}", finished.stderr);
        assert!(!finished.stderr.contains("going on"), "{}", finished.stderr);
        assert!(job.alerts() == input.alerts, "other alerts");
    }
}

#[test]
fn a_job_that_is_told_to_stop_before_its_next_start_reports_its_last_checkpoint_unless_that_takes_too_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    let running = job.invocation().start();
    first_delivery(&job);
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    let report = job.report();
    assert!(report["read"].as_u64() > Some(0), "{report}");
    std::fs::remove_file(job.report_path()).expect("remove the report");
    let running = between_two_starts(&job);
    running.signal(Signal::SIGTERM);
    let said = running.wait(SOON).expect_code(0).stderr;
    assert!(said.contains("delivers what is missing"), "{said}");
    assert_eq!(job.report(), report);

    // A state that is away: no checkpoint is there to be read. A process that was killed may have left half a
    // one behind, so that the last name says nothing.
    let mut running = between_two_starts(&job);
    let manifests = std::fs::read_dir(job.state_path().join("checkpoints")).expect("checkpoints");
    let manifests: Vec<PathBuf> = manifests.map(|entry| entry.expect("an entry").path()).collect();
    manifests.iter().for_each(|manifest| std::fs::remove_file(manifest).expect("remove"));
    assert!(Command::new("mkfifo").args(&manifests).status().expect("mkfifo").success());
    running.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.is_running(), "it waits for the state");
    running.signal(Signal::SIGINT);
    let asked = Instant::now();
    running.wait(SOON).expect_code(130);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

/// Starts a job, whose process dies until it is waited for three seconds before the next start.
fn between_two_starts(job: &Job) -> Running {
    let running = job.clone().set("state.checkpoint_every", "\"1h\"").invocation().start();
    let mut last = None;
    for _ in 0..6 {
        let worker = worker_of(running.id(), last);
        send(worker, Signal::SIGKILL);
        last = Some(worker);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(children(running.id()), Vec::<u32>::new());
    running
}

#[test]
fn a_running_job_can_be_asked_however_deep_its_state_lies() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let deep = folder.path().join("a".repeat(120)).join("b".repeat(120));
    let job = paced(&deep, &input);
    let running = job.invocation().start();
    first_delivery(&job);
    assert_eq!(job.ask(&["ctl", "status"])["state"], "running");
    job.about(&["ctl", "drain"]).run().expect_code(0);
    let finished = running.wait(SOON).expect_code(0);
    assert!(!finished.stderr.contains("will not reach"), "{}", finished.stderr);
    let nobody = job.about(&["ctl", "status"]).run().expect_code(1);
    assert!(nobody.stderr.contains("no such job runs"), "{}", nobody.stderr);
}

#[test]
fn a_report_that_cannot_be_written_does_not_end_a_job_that_is_rescaled() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    symlink("/dev/full", job.report_path()).expect("a device without space");
    let running = job.invocation().start();
    first_delivery(&job);
    assert_eq!(job.ask(&["ctl", "rescale", "-w", "2"])["to"], 2);
    running.wait(SOON).expect_code(1);
    assert!(job.alerts() == input.alerts, "other alerts");
}

/// Puts a pipe in the place of a file, which gives what the file held after a moment, as a store that is away.
fn slow(path: &Path, moment: Duration) {
    let bytes = std::fs::read(path).expect("a file");
    std::fs::remove_file(path).expect("remove");
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
    let path = path.to_owned();
    std::thread::spawn(move || {
        // Each time somebody has opened it; at the end nobody does any more.
        while let Ok(mut pipe) = std::fs::OpenOptions::new().write(true).open(&path) {
            std::thread::sleep(moment);
            let _ = pipe.write_all(&bytes);
            drop(pipe);
            // Until the reader has seen the end of it.
            std::thread::sleep(Duration::from_millis(300));
        }
    });
}

fn first_file(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder).expect("a folder");
    files.map(|entry| entry.expect("an entry").path()).min().expect("a file")
}

#[test]
fn a_state_that_keeps_the_process_waiting_at_its_start_is_not_taken_for_a_hang() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = plan(&folder.path().join("out"), &input.file).set("supervise.hang_after", "\"1s\"");
    let note = br#"{"partition":"another","offset":0}"#;
    checkpoint::Store::open(&job.state_path()).expect("a state").note("poison", note).expect("a note");
    slow(&first_file(&job.state_path().join("notes")), Duration::from_secs(3));
    let finished = job.invocation().start().wait(SOON).expect_code(0);
    assert!(!finished.stderr.contains("hangs"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts, "other alerts");
}

#[test]
fn a_process_whose_state_is_away_for_longer_than_it_may_be_gone_is_not_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input).set("mesh.rejoin_within", "\"2s\"");
    let hosts = write_host_file(folder.path(), 2);
    let start = |job: &Job, process: &str| -> Running {
        job.invocation().arg("--hosts").arg(&hosts).args(["--process", process]).start()
    };
    // The same state, but for notes that are slow to read at each start of the first process.
    let (state, own) = (job.state_path(), folder.path().join("own"));
    checkpoint::Store::open(&state).expect("a state");
    let note = br#"{"partition":"another","offset":0}"#;
    checkpoint::Store::open(&own).expect("a state").note("poison", note).expect("a note");
    for part in ["checkpoints", "segments"] {
        std::fs::remove_dir(own.join(part)).expect("an empty folder");
        symlink(std::fs::canonicalize(state.join(part)).expect("a folder"), own.join(part)).expect("a link");
    }
    slow(&first_file(&own.join("notes")), Duration::from_secs(4));
    let running = [start(&job.clone().set("state.dir", own.display()), "0"), start(&job, "1")];
    first_delivery(&job);
    send(worker_of(running[0].id(), None), Signal::SIGKILL);
    for process in running {
        process.wait(SOON).expect_code(0);
    }
    assert!(job.alerts() == input.alerts, "other alerts");
}

#[test]
fn a_store_whose_checkpoints_are_slow_to_read_does_not_hold_a_worker_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = paced(&out, &input);
    let running = job.invocation().start();
    first_delivery(&job);
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    slow(&first_file(&job.state_path().join("checkpoints")), Duration::from_secs(2));
    let job = plan(&out, &input.file).set("supervise.hang_after", "\"1s\"");
    let finished = job.invocation().start().wait(SOON).expect_code(0);
    assert!(!finished.stderr.contains("hangs"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts, "other alerts");
}

#[test]
fn a_process_that_cannot_be_started_for_a_while_is_started_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = paced(&folder.path().join("out"), &input);
    let temporary = folder.path().join("tmp");
    let begin = || job.invocation().env("TMPDIR", &temporary).start();
    // What never worked is not repeated.
    let finished = begin().wait(SOON).expect_code(1);
    assert!(finished.stderr.contains("create a file for notes"), "{}", finished.stderr);
    std::fs::create_dir(&temporary).expect("create");
    let running = begin();
    first_delivery(&job);
    std::fs::remove_dir_all(&temporary).expect("remove");
    let worker = worker_of(running.id(), None);
    send(worker, Signal::SIGKILL);
    eventually("its end", SOON, || (!is_alive(worker)).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(job.ask(&["ctl", "status"])["state"], "waiting to start again");
    std::fs::create_dir(&temporary).expect("create");
    let finished = running.wait(SOON).expect_code(0);
    assert!(finished.stderr.contains("create a file for notes"), "{}", finished.stderr);
    assert!(finished.stderr.contains("trying again in"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts, "other alerts");
}

#[test]
fn a_poisonous_record_that_cannot_be_noted_at_once_is_noted_before_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let (offset, line, expected) = victim(folder.path(), &input);
    let job = plan(&folder.path().join("out"), &input.file).with_quarantine();
    let job = job.set("supervise.hang_after", "\"2s\"");
    let running = job.invocation().env("TIDEWATCH_TEST_STUCK", &line).start();
    let status = || {
        let finished = job.about(&["ctl", "status", "--format", "json"]).run();
        serde_json::from_slice::<Value>(&finished.stdout).unwrap_or_default()
    };
    eventually("the third process reads", SOON, || {
        let status = status();
        (status["restarts"] == 2 && status["state"] == "running").then_some(())
    });
    // While it holds the record, the place for notes goes away.
    let (notes, away) = (job.state_path().join("notes"), job.state_path().join("away"));
    std::fs::rename(&notes, &away).expect("rename");
    std::fs::write(&notes, "").expect("write");
    eventually("the third death", SOON, || (status()["state"] == "waiting to start again").then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    std::fs::remove_file(&notes).expect("remove");
    std::fs::rename(&away, &notes).expect("rename");
    let finished = running.wait(SOON).expect_code(0);
    assert!(finished.stderr.contains("tried again before the next start"), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("; going on").count(), 3, "{}", finished.stderr);
    let rows = job.quarantine();
    assert_eq!((rows.len(), &rows[0]["offset"]), (1, &Value::from(offset)), "{}", finished.stderr);
    assert!(job.alerts() == expected, "other alerts than without the record");
}

#[test]
fn a_job_that_cannot_run_with_another_number_of_workers_goes_on_with_the_one_it_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    // Address space for some threads and not for a thousand.
    let limited = folder.path().join("limited");
    let script = format!("#!/bin/sh\nulimit -v 1500000\nexec '{PROGRAM}' \"$@\"\n");
    std::fs::write(&limited, script).expect("write");
    std::fs::set_permissions(&limited, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let job = Job::reference(&limited, folder.path().join("out"), &input.file)
        .set("source.events.lanes", 3)
        .set("source.events.rate", 10_000)
        .set("state.checkpoint_every", "\"100ms\"")
        .workers(2);
    let running = job.invocation().start();
    first_delivery(&job);
    let asked = Instant::now();
    let failed = job.about(&["ctl", "rescale", "-w", "1000"]).run().expect_code(1);
    assert!(
        failed.stderr.contains("not rescaled to 1000 workers, the job goes on with 2: "),
        "{}",
        failed.stderr
    );
    assert!(asked.elapsed() < SOON / 2, "{:?}", asked.elapsed());
    let status = eventually("the job goes on", SOON, || {
        let status = job.ask(&["ctl", "status"]);
        (status["state"] == "running").then_some(status)
    });
    assert_eq!(status["workers"], 2);
    running.wait(SOON).expect_code(0);
    assert!(job.alerts() == input.alerts, "other alerts");
}

fn shell_words(job: &Job) -> String {
    let config = repository().join("configs/podcast-reference.toml");
    let setting = |name: &str, value: &str| format!(" --set '{name}={value}'");
    let mut words = format!("exec '{PROGRAM}' run '{}'", config.display());
    for (name, value) in [
        ("source.events.path", job.alerts_path().parent().unwrap_or(Path::new("")).join("../events.ndjson")),
        ("sink.alerts.path", job.alerts_path()),
        ("state.dir", job.state_path()),
    ] {
        words += &setting(name, &value.display().to_string());
    }
    words += &setting("source.events.rate", "10000");
    words += &setting("source.events.lanes", "3");
    words + &setting("state.checkpoint_every", "\"100ms\"")
}
