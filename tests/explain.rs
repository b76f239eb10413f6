//! `tidewatch explain`: an alert is found again wherever it is, its events are read again by a small part of the source, and they give
//! its features once more, whatever has happened to the job since. What the events are says an oracle that knows the input line by line.

#[path = "explain/sources.rs"]
mod sources;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::lanes::{CHUNK, cut};
use testkit::process::{Finished, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const CONFIG: &str = r#"
version = 1
name = "explained"

[source.events]
path = "set by the test"

[event]
key = "user"
time = { field = "ts", unit = "ms" }

[event.fields]
kind = "varchar"
seconds = "double"

[transform]
leaves = "kind = 'exit'"

[time]
out_of_order = "5s"

[window]
type = "tumbling"
size = "1m"

[features]
events = "count(*)"
exits = "count(*) FILTER (WHERE leaves)"
listened = "coalesce(sum(seconds), 0)"
last_kind = "last(kind)"

[score]
engagement = "(listened + 30) / (listened + 30 + 60 * exits)"

[rules.low]
when = "engagement < 0.2"
min_events = 3
summary = "{key}: {exits} exits"

[sink.alerts]
path = "set by the test"
"#;

/// Milliseconds since 1970 of the first event; a whole minute.
const BASE: i64 = 1_700_000_040_000;
const MINUTE: i64 = 60_000;
const BOUND: i64 = 5_000;

/// A number that looks like any other, always the same one.
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// One line of the input.
fn line(number: u64) -> String {
    let user = mixed(number * 3) % 40;
    let disorder = (mixed(number * 3 + 1) % 4_000) as i64;
    // One in a hundred comes far too late for its window, once there is something before it.
    let late = if number > 5_000 && number.is_multiple_of(101) { 3 * MINUTE } else { 0 };
    let ts = BASE + number as i64 * 100 - disorder - late;
    let minute = (ts - BASE).div_euclid(MINUTE) as u64;
    let kind =
        if mixed((user * 1_000_003).wrapping_add(minute)).is_multiple_of(53) { "exit" } else { "listen" };
    let seconds = if kind == "exit" { 0.0 } else { (mixed(number) % 100) as f64 / 4.0 };
    let note = "x".repeat(40 + (number % 40) as usize);
    format!(r#"{{"user":"u{user}","ts":{ts},"kind":"{kind}","seconds":{seconds:?},"note":"{note}"}}"#)
}

/// What the oracle knows of an event.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    partition: String,
    offset: u64,
    ts: i64,
    /// Whether the window of a minute that covers it holds it.
    held: bool,
    text: String,
}

/// Events by key and the start of their window.
type Oracle = BTreeMap<(String, i64), Vec<Known>>;

/// Judges the lines of partitions, each in its order, as the rules of time have it: a window holds what its partition
/// has not yet seen the end of.
fn oracle(partitions: &[(String, Vec<(u64, &str)>)]) -> Oracle {
    let mut oracle = Oracle::new();
    for (partition, lines) in partitions {
        // Long before all of them.
        let mut greatest = 0;
        for (offset, text) in lines {
            let event: Value = serde_json::from_str(text).expect("JSON");
            let ts = event["ts"].as_i64().expect("a time");
            let start = ts - ts.rem_euclid(MINUTE);
            // The watermark counts microseconds: it is one of these below the bound.
            let held = (start + MINUTE) * 1_000 - 1 > (greatest - BOUND) * 1_000 - 1;
            let known =
                Known { partition: partition.clone(), offset: *offset, ts, held, text: (*text).to_owned() };
            let key = (event["user"].as_str().expect("a user").to_owned(), start);
            oracle.entry(key).or_default().push(known);
            greatest = greatest.max(ts);
        }
    }
    oracle.values_mut().for_each(|events| {
        events.sort_by_key(|it| (it.ts, it.partition.len(), it.partition.clone(), it.offset))
    });
    oracle
}

struct World {
    folder: tempfile::TempDir,
    config: PathBuf,
    input: PathBuf,
    bytes: Vec<u8>,
}

impl World {
    fn of(lines: u64) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, input) = (folder.path().join("job.toml"), folder.path().join("events.ndjson"));
        let bytes: Vec<u8> = (0..lines).flat_map(|number| (line(number) + "\n").into_bytes()).collect();
        std::fs::write(&config, CONFIG).expect("write");
        std::fs::write(&input, &bytes).expect("write");
        World { folder, config, input, bytes }
    }

    /// The job, its outputs in a folder of that name.
    fn job(&self, name: &str) -> Job {
        Job::new(PROGRAM, &self.config, self.folder.path().join(name))
            .on(&self.input)
            .with_alerts()
            .set("source.events.lanes", 4)
    }

    /// What is in the lanes of the file.
    fn oracle(&self, lanes: usize) -> Oracle {
        let lanes = cut(&self.bytes, lanes, CHUNK).into_iter().enumerate();
        let lanes = lanes.map(|(lane, lines)| {
            let lines = lines
                .into_iter()
                .map(|line| (line.offset, std::str::from_utf8(&self.bytes[line.bytes]).expect("UTF-8")));
            (format!("{}#{lane}", self.input.display()), lines.collect())
        });
        oracle(&lanes.collect::<Vec<_>>())
    }

    /// All lines as one partition of that name.
    fn oracle_of_one(&self, partition: &Path) -> Oracle {
        let mut at = 0;
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            at += line.len() as u64;
            (at - line.len() as u64, std::str::from_utf8(line).expect("UTF-8").trim_end())
        });
        oracle(&[(partition.display().to_string(), lines.collect())])
    }
}

