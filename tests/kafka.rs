//! Jobs from and to topics of a real broker of Apache Kafka: shared out, killed, fenced, with the broker killed under
//! them. What readers of committed messages see is what the oracle says.

#[path = "kafka/bounds.rs"]
mod bounds;
#[path = "kafka/explain.rs"]
mod explain;

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::kafka::{Broker, USER, broker, broker_alone};
use testkit::lanes::{CHUNK, cut};
use testkit::podcast::{Expected, Podcast};
use testkit::process::{Finished, eventually};
use testkit::random::{Random, seed};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const PARTITIONS: usize = 3;
const EVENTS: u64 = 40_000;
const FAST: u64 = 10_000_000;
const SOON: Duration = Duration::from_secs(90);

/// Events with late ones among them in a topic, lane by lane, and what they must give.
fn input(broker: &Broker, topic: &str) -> Expected {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    generate(EVENTS, 600, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let events = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    broker.create(topic, PARTITIONS);
    for (partition, lane) in cut(&events, PARTITIONS, CHUNK).into_iter().enumerate() {
        broker.write(topic, partition, lane.iter().map(|line| Some(&events[line.bytes.clone()])));
    }
    let expected = Podcast { lanes: PARTITIONS, ..Podcast::default() }.expect(&events);
    assert!(!expected.alerts.is_empty() && expected.late > 100);
    expected
}

/// The job from a topic to another, which is made, up to where the first one ends now.
fn job(broker: &Broker, folder: &Path, events: &str, alerts: &str) -> Job {
    Job::new(PROGRAM, "configs/podcast-kafka.toml", folder)
        .set("source.events.brokers", broker.address())
        .set("source.events.topic", events)
        .set("source.events.end", "latest")
        .set("sink.alerts.brokers", broker.address())
        .set("sink.alerts.topic", alerts)
        // Jobs of one name at a time would fence one another.
        .set("sink.alerts.transactional_id", alerts)
        .with_state()
        .set("state.checkpoint_every", "\"100ms\"")
}

/// The values of a topic with one partition, each with its line end: what readers of committed messages see.
fn committed(broker: &Broker, topic: &str) -> String {
    let mut partitions = broker.read(topic, true);
    assert_eq!(partitions.len(), 1);
    let lines = partitions.remove(0).into_iter().map(|message| {
        let key = String::from_utf8(message.key.expect("a key")).expect("UTF-8");
        let line = String::from_utf8(message.value.expect("a value")).expect("UTF-8");
        assert!(line.contains(&format!("\"user_id\":\"{key}\"")), "{key}: {line}");
        line + "\n"
    });
    lines.collect()
}

fn refused(finished: Finished, words: &[&str]) {
    let finished = finished.expect_code(3);
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
}

#[test]
fn topics_give_the_alerts_of_the_oracle_for_any_number_of_workers_and_processes() {
    let Some(broker) = broker() else { return };
    let expected = input(&broker, "events-shapes");
    for (processes, workers) in [(1, 1), (1, 4), (2, 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        let alerts = format!("alerts-shapes-{processes}x{workers}");
        broker.create(&alerts, 1);
        let job = job(&broker, folder.path(), "events-shapes", &alerts);
        let job = job.processes(processes).workers(workers).with_quarantine();
        job.run();
        assert!(committed(&broker, &alerts) == expected.alerts, "{processes}x{workers}: other alerts");
        let report = job.report();
        assert_eq!((&report["read"], &report["late"]), (&EVENTS.into(), &expected.late.into()));
        // The same command on a finished job does nothing.
        job.run();
        assert!(committed(&broker, &alerts) == expected.alerts);
    }
}

#[test]
fn a_topic_of_several_partitions_gets_each_keys_rows_in_one_of_them_in_order() {
    let Some(broker) = broker() else { return };
    let expected = input(&broker, "events-keyed");
    let folder = tempfile::tempdir().expect("a folder");
    broker.create("alerts-keyed", 4);
    job(&broker, folder.path(), "events-keyed", "alerts-keyed").workers(2).run();
    let partitions = broker.read("alerts-keyed", true);
    assert!(partitions.iter().all(|messages| !messages.is_empty()), "a partition without messages");
    let place = |key: &[u8]| {
        partitions.iter().position(|messages| messages.iter().any(|m| m.key.as_deref() == Some(key)))
    };
    let mut of_partitions = vec![String::new(); partitions.len()];
    for line in expected.alerts.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let key = row["user_id"].as_str().expect("a key").as_bytes();
        let place = place(key).expect("the rows of the key");
        of_partitions[place] += line;
    }
    for (messages, expected) in partitions.iter().zip(of_partitions) {
        let values = messages.iter().filter_map(|message| message.value.clone()).collect::<Vec<_>>().concat();
        assert!(values == expected.as_bytes(), "a partition is not in canonical order");
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_puts_out_each_alert_once() {
    let Some(broker) = broker() else { return };
    let expected = input(&broker, "events-killed");
    broker.create("alerts-killed", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-killed", "alerts-killed");
    let mut random = Random::new(seed(51));
    let mut before = String::new();
    for kill in 0..6 {
        let paced = job.clone().set("source.events.rate", 8_000).workers(1 + kill % 3);
        let running = paced.processes(1 + kill % 2).invocation().start();
        std::thread::sleep(Duration::from_millis(500 + random.below(1_500)));
        running.kill();
        let now = committed(&broker, "alerts-killed");
        assert!(expected.alerts.starts_with(&now), "kill {kill}: not a prefix of the answer");
        assert!(now.starts_with(&before), "kill {kill}: what was committed is gone");
        before = now;
    }
    let last = job.set("source.events.rate", FAST).workers(2);
    last.run();
    assert!(committed(&broker, "alerts-killed") == expected.alerts, "other alerts than the oracle");
    assert_eq!(last.report()["read"], EVENTS, "totals are those since the first start");
}

#[test]
fn a_broker_that_is_killed_and_started_again_delays_a_job_and_changes_nothing() {
    let Some(broker) = broker_alone() else { return };
    let expected = input(&broker, "events");
    broker.create("alerts", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events", "alerts").set("source.events.rate", 4_000).workers(2);
    // Away before it begins to read, and in the middle of it.
    broker.pause();
    let mut running = job.invocation().start();
    std::thread::sleep(Duration::from_secs(7));
    broker.resume();
    let delivered = || (!committed(&broker, "alerts").is_empty()).then_some(());
    for _ in 0..2 {
        eventually("a delivery", SOON, delivered);
        assert!(running.is_running());
        broker.pause();
        std::thread::sleep(Duration::from_secs(3));
        broker.resume();
    }
    let finished = running.wait(SOON).expect_code(0);
    assert!(
        committed(&broker, "alerts") == expected.alerts,
        "other alerts than the oracle: {}",
        finished.stderr
    );
    assert_eq!(job.report()["read"], EVENTS);
    assert!(finished.stderr.contains("is waited for"), "{}", finished.stderr);
}

#[test]
fn a_run_that_was_thought_dead_delivers_nothing_once_another_has_taken_over() {
    let Some(broker) = broker() else { return };
    let expected = input(&broker, "events-zombie");
    broker.create("alerts-zombie", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-zombie", "alerts-zombie");
    let paced = job.clone().set("source.events.rate", 2_000);
    let older = paced.invocation().arg("--no-supervise").start();
    eventually("a first delivery", SOON, || (!committed(&broker, "alerts-zombie").is_empty()).then_some(()));
    older.signal(Signal::SIGSTOP);
    job.workers(2).run();
    older.signal(Signal::SIGCONT);
    older.wait(SOON).expect_code(1);
    assert!(committed(&broker, "alerts-zombie") == expected.alerts, "other alerts than the oracle");
}

/// Whether the newest checkpoint holds so many records.
fn has_read(job: &Job, count: u64) -> Option<()> {
    let listed = job.about(&["checkpoints", "list"]).args(["--format", "json"]).run();
    let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
    (listed.as_array()?.last()?["counts"]["read"] == count).then_some(())
}

const LINE: &str = r#"{"user_id":"u","event_type":"exit","ts":1700000000000,"duration_s":0.0}"#;

#[test]
fn messages_without_a_value_are_no_records_and_what_does_not_fit_names_its_partition_and_offset() {
    let Some(broker) = broker() else { return };
    broker.create("events-odd", 5);
    broker.create("alerts-odd", 1);
    let spread = LINE.replace(',', ",\r\n  ");
    let values: [Option<&[u8]>; 6] =
        [Some(LINE.as_bytes()), None, Some(spread.as_bytes()), Some(b"no json"), Some(b""), Some(b"{}")];
    broker.write("events-odd", 3, values);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-odd", "alerts-odd").with_quarantine();
    job.run();
    let report = job.report();
    assert_eq!((&report["read"], &report["accepted"]), (&4.into(), &2.into()), "{report}");
    let rows = job.quarantine();
    let found: Vec<_> = rows.iter().map(|row| (&row["partition"], &row["offset"], &row["reason"])).collect();
    let partition = Value::from("events-odd/3");
    let [malformed, missing] = ["malformed", "missing"].map(Value::from);
    assert_eq!(found, [(&partition, &3.into(), &malformed), (&partition, &5.into(), &missing)]);
}

#[test]
fn keys_timestamps_and_headers_of_messages_are_fields_of_their_records() {
    let Some(broker) = broker() else { return };
    broker.create("events-whole", 1);
    broker.create("alerts-whole", 1);
    for second in 0..10 {
        let timestamp = 1_700_000_000_000 + 1_000 * second;
        broker.write_whole("events-whole", "u\"1", timestamp, ("kind", "exit"), r#"{"duration_s":0.0}"#);
    }
    let folder = tempfile::tempdir().expect("a folder");
    job(&broker, folder.path(), "events-whole", "alerts-whole")
        .set("event.fields.user_id", r#"{ path = "@kafka.key", type = "varchar" }"#)
        .set("event.fields.event_type", r#"{ path = "@kafka.headers.kind", type = "varchar" }"#)
        .set("event.time", r#"{ field = "@kafka.timestamp", unit = "ms" }"#)
        .run();
    let messages = broker.read("alerts-whole", true).concat();
    assert_eq!(messages.len(), 10, "one for each window");
    let row: Value = serde_json::from_slice(messages[0].value.as_deref().expect("a value")).expect("JSON");
    assert_eq!((&row["user_id"], &row["exits"], &row["events"]), (&"u\"1".into(), &10.into(), &10.into()));
    assert_eq!(messages[0].key.as_deref(), Some(&b"u\"1"[..]));
}

#[test]
fn transactions_that_were_given_up_are_not_read_and_do_not_keep_a_job_from_its_end() {
    let Some(broker) = broker() else { return };
    broker.create("events-given-up", 2);
    let lines = vec![LINE.as_bytes(); 10];
    broker.write_together("events-given-up", 0, lines.clone(), true);
    broker.write_together("events-given-up", 0, lines.clone(), false);
    broker.write_together("events-given-up", 1, lines, false);
    for (isolation, read) in [("read_committed", 10), ("read_uncommitted", 30)] {
        let folder = tempfile::tempdir().expect("a folder");
        let alerts = format!("alerts-{isolation}");
        broker.create(&alerts, 1);
        let job = job(&broker, folder.path(), "events-given-up", &alerts);
        let job = job.set("source.events.isolation", isolation);
        job.run();
        assert_eq!(job.report()["read"], read, "{isolation}");
    }
}

#[test]
fn a_job_that_starts_at_the_latest_message_or_a_time_reads_from_there_also_after_it_was_killed() {
    let Some(broker) = broker() else { return };
    broker.create("events-start", 2);
    broker.write("events-start", 0, vec![Some(LINE.as_bytes()); 7]);
    let folder = tempfile::tempdir().expect("a folder");
    broker.create("alerts-start", 1);
    let job = job(&broker, folder.path(), "events-start", "alerts-start")
        .set("source.events.start", "latest")
        .set("source.events.end", "never");
    let running = job.invocation().start();
    let checkpoints = || std::fs::read_dir(job.state_path().join("checkpoints")).ok()?.nth(2).map(drop);
    eventually("some checkpoints", SOON, checkpoints);
    running.kill();
    // While it is down: all that comes after its first start is its own.
    broker.write("events-start", 0, vec![Some(LINE.as_bytes()); 2]);
    broker.write("events-start", 1, vec![Some(LINE.as_bytes()); 3]);
    let running = job.invocation().start();
    eventually("five records", SOON, || has_read(&job, 5));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    assert_eq!(job.report()["read"], 5);
}

#[test]
fn a_job_that_starts_at_a_time_reads_what_brokers_took_in_since() {
    let Some(broker) = broker() else { return };
    broker.create("events-time", 2);
    broker.write("events-time", 0, vec![Some(LINE.as_bytes()); 7]);
    std::thread::sleep(Duration::from_millis(1_100));
    let now = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date");
    let now = String::from_utf8(now.stdout).expect("UTF-8");
    broker.write("events-time", 0, vec![Some(LINE.as_bytes()); 2]);
    for (start, read) in [(now.trim(), 2), ("2000-01-01T00:00:00Z", 9), ("2100-01-01T00:00:00Z", 0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let alerts = format!("alerts-time-{read}");
        broker.create(&alerts, 1);
        let job = job(&broker, folder.path(), "events-time", &alerts);
        let job = job.set("source.events.start", format!("\"{start}\""));
        job.run();
        assert_eq!(job.report()["read"], read, "{start}");
    }
}

#[test]
fn a_partition_that_comes_while_a_job_runs_is_read_from_its_beginning_also_by_the_next_start() {
    let Some(broker) = broker() else { return };
    broker.create("events-grown", 1);
    broker.create("alerts-grown", 1);
    broker.write("events-grown", 0, vec![Some(LINE.as_bytes()); 4]);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-grown", "alerts-grown").set("source.events.end", "never");
    let job = job.workers(2);
    let running = job.invocation().start();
    eventually("the first partition", SOON, || has_read(&job, 4));
    broker.grow("events-grown", 3);
    broker.write("events-grown", 2, vec![Some(LINE.as_bytes()); 3]);
    eventually("a partition that came", SOON, || has_read(&job, 7));
    running.kill();
    broker.write("events-grown", 1, vec![Some(LINE.as_bytes()); 2]);
    let running = job.invocation().start();
    eventually("what came meanwhile", SOON, || has_read(&job, 9));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    assert_eq!(job.report()["read"], 9);
}

#[test]
fn a_position_that_retention_has_removed_ends_the_job_and_nothing_is_skipped() {
    let Some(broker) = broker() else { return };
    broker.create("events-lost", 1);
    broker.create("alerts-lost", 1);
    broker.write("events-lost", 0, vec![Some(LINE.as_bytes()); 100]);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-lost", "alerts-lost");
    let slow = job.clone().set("source.events.rate", 20).set("source.events.end", "never");
    let running = slow.invocation().start();
    let checkpoints = || std::fs::read_dir(job.state_path().join("checkpoints")).ok()?.nth(2).map(drop);
    eventually("some checkpoints", SOON, checkpoints);
    eventually("how far it is behind", SOON, || {
        let status = slow.about(&["ctl", "status"]).args(["--format", "json"]).run();
        let status: Value = serde_json::from_slice(&status.stdout).ok()?;
        let lag = status["partitions"][0]["lag_records"].as_u64()?;
        let read = status["read_since_start"].as_u64()?;
        assert!(lag <= 100 && read <= 100, "{status}");
        (lag > 0 && lag < 100).then_some(())
    });
    running.kill();
    broker.remove_before("events-lost", 0, 99);
    refused(
        job.invocation().run(),
        &["partition events-lost/0 no longer has", "the oldest one is 99", "hint: "],
    );
}

#[test]
fn a_state_of_another_cluster_is_refused_although_the_topic_has_the_same_name() {
    let (Some(broker), Some(other)) = (broker(), broker_alone()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for broker in [&*broker, &other] {
        broker.create("events-moved", 1);
        broker.create("alerts-moved", 1);
        broker.write("events-moved", 0, vec![Some(LINE.as_bytes()); 10]);
    }
    let at = |broker: &Broker| {
        job(broker, folder.path(), "events-moved", "alerts-moved").set("source.events.end", "never")
    };
    let running = at(&broker).invocation().start();
    eventually("all records", SOON, || has_read(&at(&broker), 10));
    running.kill();
    let moved = at(&broker).set("source.events.brokers", other.address());
    refused(moved.invocation().run(), &["the id of the cluster", "source `events`", "hint: "]);
}

#[test]
fn a_topic_that_is_not_there_a_wrong_password_and_a_fresh_state_beside_old_lines_are_refused() {
    let Some(broker) = broker() else { return };
    broker.create("events-refused", 1);
    broker.create("alerts-refused", 1);
    broker.write("events-refused", 0, vec![Some(LINE.as_bytes()); 10]);
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str, events: &str, alerts: &str| job(&broker, &folder.path().join(name), events, alerts);
    refused(
        at("a", "no-events", "alerts-refused").invocation().run(),
        &["source `events`", "no-events", "refuses"],
    );
    refused(
        at("b", "events-refused", "no-alerts").invocation().run(),
        &["sink `alerts`", "no-alerts", "refuses"],
    );
    at("c", "events-refused", "alerts-refused").run();
    refused(at("d", "events-refused", "alerts-refused").invocation().run(), &["starts afresh", "hint: "]);

    let fresh = |name: &str| {
        at(name, "events-refused", "alerts-refused").set("sink.alerts.transactional_id", "of another")
    };
    let wrong = secured(fresh("e"), &["sink.alerts"], &broker, "wrong");
    refused(wrong, &["sink `alerts`", "refuses", "Authentication failed"]);
    let wrong = secured(fresh("f"), &["source.events"], &broker, "wrong");
    refused(wrong, &["source `events`", "refuses", "Authentication failed"]);
    secured(fresh("g"), &["source.events", "sink.alerts"], &broker, USER.1).expect_code(0);
}

/// Runs a job that reaches these ends over TLS and says who it is.
fn secured(job: Job, ends: &[&str], broker: &Broker, password: &str) -> Finished {
    let mut job = job;
    for end in ends {
        job = job.set(&format!("{end}.brokers"), broker.secure_address());
        let options = format!(
            "{{ \"security.protocol\" = \"SASL_SSL\", \"sasl.mechanisms\" = \"SCRAM-SHA-512\", \"ssl.ca.location\" = \
             \"{}\", \"sasl.username\" = \"{}\", \"sasl.password\" = {{ env = \"PASSWORD\" }} }}",
            broker.ca(),
            USER.0
        );
        job = job.set(&format!("{end}.options"), options);
    }
    job.invocation().env("PASSWORD", password).run()
}

/// The values of a topic's committed messages, each with its line end.
fn values(broker: &Broker, topic: &str) -> Vec<u8> {
    let messages = broker.read(topic, true).concat().into_iter();
    messages.flat_map(|message| [message.value.expect("a value").as_slice(), b"\n"].concat()).collect()
}

#[test]
fn quarantine_rows_and_late_ones_go_to_topics_of_their_own_once_however_the_job_is_killed() {
    let Some(broker) = broker() else { return };
    let expected = input(&broker, "events-rejects");
    broker.write("events-rejects", 1, [Some(&b"no json"[..]), Some(b"{}")]);
    ["alerts-rejects", "rest-rejects", "late-rejects"].iter().for_each(|topic| broker.create(topic, 1));
    let folder = tempfile::tempdir().expect("a folder");
    let to_topic = |job: Job, sink: &str| {
        let set = |job: Job, key: &str, value: &str| job.set(&format!("sink.{sink}.{key}"), value);
        let topic = format!("{}-rejects", if sink == "late" { "late" } else { "rest" });
        let job = set(set(job, "type", "kafka"), "brokers", broker.address());
        set(set(job, "topic", &topic), "transactional_id", &topic)
    };
    let job = job(&broker, folder.path(), "events-rejects", "alerts-rejects");
    let job = to_topic(to_topic(job, "quarantine"), "late");
    let mut random = Random::new(seed(53));
    for kill in 0..3 {
        let paced = job.clone().set("source.events.rate", 10_000).workers(1 + kill % 2);
        let running = paced.invocation().start();
        std::thread::sleep(Duration::from_millis(600 + random.below(1_200)));
        running.kill();
    }
    job.run();

    // What a run that nobody killed has in files.
    let files = tempfile::tempdir().expect("a folder");
    broker.create("alerts-rejects-again", 1);
    let late = files.path().join("late.ndjson");
    let again = self::job(&broker, files.path(), "events-rejects", "alerts-rejects-again");
    let again = again.with_quarantine().set("sink.late.path", late.display());
    again.run();
    let late = std::fs::read(late).expect("late rows");
    assert_eq!(late.split(|byte| *byte == b'\n').count() as u64 - 1, expected.late);
    assert!(values(&broker, "late-rejects") == late, "other late rows");
    let rest = std::fs::read(again.quarantine_path()).expect("quarantine rows");
    assert_eq!(rest.split(|byte| *byte == b'\n').count(), 3);
    assert_eq!(String::from_utf8_lossy(&values(&broker, "rest-rejects")), String::from_utf8_lossy(&rest));
    let partitions = broker.read("rest-rejects", true).concat();
    assert!(partitions.iter().all(|message| message.key.as_deref() == Some(&b"events-rejects/1"[..])));

    let listed = job.about(&["quarantine", "list"]).run();
    refused(listed, &["a topic of Kafka keeps nothing that could be read back", "--rows FILE"]);
}

#[test]
fn records_in_quarantine_are_had_again_from_their_topic_until_retention_has_removed_them() {
    let Some(broker) = broker() else { return };
    broker.create("events-again", 2);
    broker.create("alerts-again", 1);
    let bad = |number: usize| {
        let note = "long ".repeat(300);
        format!(
            r#"{{"user_id":"u","event_type":"exit","ts":1700000000000,"duration_s":"{number}","note":"{note}"}}"#
        )
    };
    let kept: Vec<String> = (0..6).map(bad).collect();
    // Among good messages, some without a value, and some of a transaction that was given up.
    let mut written: Vec<Vec<Option<&[u8]>>> = vec![Vec::new(), Vec::new()];
    for (number, record) in kept.iter().enumerate() {
        let partition = &mut written[number % 2];
        partition.extend([Some(LINE.as_bytes()), None, Some(record.as_bytes()), Some(LINE.as_bytes())]);
    }
    for (partition, messages) in written.into_iter().enumerate() {
        broker.write("events-again", partition, messages);
        broker.write_together("events-again", partition, vec![LINE.as_bytes(); 3], false);
        broker.write("events-again", partition, [Some(&b"{\n \"late\":\xFF}"[..])]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-again", "alerts-again").with_quarantine();
    job.run();
    assert_eq!(job.quarantine().len(), kept.len() + 2);
    let replay = || job.about(&["quarantine", "replay", "-q"]);
    let lines = |records: &[&[u8]]| [records.join(&b'\n'), b"\n".to_vec()].concat();
    let broken: &[u8] = b"{  \"late\":\xFF}";
    let of = |number: usize| kept[number].as_bytes();
    let replayed = replay().run().expect_code(0);
    assert_eq!(
        String::from_utf8_lossy(&replayed.stdout),
        // By offset, then by partition.
        String::from_utf8_lossy(&lines(&[of(0), of(1), of(2), of(3), of(4), of(5), broken, broken]))
    );
    let partition = replay().args(["--partition", "events-again/1", "--from", "3"]).run().expect_code(0);
    assert!(partition.stdout == lines(&[of(3), of(5), broken]), "{}", partition.text());
    let corrected = job.clone().set("event.fields.duration_s", "varchar").set("features.listen_s", "0.0");
    let checked =
        corrected.about(&["quarantine", "replay", "--check", "--format", "json"]).args(["--reason", "type"]);
    let checked: Value = serde_json::from_slice(&checked.run().expect_code(0).stdout).expect("JSON");
    assert_eq!(checked["accepted"], kept.len());

    broker.remove_before("events-again", 0, 7);
    let replayed = replay().run().expect_code(3);
    assert!(replayed.stdout == lines(&[of(1), of(3), of(4), of(5), broken, broken]), "{}", replayed.text());
    for word in ["events-again/0@2", "events-again/0@6", "the oldest one is 7", "2 records could not be had"]
    {
        assert!(replayed.stderr.contains(word), "no {word:?} in:\n{}", replayed.stderr);
    }
}

#[test]
fn what_a_message_has_beside_its_value_is_in_the_record_that_is_had_again() {
    let Some(broker) = broker() else { return };
    broker.create("events-member", 1);
    broker.create("alerts-member", 1);
    let note = "long ".repeat(300);
    let value = format!(r#"{{"duration_s":"x","note":"{note}"}}"#);
    broker.write_whole("events-member", "u", 1_700_000_000_000, ("kind", "exit"), &value);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-member", "alerts-member")
        .set("event.fields.user_id", r#"{ path = "@kafka.key", type = "varchar" }"#)
        .set("event.time", r#"{ field = "@kafka.timestamp", unit = "ms" }"#)
        .with_quarantine();
    job.run();
    let replayed = job.about(&["quarantine", "replay", "-q"]).run().expect_code(0).text();
    let member = r#"{"@kafka":{"key":"u","timestamp":1700000000000},"#;
    assert_eq!(replayed, format!("{member}{}\n", &value[1..]));
}

#[test]
fn a_transaction_that_a_run_left_open_when_it_died_is_not_waited_for() {
    let Some(broker) = broker() else { return };
    broker.create("events-open", 1);
    broker.create("alerts-open", 1);
    broker.write("events-open", 0, vec![Some(LINE.as_bytes()); 10]);
    broker.leave_open("alerts-open", "alerts-open");
    let folder = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    job(&broker, folder.path(), "events-open", "alerts-open").run();
    // The brokers give it up after a minute.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    let messages = broker.read("alerts-open", true).concat();
    assert!(messages.len() == 10 && messages.iter().all(|m| m.key.as_deref() == Some(&b"u"[..])));
}
