//! A job that is killed, or told to stop, goes on by the same command and ends with the same bytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Finished, eventually};
use testkit::random::{Random, seed};
use testkit::workload::{generate, reference, sorted_lines};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// Few, so that the watermark goes on while a file of some MiB is read.
const LANES: usize = 3;

const SOON: Duration = Duration::from_secs(30);

/// Events with late ones among them, and the alerts that they must give.
struct Input {
    file: PathBuf,
    alerts: Vec<u8>,
}

fn input(folder: &Path) -> Input {
    let file = folder.join("events.ndjson");
    generate(60_000, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let shuffled =
        delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    std::fs::write(&file, &shuffled).expect("write");
    let expected = Podcast { lanes: LANES, ..Podcast::default() }.expect(&shuffled);
    assert!(expected.late > 100 && expected.alerts.len() > 10_000);
    Input { file, alerts: expected.alerts.into_bytes() }
}

/// A job that takes about four seconds and checkpoints often.
fn slow(folder: &Path, input: &Input) -> Job {
    fast(folder, input).set("source.events.rate", 15_000)
}

/// The same job without a brake.
fn fast(folder: &Path, input: &Input) -> Job {
    Job::reference(PROGRAM, folder, &input.file)
        .set("source.events.lanes", LANES)
        .set("state.checkpoint_every", "\"100ms\"")
}

/// Starts a job, waits until it has delivered something, and tells it to stop.
fn stopped_half_way(folder: &Path, input: &Input) -> Job {
    let job = slow(folder, input).workers(2);
    let running = job.invocation().start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    job
}

fn refused(finished: Finished, words: &[&str]) {
    let finished = finished.expect_code(3);
    for word in words {
        assert!(finished.stderr.contains(word), "no word of {word} in:\n{}", finished.stderr);
    }
}

#[test]
fn after_any_number_of_kills_the_output_is_that_of_an_unbroken_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let kills: usize = std::env::var("TIDEWATCH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut random = Random::new(seed(77));
    // As fast as would bring it to the end in a little more time than all the runs have, so that the last
    // kill finds it at work like the first.
    let rate = 60_000 / (kills as u64).max(1);
    let job = slow(&folder.path().join("out"), &input).set("source.events.rate", rate);
    let mut committed = Vec::new();
    for kill in 0..kills {
        let workers = 1 + random.below(3) as usize;
        let running = job.clone().workers(workers).invocation().start();
        // From before anything has started to about half of the file.
        std::thread::sleep(Duration::from_millis(random.below(900)));
        running.kill();
        let now = job.alerts();
        let known = now.len().min(committed.len());
        assert!(now[..known] == committed[..known], "kill {kill}: what was committed has changed");
        if now.len() > committed.len() {
            committed = now;
        }
        assert!(input.alerts.starts_with(&committed), "kill {kill}: not a prefix of the answer");
        eprintln!("kill {kill}: {} of {} bytes are committed", committed.len(), input.alerts.len());
    }
    let job = fast(&folder.path().join("out"), &input).workers(2);
    job.run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 60_000, "totals are those since the first start");
}

#[test]
fn the_reference_job_at_200000_events_a_second_ends_with_the_reference_output_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, expected) = (folder.path().join("events.ndjson"), folder.path().join("expected.ndjson"));
    generate(1_000_000, 20_000, 21, &[], &file);
    reference(&file, &expected);
    let job = Job::reference(PROGRAM, folder.path().join("out"), &file)
        .set("source.events.rate", 200_000)
        .set("state.checkpoint_every", "\"500ms\"");
    let mut random = Random::new(seed(78));
    for kill in 0..8 {
        let running = job.clone().workers(1 + kill % 3).invocation().start();
        std::thread::sleep(Duration::from_millis(200 + random.below(1_300)));
        running.kill();
    }
    job.clone().workers(2).run();
    let (alerts, expected) = (job.alerts(), std::fs::read(&expected).expect("the expected alerts"));
    assert!(!expected.is_empty() && sorted_lines(&alerts) == sorted_lines(&expected));
    assert_eq!(job.report()["read"], 1_000_000);
}

