//! A job as one SQL statement: what it gives, and what is refused, at which word.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::process::{Finished, Invocation};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// Sections of a job that reads standard input, with or without more of them.
fn header(more: &str) -> String {
    format!(
        "/*toml\n[source.events]\ntype = \"stdin\"\n[event]\ntime = {{ field = \"ts\", unit = \"ms\" }}\n\
         [event.fields]\nx = \"double\"\nkind = \"varchar\"\n[sink.rows]\ntype = \"stdout\"\n{more}*/\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("write");
    path
}

/// Runs a statement with the usual header over these events.
fn run(more: &str, statement: &str, events: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "job.sql", &(header(more) + statement));
    run_file(&path, events)
}

fn run_file(path: &Path, events: &[Value]) -> Vec<Value> {
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let finished = Invocation::new(PROGRAM).arg("run").arg(path).input(input).run().expect_code(0);
    json_lines(&finished.stdout)
}

fn check(path: &Path) -> Finished {
    Invocation::new(PROGRAM).arg("check").arg(path).run()
}

/// The message that a statement gets, with the words that it underlines.
fn refused(statement: &str) -> (String, String) {
    refused_with(&header(""), statement)
}

fn refused_with(header: &str, statement: &str) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "job.sql", &format!("{header}{statement}"));
    let said = check(&path).expect_code(3).stderr;
    let lines: Vec<&str> = said.lines().collect();
    let message = lines.iter().find_map(|line| line.split_once("]: ")).map_or("", |(_, message)| message);
    let carets = lines.iter().position(|line| line.contains('^'));
    let word = carets.map(|at| {
        let start = lines[at].find('^').expect("a caret");
        let length = lines[at][start..].chars().take_while(|c| *c == '^').count();
        lines[at - 1].chars().skip(lines[at][..start].chars().count()).take(length).collect::<String>()
    });
    (message.to_owned(), word.unwrap_or(said.clone()))
}

fn event(ts: i64, user: &str, x: f64) -> Value {
    json!({ "ts": START + ts, "user_id": user, "x": x, "kind": if x < 0.0 { "bad" } else { "good" } })
}

const MINUTE: i64 = 60_000;
/// A full hour.
const START: i64 = 1_699_999_200_000;

#[test]
fn the_reference_job_in_sql_gives_byte_for_byte_the_alerts_of_the_one_in_toml() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(40_000, 800, 3, &[], &input);
    let toml = Job::reference(PROGRAM, folder.path().join("toml"), &input);
    toml.run();
    let (expected, report) = (toml.alerts(), toml.report());
    assert!(expected.split(|byte| *byte == b'\n').count() > 50, "{report}");
    for workers in [1, 3] {
        let sql = Job::new(PROGRAM, "configs/podcast.sql", folder.path().join(format!("sql{workers}")));
        let sql = sql.on(&input).with_alerts().with_state().workers(workers);
        sql.run();
        assert!(sql.alerts() == expected, "{workers} workers: other bytes than the job in TOML");
        assert_eq!(sql.report(), report);
    }
}

#[test]
fn a_job_in_sql_goes_on_after_kills_with_another_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(40_000, 800, 3, &[], &input);
    let job = |name: &str| {
        let job = Job::new(PROGRAM, "configs/podcast.sql", folder.path().join(name));
        job.on(&input).with_alerts().with_state().set("state.checkpoint_every", "\"100ms\"")
    };
    let whole = job("whole");
    whole.run();
    let killed = job("killed");
    for kill in 0..4 {
        let slow = killed.clone().set("source.events.rate", 20_000).workers(1 + kill % 3);
        let running = slow.invocation().start();
        std::thread::sleep(std::time::Duration::from_millis(450));
        running.kill();
        assert!(whole.alerts().starts_with(&killed.alerts()), "kill {kill}: not a prefix of the answer");
    }
    let before = killed.alerts().len();
    killed.clone().workers(2).run();
    assert!(killed.alerts() == whole.alerts(), "other bytes after kills");
    assert!(before > 0 && before < whole.alerts().len(), "killed half way");
    assert_eq!(killed.report(), whole.report());
}

#[test]
fn a_config_with_sql_is_the_same_job_as_a_file_with_a_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(5_000, 50, 3, &[], &input);
    let file = std::fs::read_to_string(repository().join("configs/podcast.sql")).expect("the config");
    let (header, statement) = file.split_once("*/\n").expect("a header");
    let sections = header.trim_start_matches("/*toml");
    let (version, rest) = sections.split_once("version = 1\n").expect("a version");
    let config = format!("{version}version = 1\nsql = '''\n{statement}'''\n{rest}");
    let path = write(folder.path(), "job.toml", &config);
    let outputs = [path, repository().join("configs/podcast.sql")].map(|config| {
        let name = config.extension().expect("an extension").to_string_lossy().into_owned();
        let job = Job::new(PROGRAM, &config, folder.path().join(name)).on(&input).with_alerts().with_state();
        job.run();
        job.alerts()
    });
    assert!(!outputs[0].is_empty());
    assert!(outputs[0] == outputs[1]);
}