/// The alerts of a job, which must be several.
fn alerts(job: &Job) -> Vec<Value> {
    let alerts = json_lines(&job.alerts());
    assert!(alerts.len() > 20, "{} alerts", alerts.len());
    alerts
}

/// Some of them: the first, the last, and some between.
fn some(alerts: &[Value]) -> Vec<&Value> {
    (0..5).map(|part| &alerts[(alerts.len() - 1) * part / 4]).collect()
}

fn id(alert: &Value) -> &str {
    alert["id"].as_str().expect("an id")
}

fn explained(job: &Job, id: &str, more: &[&str]) -> Value {
    let said = job.about(&["explain", id]).args(["--format", "json"]).args(more).run().expect_code(0);
    serde_json::from_slice(&said.stdout).expect("JSON")
}

fn millis(instant: &Value) -> i64 {
    // Of the times here only the day, the minute and the second differ.
    let text = instant.as_str().expect("an instant").trim_end_matches('Z');
    let (date, time) = text.split_once('T').expect("a date");
    let day: i64 = date.strip_prefix("2023-11-").expect("November").parse().expect("a day");
    let parts: Vec<&str> = time.split(':').collect();
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let seconds = number(parts[0]) * 3600.0 + number(parts[1]) * 60.0 + number(parts[2]);
    // The 14th began then.
    1_699_920_000_000 + (day - 14) * 86_400_000 + (seconds * 1000.0).round() as i64
}

/// Holds what is said of an alert against the oracle.
fn check(alert: &Value, said: &Value, oracle: &Oracle) {
    let key = alert["data"]["key"].as_str().expect("a key").to_owned();
    let known = &oracle[&(key, millis(&alert["data"]["window"]["start"]))];
    assert_eq!(&said["alert"], alert);
    let shown = said["events"]["shown"].as_array().expect("events");
    let shown: Vec<Known> = shown
        .iter()
        .map(|event| Known {
            partition: event["partition"].as_str().expect("a partition").to_owned(),
            offset: event["offset"].as_u64().expect("an offset"),
            ts: millis(&event["time"]),
            held: event["held"].as_bool().expect("nothing is in doubt"),
            text: event["record"].as_str().expect("a record").to_owned(),
        })
        .collect();
    assert_eq!(&shown, known, "{alert}");
    let held = known.iter().filter(|event| event.held).count();
    assert_eq!(said["events"]["held"], held);
    assert_eq!(said["events"]["late"], known.len() - held);
    assert_eq!(said["recomputed"]["equal"], true, "{said}");
    assert_eq!(said["recomputed"]["features"], alert["data"]["features"]);
    assert_eq!(said["recomputed"]["records"], alert["data"]["features"]["events"]);
}

fn words(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
}

fn refused(finished: Finished, said: &[&str]) {
    words(&finished.expect_code(3).stderr, said);
}