#[test]
fn several_processes_go_on_from_what_one_process_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    fast(&out, &input).processes(2).workers(2).run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn a_job_that_is_told_to_stop_closes_no_window_and_goes_on_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    let (half, report) = (job.alerts(), job.report());
    assert!(input.alerts.starts_with(&half) && half.len() < input.alerts.len());
    let read = report["read"].as_u64().expect("a count");
    assert!(read > 0 && read < 60_000, "{report}");
    // Events span an hour. However the lanes are read, the slowest is at most a chunk of each lane ahead
    // of the number of events read, and no window that ends behind the slowest is closed.
    let slowest = 1_700_000_000_000 + (read + 3 * 8_000) as i64 * 3_600_000 / 60_000;
    let last = testkit::job::json_lines(&half).last().and_then(|row| row["window_end"].as_i64());
    assert!(last.expect("an alert") <= slowest, "{last:?}: {report}");

    let job = fast(&out, &input).workers(3);
    job.run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 60_000);
}

#[test]
fn a_finished_job_does_nothing_when_it_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = fast(&folder.path().join("out"), &input).workers(2);
    job.run();
    let (alerts, report) = (job.alerts(), job.report());
    assert!(alerts == input.alerts, "other alerts than the oracle");
    for workers in [1, 3] {
        let again = job.clone().workers(workers);
        again.run();
        assert!(again.alerts() == alerts, "the output has changed");
        assert_eq!(again.report()["alerts"], report["alerts"]);
        assert_eq!(again.report()["read"], report["read"]);
    }
}

#[test]
fn another_window_or_key_on_the_same_state_is_refused_and_another_rate_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    let before = job.alerts();
    refused(fast(&out, &input).set("window.size", "\"5m\"").invocation().run(), &["window"]);
    refused(
        fast(&out, &input).set("event.key", "[\"user_id\", \"event_type\"]").invocation().run(),
        &["key"],
    );
    let other = folder.path().join("other.ndjson");
    refused(fast(&out, &input).set("sink.alerts.path", other.display()).invocation().run(), &["alerts"]);
    let may_change = ["rules, thresholds", "sinks may be added"];
    refused(fast(&out, &input).set("window.size", "\"5m\"").invocation().run(), &may_change);
    refused(
        fast(&out, &input).set("name", "other").invocation().run(),
        &["name = podcast-reference", "other"],
    );
    refused(fast(&out, &input).set("state.shards", 512).invocation().run(), &["state.shards = 1024", "512"]);
    assert!(job.alerts() == before, "a refused job has written");
    fast(&out, &input).set("source.events.rate", 1_000_000).run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn no_setting_of_a_generator_but_its_rate_may_change_under_a_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = Job::new(PROGRAM, "configs/podcast.toml", folder.path().join("out"))
        .with_state()
        .set("source.events.events", 5_000)
        .set("source.events.rate", 0);
    job.run();
    for (setting, value) in [("events", "6000"), ("seed", "8"), ("users", "999"), ("anomalies", "0.5")] {
        let other = job.clone().set(&format!("source.events.{setting}"), value);
        refused(other.invocation().run(), &[&format!("{setting} {value}"), "set `sources` back"]);
    }
    job.set("source.events.rate", 1_000).run();
}

#[test]
fn a_source_that_no_longer_holds_the_position_is_refused_and_the_job_never_jumps() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    let before = job.alerts();
    let events = std::fs::read(&input.file).expect("events");
    let other_first_line = [b"x", &events[1..]].concat();
    for (changed, word) in [(&events[..events.len() / 2], "but had"), (&other_first_line, "other bytes")] {
        std::fs::write(&input.file, changed).expect("write");
        refused(fast(&out, &input).invocation().run(), &["events.ndjson", word]);
        assert!(job.alerts() == before, "a refused job has written");
    }
    std::fs::write(&input.file, &events).expect("write");
    fast(&out, &input).run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn a_job_that_dies_in_its_first_interval_goes_on_with_the_file_as_long_as_it_was_at_its_first_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = slow(&out, &input).set("state.checkpoint_every", "\"1h\"");
    let running = job.invocation().start();
    let says = || job.about(&["checkpoints", "show", "--format", "json"]).run().text();
    eventually("the plan", SOON, || says().contains("\"checkpoint\":0").then_some(()));
    running.kill();
    let later = std::fs::read(&input.file).expect("events");
    let longer = [&later[..], &later[..later.len() / 3]].concat();
    std::fs::write(&input.file, longer).expect("write");
    fast(&out, &input).workers(3).run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 60_000, "what was added later is not of this job");
}