#[test]
fn a_query_pasted_from_flink_runs() {
    let statement = "SELECT user_id, window_start, window_end, COUNT(*) AS n, SUM(x) AS total
        FROM TABLE(
            HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES))
        WHERE kind <> 'bad'
        GROUP BY user_id, window_start, window_end;";
    let rows =
        run("", statement, &[event(0, "a", 1.0), event(6 * MINUTE, "a", 2.0), event(7 * MINUTE, "a", -1.0)]);
    let row = |start: i64, n: i64, total: f64| {
        let (start, end) = (START + start * MINUTE, START + (start + 10) * MINUTE);
        json!({ "user_id": "a", "window_start": start, "window_end": end, "n": n, "total": total })
    };
    assert_eq!(rows, [row(-5, 1, 1.0), row(0, 2, 3.0), row(5, 1, 2.0)]);
}

#[test]
fn names_may_be_in_backticks_and_behind_the_name_of_the_stream_or_of_the_windows() {
    let statement = |from: &str, w: &str| {
        format!(
            "SELECT {w}.`user_id`, {w}.window_start AS `from`, {w}.`window_end`, COUNT(DISTINCT {w}.kind) AS `the kinds`,
                    SUM({w}.x) FILTER (WHERE events.x > 0) / {w}.window_duration_s AS rate
             FROM {from}
             WHERE {w}.x <> 7 AND `x` <> 8
             GROUP BY {w}.user_id, {w}.window_start, `window_end`
             HAVING {w}.user_id <> 'b' AND COUNT(*) > 0"
        )
    };
    let events = [event(0, "a", 1.0), event(1, "a", 2.0), event(2, "a", -5.0), event(3, "b", 1.0)];
    let (start, end) = (START, START + MINUTE);
    let row = json!({ "user_id": "a", "from": start, "window_end": end, "the kinds": 2, "rate": 0.05 });
    let windows = "TABLE(TUMBLE(TABLE `events`, DESCRIPTOR(`ts`), INTERVAL '1' MINUTE))";
    for (from, w) in [
        (format!("{windows} AS w"), "w"),
        (format!("{windows} `W 2`"), "`W 2`"),
        (windows.to_owned(), "events"),
        ("TUMBLE(events, ts, INTERVAL '1 minute') tumbled".to_owned(), "tumbled"),
    ] {
        assert_eq!(run("", &statement(&from, w), &events), std::slice::from_ref(&row), "{from}");
    }
    let found = refused(&with("count(v.x) AS n", "TUMBLE(events, ts, INTERVAL '1 minute') AS w", GROUP));
    assert_eq!(found, ("unknown column `v.x`".to_owned(), "v.x".to_owned()));
}

#[test]
fn one_may_group_by_an_expression_and_by_the_name_of_one() {
    let events = [
        event(0, "a", 1.0),
        event(1, "A", 2.0),
        event(2, "b", 1.0),
        event(3, "c", -5.0),
        event(4, "C", -2.0),
    ];
    let of = |select: &str, group: &str| {
        let statement = format!(
            "SELECT {select} FROM TUMBLE(events, ts, INTERVAL '1 minute') GROUP BY {group}, window_start, window_end"
        );
        let header = header("").replace("[sink", "user_id = \"varchar\"\n[sink");
        let folder = tempfile::tempdir().expect("a folder");
        run_file(&write(folder.path(), "job.sql", &(header + &statement)), &events)
    };
    let row = |who: &str, n: i64| json!({ "who": who, "n": n });
    let expected = [row("A", 2), row("B", 1), row("C", 2)];
    assert_eq!(of("upper(user_id) AS who, count(*) AS n", "upper(  user_id )"), expected);
    assert_eq!(of("upper(user_id) AS who, count(*) AS n", "who"), expected);
    assert_eq!(of("Upper(`user_id`) AS who, count(*) AS n", "UPPER( events.\"user_id\" )"), expected);
    // The name of a field is that field, so the key has another.
    let rows = of("upper(user_id) AS user_id, count(*) AS n", "upper(user_id)");
    assert_eq!(
        rows,
        ["A", "B", "C"].map(|user| json!({ "user_id": user, "n": if user == "B" { 1 } else { 2 } }))
    );
    let rows =
        of("count(*) AS n, kind || '!' AS k, k || '?' AS more, user_id IS NULL AS no", "k, user_id IS NULL");
    let row =
        |n: i64, k: &str| json!({ "n": n, "k": format!("{k}!"), "more": format!("{k}!?"), "no": false });
    assert_eq!(rows, [row(2, "bad"), row(3, "good")]);
    assert_eq!(of("user_id AS u, user_id, count(*) AS n", "u").len(), 5);
    assert_eq!(of("count(*) AS n", "CASE WHEN x > 0 THEN 1 END"), [json!({ "n": 3 }), json!({ "n": 2 })]);
}