#[test]
fn an_alert_of_a_large_file_is_explained_by_a_small_part_of_it_however_the_job_was_killed() {
    let world = World::of(250_000);
    let job = world.job("out").with_state().set("state.checkpoint_every", "\"100ms\"");
    let slow = job.clone().set("source.events.rate", 200_000);
    for workers in [1, 3] {
        let before = checkpoints(&job);
        let running = slow.clone().workers(workers).invocation().start();
        eventually("two checkpoints more", Duration::from_secs(60), || {
            (checkpoints(&job) >= before + 3).then_some(())
        });
        running.kill();
    }
    job.clone().workers(2).run();
    let (oracle, alerts) = (world.oracle(4), alerts(&job));
    let mut late = 0;
    for alert in some(&alerts) {
        let said = explained(&job, id(alert), &["--events", "1000"]);
        check(alert, &said, &oracle);
        late += said["events"]["late"].as_u64().expect("a number");
        let (read, of) = (&said["events"]["read"], &said["events"]["of"]);
        assert_eq!(of["records"], 250_000, "the totals are those of the whole job");
        let bytes = |amount: &Value| amount["bytes"].as_u64().expect("bytes");
        // Lanes begin to read at a line that begins in them, and end with one that ends behind them.
        assert!(bytes(of).abs_diff(world.bytes.len() as u64) < 200_000, "{of}");
        // A window and what came three minutes late lie in one chunk or two of some thirty.
        assert!(bytes(read) * 5 < bytes(of), "read {read} of {of}");
    }
    assert!(late > 0, "late events are among them");
    let table = job.about(&["explain", id(&alerts[0])]).run().expect_code(0).text();
    words(
        &table,
        &["WARNING low  u", "rule low: engagement < 0.2, min_events 3", "features recomputed from", "equal"],
    );
    words(&table, &["by the index of checkpoint", "engagement 0.", "= (listened + 30) /", "events.ndjson#"]);
}

/// The number of the newest checkpoint.
fn checkpoints(job: &Job) -> u64 {
    let names = std::fs::read_dir(job.state_path().join("checkpoints"));
    let numbers = names.into_iter().flatten().flatten();
    numbers.filter_map(|name| name.file_name().to_str()?.parse().ok()).max().unwrap_or(0)
}

#[test]
fn packed_files_are_read_again_from_their_start_and_decoded_from_where_it_matters() {
    let world = World::of(60_000);
    let packed = world.folder.path().join("events.ndjson.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&world.bytes).expect("pack");
    std::fs::write(&packed, encoder.finish().expect("pack")).expect("write");
    let job = Job::new(PROGRAM, &world.config, world.folder.path().join("packed")).on(&packed);
    let job = job.with_alerts().with_state();
    job.run();
    let oracle = world.oracle_of_one(&packed);
    for alert in some(&alerts(&job)) {
        let said = explained(&job, id(alert), &["--events", "1000"]);
        check(alert, &said, &oracle);
        let (read, of) = (&said["events"]["read"]["records"], &said["events"]["of"]["records"]);
        assert!(read.as_u64().expect("records") < of.as_u64().expect("records") / 2, "read {read} of {of}");
    }
}

#[test]
fn a_job_without_a_state_has_all_of_its_source_read_and_says_so() {
    let world = World::of(60_000);
    let job = world.job("out");
    job.run();
    let oracle = world.oracle(4);
    for alert in some(&alerts(&job)) {
        let said = explained(&job, id(alert), &["--events", "1000"]);
        check(alert, &said, &oracle);
        assert_eq!((&said["events"]["of"], &said["events"]["checkpoint"]), (&Value::Null, &Value::Null));
    }
    let table = job.about(&["explain", "last"]).run().expect_code(0).text();
    words(&table, &["all that there is, since the job has no checkpoint"]);
    let (first, shown) = (explained(&job, "last", &["--events", "2"]), explained(&job, "last", &[]));
    let events = &first["events"];
    assert_eq!(events["shown"].as_array().map(Vec::len), Some(2));
    assert_eq!(events["left_out"], shown["events"]["held"].as_u64().expect("a number") - 2);
    // The newest stand last.
    let all = shown["events"]["shown"].as_array().expect("events");
    assert_eq!(events["shown"].as_array().expect("events")[1], all[all.len() - 1]);
}

#[test]
fn events_of_the_generator_are_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = Job::new(PROGRAM, "tests/jobs/engagement.toml", folder.path().join("out"))
        .set("sink.alerts.type", "file")
        .with_alerts()
        .with_state();
    let job = job.set("source.events.events", 60_000).set("source.events.rate", 0);
    job.clone().workers(2).run();
    for alert in some(&alerts(&job)) {
        let said = explained(&job, id(alert), &[]);
        assert_eq!(said["recomputed"]["equal"], true, "{said}");
        assert_eq!(said["recomputed"]["features"], alert["data"]["features"]);
        let shown = said["events"]["shown"].as_array().expect("events");
        assert!(!shown.is_empty());
        for event in shown {
            let record: Value = serde_json::from_str(event["record"].as_str().expect("text")).expect("JSON");
            assert_eq!(record["user_id"], alert["data"]["key"]);
        }
    }
}