#[test]
fn an_interval_in_which_nothing_happens_commits_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = fast(&folder.path().join("out"), &input).set("source.events.rate", 1);
    let running = job.invocation().start();
    let newest = || job.about(&["checkpoints", "list", "--format", "json"]).run().text();
    let empty = eventually("two checkpoints with the same events", SOON, || {
        let list: Value = serde_json::from_str(&newest()).ok()?;
        let [.., before, after] = list.as_array()?.as_slice() else { return None };
        let same = before["counts"] == after["counts"] && after["counts"]["read"].as_u64() > Some(0);
        (same && after["starts_generation"] == false).then(|| after["bytes"].clone())
    });
    running.kill();
    assert!(empty.as_u64() > Some(0) && job.alerts().is_empty());
    fast(&folder.path().join("out"), &input).run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn a_fresh_state_beside_an_output_that_is_not_empty_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = fast(&folder.path().join("out"), &input);
    std::fs::write(job.alerts_path(), "somebody's work\n").expect("write");
    refused(job.invocation().run(), &["alerts.ndjson"]);
    assert_eq!(job.alerts(), b"somebody's work\n");
}

#[test]
fn an_output_that_somebody_else_has_written_to_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = stopped_half_way(&folder.path().join("out"), &input);
    let bytes = [&job.alerts()[..], b"{\"somebody\":\"else\"}\n"].concat();
    std::fs::write(job.alerts_path(), &bytes).expect("write");
    refused(job.invocation().run(), &["alerts.ndjson"]);
    assert!(job.alerts() == bytes, "a refused job has written");
}

#[test]
fn an_output_that_was_cut_is_completed_from_the_checkpoint_or_refused_but_never_goes_on_with_a_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    for keep in [0, 1, 2, 3] {
        let job = stopped_half_way(&folder.path().join(keep.to_string()), &input);
        let mut bytes = job.alerts();
        // Nothing, a third, two thirds, all but the last byte.
        bytes.truncate(if keep == 3 { bytes.len() - 1 } else { bytes.len() * keep / 3 });
        std::fs::write(job.alerts_path(), &bytes).expect("write");
        let finished = job.set("source.events.rate", 1_000_000).invocation().run();
        let job = Job::reference(PROGRAM, folder.path().join(keep.to_string()), &input.file);
        if finished.code() == Some(0) {
            assert!(job.alerts() == input.alerts, "{keep}: the output has a gap");
        } else {
            refused(finished, &["alerts.ndjson"]);
            assert!(job.alerts() == bytes, "{keep}: a refused job has written");
        }
    }
}

/// A job whose sink has delivered at once up to half of the input, and a torn line behind that.
fn torn_at_once(folder: &Path, input: &Input) -> Job {
    let job = slow(folder, input).set("sink.alerts.mode", "\"at_once\"");
    let running = job.invocation().start();
    eventually("some deliveries", SOON, || (job.alerts().len() > 100_000).then_some(()));
    running.kill();
    let mut bytes = job.alerts();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(whole);
    bytes.extend_from_slice(b"{\"rule\":\"torn");
    std::fs::write(job.alerts_path(), bytes).expect("write");
    job
}

#[test]
fn a_sink_that_has_delivered_at_once_may_deliver_exactly_once_from_now_on_and_keeps_what_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    torn_at_once(&out, &input);
    let job = slow(&out, &input);
    let first = job.invocation().start();
    let before = job.alerts().len();
    eventually("a delivery", SOON, || (job.alerts().len() > before + 1000).then_some(()));
    first.kill();
    fast(&out, &input).run();
    // What came after the last checkpoint of the first run comes once more, and nothing else.
    let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (found, expected) = (lines(&job.alerts()), lines(&input.alerts));
    let again = found.len() - expected.len();
    let from = (0..=expected.len()).find(|at| found[*at..] == expected[*at - again.min(*at)..]);
    let from = from.expect("the answer from somewhere on");
    assert!(found[..from] == expected[..from], "the answer up to there, and then a part of it again");
}