#[test]
fn values_of_every_type_can_be_told_apart() {
    let sections = header("").replace(
        "kind = \"varchar\"\n",
        "kind = \"varchar\"\nd = \"decimal(38,2)\"\nb = \"boolean\"\nday = \"date\"\nat = \"timestamp\"\nz = \"timestamptz\"\n",
    );
    let statement = "SELECT count(DISTINCT d) AS ds, sum(DISTINCT d) AS sum_d, avg(DISTINCT d) AS avg_d,
            approx_percentile(d, 1) AS most_d, count(DISTINCT b) AS bs, count(DISTINCT day) AS days,
            count(DISTINCT at) AS ats, count(DISTINCT z) AS zs, approx_distinct(z) AS about_zs,
            approx_distinct(day) AS about_days, count(DISTINCT x * 0) AS zeros, sum(DISTINCT x / 0) AS infinite,
            min(DISTINCT kind) AS kind, count(DISTINCT lower(kind)) FILTER (WHERE b) AS kinds
        FROM TUMBLE(events, ts, INTERVAL '1 minute') GROUP BY user_id, window_start, window_end";
    let record = |d: &str, b: bool, day: u32, x: f64, kind: &str| {
        let (date, clock) = (format!("2024-02-0{day}"), format!("2024-02-0{day} 12:00:00"));
        format!(
            "{{\"ts\":{START},\"user_id\":\"a\",\"d\":{d},\"b\":{b},\"day\":\"{date}\",\"at\":\"{clock}\",\
             \"z\":\"{date}T00:00:00Z\",\"x\":{x},\"kind\":\"{kind}\"}}\n"
        )
    };
    let input = [
        record("1.10", true, 1, 1.5, "a text that is longer than what is kept of it"),
        record("1.1", true, 1, -2.5, "A text that is longer than what is kept of it"),
        record("2.30", true, 2, 1.5, "b"),
        record("-99999999999999999999999999999999999.5", true, 2, 3.5, "B"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "job.sql", &(sections + statement));
    let run = Invocation::new(PROGRAM).arg("run").arg(&path).input(input.concat()).run().expect_code(0);
    let mut rows = json_lines(&run.stdout);
    let most = rows[0]["most_d"].take().as_f64().expect("a number");
    assert!((most - 2.3).abs() <= 0.023, "{most}");
    let expected = json!({
        "ds": 3, "sum_d": "-99999999999999999999999999999999996.10", "avg_d": -3.333_333_333_333_333e34,
        "most_d": null, "bs": 1, "days": 2, "ats": 2, "zs": 2, "about_zs": 2, "about_days": 2, "zeros": 1,
        "infinite": "NaN", "kind": "A text that is longer than what is kept of it", "kinds": 2,
    });
    assert_eq!(rows, [expected]);
}

#[test]
fn every_kind_of_windows_can_be_said() {
    let events = [event(0, "a", 1.0), event(MINUTE, "a", 2.0), event(4 * MINUTE, "a", 4.0)];
    let rows = |from: &str| {
        let statement = format!(
            "SELECT epoch(window_end - window_start) / 60 AS minutes, sum(x) AS x, window_start FROM {from} \
             GROUP BY user_id, window_start, window_end"
        );
        let rows = run("", &statement, &events);
        let shown = rows.iter().map(|row| {
            let start = (row["window_start"].as_i64().expect("a time") - START) / MINUTE;
            format!("{start}+{}={}", row["minutes"], row["x"])
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(rows("TUMBLE(events, ts, INTERVAL '2 minutes')"), "0+2.0=3.0 4+2.0=4.0");
    assert_eq!(rows("TUMBLE(events, ts, INTERVAL '4' MINUTE, INTERVAL '1' MINUTE)"), "-3+4.0=1.0 1+4.0=6.0");
    assert_eq!(
        rows("TABLE(CUMULATE(TABLE events, DESCRIPTOR(ts), INTERVAL '2' MINUTE, INTERVAL '6' MINUTE))"),
        "0+2.0=3.0 0+4.0=3.0 0+6.0=7.0"
    );
    let sessions = "0+3.0=3.0 4+2.0=4.0";
    assert_eq!(rows("SESSION(events, ts, INTERVAL '2 minutes')"), sessions);
    assert_eq!(
        rows("TABLE(SESSION(TABLE events PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '2' MINUTES))"),
        sessions
    );
    assert_eq!(rows("COUNT(events, ts, 2)").split('=').next_back(), Some("3.0"));
    assert_eq!(rows("EACH(events, ts)").split(' ').count(), 3);
    assert_eq!(rows("GLOBAL(events, ts, 2)").split('=').next_back(), Some("3.0"));
    assert_eq!(rows("SESSION(events, ts, gap_by => x * 60)"), "0+3.0=3.0 4+4.0=4.0");
    assert_eq!(
        rows("TUMBLE(events, ts, INTERVAL '6' MINUTE, early => INTERVAL '2' MINUTE, purge => TRUE)"),
        "0+2.0=3.0 0+6.0=4.0"
    );
    let in_seoul = "TUMBLE(events, ts, INTERVAL '1' DAY, zone => 'Asia/Kathmandu')";
    assert_eq!(rows(in_seoul).split('+').nth(1), Some("1440.0=7.0"));
}

#[test]
fn a_statement_may_show_what_is_early_and_what_is_revised() {
    let statement = "SELECT early, revision, sum(x) AS x
        FROM TUMBLE(events, ts, INTERVAL '2' MINUTE, allowed_lateness => INTERVAL '10' MINUTE, early => 1, late => 'each')
        GROUP BY user_id, window_start, window_end";
    let rows = run("", statement, &[event(0, "a", 1.0), event(3 * MINUTE, "b", 2.0), event(1, "a", 4.0)]);
    let row = |early: bool, revision: i64, x: f64| json!({ "early": early, "revision": revision, "x": x });
    let of_a = [row(true, 0, 1.0), row(false, 0, 1.0), row(false, 1, 5.0)];
    assert!(of_a.iter().all(|row| rows.contains(row)), "{rows:?}");
    assert_eq!(rows.len(), 5);
}

#[test]
fn events_between_windows_are_left_out_with_early_rows_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let statement = "SELECT early, count(*) AS n
        FROM HOP(events, ts, INTERVAL '10' MINUTE, INTERVAL '3' MINUTE, early => 1)
        GROUP BY user_id, window_start, window_end";
    let path = write(folder.path(), "job.sql", &(header("") + statement));
    let report = folder.path().join("report.json");
    let events = [5, 0, 12, 19].map(|minute| format!("{}\n", event(minute * MINUTE, "a", 1.0)));
    let ran =
        Invocation::new(PROGRAM).args(["run", "--report"]).arg(&report).arg(&path).input(events.concat());
    let rows = json_lines(&ran.run().expect_code(0).stdout);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("JSON");
    assert_eq!((&report["filtered"], &report["late"]), (&json!(2), &json!(1)), "{report}");
}

#[test]
fn aggregates_may_stand_anywhere_beside_the_key_and_the_window_and_in_having() {
    let statement = "SELECT upper(user_id) || ':' || count(*)::varchar AS who, user_id AS id,
               sum(x) / epoch(window_end - window_start) AS rate,
               CASE WHEN max(x) > 3 THEN 'much' ELSE 'little' END AS size,
               rate * 2 AS twice
        FROM TUMBLE(events, ts, INTERVAL '1 minute')
        GROUP BY window_start, window_end, user_id
        HAVING count(*) > 1 AND sum(x)
            / count(*) < 5 AND id <> 'c'";
    let events =
        [event(0, "a", 1.0), event(1, "a", 5.0), event(2, "b", 1.0), event(3, "c", 1.0), event(4, "c", 1.0)];
    let rows = run("", statement, &events);
    assert_eq!(rows, [json!({ "who": "A:2", "id": "a", "rate": 0.1, "size": "much", "twice": 0.2 })]);
}

#[test]
fn the_length_of_the_window_may_stand_wherever_its_edges_may() {
    let statement = "SELECT user_id, window_duration_s, sum(x) / window_duration_s AS rate,
               upper(user_id) || window_duration::varchar AS shown
        FROM SESSION(events, ts, INTERVAL '2 minutes')
        GROUP BY user_id, window_start, window_end
        HAVING window_duration > INTERVAL '2 minutes' AND rate < 100";
    let events = [event(0, "a", 1.0), event(MINUTE, "a", 17.0), event(MINUTE, "b", 5.0)];
    let row = json!({ "user_id": "a", "window_duration_s": 180.0, "rate": 0.1, "shown": "A00:03:00" });
    assert_eq!(run("", statement, &events), [row]);
}

#[test]
fn features_of_a_config_see_the_window() {
    let config = "[source.events]\ntype = \"stdin\"\n[event]\nkey = \"user_id\"\n\
        time = { field = \"ts\", unit = \"ms\" }\n[event.fields]\nx = \"double\"\n\
        [window]\ntype = \"session\"\ngap = \"1m\"\n\
        [features]\nrate = \"sum(x) / window_duration_s\"\nstart = \"window_start\"\n\
        [sink.rows]\ntype = \"stdout\"\nformat = \"plain\"\n\
        columns = [\"rate\", \"start\", \"window_duration_s\"]\n";
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "job.toml", config);
    let rows = run_file(&path, &[event(0, "a", 1.0), event(30_000, "a", 8.0), event(0, "b", 6.0)]);
    let row = |rate: f64, length: f64| json!({ "rate": rate, "start": START, "window_duration_s": length });
    assert_eq!(rows, [row(0.1, 60.0), row(0.1, 90.0)]);
    let path = write(folder.path(), "job.toml", &config.replace("rate", "window_duration"));
    let said = check(&path).expect_code(3).stderr;
    assert!(said.contains("`window_duration` is already the length of the window"), "{said}");
}

#[test]
fn null_is_a_group_of_a_statement_and_quarantined_in_other_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let header = |more: &str| {
        format!(
            "/*toml\n[source.events]\npath = \"set by the test\"\nlanes = 3\n[event]\n{more}\
             time = {{ field = \"ts\", unit = \"ms\" }}\n[event.fields]\nuser_id = \"varchar\"\n\
             room = \"bigint\"\n[sink.alerts]\npath = \"set by the test\"\n*/\n"
        )
    };
    let statement = "SELECT user_id, room, count(*) AS n, coalesce(user_id, 'nobody') AS who \
        FROM TUMBLE(events, ts, INTERVAL '1 minute') GROUP BY user_id, room, window_start, window_end";
    // Users and rooms in turn, of each two are NULL, once left out and once written.
    let (users, rooms) = (["\"a\"", "", "null", "\"\"", "\"null\""], ["7", "null", "-1", ""]);
    let member = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!(", \"{name}\": {value}"),
    };
    let lines: String = (0..4_000usize)
        .map(|i| {
            let (user, room) = (member("user_id", users[i % 5]), member("room", rooms[i / 5 % 4]));
            format!("{{\"ts\": {}{user}{room}, \"padding\": \"{}\"}}\n", START + i as i64, "x".repeat(1_000))
        })
        .collect();
    let input = write(folder.path(), "events.ndjson", &lines);
    let path = write(folder.path(), "job.sql", &(header("") + statement));
    let outputs = [1, 3].map(|workers| {
        let job = Job::new(PROGRAM, &path, folder.path().join(format!("{workers}")));
        let job = job.on(&input).with_alerts().with_state().workers(workers);
        job.run();
        (job.alerts(), job.report())
    });
    assert!(outputs[0].0 == outputs[1].0, "other bytes with three workers");
    let row = |user: Value, room: Value, n: u64| {
        let who = if user.is_null() { json!("nobody") } else { user.clone() };
        json!({ "user_id": user, "room": room, "n": n, "who": who })
    };
    let users = [json!(""), json!("a"), json!("null"), Value::Null];
    let expected = users.iter().flat_map(|user| {
        let times = if user.is_null() { 2 } else { 1 };
        [(json!(-1), 200), (json!(7), 200), (Value::Null, 400)]
            .map(|(room, n)| row(user.clone(), room, n * times))
    });
    let expected: Vec<Value> = expected.collect();
    assert_eq!(json_lines(&outputs[0].0), expected);
    assert_eq!(outputs[0].1["quarantined"], 0);

    let path = write(folder.path(), "other.sql", &(header("null_key = \"quarantine\"\n") + statement));
    let job = Job::new(PROGRAM, &path, folder.path().join("quarantine")).on(&input).with_alerts();
    job.run();
    let known = expected.into_iter().filter(|row| !row["user_id"].is_null() && !row["room"].is_null());
    assert_eq!(json_lines(&job.alerts()), known.collect::<Vec<_>>());
    assert_eq!(job.report()["quarantined"], 4_000 - 6 * 200);
}

