//! Jobs written in Rust against the same jobs in TOML, which other tests hold against oracles: the same bytes, the
//! same identity of a state, the same messages.

use std::path::Path;
use std::time::Duration;

use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::process::{Invocation, eventually};
use testkit::workload;
use tidewatch::config::{self, Diagnostic, Inputs};
use tidewatch::prelude::*;
use tidewatch::stream::{Events, Keyed, Window, Windowed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// Events of which some come beyond the bound.
fn input_of(folder: &Path, events: u64) -> std::path::PathBuf {
    let input = folder.join("events.ndjson");
    workload::generate(events, 300, 11, &[], &input);
    let lines = read(&input);
    let late = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.2, 5);
    std::fs::write(&input, late.concat()).expect("write");
    input
}

/// `configs/podcast-reference.toml`.
fn reference(input: &Path) -> Windowed {
    events(file(input))
        .named("podcast-reference")
        .time("ts", Millis)
        .field("event_type", Varchar)
        .field("duration_s", Double)
        .out_of_order(seconds(5))
        .key_by("user_id")
        .window(sliding(minutes(10), minutes(1)))
        .aggregate("events", "count(*)")
        .aggregate("listen_s", "coalesce(sum(duration_s) FILTER (WHERE event_type = 'listen'), 0)")
        .aggregate("pauses", "count(*) FILTER (WHERE event_type = 'pause')")
        .aggregate("exits", "count(*) FILTER (WHERE event_type = 'exit')")
        .score("score", "(listen_s + 30) / (listen_s + 30 + 20 * pauses + 60 * exits)")
        .detect(rule("low-engagement").when("score < 0.3"))
}

const COLUMNS: [&str; 8] = [
    "user_id",
    "window_start",
    "window_end",
    "events",
    "listen_s",
    "pauses",
    "exits",
    "round(score, 4) AS score",
];

#[test]
fn the_reference_job_in_rust_gives_the_bytes_of_the_one_in_toml_for_any_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input_of(folder.path(), 60_000);
    let toml = Job::reference(PROGRAM, folder.path().join("toml"), &input);
    toml.run();
    let (expected, report) = (toml.alerts(), toml.report());
    assert!(expected.len() > 10_000 && report["late"].as_u64() > Some(100), "{report}");
    for count in [1, 3] {
        let out = folder.path().join(format!("alerts-{count}.ndjson"));
        let state = folder.path().join(format!("state-{count}"));
        let job = reference(&input)
            .alert_to(file(&out).plain(COLUMNS))
            .state(&state.display().to_string(), every(seconds(5)));
        let summary = job.build().expect("a job").run(workers(count)).expect("a run");
        assert!(read(&out) == expected, "{count} workers: other bytes");
        let counts = serde_json::to_value(summary.counts).expect("counts");
        for name in ["read", "accepted", "windowed", "late", "windows", "alerts"] {
            assert_eq!(counts[name], report[name], "{count} workers: {name}");
        }
        assert!(summary.finished);
    }
}

#[test]
fn a_job_that_was_drained_goes_on_where_it_stopped_with_other_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input_of(folder.path(), 60_000);
    let (whole, parts) = (folder.path().join("whole.ndjson"), folder.path().join("parts.ndjson"));
    let job = reference(&input).alert_to(file(&whole).plain(COLUMNS)).build().expect("a job");
    job.run(workers(2)).expect("a run");

    let state = folder.path().join("state").display().to_string();
    let job = |rate: &str| {
        let job = reference(&input).alert_to(file(&parts).plain(COLUMNS)).state(&state, every(millis(50)));
        job.set(rate).build().expect("a job")
    };
    for count in [2, 1] {
        let slow = job("source.events.rate=40000");
        let handle = slow.handle();
        let run = std::thread::spawn(move || slow.run(workers(count)));
        eventually("progress", Duration::from_secs(60), || (handle.progress().read > 10_000).then_some(()));
        handle.drain();
        let summary = run.join().expect("no panic").expect("a run");
        assert!(!summary.finished && summary.counts.read < 60_000, "{summary:?}");
    }
    let summary = job("flow.tick=1ms").run(workers(3)).expect("a run");
    assert!(summary.finished && summary.counts.read == 60_000, "{summary:?}");
    assert!(read(&whole) == read(&parts), "other bytes");
    // The same once more does nothing.
    assert!(job("flow.tick=1ms").run(workers(1)).expect("a run").already_finished);
}