#[test]
fn after_a_drain_the_mode_of_a_sink_may_change_to_and_fro_and_no_line_comes_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    for mode in ["at_once", "exactly_once", "at_once", "exactly_once"] {
        let job = slow(&out, &input).set("source.events.rate", 8_000);
        let job = job.set("sink.alerts.mode", format!("\"{mode}\""));
        let before = job.alerts().len();
        let running = job.invocation().start();
        eventually("a delivery", SOON, || (job.alerts().len() > before).then_some(()));
        running.signal(Signal::SIGTERM);
        running.wait(SOON).expect_code(0);
    }
    let job = fast(&out, &input);
    job.run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn a_sink_that_is_to_deliver_at_once_from_now_on_first_gets_what_the_last_checkpoint_owes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    let mut bytes = job.alerts();
    bytes.pop();
    std::fs::write(job.alerts_path(), &bytes).expect("write");
    fast(&out, &input).set("sink.alerts.mode", "\"at_once\"").run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name_or_not_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    let (saved, alerts) = (folder.path().join("saved"), job.alerts());
    copy_tree(&job.state_path(), &saved);
    let mut refusals = 0;
    for file in files_below(&saved) {
        let name = file.strip_prefix(&saved).expect("below").to_path_buf();
        std::fs::remove_dir_all(job.state_path()).expect("remove");
        copy_tree(&saved, &job.state_path());
        std::fs::write(job.alerts_path(), &alerts).expect("write");
        let damaged = job.state_path().join(&name);
        let mut bytes = std::fs::read(&damaged).expect("a file of the state");
        let Some(middle) = bytes.len().checked_sub(1).map(|last| last / 2) else { continue };
        bytes[middle] ^= 0x10;
        std::fs::write(&damaged, bytes).expect("write");
        let finished = fast(&out, &input).invocation().run();
        if finished.code() == Some(0) {
            assert!(job.alerts() == input.alerts, "{}: damaged, and the answer is another", name.display());
        } else {
            let file_name = name.file_name().expect("a name").to_string_lossy().into_owned();
            refused(finished, &[&file_name]);
            assert!(job.alerts() == alerts, "a refused job has written");
            refusals += 1;
        }
    }
    assert!(refusals > 0, "no file of the checkpoint matters");
}

/// The manifest of a checkpoint, after a bit of it was flipped.
fn damaged_manifest(job: &Job, number: &Value) -> String {
    let name = format!("{:010}", number.as_u64().expect("a number"));
    let path = job.state_path().join("checkpoints").join(&name);
    let mut bytes = std::fs::read(&path).expect("a manifest");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).expect("write");
    name
}

/// Where the output of a checkpoint ends.
fn output_end(job: &Job, number: &Value) -> u64 {
    let shown = job.ask(&["checkpoints", "show", "--number", &number.to_string()]);
    let sink = &shown["sinks"][0];
    sink["before"].as_u64().expect("bytes") + sink["bytes"].as_u64().expect("bytes")
}

#[test]
fn a_damaged_manifest_is_refused_only_where_it_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = stopped_half_way(&out, &input);
    let list = job.ask(&["checkpoints", "list"]);
    let numbers: Vec<Value> =
        list.as_array().expect("a list").iter().map(|c| c["checkpoint"].clone()).collect();
    let [oldest, .., older, newest] = numbers.as_slice() else { panic!("few checkpoints: {numbers:?}") };
    let end = output_end(&job, older);
    let (saved, alerts) = (folder.path().join("saved"), job.alerts());
    copy_tree(&job.state_path(), &saved);
    let restored = |length: u64| {
        std::fs::remove_dir_all(job.state_path()).expect("remove");
        copy_tree(&saved, &job.state_path());
        std::fs::write(job.alerts_path(), &alerts[..length as usize]).expect("write");
    };
    let again = || fast(&out, &input).invocation();
    let same = |what: &str| assert!(job.alerts() == input.alerts, "{what}: other alerts than the oracle");

    let name = damaged_manifest(&job, newest);
    let listed = job.about(&["--format", "json", "checkpoints", "list"]).run().expect_code(3).text();
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    let found: Vec<&Value> = listed.iter().map(|one| &one["checkpoint"]).collect();
    assert!(found.iter().copied().eq(&numbers), "a damaged one hides others: {listed:?}");
    let damage = listed.last().and_then(|last| last["damage"].as_str()).unwrap_or_default().to_owned();
    assert!(damage.contains(&name), "{damage}");
    refused(job.about(&["checkpoints", "list"]).run(), &[]);
    refused(job.about(&["checkpoints", "show"]).run(), &[&name, "checkpoints list"]);
    refused(again().run(), &[&name, "--from NUMBER", "--from-scratch"]);
    assert!(job.alerts() == alerts, "a refused job has written");
    restored(end);
    damaged_manifest(&job, newest);
    let finished = again().args(["--from", &older.to_string()]).run().expect_code(0);
    assert!(finished.stderr.contains(&format!("what checkpoint {newest} holds")), "{}", finished.stderr);
    same("from the one before");
    for damaged in [newest, oldest] {
        restored(0);
        damaged_manifest(&job, damaged);
        again().arg("--from-scratch").run().expect_code(0);
        same("from scratch");
    }
    restored(alerts.len() as u64);
    damaged_manifest(&job, oldest);
    again().run().expect_code(0);
    same("from the newest");
}