#[test]
fn an_alert_of_a_key_that_is_null_says_so() {
    let statement = "SELECT count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 minute') \
        GROUP BY user_id, window_start, window_end HAVING n > 0";
    let mut events = [event(0, "null", 1.0), event(0, "a", 1.0)];
    events[1]["user_id"] = Value::Null;
    let alerts = run("format = \"alert\"\n", statement, &events);
    let keys: Vec<&Value> = alerts.iter().map(|alert| &alert["data"]["key"]).collect();
    assert_eq!(keys, [&json!("null"), &Value::Null]);
    assert_ne!(alerts[0]["id"], alerts[1]["id"]);
}

#[test]
fn having_is_a_rule_and_the_header_may_say_more_of_it() {
    let more =
        "format = \"alert\"\n[rules.large]\nseverity = \"critical\"\nsummary = \"{key}: {total:.1f}\"\n";
    let statement = "SELECT sum(x) AS total FROM TUMBLE(events, ts, INTERVAL '1 minute') \
        GROUP BY user_id, window_start, window_end HAVING total > 3";
    let alerts = run(more, statement, &[event(0, "a", 1.0), event(1, "b", 4.0)]);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let data = &alerts[0]["data"];
    assert_eq!(data["rule"], "large");
    assert_eq!(data["severity"], "critical");
    assert_eq!(data["summary"], "b: 4.0");
    assert_eq!(data["threshold"], 3.0);
    let rows = run("", statement, &[event(0, "a", 1.0), event(1, "b", 4.0)]);
    assert_eq!(rows, [json!({ "total": 4.0 })]);
}

