//! Jobs whose state is in a bucket: killed, cut off from it, damaged, beside one another. What is put out is
//! what the oracle says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use checkpoint::Disk;
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Finished, Invocation, eventually};
use testkit::random::{Random, seed};
use testkit::s3::{BUCKET, KEYS, Server, server, server_alone};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
/// Few, so that the watermark goes on while a file of some MiB is read.
const LANES: usize = 3;
const EVENTS: u64 = 40_000;
const SOON: Duration = Duration::from_secs(60);

/// Events with late ones among them, and the alerts that they must give.
struct Input {
    file: PathBuf,
    alerts: Vec<u8>,
}

fn input(folder: &Path) -> Input {
    let file = folder.join("events.ndjson");
    generate(EVENTS, 600, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let shuffled =
        delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    std::fs::write(&file, &shuffled).expect("write");
    let expected = Podcast { lanes: LANES, ..Podcast::default() }.expect(&shuffled);
    assert!(!expected.alerts.is_empty());
    Input { file, alerts: expected.alerts.into_bytes() }
}

/// A job with its state under a prefix, at so many events a second.
fn job(folder: &Path, input: &Input, prefix: &str, rate: u64) -> Job {
    Job::new(PROGRAM, "configs/podcast-reference.toml", folder)
        .on(&input.file)
        .with_alerts()
        .set("source.events.lanes", LANES)
        .set("source.events.rate", rate)
        .set("state.dir", format!("s3://{BUCKET}/{prefix}"))
        .set("state.checkpoint_every", "\"100ms\"")
}

const FAST: u64 = 10_000_000;

/// `tidewatch checkpoints VERB` of a job under a prefix.
fn checkpoints(server: &Server, verb: &str, prefix: &str) -> Finished {
    let command = Invocation::new(PROGRAM)
        .args(["--format", "json", "checkpoints", verb, "configs/podcast-reference.toml"])
        .set("state.dir", format!("s3://{BUCKET}/{prefix}"));
    server.known_to(command).run()
}

/// Runs a job until it has delivered something, and stops it there.
fn stopped_half_way(server: &Server, folder: &Path, input: &Input, prefix: &str) -> Job {
    let job = job(folder, input, prefix, 10_000).workers(2);
    let running = server.known_to(job.invocation()).start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    job
}

#[test]
fn a_job_that_is_killed_again_and_again_ends_with_the_bytes_of_the_oracle() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let mut random = Random::new(seed(41));
    let paced = job(&out, &input, "killed", 10_000);
    let mut committed = 0;
    for kill in 0..4 {
        let invocation = paced.clone().workers(1 + kill % 3).invocation();
        let running = server.known_to(invocation).start();
        std::thread::sleep(Duration::from_millis(200 + random.below(1_200)));
        running.kill();
        let now = paced.alerts();
        assert!(input.alerts.starts_with(&now), "kill {kill}: not a prefix of the answer");
        assert!(now.len() >= committed, "kill {kill}: what was committed is gone");
        committed = now.len();
    }
    let job = job(&out, &input, "killed", FAST).workers(2);
    server.known_to(job.invocation()).run().expect_code(0);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], EVENTS, "totals are those since the first start");

    let listed: Value =
        serde_json::from_slice(&checkpoints(&server, "list", "killed").expect_code(0).stdout).expect("JSON");
    let last = listed.as_array().and_then(|all| all.last()).expect("a checkpoint");
    assert_eq!((&last["finished"], &last["counts"]["read"]), (&Value::Bool(true), &EVENTS.into()));
    assert!(last["generation"].as_u64() > Some(1), "{last}");
    checkpoints(&server, "verify", "killed").expect_code(0);
}

#[test]
fn a_job_that_was_never_started_has_no_state_in_a_bucket_either() {
    let Some(server) = server() else { return };
    for verb in ["list", "show", "verify"] {
        let refused = checkpoints(&server, verb, "never-started").expect_code(3);
        assert!(refused.stderr.contains("has not been started"), "{}", refused.stderr);
    }
}