#[test]
fn what_the_rules_would_have_said_of_other_features_is_said() {
    let world = World::of(60_000);
    let job = world.job("out").with_state();
    job.run();
    let alerts = alerts(&job);
    let alert = &alerts[0];
    let what_if = |more: &[&str]| explained(&job, id(alert), more)["what_if"].clone();
    let none = what_if(&["--what-if", "exits = 0"]);
    assert_eq!((&none["fires"], &none["found"]), (&json!(false), &json!([])));
    assert_eq!((&none["scores"]["engagement"], &none["features"]["exits"]), (&json!(1.0), &json!(0)));
    // Over the row as it was, whatever else is supposed; with and without a look at the events.
    for more in [&[][..], &["--no-events"]] {
        let mut arguments = vec!["--what-if", "exits = events", "--what-if", "listened = exits * 2.5"];
        arguments.extend(more);
        let said = what_if(&arguments);
        let features = &alert["data"]["features"];
        assert_eq!(said["features"]["exits"], features["events"]);
        let (exits, listened) = (features["exits"].as_f64().expect("exits"), &said["features"]["listened"]);
        assert_eq!(listened.as_f64(), Some(exits * 2.5));
        let expected =
            (exits * 2.5 + 30.0) / (exits * 2.5 + 30.0 + 60.0 * features["events"].as_f64().expect("events"));
        assert_eq!(said["scores"]["engagement"].as_f64(), Some(expected));
        assert_eq!(said["fires"], expected < 0.2);
    }
    let table = job.about(&["explain", id(alert), "--what-if", "exits=0"]).run().expect_code(0).text();
    words(&table, &["what if exits = 0: low: it would NOT have fired", "engagement 1.0"]);
    let wrong = |what: &str| job.about(&["explain", id(alert), "--what-if", what]).run();
    refused(wrong("exit = 0"), &["there is no feature `exit`", "exits"]);
    refused(wrong("exits = leave"), &["unknown column `leave`"]);
    wrong("exits").expect_code(2);
}