#[test]
fn an_override_changes_what_the_statement_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let statement = "SELECT user_id, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 minute') \
        GROUP BY user_id, window_start, window_end";
    let path = write(folder.path(), "job.sql", &(header("") + statement));
    let input = format!("{}\n{}\n", event(0, "a", 1.0), event(MINUTE, "a", 1.0));
    let run = Invocation::new(PROGRAM).arg("run").arg(path).set("window.size", "2m").input(input);
    assert_eq!(json_lines(&run.run().expect_code(0).stdout), [json!({ "user_id": "a", "n": 2 })]);
}

/// A statement with something in place of one of its parts.
fn with(select: &str, from: &str, rest: &str) -> String {
    format!("SELECT {select}\nFROM {from}\n{rest}")
}

const SELECT: &str = "user_id, count(*) AS n";
const FROM: &str = "HOP(events, ts, INTERVAL '1 minute', INTERVAL '10 minutes')";
const GROUP: &str = "GROUP BY user_id, window_start, window_end";

#[test]
fn what_a_job_cannot_do_is_refused_at_the_word() {
    let group = |more: &str| with(SELECT, FROM, &format!("{GROUP} {more}"));
    let cases = [
        (with("DISTINCT user_id", FROM, GROUP), "SELECT DISTINCT is not supported", "DISTINCT"),
        (with("*", FROM, GROUP), "`*` is not supported", "*"),
        (with("user_id, sum(x) OVER (PARTITION BY kind) AS s", FROM, GROUP), "OVER is not supported", "OVER"),
        (with("user_id, (SELECT 1) AS s", FROM, GROUP), "sub-queries are not supported", "SELECT"),
        (with(SELECT, "(SELECT * FROM events)", GROUP), "sub-queries are not supported", "SELECT"),
        (with(SELECT, &format!("{FROM} JOIN other ON 1 = 1"), GROUP), "joins are not supported", "JOIN"),
        (with(SELECT, &format!("{FROM}, {FROM}"), GROUP), "FROM has one stream", ","),
        (with(SELECT, "events", GROUP), "no windows", "events"),
        (with(SELECT, "HIP(events, ts, INTERVAL '1 minute')", GROUP), "unknown windows `HIP`", "HIP"),
        (group("ORDER BY n"), "ORDER BY is not supported", "ORDER"),
        (group("LIMIT 5"), "LIMIT is not supported", "LIMIT"),
        (group("QUALIFY n > 1"), "QUALIFY is not supported", "QUALIFY"),
        (group("UNION SELECT 1"), "UNION without ALL is not supported", "UNION"),
        (group("UNION ALL SELECT 1"), "expected `,` or FROM, found the end", ""),
        (group("; SELECT 1"), "a second statement", "SELECT"),
        (group("HAVING n >"), "expected an expression, found: the end", ""),
        ("WITH a AS (SELECT 1) SELECT 1".to_owned(), "WITH is not supported", "WITH"),
        ("INSERT INTO rows VALUES (1)".to_owned(), "INSERT is not supported", "INSERT"),
        ("CREATE TABLE events (ts BIGINT)".to_owned(), "CREATE is not supported", "CREATE"),
        (
            with("n AS m, count(*) AS n", FROM, "GROUP BY n, window_start, window_end"),
            "`n` holds an aggregate",
            "n",
        ),
        (
            with(SELECT, FROM, "GROUP BY sum(x) > 1, window_start, window_end"),
            "the aggregate `sum` cannot stand in GROUP BY",
            "sum(x)",
        ),
        (
            with("upper(kind) AS n", FROM, "GROUP BY n, UPPER( events.kind ), window_start, window_end"),
            "`n` is there twice",
            "UPPER( events.kind )",
        ),
        (with(SELECT, FROM, "GROUP BY 1, window_start"), "GROUP BY has names of columns", "1"),
        (
            with("count(*) AS n", FROM, "GROUP BY upper(usr), window_start, window_end"),
            "unknown column `usr`",
            "usr",
        ),
        (
            with(SELECT, FROM, "GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"),
            "`TUMBLE` stands behind FROM",
            "TUMBLE",
        ),
        (with(SELECT, FROM, "GROUP BY ROLLUP (user_id)"), "GROUP BY ROLLUP is not supported", "ROLLUP"),
        (with(SELECT, FROM, "GROUP BY user_id, window_start"), "GROUP BY lacks `window_end`", "GROUP BY"),
        (with(SELECT, FROM, "GROUP BY window_start, window_end"), "GROUP BY names no key", "GROUP BY"),
        (with(SELECT, FROM, "WHERE x > 1"), "expected GROUP, found the end", ""),
        (
            with(SELECT, "TUMBLE(events, ts, INTERVAL '1' DAY, earli => 5)", GROUP),
            "`TUMBLE` has no `earli`",
            "earli",
        ),
        (
            with(SELECT, "TUMBLE(events, ts, INTERVAL '1' DAY, late => 'never')", GROUP),
            "`never` is none of once, each",
            "'never'",
        ),
        (with(SELECT, "EACH(events, ts, purge => TRUE)", GROUP), "`EACH` has no `purge`", "purge"),
        (
            with(SELECT, "SESSION(events, ts, gap_by => kind)", GROUP),
            "the gap of a session is a number of seconds, not a varchar",
            "kind",
        ),
    ];
    for (statement, message, word) in cases {
        let found = refused(&statement);
        assert!(found.0.starts_with(message), "{statement}\n{found:?}");
        if !word.is_empty() {
            assert_eq!(found.1, word, "{statement}");
        }
    }
}

