//! Alerts say why they are alerts, as whole processes: what drove them is what was planted, what was usual is what a plain
//! reckoning of the rows says, and the smallest change that they name changes what the rule's own formula says, where a smaller
//! one does not.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use testkit::job::{Job, json_lines};
use testkit::random::Random;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const USERS: u64 = 40;
const MINUTES: u64 = 30;
const START_MS: u64 = 1_700_000_040_000;

const CONFIG: &str = r#"
version = 1
name = "explained"

[source.events]
type = "file"

[event]
key = "user"
time = { field = "ts", unit = "ms" }

[event.fields]
kind = "varchar"
s = "double"

[window]
type = "tumbling"
size = "1m"

[features]
plays = "count(*) FILTER (WHERE kind = 'play')"
exits = "count(*) FILTER (WHERE kind = 'exit')"
faults = "count(*) FILTER (WHERE kind = 'fault')"
listen_s = "coalesce(sum(s), 0)"

[score]
engagement = "(listen_s + 30) / (listen_s + 30 + 60 * exits)"
odd = "baseline(plays, exits, direction => 'high', warmup => 4)"
shift = "cusum(exits, warmup => 4, limit => 4)"
crowd = "random_cut_forest(plays, exits, warmup => 3, trees => 10, sample => 32, learned => 20, rate => 0.05)"

[rules.crowd]
when = "crowd > 1"
[rules.disengaged]
when = "engagement < 0.6 AND plays > 2"
[rules.either]
when = "plays > 20 OR exits > 30"
[rules.odd]
when = "odd > 1"
[rules.shift]
when = "shift > 1"

[sink.alerts]
type = "file"
"#;

/// Plays and exits of a user in a minute. One exits a lot once, another one also plays a lot, and one exits more from some time on.
fn counts(user: u64, minute: u64, random: &mut Random) -> (u64, u64) {
    let (plays, exits) = (6 + random.below(4), 1 + random.below(3));
    match (user, minute) {
        (7, 20) => (7, 40),
        (9, 22) => (60, 45),
        (11, 15..) => (plays, exits + 3),
        _ => (plays, exits),
    }
}

/// What is known of a baseline's input, as the docs describe it: warm-up 4, memory 30, limit 3, release 1.5, clip 3, high only.
#[derive(Default)]
struct Usual {
    rows: f64,
    mean: f64,
    variance: f64,
    latched: bool,
}

impl Usual {
    fn is_warm(&self) -> bool {
        self.latched || self.rows >= 4.0
    }

    fn score(&self, x: f64) -> f64 {
        let deviation = self.variance.sqrt().max(0.01 * self.mean.abs()).max(f64::from(f32::MIN_POSITIVE));
        (x - self.mean) / deviation / 3.0
    }

    fn learn(&mut self, x: f64) {
        let (score, warm) = (self.score(x), self.is_warm());
        if (self.latched && score >= 0.5) || (!self.latched && warm && score > 1.0) {
            self.latched = true;
            return;
        }
        if std::mem::take(&mut self.latched) {
            self.rows = 30.0;
        }
        let past = 1.0 - 1.0 / (self.rows + 1.0).min(30.0);
        let clip = if warm && self.variance > 0.0 {
            3.0 * self.variance.sqrt().max(0.01 * self.mean)
        } else {
            f64::INFINITY
        };
        let moved = (x - self.mean).clamp(-clip, clip);
        self.mean += (1.0 - past) * moved;
        self.variance = past * (self.variance + (1.0 - past) * moved * moved);
        self.rows += 1.0;
    }
}

/// A user's row, and what was usual of its plays and exits before it.
struct Row {
    plays: f64,
    exits: f64,
    usual: [Usual; 2],
}