#[test]
fn an_alert_is_found_in_every_sink_that_can_be_read_and_in_what_checkpoints_have_put_out() {
    let world = World::of(60_000);
    let job = world.job("out").with_state();
    job.run();
    let alerts = alerts(&job);
    let (first, last) = (&alerts[0], &alerts[alerts.len() - 1]);
    let found = |job: &Job, id: &str| explained(job, id, &["--no-events"]);
    assert_eq!(found(&job, &id(first)[..8])["alert"], *first);
    assert_eq!(found(&job, first["data"]["episode"].as_str().expect("an episode"))["alert"], *first);
    assert_eq!(found(&job, "last")["alert"], *last);
    // A table has it too.
    let path = world.folder.path().join("alerts.db");
    let table = world.job("table").set("sink.alerts.type", "sqlite").set("sink.alerts.path", path.display());
    let table = table.set("sink.alerts.table", "alerts");
    table.run();
    for alert in some(&alerts) {
        assert_eq!(found(&table, id(alert))["alert"], *alert);
        assert_eq!(found(&table, alert["data"]["episode"].as_str().expect("an episode"))["alert"], *alert);
    }
    assert_eq!(found(&table, "last")["alert"]["time"], last["time"]);
    // A file that is given, and standard input.
    let kept = world.folder.path().join("kept.ndjson");
    std::fs::write(&kept, job.alerts()).expect("write");
    let from = |file: &str| job.about(&["explain", id(first), "--no-events", "--alerts", file]);
    let text = from(&kept.display().to_string()).run().expect_code(0).text();
    words(&text, &[id(first), "kept.ndjson"]);
    words(&from("-").input(job.alerts()).run().expect_code(0).text(), &[id(first), "standard input"]);
    // Where the sink cannot be read any more the checkpoints that are kept still have what they put out.
    std::fs::remove_file(job.alerts_path()).expect("remove");
    let said = found(&job, id(last));
    assert_eq!(said["alert"], *last);
    words(said["found_in"].as_str().expect("a place"), &["the outbox of checkpoint"]);
    // What is nowhere is said to be nowhere, and where that is.
    let nowhere = job.about(&["explain", "0123456789abcdef"]).run();
    refused(
        nowhere,
        &["no alert or episode `0123456789abcdef` in sink `alerts`", "the outboxes of checkpoints"],
    );
    refused(job.about(&["explain", "al_01"]).run(), &["`al_01` is no id"]);
}

#[test]
fn the_last_alarm_stands_for_an_episode_that_is_over() {
    let world = World::of(60_000);
    let job = world.job("out").with_state().set("alerts.open_after", "\"1 of 1\"");
    let job = job.set("alerts.resolve_after", "\"2m\"");
    job.run();
    let alerts = alerts(&job);
    let resolved =
        alerts.iter().find(|alert| alert["data"]["state"] == "resolved").expect("one that is over");
    let episode = &resolved["data"]["episode"];
    let alarm = alerts
        .iter()
        .rfind(|alert| alert["data"]["episode"] == *episode && alert["data"]["state"] != "resolved");
    for asked in [id(resolved), episode.as_str().expect("an episode")] {
        let said = explained(&job, asked, &[]);
        assert_eq!(Some(&said["alert"]), alarm);
        assert_eq!(said["recomputed"]["equal"], true, "{said}");
        assert!(said["note"].as_str().is_some_and(|note| note.contains("episode")), "{said}");
    }
}

#[test]
fn a_source_that_cannot_be_read_again_or_was_changed_is_said_and_never_passed_over() {
    let world = World::of(60_000);
    let job = world.job("out").with_state();
    job.run();
    let alert = alerts(&job).remove(20);
    let stream = Job::new(PROGRAM, &world.config, world.folder.path().join("stream")).with_alerts();
    let stream = stream.set("source.events.type", "stdin");
    let text = std::fs::read_to_string(&world.config).expect("the config");
    std::fs::write(&world.config, text.replace("path = \"set by the test\"\n\n[event]", "\n[event]"))
        .expect("write");
    stream.invocation().input(world.bytes.clone()).run().expect_code(0);
    let said = stream.about(&["explain", id(&alert)]).run().expect_code(3);
    words(&said.text(), &["could not be read", "cannot be read again", "features recomputed: not"]);
    std::fs::write(&world.config, CONFIG).expect("write");
    // Another file has the name now.
    let mut bytes = world.bytes.clone();
    bytes[7] = b'v';
    std::fs::write(&world.input, &bytes).expect("write");
    let said = job.about(&["explain", id(&alert)]).run().expect_code(3);
    words(&said.text(), &["could not be read", "not all of the source could be read"]);
    // The same file again, but for one event that the alert is of.
    let known = &world.oracle(4)[&(
        alert["data"]["key"].as_str().expect("a key").to_owned(),
        millis(&alert["data"]["window"]["start"]),
    )];
    let offset = known.iter().find(|event| event.held).expect("an event").offset as usize;
    let mut bytes = world.bytes.clone();
    let at = offset + 9;
    bytes[at] = if bytes[at] == b'9' { b'8' } else { b'9' };
    std::fs::write(&world.input, &bytes).expect("write");
    let said = job.about(&["explain", id(&alert)]).run().expect_code(3);
    words(&said.text(), &["features recomputed from", "different", "the alert says"]);
}