#[test]
fn mistakes_in_expressions_are_underlined_in_the_statement() {
    let cases = [
        (with("user_id, sum(xx) AS s", FROM, GROUP), "unknown column `xx`", "xx"),
        (with("user_id, upper(user_id) || summ(x) AS s", FROM, GROUP), "unknown function `summ`", "summ"),
        (
            with("user_id, sum(x)\n + max(x) * minutes + epoch(window_end) AS s", FROM, GROUP),
            "unknown column `minutes`",
            "minutes",
        ),
        (
            with("user_id, kind", FROM, GROUP),
            "`kind` is neither in GROUP BY nor inside of an aggregate",
            "kind",
        ),
        (with("user_id, count(*)", FROM, GROUP), "this column has no name", "count(*)"),
        (with("count(*) AS n, sum(x) AS n", FROM, GROUP), "there are two columns `n`", "n"),
        (with(SELECT, FROM, &format!("WHERE x {GROUP}")), "expected a condition, found a double", "x"),
        (
            with(SELECT, FROM, &format!("WHERE count(*) > 1 {GROUP}")),
            "the aggregate `count` cannot stand here",
            "count",
        ),
        (with(SELECT, FROM, &format!("{GROUP} HAVING kind = 'a'")), "unknown column `kind`", "kind"),
        (
            with(SELECT, "HOP(events, time, INTERVAL '1 s', INTERVAL '5 s')", GROUP),
            "the windows are over `time`",
            "time",
        ),
        (
            with(SELECT, "HOP(event, ts, INTERVAL '1 s', INTERVAL '5 s')", GROUP),
            "unknown source `event`",
            "event",
        ),
        (
            with(SELECT, "TUMBLE(events, ts, INTERVAL '900 days')", GROUP),
            "`900d` is out of range",
            "INTERVAL '900 days'",
        ),
        (
            with(SELECT, "SESSION(events PARTITION BY kind, ts, INTERVAL '5 m')", GROUP),
            "`kind` is not in GROUP BY, which is `user_id`",
            "kind",
        ),
    ];
    for (statement, message, word) in cases {
        let found = refused(&statement);
        assert!(found.0.starts_with(message), "{statement}\n{found:?}");
        assert_eq!(found.1, word, "{statement}");
    }
}

