//! Alerts of jobs that read topics, explained: messages are read again by their offsets, what retention took is said, and what a partition that
//! slept had seen is known from the checkpoint alone.

use super::*;

fn explained(job: &Job, alert: &Value, code: i32) -> Value {
    let id = alert["id"].as_str().expect("an id");
    let said = job.about(&["explain", id]).args(["--format", "json", "--events", "10000"]).run();
    serde_json::from_slice(&said.expect_code(code).stdout).expect("JSON")
}

#[test]
fn messages_are_read_again_by_their_offsets_and_what_retention_took_is_said() {
    let Some(broker) = broker() else { return };
    input(&broker, "events-explained");
    broker.create("alerts-explained", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept.ndjson");
    let job = job(&broker, folder.path(), "events-explained", "alerts-explained")
        .set("sink.kept.type", "file")
        .set("sink.kept.path", kept.display());
    job.clone().workers(2).run();
    let alerts = testkit::job::json_lines(&std::fs::read(&kept).expect("alerts"));
    assert!(alerts.len() > 10);
    for alert in [&alerts[0], &alerts[alerts.len() / 2], &alerts[alerts.len() - 1]] {
        let said = explained(&job, alert, 0);
        assert_eq!(said["recomputed"]["equal"], true, "{said}");
        assert_eq!(said["recomputed"]["features"], alert["data"]["features"]);
        for event in said["events"]["shown"].as_array().expect("events") {
            let record: Value = serde_json::from_str(event["record"].as_str().expect("text")).expect("JSON");
            assert_eq!(record["user_id"], alert["data"]["key"]);
        }
    }
    let last = &alerts[alerts.len() - 1];
    let shown = explained(&job, last, 0)["events"]["shown"].as_array().expect("events").clone();
    let (name, offset) = (&shown[0]["partition"], shown[0]["offset"].as_i64().expect("an offset"));
    let number = name.as_str().and_then(|name| name.rsplit_once('/')).expect("a partition").1;
    broker.remove_before("events-explained", number.parse().expect("a number"), offset + 1);
    let said = explained(&job, last, 3);
    let unread = &said["events"]["unread"][0];
    assert_eq!(&unread["partition"], name);
    assert!(
        unread["why"].as_str().is_some_and(|why| why.contains("keeps nothing before offset")),
        "{unread}"
    );
    assert_eq!(said["recomputed"]["doubt"], "not all of the source could be read");
    assert_eq!(said["events"]["shown"].as_array().map(Vec::len), Some(shown.len() - 1));
}

const SLEEPERS: &str = r#"
version = 1
name = "sleepers"
[source.events]
type = "kafka"
brokers = "set by the test"
topic = "events-sleepers"
[event]
key = "user"
time = { field = "ts", unit = "ms" }
[time]
out_of_order = "5s"
idle_partition_after = "500ms"
[window]
type = "tumbling"
size = "1m"
[features]
events = "count(*)"
[rules.any]
when = "events >= 1"
[sink.alerts]
path = "set by the test"
[state]
dir = "set by the test"
checkpoint_every = "100ms"
"#;

#[test]
fn what_a_partition_that_slept_had_seen_is_known_from_the_checkpoint() {
    const MINUTE: i64 = 60_000;
    const START: i64 = 1_700_000_040_000;
    let Some(broker) = broker() else { return };
    broker.create("events-sleepers", 2);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sleepers.toml");
    std::fs::write(&config, SLEEPERS).expect("write");
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).with_alerts().with_state();
    let job = job.set("source.events.brokers", broker.address());
    let write = |partition: usize, times: &[i64]| {
        let lines: Vec<String> =
            times.iter().map(|ts| format!(r#"{{"user":"ann","ts":{}}}"#, START + ts)).collect();
        broker.write("events-sleepers", partition, lines.iter().map(|line| Some(line.as_bytes())));
    };
    let alert_of = |minute: i64| {
        eventually("an alert", SOON, || {
            let alerts = testkit::job::json_lines(&job.alerts());
            let start = format!(":{:02}:00Z", (START / MINUTE + minute) % 60);
            alerts
                .into_iter()
                .find(|it| it["data"]["window"]["start"].as_str().is_some_and(|s| s.ends_with(&start)))
        })
    };
    write(1, &[1_000]);
    write(0, &(0..180).map(|second| second * 1_000).collect::<Vec<_>>());
    let running = job.invocation().start();
    // The second partition sleeps, since the first minute is over.
    let first = alert_of(0);
    // It wakes: one event is of the minute that was put out, one of one that is open.
    write(1, &[30_000, 3 * MINUTE]);
    write(0, &[3 * MINUTE + 1_000, 7 * MINUTE]);
    let fourth = alert_of(3);
    for (alert, held) in [(&first, 61), (&fourth, 2)] {
        assert_eq!(alert["data"]["features"]["events"], held);
        // The job goes on meanwhile; what it has read by now a checkpoint knows soon.
        let said = eventually("a checkpoint that knows all", SOON, || {
            let said = explained(&job, alert, 0);
            (said["events"]["of"]["records"] == 185).then_some(said)
        });
        assert_eq!(
            (&said["events"]["held"], &said["events"]["undecided"]),
            (&held.into(), &0.into()),
            "{said}"
        );
        assert_eq!(said["recomputed"]["equal"], true, "{said}");
    }
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}