#[test]
fn a_bucket_that_is_away_for_some_seconds_delays_a_job_and_does_not_end_it() {
    let Some(server) = server_alone() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    // A job that waits for its bucket is not taken for one that hangs.
    let job = job(&folder.path().join("out"), &input, "away", 8_000)
        .set("supervise.hang_after", "\"1500ms\"")
        .workers(2);
    let running = server.known_to(job.invocation()).start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    server.pause();
    std::thread::sleep(Duration::from_secs(3));
    let before = job.alerts().len();
    server.resume();
    eventually("a delivery afterwards", SOON, || (job.alerts().len() > before).then_some(()));
    let finished = running.wait(SOON).expect_code(0);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    for words in ["does not answer", "answers again"] {
        assert!(!server.is_full() || finished.stderr.contains(words), "{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("going on from"), "it was started again:\n{}", finished.stderr);
}

#[test]
fn a_bucket_that_stays_away_ends_the_process_and_the_supervisor_starts_it_again() {
    let Some(server) = server_alone() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = job(&folder.path().join("out"), &input, "gone", 8_000).set("state.retry_for", "\"500ms\"");
    let running = server.known_to(job.invocation()).start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    server.pause();
    std::thread::sleep(Duration::from_secs(3));
    server.resume();
    let finished = running.wait(SOON).expect_code(0);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    for words in ["going on", "reading again"] {
        assert!(
            !server.is_full() || finished.stderr.contains(words),
            "not started again:\n{}",
            finished.stderr
        );
    }
}

#[test]
fn a_missing_object_or_a_flipped_bit_is_refused_with_the_name_of_the_object() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    for (prefix, is_manifest, is_removed) in
        [("flip-segment", false, false), ("no-segment", false, true), ("flip-manifest", true, false)]
    {
        let out = folder.path().join(prefix);
        let stopped = stopped_half_way(&server, &out, &input, prefix);
        let before = stopped.alerts();
        let disk = disk(&server, prefix);
        let name = if is_manifest { last_manifest(&disk) } else { largest_segment(&server, prefix) };
        let mut bytes = disk.read(&name, None).expect("an object").to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        disk.remove(&name).expect("remove");
        if !is_removed {
            disk.write(&name, &[bytes.into()]).expect("write");
        }
        let place = format!("s3://{BUCKET}/{prefix}/{name}");
        let verified = checkpoints(&server, "verify", prefix).expect_code(3);
        assert!(verified.text().contains(&place), "no {place} in {}", verified.text());
        let again = server.known_to(job(&out, &input, prefix, FAST).invocation()).run().expect_code(3);
        assert!(again.stderr.contains(&place), "no {place} in:\n{}", again.stderr);
        assert!(stopped.alerts() == before, "a refused job has written");
    }
}

fn disk(server: &Server, prefix: &str) -> checkpoint::S3Disk {
    let bucket =
        checkpoint::Bucket::parse(&format!("s3://{BUCKET}/{prefix}")).expect("s3").expect("an address");
    let keys = checkpoint::Keys { access: KEYS.0.into(), secret: KEYS.1.into() };
    let endpoint = Some(server.address().to_owned());
    checkpoint::S3Disk::open(&checkpoint::Bucket { endpoint, keys: Some(keys), ..bucket }).expect("a disk")
}

fn last_manifest(disk: &checkpoint::S3Disk) -> String {
    let name = disk.list("checkpoints").expect("a list").into_iter().max().expect("a checkpoint");
    format!("checkpoints/{name}")
}

/// Of the newest checkpoint, so that nothing can go on without it.
fn largest_segment(server: &Server, prefix: &str) -> String {
    let shown = checkpoints(server, "show", prefix).expect_code(0).stdout;
    let shown: Value = serde_json::from_slice(&shown).expect("JSON");
    let segments = shown["segments"].as_array().expect("segments");
    // Of those of which any byte is needed.
    let whole = segments.iter().filter(|segment| segment["needed"] == segment["bytes"]);
    let largest = whole.max_by_key(|segment| segment["needed"].as_u64()).expect("a segment");
    format!("segments/{}", largest["segment"].as_str().expect("a name"))
}

#[test]
fn two_jobs_in_one_bucket_do_not_see_one_another() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let prefixes = ["apart/a", "apart"];
    let jobs =
        prefixes.map(|prefix| job(&folder.path().join(prefix.replace('/', "-")), &input, prefix, 20_000));
    let running = jobs.clone().map(|job| server.known_to(job.invocation()).start());
    for (running, job) in running.into_iter().zip(&jobs) {
        running.wait(SOON).expect_code(0);
        assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    }
    for prefix in prefixes {
        checkpoints(&server, "verify", prefix).expect_code(0);
    }
}

#[test]
fn of_two_runs_of_one_job_the_newer_takes_over_and_the_older_writes_no_more() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let paced = job(&out, &input, "zombie", 8_000);
    let older = server.known_to(paced.invocation().arg("--no-supervise")).start();
    eventually("a first delivery", SOON, || (!paced.alerts().is_empty()).then_some(()));
    // Stopped like a machine that is cut off: it does not know what happens meanwhile.
    older.signal(Signal::SIGSTOP);
    let newer = job(&out, &input, "zombie", FAST);
    server.known_to(newer.invocation()).run().expect_code(0);
    assert!(newer.alerts() == input.alerts, "other alerts than the oracle");
    older.signal(Signal::SIGCONT);
    let older = older.wait(SOON).expect_code(1);
    assert!(older.stderr.contains("already committed by another run"), "{}", older.stderr);
    assert!(newer.alerts() == input.alerts, "the older run has written");
}

#[test]
fn a_bucket_that_is_not_there_is_named_and_no_secret_is_shown() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = job(&folder.path().join("out"), &input, "x", FAST).set("state.dir", "s3://no-such-bucket/job");
    let finished = server.known_to(job.invocation()).run();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("no-such-bucket"), "{}", finished.stderr);
    let check = Invocation::new(PROGRAM)
        .args(["check", "configs/podcast-reference.toml", "--print"])
        .set("state.dir", format!("s3://{BUCKET}/x"));
    let printed = server.known_to(check).run().expect_code(0).text();
    assert!(printed.contains("s3://tidewatch/x"), "{printed}");
    for words in [finished.stderr, printed] {
        assert!(!words.contains(KEYS.1), "the secret is shown:\n{words}");
    }
}