#[test]
fn what_header_and_statement_both_say_is_refused_and_a_file_without_a_header_too() {
    let statement = with(SELECT, FROM, GROUP);
    let having = format!("{statement} HAVING n > 1");
    let two = "[rules.a]\nseverity = \"info\"\n[rules.b]\nseverity = \"info\"\n";
    for (more, statement, message, word) in [
        (
            "[window]\nsize = \"5m\"\n",
            &statement,
            "`window.size` is there, and the statement says it too",
            "size",
        ),
        ("[features]\nn = \"count(*)\"\n", &statement, "a job in SQL has no `[features]`", "features"),
        ("[score]\nn = \"1\"\n", &statement, "a job in SQL has no `[score]`", "score"),
        ("[rules.a]\nwhen = \"n > 1\"\n", &statement, "there is `[rules.a]`, but no HAVING", "a"),
        (
            "[rules.a]\nwhen = \"n > 1\"\n",
            &having,
            "`rules.a.when` is there, and the statement says it too",
            "when",
        ),
        (two, &having, "HAVING is the rule `a`, but there is also `b`", "b"),
        (
            "[source.other]\ntype = \"generate\"\n",
            &statement,
            "FROM reads `events`, but there is also",
            "other",
        ),
    ] {
        let found = refused_with(&header(more), statement);
        assert!(found.0.starts_with(message), "{more}{found:?}");
        assert_eq!(found.1, word, "{more}");
    }
    let keyed = header("").replace("[event]", "[event]\nkey = \"kind\"");
    let found = refused_with(&keyed, &statement);
    assert_eq!(found, ("`user_id` is not in `event.key`, which is `kind`".to_owned(), "user_id".to_owned()));
    let found = refused_with("", &statement);
    assert_eq!(found.0, "no header that names source and sinks");
    let found = refused_with("/*toml\n[source.events]\n", &statement);
    assert_eq!(found, ("the header has no end".to_owned(), "/*toml".to_owned()));
    let found = refused_with("/*toml\n[source.events\n*/\n", &statement);
    assert!(found.0.starts_with("not TOML"), "{found:?}");
}

