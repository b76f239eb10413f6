//! Several kinds of windows over one stream, as whole jobs: each event in all that take it in, late if none holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::random::{Random, seed};

use super::{Event, Place, Setup, by_user, held_sessions, in_order, setup};

const SELECTS: &str = "
SELECT user, window_start, window_end, 'hop' AS kind, count(*) AS events, sum(v) AS v, lag(events) AS before
FROM HOP(events, ts, INTERVAL '10 seconds', INTERVAL '30 seconds') WHERE n % 3 <> 0
GROUP BY user, window_start, window_end HAVING events > 1
UNION ALL
SELECT user, window_start, window_end, 'short', count(*), sum(v), lag(events)
FROM SESSION(events, ts, INTERVAL '8 seconds') WHERE n % 2 = 0 GROUP BY user, window_start, window_end
UNION ALL
SELECT user, window_start, window_end, 'long', count(*) AS many, sum(CAST(100 // (n % 5 - 1) AS double)),
  CAST(NULL AS bigint)
FROM SESSION(events, ts, INTERVAL '20 seconds') s WHERE n % 5 IN (0, 2)
GROUP BY user, s.window_start, window_end HAVING many > 2
UNION ALL
SELECT user, window_start, window_end, 'count', count(*), sum(v), CAST(NULL AS bigint)
FROM COUNT(events, ts, 12) WHERE n % 5 = 1 GROUP BY user, window_start, window_end
";

/// What the branches make of events.
#[derive(Default)]
struct Expected {
    rows: Vec<(Place, Value)>,
    /// Rows, those that HAVING leaves out among them.
    windows: usize,
    /// Numbers of the events that a branch takes in, and of those that a window holds.
    taken: BTreeSet<i64>,
    held: BTreeSet<i64>,
}

/// A row of a branch: when it is due, a tick behind the end of which millisecond, and its class.
struct Row<'e> {
    user: &'e str,
    window: (i64, i64),
    due: i64,
    class: u8,
    sequence: u64,
    events: Vec<&'e Event>,
}

impl Expected {
    /// Adds the branch of that number, over some events. `before` says of each row what `lag` shows.
    fn add(
        &mut self,
        (number, kind): (u16, &str),
        taken: &[Event],
        rows: &[Row],
        least: usize,
        before: &[Option<usize>],
        v: impl Fn(&Event) -> f64,
    ) {
        self.windows += rows.len();
        self.taken.extend(taken.iter().map(|event| event.n));
        for (number_of_row, row) in rows.iter().enumerate() {
            let &Row { user, window, due, class, sequence, ref events } = row;
            self.held.extend(events.iter().map(|event| event.n));
            if events.len() < least {
                continue;
            }
            // Of what is due at once, the order of the branches comes first.
            let place =
                (due, class, i64::from(number), window.1, format!("{:020}{user}", window.0), sequence);
            let v: f64 = events.iter().map(|event| v(event)).sum();
            let row = json!({
                "user": user, "window_start": window.0, "window_end": window.1, "kind": kind,
                "events": events.len(), "v": v, "before": before.get(number_of_row).copied().flatten(),
            });
            self.rows.push((place, row));
        }
    }
}

/// What was in the row of each user before.
fn previous(rows: &mut [Row]) -> Vec<Option<usize>> {
    rows.sort_by_key(|row| row.due);
    let mut last = HashMap::new();
    rows.iter().map(|row| last.insert(row.user.to_owned(), row.events.len())).collect()
}

fn hops(events: &[Event]) -> Vec<Row<'_>> {
    let mut windows: BTreeMap<(i64, &str), Vec<&Event>> = BTreeMap::new();
    for event in events {
        let last = event.time.div_euclid(10_000) * 10_000;
        for start in [last - 20_000, last - 10_000, last] {
            if start + 30_000 - 1 > event.seen {
                windows.entry((start, &event.user)).or_default().push(event);
            }
        }
    }
    let row = |((start, user), events): ((i64, _), _)| {
        let window = (start, start + 30_000);
        Row { user, window, due: window.1, class: 0, sequence: 0, events }
    };
    windows.into_iter().map(row).collect()
}

fn sessions(events: &[Event], gap: i64) -> Vec<Row<'_>> {
    let (sessions, _) = held_sessions(events, gap);
    let row = |(user, window, events): (_, (i64, i64), _)| Row {
        user,
        window,
        due: window.1,
        class: 0,
        sequence: 0,
        events,
    };
    sessions.into_iter().map(row).collect()
}

fn counts(events: &[Event], size: usize) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (user, events) in by_user(events) {
        for (number, events) in events.chunks_exact(size).enumerate() {
            let times = || events.iter().map(|event| event.time);
            let window = (times().min().expect("an event"), times().max().expect("an event"));
            let due = events[size - 1].seen.saturating_add(1);
            rows.push(Row { user, window, due, class: 1, sequence: number as u64, events: events.to_vec() });
        }
    }
    rows
}