/// A job with everything but windows.
fn keyed(input: &Path) -> Keyed {
    events(file(input))
        .named("windows")
        .time("ts", Millis)
        .field("duration_s", Double)
        .derive("whole_s", "floor(duration_s)")
        .filter("whole_s < 3000")
        .key_by("user_id")
}

fn rows(keyed: Keyed, window: Window) -> Windowed {
    keyed.window(window).aggregate("events", "count(*)").aggregate("longest", "max(duration_s)")
}

const TOML: &str = r#"
name = "windows"
[source.events]
type = "file"
path = "INPUT"
[event]
key = "user_id"
time = { field = "ts", unit = "ms" }
[event.fields]
duration_s = "double"
[transform]
whole_s = "floor(duration_s)"
[transform.where]
where = "whole_s < 3000"
[window]
WINDOW
[features]
events = "count(*)"
longest = "max(duration_s)"
[sink.alerts]
type = "file"
path = "OUTPUT"
format = "plain"
columns = ["user_id", "window_start", "window_end", "events", "longest", "early", "revision"]
"#;

/// That a job in Rust is all that the one in TOML is, down to the last setting.
fn assert_same(job: &tidewatch::stream::Job, text: &str) {
    assert_same_with(job, text, &[]);
}

fn assert_same_with(job: &tidewatch::stream::Job, text: &str, environment: &[(String, String)]) {
    let reading = config::read(&Inputs { path: "job.toml".as_ref(), text, sets: &[], environment });
    let toml = tidewatch::job::compile(&reading).unwrap_or_else(|found| panic!("{text}\n{found:?}"));
    assert_eq!(job.identity(), toml.identity, "{text}");
    assert!(format!("{job:?}").contains(&format!("{toml:?}")), "{text}\n{toml:#?}\n{job:#?}");
}

#[test]
fn what_events_rules_and_sinks_have_is_that_of_toml() {
    let text = r#"
        name = "all"
        [source.made]
        type = "generate"
        rate = 1e4
        users = 5
        seed = 9
        events = 100
        density = 50.5
        start = "2024-02-29T01:02:03Z"
        out_of_order = "2s"
        anomalies = 0.5
        [source.events]
        path = "a.ndjson"
        lanes = 3
        [source.events_2]
        path = "b.ndjson"
        rate = 7
        [event]
        key = ["user_id", "kind"]
        null_key = "group"
        time = { field = "ts", unit = "us" }
        [event.fields]
        event_type = "varchar"
        duration_s = { path = "payload.\"duration.s\"", type = "decimal(10,2)" }
        at = "timestamptz"
        day = "date"
        [time]
        watermark = { field = "mark", unit = "rfc3339" }
        idle_partition_after = "1m"
        max_drift = "1h"
        range = ["2000-01-01", "2050-01-01"]
        [transform]
        kind = "upper(event_type)"
        [transform.where]
        long = "duration_s > 1"
        where = "day IS NULL"
        where_2 = "at IS NOT NULL"
        [window]
        type = "tumbling"
        size = "1m"
        lag_within = "2h"
        [features]
        events = "count(*)"
        before = "lag(events)"
        [score]
        score = "events / 2"
        twice = "score * 2"
        [rules.a]
        when = "score > 1"
        min_events = 3
        severity = "info"
        escalate = { when = "score > 2", severity = "critical" }
        summary = "{user_id}: {score:.1f}"
        [rules.b]
        when = "twice > 5"
        [sink.alerts]
        type = "stdout"
        [sink.table]
        type = "sqlite"
        path = "alerts.db"
        table = "found"
        retry_for = "5s"
        mode = "at_once"
        [sink.alerts_2]
        path = "rows.ndjson"
        format = "plain"
        columns = ["user_id", "round(score, 1) AS score"]
        [sink.quarantine]
        path = "bad.ndjson"
        [sink.late]
        path = "late.ndjson"
        [state]
        dir = "state"
        checkpoint_every = "2s"
        shards = 64
        [flow]
        tick = "2ms"
        [limits]
        record_bytes = "2KiB"
    "#;
    let made = generate().named("made").rate(1e4).users(5).seed(9).events(100).density(50.5);
    let made = made.start("2024-02-29T01:02:03Z").out_of_order(seconds(2)).anomalies(0.5);
    let job = events(made)
        .and(file("a.ndjson").lanes(3))
        .and(file("b.ndjson").rate(7.0))
        .named("all")
        .time("ts", Micros)
        .field("event_type", Varchar)
        .field_at("duration_s", "payload.\"duration.s\"", Decimal { precision: 10, scale: 2 })
        .field("at", TimestampTz)
        .field("day", Date)
        .watermark("mark", Rfc3339)
        .idle_partition_after(minutes(1))
        .max_drift(hours(1))
        .time_range("2000-01-01", "2050-01-01")
        .derive("kind", "upper(event_type)")
        .filter_named("long", "duration_s > 1")
        .filter("day IS NULL")
        .filter("at IS NOT NULL")
        .with_null_keys()
        .key_by(["user_id", "kind"])
        .window(tumbling(minutes(1)).lag_within(hours(2)))
        .aggregate("events", "count(*)")
        .aggregate("before", "lag(events)")
        .score("score", "events / 2")
        .score("twice", "score * 2")
        .detect(rule("b").when("twice > 5"))
        .detect(
            rule("a")
                .when("score > 1")
                .min_events(3)
                .severity(Info)
                .escalate("score > 2", Critical)
                .summary("{user_id}: {score:.1f}"),
        )
        .alert_to(stdout())
        .alert_to(sqlite("alerts.db").table("found").retry_for(seconds(5)).at_once().named("table"))
        .alert_to(file("rows.ndjson").plain(["user_id", "round(score, 1) AS score"]))
        .quarantine_to(file("bad.ndjson"))
        .late_to(file("late.ndjson"))
        .state("state", every(seconds(2)))
        .set("state.shards=64")
        .set("flow.tick=2ms")
        .set("limits.record_bytes=2KiB")
        .build()
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_same(&job, text);
}