#[test]
fn several_selects_are_windows_over_one_stream_and_their_rows_come_in_one_order() {
    let events =
        [event(0, "a", 1.0), event(1_000, "a", -2.0), event(9_000, "a", 4.0), event(2 * MINUTE, "b", 8.0)];
    let statement = "SELECT e.user_id AS who, window_end, 'all' AS kind, count(*) AS n, 2.0 * sum(x) AS total
        FROM TUMBLE(events, ts, INTERVAL '1 minute') e GROUP BY user_id, window_start, e.window_end
        UNION ALL
        SELECT user_id, window_end, 'good', count(*) AS m, max(x) FROM SESSION(events, ts, INTERVAL '51 seconds') s
        WHERE kind = 'good' GROUP BY s.user_id, window_start, window_end HAVING m > 1
        UNION ALL
        SELECT user_id, window_end, first(kind), count(*), min(x) FROM TUMBLE(events, ts, INTERVAL '1 minute')
        WHERE x < 0 GROUP BY user_id, window_start, window_end";
    let row = |who: &str, end: i64, kind: &str, n: i64, total: f64| json!({ "who": who, "window_end": START + end, "kind": kind, "n": n, "total": total });
    let expected = [
        row("a", MINUTE, "all", 3, 6.0),
        row("a", MINUTE, "good", 2, 4.0),
        row("a", MINUTE, "bad", 1, -2.0),
        row("b", 3 * MINUTE, "all", 1, 16.0),
    ];
    assert_eq!(run("", statement, &events), expected);
    // An override says it of one of them.
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "job.sql", &(header("") + statement));
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let command = Invocation::new(PROGRAM).arg("run").arg(&path).set("branch.2.rules.having.when", "FALSE");
    let rows = json_lines(&command.input(input).run().expect_code(0).stdout);
    assert_eq!(rows, [&expected[..1], &expected[2..]].concat());
}

#[test]
fn alerts_of_several_selects_name_theirs_and_have_ids_of_their_own() {
    let half = |size: &str| {
        format!(
            "SELECT user_id, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '{size}') \
             GROUP BY user_id, window_start, window_end HAVING n > 0"
        )
    };
    let statement = format!("{} UNION ALL {}", half("1 minute"), half("60 seconds"));
    let more = "format = \"alert\"\n[branch.2.rules.twin]\nseverity = \"critical\"\n";
    let alerts = run(more, &statement, &[event(0, "a", 1.0)]);
    let [first, second] = alerts.as_slice() else { panic!("{alerts:?}") };
    let told = |alert: &Value| (alert["data"]["branch"].clone(), alert["data"]["rule"].clone());
    assert_eq!((told(first), told(second)), ((json!("1"), json!("having")), (json!("2"), json!("twin"))));
    assert_eq!(second["data"]["severity"], "critical");
    assert!(first["id"] != second["id"] && first["data"]["episode"] != second["data"]["episode"]);
}

#[test]
fn selects_that_do_not_go_together_are_refused_at_the_word() {
    let first = with("user_id, count(*) AS n", FROM, GROUP);
    let session = "SESSION(events, ts, INTERVAL '5 minutes')";
    let cases = [
        (with("user_id", session, GROUP), "this SELECT has 1 columns, and the first has 2", "SELECT"),
        (
            with("user_id, sum(x)", session, GROUP),
            "`n` is a double here, and a bigint in the first",
            "sum(x)",
        ),
        (
            with("kind, count(*)", session, "GROUP BY kind, window_start, window_end"),
            "`kind` is not in the key of the first SELECT, which is `user_id`",
            "kind",
        ),
        (
            with("user_id, count(*)", session, "GROUP BY user_id, upper(kind), window_start, window_end"),
            "`upper(kind)` is not in the key of the first SELECT",
            "upper(kind)",
        ),
        (with("user_id, count(*)", session, "GROUP BY user_id, window_end"), "GROUP BY lacks", "GROUP BY"),
        (
            with("user_id, count(*)", "SESSION(other, ts, INTERVAL '5 minutes')", GROUP),
            "unknown source `other`",
            "other",
        ),
        (
            with("user_id, count(*)", session, &format!("{GROUP} ORDER BY n")),
            "ORDER BY is not supported",
            "ORDER",
        ),
        (
            with("user_id, count(*)", "TUMBLE(events, ts, INTERVAL '900 days')", GROUP),
            "`900d` is out of range",
            "INTERVAL '900 days'",
        ),
        (with("user_id, count(*)", session, &format!("WHERE xx > 1 {GROUP}")), "unknown column `xx`", "xx"),
    ];
    for (second, message, word) in cases {
        let found = refused(&format!("{first} UNION ALL {second}"));
        assert!(found.0.starts_with(message), "{second}\n{found:?}");
        assert_eq!(found.1, word, "{second}");
    }
    let union = format!("{first} UNION ALL {}", with("user_id, count(*)", session, GROUP));
    for (more, message, word) in [
        (
            "[rules.a]\nseverity = \"info\"\n",
            "a job with `[branch]` has its `[rules]` in each branch",
            "rules",
        ),
        ("[window]\nsize = \"5m\"\n", "a job with `[branch]` has its `[window]` in each branch", "window"),
        ("format = \"alert\"\n", "sink `rows` writes alerts, but branch `1` has no rules", "rows"),
    ] {
        let found = refused_with(&header(more), &union);
        assert!(found.0.starts_with(message), "{more}{found:?}");
        assert_eq!(found.1, word, "{more}");
    }
}
