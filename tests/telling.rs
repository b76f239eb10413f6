//! How alerts are told, as whole jobs: what agreement makes of them, keys that are new, times of silence, and a cap with roll-ups.
//! Each is judged by what the same job says without it; all together are the same for any number of workers and through kills.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use event::{ChangeKind, Severity};
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::{Job, json_lines};
use testkit::oracle::episodes::{Life, episodes};
use testkit::random::{Random, seed};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const MINUTE: i64 = 60_000;

fn input(folder: &Path) -> PathBuf {
    let file = folder.join("events.ndjson");
    generate(60_000, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let events = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 4_000, 0.05, 4).concat();
    std::fs::write(&file, events).expect("write");
    file
}

/// The reference job with alerts instead of plain rows.
fn alerts(root: &Path, name: &str, input: &Path) -> Job {
    of_episodes(Job::reference_alerts(PROGRAM, root, name, input))
}

fn of_episodes(job: Job) -> Job {
    job.set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("event.fields.device", "\"varchar\"")
        .set("features.device", "\"last(device)\"")
        .set("rules.low-engagement.escalate", r#"{ when = "exits >= 2", severity = "critical" }"#)
        .set("alerts.open_after", "\"2 of 3\"")
        .set("alerts.resolve_after", "\"2m\"")
        .set("alerts.longest", "\"15m\"")
        .set("alerts.cooldown", "\"5m\"")
}

fn capped(job: Job) -> Job {
    job.set("alerts.cap", r#"{ per_minute = 2, by = ["device"] }"#)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The instant in milliseconds.
fn millis(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond()
}

fn is_alarm(alert: &Value) -> bool {
    alert["data"]["state"] != "resolved"
}

/// The minute in which an alarm is due, since 1970.
fn minute(alert: &Value) -> i64 {
    (millis(text(alert, "time")) * 1000 - 1).div_euclid(60_000_000)
}

/// What a cap makes of all alerts: those that go out, and roll-ups by minute and device: alerts, sent, keys, the worst.
type RolledUp = BTreeMap<(i64, String), (u64, u64, BTreeSet<String>, &'static str)>;

fn by_hand(all: &[Value], per_minute: u64) -> (Vec<Value>, RolledUp) {
    let (mut sent, mut counted, mut unheard) = (Vec::new(), RolledUp::new(), BTreeSet::new());
    for alert in all {
        let (data, episode) = (&alert["data"], text(&alert["data"], "episode").to_owned());
        if !is_alarm(alert) {
            if !unheard.remove(&episode) {
                sent.push(alert.clone());
            }
            continue;
        }
        let group = (minute(alert), text(&data["features"], "device").to_owned());
        let (alerts, out, keys, worst) =
            counted.entry(group).or_insert_with(|| (0, 0, BTreeSet::new(), "warning"));
        *alerts += 1;
        keys.insert(text(data, "key").to_owned());
        if data["severity"] == "critical" {
            *worst = "critical";
        }
        if *out < per_minute {
            *out += 1;
            unheard.remove(&episode);
            sent.push(alert.clone());
        } else if data["state"] != "updated" {
            unheard.insert(episode);
        }
    }
    counted.retain(|_, (alerts, out, ..)| *alerts > *out);
    (sent, counted)
}

/// What drove alerts together: of each feature the mean value, and its share of all.
fn driven_by_hand<'a>(alerts: impl Iterator<Item = &'a Value>) -> BTreeMap<String, (f64, f64)> {
    let (mut count, mut features) = (0.0, BTreeMap::<String, (f64, f64, f64)>::new());
    for alert in alerts {
        count += 1.0;
        let drivers = alert["data"]["explanation"]["drivers"].as_array();
        for driver in drivers.into_iter().flatten() {
            let of = features.entry(text(driver, "feature").to_owned()).or_default();
            of.0 += 1.0;
            of.1 += driver["value"].as_f64().expect("a value");
            of.2 += driver["share"].as_f64().expect("a share");
        }
    }
    let mean = |(driven, value, share): (f64, f64, f64)| (value / driven, share / count);
    features.into_iter().map(|(feature, sums)| (feature, mean(sums))).collect()
}

#[test]
fn a_cap_of_none_tells_of_its_rules_in_roll_ups_alone_and_leaves_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job =
        |name: &str| alerts(folder.path(), name, &input).set("rules.eager", r#"{ when = "exits >= 3" }"#);
    let all = job("all");
    all.run();
    let is_low = |alert: &Value| alert["data"]["rule"] == "low-engagement";
    let (low, eager): (Vec<Value>, Vec<Value>) = json_lines(&all.alerts()).into_iter().partition(is_low);
    let (sent, rolled) = by_hand(&low, 0);
    assert!(sent.is_empty() && rolled.len() > 20 && eager.len() > 20, "{} and {}", rolled.len(), eager.len());

    let cap = r#"{ per_minute = 0, by = "device", rules = ["low-engagement"] }"#;
    let capped = job("capped").set("alerts.cap", cap);
    capped.run();
    let (found, others): (Vec<Value>, Vec<Value>) =
        json_lines(&capped.alerts()).into_iter().partition(is_low);
    assert_eq!(others, eager, "those of the other rule");
    let told = found.iter().map(|alert| {
        assert_eq!(
            (&alert["type"], &alert["data"]["sent"]),
            (&"tidewatch.rollup".into(), &0.into()),
            "{alert}"
        );
        let minute = millis(text(&alert["data"]["window"], "start")) / MINUTE;
        ((minute, text(&alert["data"], "key").to_owned()), alert["data"]["alerts"].as_u64().expect("a count"))
    });
    let expected = rolled.iter().map(|(group, (alerts, ..))| (group.clone(), *alerts));
    assert!(told.eq(expected), "other roll-ups");
}

#[test]
fn the_first_alerts_of_a_minute_go_out_and_one_at_its_end_speaks_for_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let all = alerts(folder.path(), "all", &input);
    all.run();
    let every = json_lines(&all.alerts());
    let (sent, rolled) = by_hand(&every, 2);
    assert!(rolled.len() > 20, "{} roll-ups", rolled.len());

    let job = capped(alerts(folder.path(), "capped", &input));
    job.run();
    let found = json_lines(&job.alerts());
    let (roll_ups, others): (Vec<Value>, Vec<Value>) =
        found.iter().cloned().partition(|alert| alert["type"] == "tidewatch.rollup");
    assert_eq!(others, sent, "those that go out");
    assert_eq!(roll_ups.len(), rolled.len());
    for (found, ((minute, device), (alerts, out, keys, worst))) in roll_ups.iter().zip(&rolled) {
        let data = &found["data"];
        let edges = [text(&data["window"], "start"), text(&data["window"], "end")].map(millis);
        assert_eq!(edges, [minute * MINUTE, (minute + 1) * MINUTE], "{found}");
        assert_eq!(
            (&data["group"]["device"], &data["key"]),
            (&Value::from(device.as_str()), &data["group"]["device"])
        );
        let counts =
            ["alerts", "sent", "kept_back", "keys"].map(|name| data[name].as_u64().expect("a count"));
        assert_eq!(counts, [*alerts, *out, alerts - out, keys.len() as u64], "{found}");
        assert_eq!(text(data, "severity"), *worst);
        let is_of = |alert: &&Value| {
            let device_of = &alert["data"]["features"]["device"];
            is_alarm(alert) && self::minute(alert) == *minute && device_of == device.as_str()
        };
        let expected = driven_by_hand(every.iter().filter(is_of));
        let drivers = data["explanation"]["drivers"].as_array().expect("drivers");
        assert_eq!(drivers.len(), expected.len().min(5), "{found}");
        for driver in drivers {
            let (value, share) = expected[text(driver, "feature")];
            let is = |name: &str, number: f64| (driver[name].as_f64().expect(name) - number).abs() < 1e-3;
            assert!(is("value", value) && is("share", share), "{driver}, not {value} and {share}");
        }
        let examples = data["examples"].as_array().expect("keys");
        assert!(
            !examples.is_empty() && examples.iter().all(|key| keys.contains(key.as_str().expect("a key")))
        );
    }
    // Those of a device that follow one another within ten minutes are about the same.
    let mut courses: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for found in &roll_ups {
        let data = &found["data"];
        let start = millis(text(&data["window"], "start"));
        let (device, name) = (text(data, "key").to_owned(), text(data, "episode").to_owned());
        let before = courses.get(&device).filter(|(last, _)| start - last <= 10 * MINUTE);
        let expected = before.map_or(("opened", &name), |(_, name)| ("updated", name));
        assert_eq!((text(data, "state"), &name), expected, "{found}");
        assert!(names.insert(name.clone()) == before.is_none(), "a course has a name of its own");
        courses.insert(device, (start + MINUTE, name));
    }
    assert!((2..roll_ups.len() / 2).contains(&names.len()), "{} of {}", names.len(), roll_ups.len());
    let mut ids: Vec<&str> = found.iter().map(|alert| text(alert, "id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.len(), "each has an id of its own");

    // A roll-up stands behind its minute, and before what comes after it.
    let mut reached = i64::MIN;
    for alert in found.iter().filter(|alert| is_alarm(alert)) {
        let at = match alert["type"] == "tidewatch.rollup" {
            true => millis(text(alert, "time")) / MINUTE - 1,
            false => minute(alert),
        };
        assert!(at >= reached, "{alert}");
        reached = at;
    }
    let report = job.report();
    assert_eq!(report["alerts"], all.report()["alerts"]);
    assert_eq!(report["capped"].as_u64(), Some(json_lines(&all.alerts()).len() as u64 - sent.len() as u64));
}

#[test]
fn a_mute_is_silence_for_those_who_are_told_and_not_for_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let plain = alerts(folder.path(), "plain", &input);
    plain.run();
    let all = json_lines(&plain.alerts());
    let times: Vec<i64> = all.iter().map(|alert| millis(text(alert, "time"))).collect();
    let (first, last) = (times.iter().min().expect("alerts"), times.iter().max().expect("alerts"));
    let third = (last - first) / 3 / MINUTE * MINUTE;
    let [from, to] = [first + third, first + 2 * third];
    let instant = |millis| jiff::Timestamp::from_millisecond(millis).expect("an instant").to_string();
    let record = folder.path().join("record.ndjson");
    let job = alerts(folder.path(), "muted", &input)
        .set(
            "alerts.mute.works",
            format!(r#"{{ from = "{}", to = "{}", when = "exits < 3" }}"#, instant(from), instant(to)),
        )
        .set("sink.record", format!(r#"{{ path = "{}", muted = true }}"#, record.display()));
    job.run();
    let (told, record) = (json_lines(&job.alerts()), json_lines(&std::fs::read(&record).expect("a record")));
    let is_muted = |alert: &&Value| alert["data"]["muted"] == "works";
    assert_eq!(told, record.iter().filter(|alert| !is_muted(alert)).cloned().collect::<Vec<_>>());
    assert_eq!(job.report()["muted"], record.iter().filter(is_muted).count());
    assert_eq!(job.report()["alerts"], record.len());
    assert!(record.iter().filter(is_muted).count() > 20 && told.len() > 20);
    let mut open: BTreeMap<&str, bool> = BTreeMap::new();
    let mut late = 0;
    for alert in &told {
        let data = &alert["data"];
        assert!(data.get("muted").is_none(), "{alert}");
        let (at, was_open) = (millis(text(alert, "time")), open.entry(text(data, "episode")).or_default());
        if is_alarm(alert) {
            // It is due just before its window ends.
            let is_in = at > from && at <= to;
            assert!(!is_in || data["features"]["exits"].as_u64() >= Some(3), "{alert}");
        }
        // Nobody hears that something is over of which he did not hear that it is open.
        assert_eq!(*was_open, matches!(text(data, "state"), "updated" | "resolved"), "{alert}");
        *was_open = is_alarm(alert);
        let windows = data["windows"].as_u64().expect("windows");
        late += u32::from(data["state"] == "opened" && windows > 2);
    }
    assert!(open.values().all(|is_open| !is_open), "what was told as open is told as over");
    assert!(late > 3, "{late} were told when they were not muted any more");
}

/// What the job with these settings puts out of each row: user, end of the window, and whether the rule holds.
fn every_row(folder: &Path, input: &Path) -> BTreeMap<String, Vec<(i64, Option<Severity>)>> {
    let columns = r#"["user_id", "window_end", "exits", "score"]"#;
    let job = Job::reference(PROGRAM, folder, input)
        .set("source.events.lanes", 3)
        .set("rules.low-engagement.when", "true")
        .set("sink.alerts.columns", columns);
    job.run();
    let mut rows: BTreeMap<String, Vec<(i64, Option<Severity>)>> = BTreeMap::new();
    for row in json_lines(&job.alerts()) {
        let end = row["window_end"].as_i64().expect("an instant") / MINUTE;
        let is_bad = row["score"].as_f64().is_some_and(|score| score < 0.3);
        let exits = row["exits"].as_i64().expect("a number");
        let severity = if exits >= 2 { Severity::Critical } else { Severity::Warning };
        rows.entry(text(&row, "user_id").to_owned()).or_default().push((end, is_bad.then_some(severity)));
    }
    rows
}

#[test]
fn nothing_is_opened_for_a_key_that_is_new() {
    const GRACE: i64 = 7;
    let life = Life { bad_windows: 2, within: 3, resolve_after: 2, longest: 15, cooldown: 5 };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let (mut expected, mut in_grace) = (Vec::new(), 0);
    for (user, mut rows) in every_row(&folder.path().join("rows"), &input) {
        rows.sort_unstable();
        // The first record came in the minute before the first window ended.
        let known = rows[0].0 - 1 + GRACE;
        let bad = |end: i64, severity: Option<Severity>| Some((end, severity?));
        let bad: Vec<(i64, Severity)> =
            rows.iter().filter_map(|(end, severity)| bad(*end, *severity)).collect();
        let counted: Vec<_> = bad.iter().copied().filter(|(end, _)| *end > known).collect();
        in_grace += bad.len() - counted.len();
        let until = rows.last().map_or(0, |(end, _)| end + 100);
        for word in episodes(life, &counted, until) {
            let is_over = word.kind == ChangeKind::Resolved;
            expected.push((word.due, is_over, word.about, user.clone(), word.kind.name().to_owned()));
        }
    }
    expected.sort();
    assert!(in_grace > 100, "{in_grace} bad windows of new keys");
    let expected: Vec<(String, i64, String)> =
        expected.into_iter().map(|(_, _, about, user, kind)| (user, about, kind)).collect();
    let columns = r#"["user_id", "window_end", "state"]"#;
    let job = of_episodes(Job::reference(PROGRAM, folder.path().join("out"), &input))
        .set("sink.alerts.columns", columns)
        .set("alerts.grace", format!("\"{GRACE}m\""))
        .workers(2);
    job.run();
    let line = |row: &Value| {
        let end = row["window_end"].as_i64().expect("an instant") / MINUTE;
        (text(row, "user_id").to_owned(), end, text(row, "state").to_owned())
    };
    let found: Vec<_> = json_lines(&job.alerts()).iter().map(line).collect();
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "line {place}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn families_of_detectors_that_agree_make_a_finding_worse() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let columns = r#"["user_id", "window_end", "odd", "loud", "shift", "severity"]"#;
    let job = Job::reference(PROGRAM, folder.path().join("out"), &input)
        .set("source.events.lanes", 3)
        .set("window.size", "\"3m\"")
        .set("score.odd", "\"baseline(events, warmup => 4, decay_in_gaps => false)\"")
        .set("score.loud", "\"robust(events, exits, direction => 'high', warmup => 4)\"")
        .set("score.shift", "\"cusum(exits, warmup => 4, limit => 2)\"")
        .set("score.most", "\"greatest(odd, loud)\"")
        .set("rules.low-engagement.when", "\"most > 0.8 OR shift > 0.8\"")
        .set("rules.low-engagement.agreement", 2)
        .set("sink.alerts.columns", columns)
        .workers(2);
    job.run();
    let (mut raised, mut alone) = (0, 0);
    for row in json_lines(&job.alerts()) {
        let above = |name: &str| row[name].as_f64().is_some_and(|score| score > 1.0);
        let agree = (above("odd") || above("loud")) && above("shift");
        assert_eq!(text(&row, "severity"), if agree { "critical" } else { "warning" }, "{row}");
        raised += u32::from(agree);
        alone += u32::from(!agree && above("odd") && above("loud"));
    }
    assert!(raised > 10 && alone > 10, "{raised} raised, {alone} of one family");
}

/// All of it at once.
fn everything(root: &Path, name: &str, input: &Path) -> Job {
    let night = r#"{ from = "22:20", to = "22:40", zone = "UTC", when = "exits < 3" }"#;
    capped(alerts(root, name, input))
        .set("alerts.grace", "\"4m\"")
        .set("alerts.mute.night", night)
        .set("score.odd", "\"baseline(events, warmup => 4)\"")
        .set("score.shift", "\"cusum(exits, warmup => 4)\"")
        .set("rules.shifted", r#"{ when = "odd > 1 OR shift > 1", agreement = 2 }"#)
}

#[test]
fn all_of_it_is_the_same_for_any_number_of_workers_and_after_any_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, input) = (folder.path(), input(folder.path()));
    let once = everything(root, "1", &input);
    once.run();
    let bytes = once.alerts();
    let report = once.report();
    for count in ["muted", "capped"] {
        assert!(report[count].as_u64() > Some(20), "{report}");
    }
    for (processes, workers) in [(1, 3), (2, 2)] {
        let other = everything(root, &format!("{processes}x{workers}"), &input);
        let other = other.processes(processes).workers(workers);
        other.run();
        assert!(other.alerts() == bytes, "{processes} processes of {workers} workers: other bytes");
    }
    let mut random = Random::new(seed(41));
    let killed = everything(root, "killed", &input);
    let mut committed = 0;
    for _ in 0..8 {
        let slow = killed.clone().set("source.events.rate", 6_000).workers(1 + random.below(3) as usize);
        let running = slow.invocation().start();
        std::thread::sleep(Duration::from_millis(300 + random.below(900)));
        running.kill();
        let now = killed.alerts();
        assert!(now.len() >= committed && bytes.starts_with(&now), "no prefix of the answer");
        committed = now.len();
    }
    assert!(committed > 0 && committed < bytes.len(), "{committed} bytes: killed too early or too late");
    killed.clone().workers(2).run();
    assert!(killed.alerts() == bytes, "other bytes after kills");
    for count in ["muted", "capped", "alerts"] {
        assert_eq!(killed.report()[count], report[count], "{count}");
    }
}

#[test]
fn what_goes_out_at_once_comes_again_after_a_kill_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, input) = (folder.path(), input(folder.path()));
    let once = everything(root, "once", &input);
    once.run();
    let job = everything(root, "killed", &input).set("sink.alerts.mode", "\"at_once\"");
    let mut random = Random::new(seed(43));
    for _ in 0..5 {
        let slow = job.clone().set("source.events.rate", 8_000).workers(1 + random.below(2) as usize);
        let running = slow.invocation().start();
        std::thread::sleep(Duration::from_millis(400 + random.below(900)));
        running.kill();
    }
    job.run();
    let lines = |bytes: &[u8]| -> BTreeSet<Vec<u8>> {
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (expected, found) = (lines(&once.alerts()), lines(&job.alerts()));
    let torn = found.iter().filter(|line| serde_json::from_slice::<Value>(line).is_err()).count();
    assert!(torn <= 5, "{torn} lines that a kill has torn");
    let whole: BTreeSet<Vec<u8>> =
        found.into_iter().filter(|line| serde_json::from_slice::<Value>(line).is_ok()).collect();
    assert!(whole == expected, "{} lines, not {}", whole.len(), expected.len());
    for count in ["muted", "capped", "alerts"] {
        assert_eq!(job.report()[count], once.report()[count], "{count}");
    }
}