/// A small job with other sources and sinks, in TOML.
fn small(sources_and_sinks: &str) -> String {
    format!(
        r#"
        name = "connected"
        {sources_and_sinks}
        [event]
        key = "user_id"
        time = {{ field = "ts", unit = "ms" }}
        [window]
        type = "tumbling"
        size = "1m"
        [features]
        events = "count(*)"
        [rules.many]
        when = "events > 9"
        [state]
        dir = "state"
        checkpoint_every = "2s"
        "#
    )
}

/// The same in Rust, but for the sinks.
fn small_of(events: Events) -> Windowed {
    let keyed = events.named("connected").time("ts", Millis).key_by("user_id");
    let job = keyed.window(tumbling(minutes(1))).aggregate("events", "count(*)");
    job.detect(rule("many").when("events > 9")).state("state", every(seconds(2)))
}

fn built(job: Windowed) -> tidewatch::stream::Job {
    job.build().unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn files_of_csv_that_end_or_do_not_are_those_of_toml() {
    let text = r#"
        [source.events]
        path = "a.txt"
        format = "csv"
        end = "never"
        [source.more]
        path = "b.ndjson"
        end = "latest"
        [sink.alerts]
        type = "stdout"
    "#;
    let sources = events(file("a.txt").csv().end("never")).and(file("b.ndjson").end("latest").named("more"));
    assert_same(&built(small_of(sources).alert_to(stdout())), &small(text));
}

#[cfg(feature = "kafka")]
#[test]
fn topics_are_those_of_toml() {
    let text = r#"
        [source.plays]
        type = "kafka"
        brokers = "a:1,b:2"
        topic = "plays"
        options = { "client.id" = "me", "ssl.key.password" = { env = "HOME" } }
        isolation = "read_uncommitted"
        start = "2024-01-01T00:00:00Z"
        end = "latest"
        rate = 5
        [sink.alerts]
        type = "kafka"
        brokers = "a:1"
        topic = "alerts"
        transactional_id = "id"
        retry_for = "5s"
        [sink.alerts_2]
        type = "kafka"
        brokers = "a:1"
        topic = "rows"
        format = "plain"
        columns = ["user_id", "events"]
        mode = "at_once"
        [sink.quarantine]
        type = "kafka"
        brokers = "a:1"
        topic = "rest"
    "#;
    let plays = kafka("a:1,b:2", "plays").client_option("client.id", "me");
    let plays = plays.secret_option("ssl.key.password", "HOME").uncommitted();
    let plays = plays.start("2024-01-01T00:00:00Z").end("latest").rate(5.0).named("plays");
    let job = small_of(events(plays))
        .alert_to(kafka("a:1", "alerts").transactional_id("id").retry_for(seconds(5)))
        .alert_to(kafka("a:1", "rows").plain(["user_id", "events"]).at_once())
        .quarantine_to(kafka("a:1", "rest"));
    let home = std::env::var("HOME").expect("a variable that is there");
    let text = small(&text.replace("{ env = \"HOME\" }", "{ env = \"SECRET\" }"));
    assert_same_with(&built(job), &text, &[("SECRET".to_owned(), home)]);
}

#[cfg(feature = "kinesis")]
#[test]
fn streams_are_those_of_toml() {
    let text = r#"
        [source.events]
        type = "kinesis"
        stream = "plays"
        region = "eu-west-1"
        endpoint = "http://127.0.0.1:1"
        retry_for = "9s"
        mode = "fan_out"
        consumer = "me"
        start = "latest"
        [source.more]
        type = "kinesis"
        stream = "more"
        poll_every = "1s"
        end = "latest"
        rate = 7
        [sink.alerts]
        type = "kinesis"
        stream = "alerts"
        region = "eu-west-1"
        [sink.alerts_2]
        type = "kinesis"
        stream = "rows"
        format = "plain"
        columns = ["user_id", "events"]
        mode = "at_once"
    "#;
    let plays = kinesis("plays").region("eu-west-1").endpoint("http://127.0.0.1:1").retry_for(seconds(9));
    let more = kinesis("more").poll_every(seconds(1)).end("latest").rate(7.0).named("more");
    let job = small_of(events(plays.fan_out("me").start("latest")).and(more))
        .alert_to(kinesis("alerts").region("eu-west-1"))
        .alert_to(kinesis("rows").plain(["user_id", "events"]).at_once());
    assert_same(&built(job), &small(text));
}

#[cfg(feature = "http")]
#[test]
fn events_over_http_are_those_of_toml() {
    let text = r#"
        [source.events]
        type = "http"
        listen = "127.0.0.1:8080"
        dir = "journal"
        tokens = [{ file = "token" }]
        tls = { cert = "cert.pem", key = "key.pem" }
        dedup = { field = ["a", "b"], last = 5 }
        journal_bytes = "2GiB"
        end = "latest"
        rate = 5
        [sink.alerts]
        type = "stdout"
    "#;
    let posted = http("127.0.0.1:8080", "journal").token_file("token").tls("cert.pem", "key.pem");
    let posted = posted.dedup(["a", "b"], 5).journal_bytes("2GiB").end("latest").rate(5.0);
    assert_same(&built(small_of(events(posted)).alert_to(stdout())), &small(text));
}

#[cfg(feature = "archive")]
#[test]
fn archives_are_those_of_toml() {
    let text = r#"
        [source.events]
        type = "archive"
        dir = "before"
        of = "plays"
        rate = 5
        [sink.alerts]
        type = "archive"
        dir = "kept"
        format = "plain"
        columns = ["user_id", "events"]
        [sink.quarantine]
        type = "archive"
        dir = "kept"
        [archive]
        dir = "kept"
    "#;
    let job = small_of(events(archive("before").of("plays").rate(5.0)))
        .alert_to(archive("kept").plain(["user_id", "events"]))
        .quarantine_to(archive("kept"))
        .archive_to("kept");
    assert_same(&built(job), &small(text));
}

#[test]
fn windows_of_every_kind_and_with_every_option_are_those_of_toml() {
    let kinds: [(&str, Window); 23] = [
        ("type = 'sliding'\nsize = '10m'\nslide = '3m'", sliding(minutes(10), minutes(3))),
        ("type = 'tumbling'\nsize = '5m'", tumbling(minutes(5))),
        ("type = 'cumulate'\nsize = '1h'\nstep = '10m'", cumulate(hours(1), minutes(10))),
        ("type = 'session'\ngap = '90s'", session(seconds(90))),
        ("type = 'session'\ngap_by = 'duration_s + 1'", session_by("duration_s + 1")),
        ("type = 'count'\nsize = 20", count(20)),
        ("type = 'count'\nsize = 20\nslide = 7", count(20).slide(7)),
        ("type = 'each'", each()),
        ("type = 'global'\nearly = 15", global(after(15))),
        ("type = 'global'\nearly = '10m'\npurge = true", global(every(minutes(10))).purge()),
        ("type = 'tumbling'\nsize = '1d'\noffset = '9h'", tumbling(days(1)).offset(hours(9))),
        ("type = 'tumbling'\nsize = '1d'\noffset = '-90m'", tumbling(days(1)).offset_back(minutes(90))),
        ("type = 'tumbling'\nsize = '1d'\nzone = 'Asia/Seoul'", tumbling(days(1)).zone("Asia/Seoul")),
        ("type = 'tumbling'\nsize = '10m'\nstagger = true", tumbling(minutes(10)).stagger()),
        (
            "type = 'sliding'\nsize = '4m'\nslide = '1m'\nallowed_lateness = '4m'",
            sliding(minutes(4), minutes(1)).allowed_lateness(minutes(4)),
        ),
        (
            "type = 'tumbling'\nsize = '10m'\nallowed_lateness = '4m'\nlate = 'each'",
            tumbling(minutes(10)).allowed_lateness(minutes(4)).late_each(),
        ),
        (
            "type = 'sliding'\nsize = '10m'\nslide = '5m'\nquiet = '20m'",
            sliding(minutes(10), minutes(5)).quiet(minutes(20)),
        ),
        ("type = 'count'\nsize = 20\nexpire_after = '1m'", count(20).expire_after(minutes(1))),
        ("type = 'global'\nearly = 5\nexpire_after = '1m'", global(after(5)).expire_after(minutes(1))),
        ("type = 'tumbling'\nsize = '10m'\nearly = '1m'", tumbling(minutes(10)).early(every(minutes(1)))),
        ("type = 'tumbling'\nsize = '10m'\nearly = 3", tumbling(minutes(10)).early(after(3))),
        (
            "type = 'tumbling'\nsize = '10m'\nearly = 3\nat_end = false",
            tumbling(minutes(10)).early(after(3)).nothing_at_end(),
        ),
        (
            "type = 'session'\ngap = '2m'\nearly = 2\npurge = true\nallowed_lateness = '1m'",
            session(minutes(2)).early(after(2)).purge().allowed_lateness(minutes(1)),
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let input = input_of(folder.path(), 8_000);
    let columns = ["user_id", "window_start", "window_end", "events", "longest", "early", "revision"];
    for (number, (toml, window)) in kinds.into_iter().enumerate() {
        let path = |name: &str| folder.path().join(format!("{name}-{number}"));
        let (config, expected, out) = (path("job.toml"), path("toml.ndjson"), path("rust.ndjson"));
        let text = TOML.replace("WINDOW", toml).replace("INPUT", &input.display().to_string());
        let text = text.replace("OUTPUT", &expected.display().to_string());
        std::fs::write(&config, &text).expect("write");
        Invocation::new(PROGRAM).arg("run").arg(&config).run().expect_code(0);

        let job = rows(keyed(&input), window).alert_to(file(&out).plain(columns)).build();
        let job = job.unwrap_or_else(|mistakes| panic!("{toml}\n{mistakes}"));
        let same = text.replace(&expected.display().to_string(), &out.display().to_string());
        assert_same(&job, &same);
        let summary = job.run(workers(2)).expect("a run");
        assert!(summary.counts.windows > 0, "{toml}: {summary:?}");
        assert!(read(&out) == read(&expected), "{toml}: other bytes");
    }
}

/// Code, message and help of each mistake.
fn said(diagnostics: &[Diagnostic]) -> Vec<(&str, String, Option<String>)> {
    let of = |found: &Diagnostic| (found.code.name(), found.message.clone(), found.help.clone());
    diagnostics.iter().map(of).collect()
}

#[test]
fn mistakes_in_rust_have_the_messages_of_those_in_toml() {
    let text = r#"
        [source.events]
        type = "stdin"
        [event]
        key = "user_id"
        time = { field = "ts", unit = "ms" }
        [event.fields]
        duration_s = "double"
        [transform]
        long = "duration > 5"
        [window]
        type = "count"
        size = 0
        offset = "9h"
        [features]
        events = "count(*)"
        total = "sum(duration_s) FILTER (WHERE duration_s = 'x')"
        user_id = "max(duration_s)"
        [score]
        score = "totl / events"
        [rules.low]
        when = "events"
        min_events = 0
        summary = "{evnts} events"
        [sink.alerts]
        type = "file"
        path = ""
        mode = "exactly_once"
        [sink.rows]
        type = "stdout"
        format = "plain"
        columns = ["user_id", "event"]
    "#;
    let reading = config::read(&Inputs { path: "job.toml".as_ref(), text, sets: &[], environment: &[] });
    let expected = tidewatch::job::compile(&reading).expect_err("mistakes");
    let mistakes = events(stdin())
        .time("ts", Millis)
        .field("duration_s", Double)
        .derive("long", "duration > 5")
        .key_by("user_id")
        .window(count(0).offset(hours(9)))
        .aggregate("events", "count(*)")
        .aggregate("total", "sum(duration_s) FILTER (WHERE duration_s = 'x')")
        .aggregate("user_id", "max(duration_s)")
        .score("score", "totl / events")
        .detect(rule("low").when("events").min_events(0).summary("{evnts} events"))
        .alert_to(file(""))
        .set("sink.alerts.mode=exactly_once")
        .alert_to(stdout().plain(["user_id", "event"]).named("rows"))
        .build()
        .expect_err("mistakes");
    let (mut expected, mut found) = (said(&expected), said(&mistakes.diagnostics));
    assert!(expected.len() >= 10, "{expected:#?}");
    // What was set comes last.
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_mistake_points_to_its_word_in_the_call_and_to_the_line_of_the_program() {
    let line = line!() + 5;
    let mistakes = events(stdin())
        .time("ts", Millis)
        .key_by("user_id")
        .window(tumbling(minutes(10)))
        .aggregate("long", "count(*) FILTER (WHERE \"duration s\" > 5)")
        .alert_to(stdout().plain(["user_id", "long"]))
        .build()
        .expect_err("a mistake");
    let shown = mistakes.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("error[E0201]: unknown column `duration s`"), "{shown}");
    assert!(
        lines[1].starts_with(" --> ") && lines[1].contains(&format!("tests/stream.rs:{line}:")),
        "{shown}"
    );
    assert_eq!(lines[3], r##"  | .aggregate("long", r#"count(*) FILTER (WHERE "duration s" > 5)"#)"##);
    assert!(lines[4].starts_with("  |                                              ^^^^^^^^^^^^"), "{shown}");
    assert_eq!(format!("{mistakes:?}").trim(), shown, "as `main` shows it");
}

/// What is wrong with a job that lacks something, as messages and help.
fn lacks(job: Windowed) -> Vec<String> {
    let found = job.build().expect_err("a mistake").diagnostics;
    found.iter().map(|found| format!("{}: {}", found.message, found.help.as_deref().unwrap_or("-"))).collect()
}

#[test]
fn what_is_missing_or_said_twice_is_named_in_the_words_of_rust() {
    let start = || events(stdin()).named("j");
    let then = |events: Events| events.key_by("k").window(each()).aggregate("n", "count(*)");
    let rows = || stdout().plain(["k", "n"]);
    assert_eq!(
        lacks(then(start()).alert_to(rows())),
        [r#"`[event]` has no `time`: add `.time("FIELD", Millis)`"#]
    );
    assert_eq!(lacks(then(start().time("t", Seconds))), ["the job has no sink: add `.alert_to(stdout())`"]);
    assert_eq!(
        lacks(then(start().time("t", Seconds)).detect(rule("r")).alert_to(stdout())),
        [r#"rule `r` has no `when`: add `.when("score < 0.3")`"#]
    );
    let twice = then(start().time("t", Seconds).time("t", Seconds)).aggregate("n", "count(*)");
    assert_eq!(
        lacks(twice.alert_to(rows().named("a")).alert_to(rows().named("a"))),
        [
            "`event.time.field` is there already: -",
            "`event.time.unit` is there already: -",
            "`features.n` is there already: -",
            "`sink.a` is there already: -",
        ]
    );
}

#[test]
fn a_length_of_time_that_nothing_can_have_is_a_mistake_and_no_panic() {
    for window in [
        tumbling(days(u64::MAX)),
        tumbling(Duration::from_nanos(5)),
        session(Duration::MAX),
        count(u64::MAX),
        tumbling(days(1)).offset_back(Duration::MAX),
    ] {
        let job = events(stdin()).time("t", Seconds).key_by("k").window(window).aggregate("n", "count(*)");
        let mistakes = job.alert_to(stdout().plain("n")).build().expect_err("a mistake");
        assert_eq!(mistakes.diagnostics.len(), 1, "{mistakes}");
    }
}