#[test]
fn several_processes_begin_from_scratch_or_elsewhere_whatever_the_newest_checkpoint_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = fast(&folder.path().join("out"), &input).processes(2);
    job.run();
    let newest = job.ask(&["checkpoints", "show"])["checkpoint"].clone();
    let finished = job.invocation().args(["--from", &newest.to_string()]).run().expect_code(0);
    assert!(finished.stderr.contains("already finished"), "{}", finished.stderr);
    for is_damaged in [false, true] {
        std::fs::remove_file(job.alerts_path()).expect("remove the output");
        if is_damaged {
            let newest = job.ask(&["checkpoints", "show"])["checkpoint"].clone();
            damaged_manifest(&job, &newest);
        }
        job.invocation().arg("--from-scratch").run().expect_code(0);
        assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    }
}

#[test]
fn starts_that_come_no_further_do_not_fill_the_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("out");
    let job = slow(&out, &input).set("state.checkpoint_every", "\"1h\"");
    let says = || job.about(&["checkpoints", "show", "--format", "json"]).run().text();
    for start in 0..6 {
        let running = job.invocation().start();
        let begun = format!("\"checkpoint\":{start}");
        eventually("a start", SOON, || says().replace(": ", ":").contains(&begun).then_some(()));
        running.kill();
    }
    let left = files_below(&job.state_path().join("checkpoints"));
    assert!(left.len() <= 3, "{left:?}");
    fast(&out, &input).run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn standard_input_with_a_state_is_refused_because_it_cannot_be_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = include_str!("../configs/podcast-reference.toml");
    let path = folder.path().join("stdin.toml");
    let start = config.find("[source.events]").expect("a source");
    let end = start + config[start + 1..].find("\n[").expect("another table") + 1;
    std::fs::write(
        &path,
        format!("{}[source.events]\ntype = \"stdin\"\n{}", &config[..start], &config[end..]),
    )
    .expect("write");
    let job = Job::new(PROGRAM, &path, folder.path().join("out")).with_alerts().with_state();
    refused(job.invocation().input("").run(), &["stdin"]);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the state") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy_tree(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("create");
        std::fs::copy(&file, target).expect("copy");
    }
}

#[test]
fn checkpoints_can_be_listed_shown_and_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = stopped_half_way(&folder.path().join("out"), &input);
    let list = job.ask(&["checkpoints", "list"]);
    let list = list.as_array().expect("a list");
    assert!(list.len() >= 3, "at least three are kept: {list:?}");
    let newest = &list[list.len() - 1];
    assert_eq!(newest["counts"]["read"], job.report()["read"]);
    let shown = job.ask(&["checkpoints", "show"]);
    assert_eq!(shown["checkpoint"], newest["checkpoint"]);
    assert_eq!(shown["partitions"].as_array().map(Vec::len), Some(LANES));
    let verified = job.ask(&["checkpoints", "verify"]);
    assert_eq!(verified["damages"].as_array().map(Vec::len), Some(0));

    let segment = shown["segments"][0]["segment"].as_str().expect("a segment").to_owned();
    let path = job.state_path().join("segments").join(&segment);
    let mut bytes = std::fs::read(&path).expect("a segment");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let damaged = job.about(&["--format", "json", "checkpoints", "verify"]).run().expect_code(3).text();
    assert!(damaged.contains(&segment), "{damaged}");
}