/// Writes the events, and gives the row of each user and minute.
fn events(file: &Path) -> BTreeMap<(String, u64), Row> {
    let mut random = Random::new(11);
    let (mut lines, mut rows) = (String::new(), BTreeMap::new());
    let mut known: BTreeMap<u64, [Usual; 2]> = BTreeMap::new();
    for minute in 0..MINUTES {
        for user in 0..USERS {
            let (plays, exits) = counts(user, minute, &mut random);
            let ts = START_MS + minute * 60_000;
            for _ in 0..plays {
                let s = 20.0 + random.below(400) as f64 / 10.0;
                let _ = writeln!(lines, r#"{{"user":"u{user}","ts":{ts},"kind":"play","s":{s}}}"#);
            }
            for _ in 0..exits {
                let _ = writeln!(lines, r#"{{"user":"u{user}","ts":{ts},"kind":"exit"}}"#);
            }
            let now = [plays as f64, exits as f64];
            let usual = known.entry(user).or_default();
            let before = usual.each_ref().map(|usual| Usual { ..*usual });
            usual.iter_mut().zip(now).for_each(|(usual, x)| usual.learn(x));
            rows.insert((format!("u{user}"), minute), Row { plays: now[0], exits: now[1], usual: before });
        }
    }
    std::fs::write(file, lines).expect("write the events");
    rows
}

fn job(folder: &Path, name: &str) -> Job {
    let config = folder.join("job.toml");
    std::fs::write(&config, CONFIG).expect("write the config");
    Job::new(PROGRAM, &config, folder.join(name)).on(&folder.join("events.ndjson")).with_alerts().with_state()
}

/// The data of the alerts of a rule, with the user and the minute.
fn alerts_of(bytes: &[u8], rule: &str) -> Vec<(String, u64, Value)> {
    let mut found = Vec::new();
    for mut alert in json_lines(bytes) {
        let data = alert["data"].take();
        if data["rule"] == rule {
            let end = data["window"]["end"].as_str().expect("an end");
            // 2023-11-14T22:MM:00Z, or past the hour.
            let (hour, minute) = (&end[11..13], &end[14..16]);
            let of_day: u64 =
                hour.parse::<u64>().expect("an hour") * 60 + minute.parse::<u64>().expect("a minute");
            let minute = (of_day + 1440 - START_MS / 60_000 % 1440) % 1440 - 1;
            found.push((data["key"].as_str().expect("a user").to_owned(), minute, data));
        }
    }
    found
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, not {value}"))
}

fn drivers(alert: &Value) -> &[Value] {
    alert["explanation"]["drivers"].as_array().unwrap_or_else(|| panic!("drivers in {alert}"))
}

/// Feature, value, and what it would have had to be.
fn nearest(alert: &Value) -> Vec<(&str, f64, f64)> {
    let changes = alert["explanation"]["nearest"].as_array().unwrap_or_else(|| panic!("a change in {alert}"));
    let change = |change: &'_ Value| (number(&change["value"]), number(&change["to"]));
    changes.iter().map(|it| (it["feature"].as_str().expect("a name"), change(it).0, change(it).1)).collect()
}

fn assert_shares(alert: &Value) {
    let shares: Vec<f64> = drivers(alert).iter().map(|driver| number(&driver["share"])).collect();
    assert!((1..=5).contains(&shares.len()) && shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
    assert!(
        (shares.iter().sum::<f64>() - 1.0).abs() < 1e-3 && shares.iter().all(|share| *share > 0.0),
        "{shares:?}"
    );
}

#[test]
fn what_a_baseline_finds_is_explained_by_what_is_usual_and_by_how_much_less_were_no_alert() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = events(&folder.path().join("events.ndjson"));
    let job = job(folder.path(), "once");
    job.run();
    let bytes = job.alerts();
    let alerts = alerts_of(&bytes, "odd");
    let mut looked_at = 0;
    for (user, minute, alert) in &alerts {
        assert_shares(alert);
        let row = &rows[&(user.clone(), *minute)];
        let usual = |feature: &str| &row.usual[usize::from(feature == "exits")];
        // Where single precision decides otherwise at some row, what is usual differs from there on.
        let score = usual("plays").score(row.plays).max(usual("exits").score(row.exits));
        if (score - number(&alert["score"])).abs() > 0.01 * score {
            continue;
        }
        looked_at += 1;
        for driver in drivers(alert) {
            let mean = usual(driver["feature"].as_str().expect("a name")).mean;
            assert!(
                (number(&driver["expected"]) - mean).abs() < 0.01 * (1.0 + mean),
                "{driver}, usually {mean}"
            );
            assert_eq!(driver["direction"], "high");
        }
        let changes = nearest(alert);
        let others = ["plays", "exits"].into_iter().filter(|name| !changes.iter().any(|(it, ..)| it == name));
        for name in others {
            let value = if name == "plays" { row.plays } else { row.exits };
            assert!(usual(name).score(value) < 1.01, "{name} is left alone in {alert}");
        }
        for (feature, value, to) in changes {
            let more = (to + 0.02 * (value - to)).max(to + 1.0);
            assert!(usual(feature).score(to) < 1.01, "{feature} {to} is an alert still: {alert}");
            assert!(usual(feature).score(more) > 0.99, "{feature} {more} is no alert either: {alert}");
        }
    }
    assert!(looked_at > 5 && looked_at * 10 > alerts.len() * 9, "{looked_at} of {}", alerts.len());
    let planted = |user: &str, minute| {
        let found = alerts.iter().find(|(key, at, _)| key == user && *at == minute);
        &found.unwrap_or_else(|| panic!("{user} is found")).2
    };
    let loud = planted("u7", 20);
    let first = &drivers(loud)[0];
    assert_eq!((&first["feature"], &first["value"]), (&"exits".into(), &40.into()));
    assert!(number(&first["share"]) > 0.8 && (1.0..4.0).contains(&number(&first["expected"])), "{first}");
    assert_eq!(nearest(loud).len(), 1, "{loud}");
    let both: Vec<&str> = nearest(planted("u9", 22)).iter().map(|(name, ..)| *name).collect();
    assert_eq!(both, ["plays", "exits"], "both would have to come back");
    for rule in ["shift", "crowd"] {
        let alerts = alerts_of(&bytes, rule);
        assert!(alerts.len() > 3, "{rule}: {}", alerts.len());
        for (_, _, alert) in &alerts {
            assert_shares(alert);
            assert!(drivers(alert).iter().all(|driver| driver["direction"].is_string()), "{alert}");
        }
    }
    let shifted = alerts_of(&bytes, "shift");
    let (_, _, shifted) = shifted.iter().find(|(key, at, _)| key == "u11" && *at > 15).expect("the shift");
    assert_eq!(
        (&drivers(shifted)[0]["feature"], &drivers(shifted)[0]["direction"]),
        (&"exits".into(), &"high".into())
    );
}

#[test]
fn of_two_conditions_that_both_hold_both_would_have_to_change() {
    let folder = tempfile::tempdir().expect("a folder");
    events(&folder.path().join("events.ndjson"));
    let job = job(folder.path(), "once");
    job.run();
    let alerts = alerts_of(&job.alerts(), "either");
    type Shown<'a> = (&'a str, u64, Vec<(&'a str, f64, f64)>);
    let shown: Vec<Shown<'_>> =
        alerts.iter().map(|(user, minute, alert)| (user.as_str(), *minute, nearest(alert))).collect();
    let both = vec![("plays", 60.0, 20.0), ("exits", 45.0, 30.0)];
    assert_eq!(shown, [("u7", 20, vec![("exits", 40.0, 30.0)]), ("u9", 22, both)]);
    let of_both: Vec<&Value> = drivers(&alerts[1].2).iter().collect();
    assert_shares(&alerts[1].2);
    // Exits are nearer to where they would do no harm: a third of them are too many, of plays two thirds.
    assert_eq!(of_both.iter().map(|it| &it["feature"]).collect::<Vec<_>>(), ["exits", "plays"]);
    assert!((number(&of_both[0]["share"]) - 2.0 / 3.0).abs() < 0.01, "{of_both:?}");
}

/// Detectors that keep more of the past than a mean and a width.
const KEEPERS: &str = r#"
[score]
shift = "cusum(exits, direction => 'high', warmup => 10, limit => 4)"
either_way = "cusum(plays, exits, warmup => 10, limit => 5)"
never = "baseline(faults, direction => 'high', warmup => 10)"
never_before = "robust(faults, direction => 'high')"
never_since = "cusum(faults, direction => 'high', warmup => 10, limit => 4)"
moved = "page_hinkley(exits, warmup => 10, changes_warmup => 10, limit => 9)"
own = "random_cut_forest(plays, exits, keys => 'each', warmup => 40, trees => 30, sample => 64, rate => 0.02)"
raw = "random_cut_forest(plays, exits, 30, 64, 100000, 1, keys => 'each', warmup => 40, threshold_after => 100000)"
lenient = "random_cut_forest(plays, exits, keys => 'each', warmup => 40, trees => 30, sample => 64, rate => 0.02, ignore_within => 200)"
lenient_series = "series_forest(exits, keys => 'each', warmup => 40, shape => 4, trees => 30, sample => 128, ignore_within => 200)"
last_three = "random_cut_forest(exits, keys => 'each', shingle => 3, warmup => 40, trees => 30, sample => 64, rate => 0.02)"
series = "series_forest(exits, keys => 'each', warmup => 40, shape => 4, trees => 30, sample => 128)"
crowd = "random_cut_forest(plays, exits, warmup => 10, trees => 30, sample => 64, learned => 20, rate => 0.01)"
raw_crowd = "random_cut_forest(plays, exits, 30, 64, 100000, 1, warmup => 10, learned => 20)"
lenient_crowd = "random_cut_forest(plays, exits, warmup => 10, trees => 30, sample => 64, learned => 20, rate => 0.01, ignore_within => 200)"
strict_crowd = "random_cut_forest(plays, exits, warmup => 10, trees => 30, sample => 64, learned => 20, rate => 0.01, ignore_within => 10)"
beside = "cohort(exits, direction => 'high', open => 20, close => 45, members => 3)"
either_end = "cohort(plays, direction => 'both', open => 12, close => 12, members => 3)"
worst = "top_k(exits, k => 2, direction => 'high')"

[rules.shift]
when = "shift > 1"
[rules.either-way]
when = "either_way > 1"
[rules.moved]
when = "moved > 1"
[rules.crowd]
when = "crowd > 1"
[rules.own]
when = "own > 1"
[rules.own-raw]
when = "raw_score > 2"
[rules.crowd-raw]
when = "raw_crowd_score >= 3"
[rules.strict]
when = "strict_crowd > 1"
[rules.lenient]
when = "lenient > 1 OR lenient_grade > 0 OR lenient_series > 1 OR lenient_crowd > 1 OR lenient_crowd_grade > 0"
[rules.last-three]
when = "last_three_grade > 0"
[rules.series]
when = "series > 1"
[rules.beside]
when = "beside > 1"
[rules.either-end]
when = "either_end > 1 AND either_end_percentile <> 50"
[rules.worst]
when = "worst <= 2"
[rules.never]
when = "never > 1"
[rules.never-before]
when = "never_before > 1 AND plays > 5"
[rules.never-since]
when = "never_since > 1"

[sink.alerts]
type = "file"
"#;

/// Events of six users for five hours: of each user, minute and kind how many.
type Events = BTreeMap<(u64, String, &'static str), u64>;

fn five_hours() -> Events {
    let mut random = Random::new(12);
    let mut events = Events::new();
    for minute in 0..300 {
        for user in 6..12 {
            let (plays, exits) = (6 + random.below(4), 2 + random.below(4));
            let (plays, exits) = match (user, minute) {
                (7, 285) => (plays, 40),
                (8, 280) => (60, exits),
                (9, 290) => (60, 45),
                (10, 275) => (0, 0),
                (11, 275..) => (plays, exits + 4),
                _ => (plays, exits),
            };
            events.insert((minute, format!("u{user}"), "play"), plays);
            events.insert((minute, format!("u{user}"), "exit"), exits);
            // Nobody has had one before: any is off by deviations without end.
            let faults = if (user, minute) == (6, 288) { 3 } else { 0 };
            events.insert((minute, format!("u{user}"), "fault"), faults);
        }
    }
    events
}

/// The alerts of a job on these events.
fn alerts_on(folder: &Path, name: &str, events: &Events) -> Vec<u8> {
    let (head, _) = CONFIG.split_once("[score]").expect("scores");
    let (config, input) = (folder.join("keepers.toml"), folder.join(name).with_extension("ndjson"));
    std::fs::write(&config, format!("{head}{}", KEEPERS.trim_start())).expect("write the config");
    let mut lines = String::new();
    for ((minute, user, kind), count) in events {
        let ts = START_MS + minute * 60_000;
        for _ in 0..*count {
            let _ = writeln!(lines, r#"{{"user":"{user}","ts":{ts},"kind":"{kind}"}}"#);
        }
    }
    std::fs::write(&input, lines).expect("write the events");
    let job = Job::new(PROGRAM, &config, folder.join(name)).on(&input).with_alerts();
    job.run();
    job.alerts()
}

#[test]
fn where_the_change_that_is_named_really_happens_there_is_no_alert_and_where_less_does_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = five_hours();
    let bytes = alerts_on(folder.path(), "as-it-was", &events);
    assert_eq!(alerts_of(&bytes, "lenient").len(), 0, "all lies near what was expected");
    let strict: Vec<_> =
        alerts_of(&bytes, "strict").into_iter().map(|(user, minute, _)| (user, minute)).collect();
    let far = [("u7", 285), ("u8", 280), ("u9", 290)].map(|(user, minute)| (user.to_owned(), minute));
    assert!(far.iter().all(|alert| strict.contains(alert)), "some of these lie far: {strict:?}");
    assert!(strict.len() < alerts_of(&bytes, "crowd").len(), "and others near: {strict:?}");
    for (rule, least) in [
        ("shift", 2),
        ("either-way", 2),
        ("moved", 1),
        ("crowd", 2),
        ("own", 2),
        ("own-raw", 2),
        ("crowd-raw", 2),
        ("last-three", 1),
        ("series", 1),
        ("beside", 20),
        ("either-end", 20),
        ("worst", 20),
        ("never", 1),
        ("never-before", 1),
        ("never-since", 1),
    ] {
        let alerts = alerts_of(&bytes, rule);
        let named: Vec<_> =
            alerts.iter().filter(|(.., alert)| alert["explanation"]["nearest"].is_array()).collect();
        let lacking: Vec<_> =
            alerts.iter().filter(|(.., alert)| alert["explanation"]["nearest"].is_null()).collect();
        // The rows before are a part of what a shingle is judged by, and cannot be otherwise.
        let is_enough = rule == "last-three" || lacking.len() * 10 <= alerts.len();
        assert!(is_enough, "{rule}: of {} not {lacking:#?}", alerts.len());
        assert!(named.len() >= least, "{rule}: {} alerts", named.len());
        // The greatest ones, and one of the others.
        let mut chosen = named.clone();
        let score = |alert: &Value| alert["score"].as_f64().unwrap_or_default();
        chosen.sort_by(|a, b| score(&b.2).total_cmp(&score(&a.2)));
        chosen.truncate(2);
        chosen.extend(named.last());
        for (number, (user, minute, alert)) in chosen.into_iter().enumerate() {
            for driver in drivers(alert) {
                assert!(driver["expected"].is_number(), "{driver} of {rule}");
            }
            let changes = nearest(alert);
            let still = |less: u64| {
                let mut other = events.clone();
                for (feature, value, to) in &changes {
                    let kind = match *feature {
                        "plays" => "play",
                        "exits" => "exit",
                        _ => "fault",
                    };
                    let count = other.get_mut(&(*minute, user.clone(), kind)).expect("a count");
                    assert_eq!(*count as f64, *value, "{alert}");
                    // One step back towards what it was, of each that has a step to go.
                    let step = if to < value { less as f64 } else { -(less as f64) };
                    *count = (to + step) as u64;
                }
                let name = format!("{rule}-{number}-{less}");
                let found = alerts_of(&alerts_on(folder.path(), &name, &other), rule);
                found.iter().any(|(key, at, _)| key == user && at == minute)
            };
            assert!(!still(0), "{rule} of {user} at {minute} is an alert still with {changes:?}");
            assert!(still(1), "{rule} of {user} at {minute} is none with less than {changes:?} either");
        }
    }
}

/// Beside the value: how a change is measured.
fn size(value: f64, to: f64) -> f64 {
    (to - value).abs() / if value == 0.0 { 1.0 } else { value.abs() }
}

#[test]
fn what_a_formula_finds_is_explained_by_the_change_that_its_formula_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    events(&folder.path().join("events.ndjson"));
    let job = job(folder.path(), "once");
    job.run();
    let alerts = alerts_of(&job.alerts(), "disengaged");
    assert!(alerts.len() > 10, "{} alerts", alerts.len());
    for (_, _, alert) in &alerts {
        assert_shares(alert);
        let of = |name: &str| number(&alert["features"][name]);
        let fires = |feature: &str, value: f64| {
            let get = |name: &str| if name == feature { value } else { of(name) };
            let listened = get("listen_s") + 30.0;
            listened / (listened + 60.0 * get("exits")) < 0.6 && get("plays") > 2.0
        };
        let changes = nearest(alert);
        assert_eq!(changes.len(), 1, "{alert}");
        let (feature, value, to) = changes[0];
        assert_eq!(value, of(feature));
        let step = if feature == "listen_s" { 0.0 } else { 1.0 };
        let less = to + (value - to).signum() * (0.02 * (value - to).abs()).max(step);
        assert!(!fires(feature, to) && fires(feature, less), "{feature} {value} to {to}: {alert}");
        // 0.6 (listened + 60 exits) = listened, solved for one and for the other.
        let exits = ((of("listen_s") + 30.0) / 90.0 + 1e-9).floor();
        let edges = [("exits", exits), ("listen_s", 90.0 * of("exits") - 30.0), ("plays", 2.0)];
        let least = edges.iter().map(|(name, to)| size(of(name), *to)).fold(f64::INFINITY, f64::min);
        assert!(size(value, to) < least * 1.02 + 1e-9, "{feature} to {to}, not the least of {edges:?}");
        for driver in drivers(alert) {
            let (_, edge) = edges.iter().find(|(name, _)| driver["feature"] == *name).expect("a feature");
            let (value, expected) = (number(&driver["value"]), number(&driver["expected"]));
            assert!((expected - edge).abs() <= 0.02 * (value - edge).abs() + 1e-9, "{driver}: {edge}");
            assert_eq!(driver["direction"], if value < expected { "low" } else { "high" });
        }
    }
}

#[test]
fn workers_do_not_change_an_explanation_and_a_sink_can_do_without() {
    let folder = tempfile::tempdir().expect("a folder");
    events(&folder.path().join("events.ndjson"));
    let once = job(folder.path(), "1").set("alerts.open_after", 1);
    once.run();
    let bytes = once.alerts();
    let (mut over, mut why) = (0, 0);
    for alert in json_lines(&bytes) {
        let explanation = &alert["data"]["explanation"];
        match alert["data"]["state"] == "resolved" {
            true => over += u32::from(explanation.is_null()),
            false => why += u32::from(explanation["drivers"].is_array()),
        }
    }
    assert_eq!((over + why) as usize, json_lines(&bytes).len());
    assert!(over > 5 && why > 5, "{over} over, {why} why");
    let three = job(folder.path(), "3").set("alerts.open_after", 1).workers(3);
    three.run();
    assert!(three.alerts() == bytes, "other bytes with three workers");
    let without = job(folder.path(), "without").set("alerts.open_after", 1).set("sink.alerts.explain", false);
    without.run();
    let mut shorter = json_lines(&bytes);
    for alert in &mut shorter {
        alert["data"].as_object_mut().expect("data").remove("explanation");
    }
    assert_eq!(json_lines(&without.alerts()), shorter);
}