fn expected(events: &[Event]) -> Expected {
    let those = |takes: fn(i64) -> bool| -> Vec<Event> {
        events.iter().filter(|event| takes(event.n)).cloned().collect()
    };
    let mut expected = Expected::default();
    let taken = those(|n| n % 3 != 0);
    let mut rows = hops(&taken);
    let before = previous(&mut rows);
    expected.add((0, "hop"), &taken, &rows, 2, &before, |event| event.v);
    let taken = those(|n| n % 2 == 0);
    let mut rows = sessions(&taken, 8_000);
    let before = previous(&mut rows);
    expected.add((1, "short"), &taken, &rows, 1, &before, |event| event.v);
    let taken = those(|n| [0, 2].contains(&(n % 5)));
    expected.add((2, "long"), &taken, &sessions(&taken, 20_000), 3, &[], |event| {
        100.0 / (event.n % 5 - 1) as f64
    });
    let taken = those(|n| n % 5 == 1);
    expected.add((3, "count"), &taken, &counts(&taken, 12), 1, &[], |event| event.v);
    // Those in windows that are not complete at the end among them.
    expected.held.extend(taken.iter().map(|event| event.n));
    expected
}

fn union() -> Setup {
    let mut setup = setup("type = 'each'", 71);
    setup.config = setup.folder.path().join("job.sql");
    let header = super::SETUP.split_once("[features]").expect("features").0;
    let sinks = "[sink.alerts]\ntype = \"file\"\npath = \"set by the test\"\n\
                 [sink.quarantine]\ntype = \"file\"\npath = \"set by the test\"\n";
    let text = format!("/*toml\n{}{sinks}*/{SELECTS}", header.replace("key = \"user\"\n", ""));
    std::fs::write(&setup.config, text).expect("write the statement");
    setup
}

fn job(setup: &Setup, name: &str) -> Job {
    setup.job(name).with_quarantine()
}

#[test]
fn several_kinds_of_windows_over_one_stream_are_those_of_the_rules_for_any_workers_and_kills() {
    let setup = union();
    let expected = expected(&setup.events);
    let late = (expected.taken.len() - expected.held.len()) as u64;
    let filtered = (14_000 - expected.taken.len()) as u64;
    assert!(late > 100 && filtered > 500, "{late} late, {filtered} filtered");

    let one = job(&setup, "one");
    one.run();
    let (alerts, quarantine) = (one.alerts(), one.quarantine());
    let rows = in_order(expected.rows);
    assert!(rows.len() > 5_000, "{} rows", rows.len());
    let found = json_lines(&alerts);
    for (number, (found, expected)) in found.iter().zip(&rows).enumerate() {
        assert_eq!(found, expected, "row {number}");
    }
    assert_eq!(found.len(), rows.len());
    let report = one.report();
    assert_eq!(
        (&report["late"], &report["filtered"], &report["windowed"], &report["windows"]),
        (&json!(late), &json!(filtered), &json!(expected.held.len()), &json!(expected.windows))
    );
    let offsets: BTreeSet<(String, u64)> = quarantine
        .iter()
        .map(|row| (row["partition"].to_string(), row["offset"].as_u64().expect("an offset")))
        .collect();
    assert_eq!((quarantine.len() as u64, offsets.len() as u64), (late, late), "each once");

    for (name, processes, workers) in [("three", 1, 3), ("two-by-two", 2, 2)] {
        let job = job(&setup, name).processes(processes).workers(workers);
        job.run();
        assert!(job.alerts() == alerts, "{name}: other bytes than one worker");
        assert_eq!(job.quarantine(), quarantine, "{name}");
        assert_eq!(job.report()["windowed"], report["windowed"], "{name}");
    }
    check_kills(&setup, &alerts, &quarantine, &report);
}

/// The job is killed several times, and goes on with another number of workers.
fn check_kills(setup: &Setup, alerts: &[u8], quarantine: &[Value], report: &Value) {
    let mut random = Random::new(seed(7));
    let job = job(setup, "killed").with_state().set("state.checkpoint_every", "\"100ms\"");
    for kill in 0..6 {
        let slow = job.clone().set("source.events.rate", 7_000);
        let running = slow.workers(1 + kill % 3).invocation().start();
        std::thread::sleep(Duration::from_millis(200 + random.below(500)));
        running.kill();
        assert!(alerts.starts_with(&job.alerts()), "kill {kill}: not a prefix of the answer");
    }
    assert!(!job.alerts().is_empty() && job.alerts().len() < alerts.len(), "killed half way");
    let shown = job.ask(&["checkpoints", "verify"]);
    assert_eq!(shown["damages"], json!([]), "{shown}");
    job.clone().workers(2).run();
    assert!(job.alerts() == alerts, "other bytes after kills");
    assert_eq!(job.quarantine(), quarantine);
    for count in ["read", "filtered", "windowed", "late", "windows"] {
        assert_eq!(job.report()[count], report[count], "{count}");
    }
}