#[test]
fn a_job_begins_from_scratch_when_told_and_says_what_it_gives_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = stopped_half_way(&folder.path().join("out"), &input);
    let before = job.alerts();
    let again = fast(&folder.path().join("out"), &input);
    refused(again.invocation().arg("--from-scratch").run(), &["begins from scratch", "already holds"]);
    assert!(job.alerts() == before, "nothing was touched");
    std::fs::remove_file(job.alerts_path()).expect("remove the output");
    let finished = again.invocation().arg("--from-scratch").run().expect_code(0);
    assert!(finished.stderr.contains("is given up"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts);
    assert_eq!(job.report()["read"], 60_000, "what was given up does not count");
}

#[test]
fn a_job_goes_on_from_an_older_checkpoint_if_its_output_was_taken_back_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = stopped_half_way(&folder.path().join("out"), &input);
    let list = job.ask(&["checkpoints", "list"]);
    let length = job.alerts().len() as u64;
    let older = list.as_array().expect("a list").iter().map(|one| &one["checkpoint"]);
    let older = older.rev().find(|number| output_end(&job, number) < length);
    let older = older.expect("a checkpoint before the last output");
    let number = older.to_string();
    let again = fast(&folder.path().join("out"), &input);
    let words = format!("truncate -s {} '", output_end(&job, older));
    refused(
        again.invocation().args(["--from", &number]).run(),
        &["alerts.ndjson", &words, "unless it is refused"],
    );
    let file = std::fs::OpenOptions::new().write(true).open(job.alerts_path()).expect("the output");
    file.set_len(output_end(&job, older)).expect("take the output back");
    let finished = again.invocation().args(["--from", &number]).run().expect_code(0);
    assert!(finished.stderr.contains("are given up"), "{}", finished.stderr);
    assert!(job.alerts() == input.alerts);
    refused(again.invocation().args(["--from", "999"]).run(), &["no checkpoint 999"]);
}

#[test]
fn to_look_at_the_checkpoints_of_a_job_that_was_not_started_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    std::fs::write(&input, "").expect("write");
    let job = Job::reference(PROGRAM, folder.path().join("out"), &input);
    for verb in ["list", "show", "verify"] {
        refused(job.about(&["checkpoints", verb]).run(), &["there is no state", "has not been started"]);
        assert!(!job.state_path().exists());
    }
    // A store that died before its first checkpoint.
    std::fs::create_dir_all(job.state_path().join("checkpoints")).expect("create");
    for verb in ["list", "show", "verify"] {
        refused(job.about(&["checkpoints", verb]).run(), &["there is no state", "has not been started"]);
    }
    std::fs::remove_dir_all(job.state_path()).expect("remove");
    // A folder that was made for it, and which the job has not used.
    std::fs::create_dir(job.state_path()).expect("create");
    for verb in ["list", "show", "verify"] {
        refused(job.about(&["checkpoints", verb]).run(), &["there is no state", "has not been started"]);
        assert!(std::fs::read_dir(job.state_path()).expect("the folder").next().is_none());
    }
}

#[test]
fn a_paced_job_most_of_whose_lanes_are_at_their_end_goes_on_at_its_pace() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    generate(60_000, 800, 12, &[], &file);
    let job =
        |name: &str| Job::reference(PROGRAM, folder.path().join(name), &file).set("source.events.lanes", 64);
    let whole = job("whole");
    whole.run();
    let paced = job("paced").set("state.checkpoint_every", "\"100ms\"");
    let running = paced.clone().set("source.events.rate", 20_000).invocation().start();
    eventually("some alerts are out", SOON, || (paced.alerts().len() > 1_000).then_some(()));
    running.kill();
    let begun = std::time::Instant::now();
    paced.clone().set("source.events.rate", 40_000).invocation().start().wait(SOON).expect_code(0);
    assert!(paced.alerts() == whole.alerts(), "other alerts");
    // Sixty thousand at forty thousand a second, less what was read before.
    assert!(begun.elapsed() > Duration::from_millis(100), "{:?}: no faster than it may", begun.elapsed());
}
