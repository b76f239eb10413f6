//! Tables as sinks, on a real SQLite file and a real PostgreSQL server: each test runs on both.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

#[cfg(feature = "postgres")]
mod postgres;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use alert::{
    Deliverer, Delivery, Mode, Sink, SinkError, SinkKind, SinkSpec, open_fresh, resume_after_at_once,
    resume_at_once, resume_exactly_once,
};
use alert::{Shape, Table};

/// A database of a test's own.
enum Database {
    Sqlite(PathBuf, #[expect(dead_code, reason = "it lives as long as the test")] tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Postgres(testkit::postgres::Database),
}

/// All that there are here.
fn databases() -> Vec<Database> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Database::Sqlite(folder.path().join("alerts.db"), folder);
    #[cfg(feature = "postgres")]
    if let Some(database) = testkit::postgres::database() {
        return vec![sqlite, Database::Postgres(database)];
    }
    vec![sqlite]
}

impl Database {
    fn kind(&self, shape: Shape) -> SinkKind {
        let table = Table { name: "alerts".into(), shape, retry_for: Duration::from_secs(20) };
        match self {
            Database::Sqlite(path, _) => SinkKind::Sqlite { path: path.clone(), table },
            #[cfg(feature = "postgres")]
            Database::Postgres(database) => {
                SinkKind::Postgres { url: alert::Secret::Text(database.url()), ca: None, table }
            }
        }
    }

    fn spec(&self, shape: Shape) -> SinkSpec {
        SinkSpec { name: "sink".into(), kind: self.kind(shape), mode: Mode::ExactlyOnce }
    }

    /// The rows of a query, columns divided by `|`.
    fn query(&self, sql: &str) -> Vec<String> {
        match self {
            Database::Sqlite(path, _) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                let mut statement = connection.prepare(sql).unwrap();
                let columns = statement.column_count();
                let text = |row: &rusqlite::Row<'_>| {
                    let values = (0..columns).map(|at| match row.get_ref(at)? {
                        rusqlite::types::ValueRef::Null => Ok(String::new()),
                        rusqlite::types::ValueRef::Integer(value) => Ok(value.to_string()),
                        rusqlite::types::ValueRef::Real(value) => Ok(value.to_string()),
                        other => Ok(other.as_str()?.to_owned()),
                    });
                    Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
                };
                statement.query_map([], text).unwrap().collect::<rusqlite::Result<_>>().unwrap()
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(database) => database.query(sql),
        }
    }

    fn execute(&self, sql: &str) {
        match self {
            Database::Sqlite(path, _) => {
                rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(database) => drop(database.query(sql)),
        }
    }

    fn ids(&self) -> String {
        self.query("SELECT id FROM alerts ORDER BY id").join(" ")
    }

    fn record(&self) -> String {
        self.query("SELECT number, generation, bytes FROM tidewatch_delivered").join(" ")
    }
}

fn deliverer(generation: u64) -> Deliverer {
    Deliverer { job: "podcast".into(), generation }
}

/// An alert as `alert::Renderer` writes it, as short as can be.
fn alert(id: &str) -> String {
    alert_of(id, "podcast", "\"ann\"", "2.5", "\"ann paused\"")
}

fn alert_of(id: &str, job: &str, key: &str, score: &str, summary: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"tidewatch/{job}","type":"tidewatch.alert","subject":"x","#
    ) + &format!(
        r#""time":"2026-01-02T03:10:00Z","datacontenttype":"application/json","data":{{"job":"{job}","#
    ) + &format!(
        r#""rule":"restless","severity":"warning","key":{key},"window":{{"start":"2026-01-02T03:00:00Z","#
    ) + &format!(
        r#""end":"2026-01-02T03:10:00Z"}},"features":{{"pauses":9}},"score":{score},"scores":{{}},"threshold":1.0,"#
    ) + &format!("\"summary\":{summary},\"episode\":\"e{id}\"}}}}\n")
}

fn delivery(number: u32, start: u64, ids: &[&str]) -> Delivery {
    Delivery { number, start, bytes: ids.iter().map(|id| alert(id)).collect::<String>().into_bytes() }
}

/// Deliveries of these ids, numbered from 1, each starting where the one before ends.
fn deliveries(parts: &[&[&str]]) -> Vec<Delivery> {
    let mut start = 0;
    let mut all = Vec::new();
    for (number, ids) in (1..).zip(parts) {
        let delivery = delivery(number, start, ids);
        start += delivery.bytes.len() as u64;
        all.push(delivery);
    }
    all
}

fn refused(result: Result<Box<dyn Sink>, SinkError>) -> SinkError {
    let error = result.err().expect("refused");
    assert!(error.is_refusal(), "{error}");
    assert!(error.hint().is_some());
    error
}

#[test]
fn a_delivery_is_taken_once_whoever_repeats_it() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let all = deliveries(&[&["a", "b"], &[], &["c"]]);
        let mut sink = open_fresh(&spec, &deliverer(1)).unwrap();
        assert_eq!(sink.length(), 0);
        sink.deliver(1, &all[0].bytes).unwrap();
        assert_eq!(sink.length(), all[0].bytes.len() as u64);
        // The same number with rows that were never there: not one of them is taken.
        let same = [alert("x"), alert("y")].concat();
        sink.deliver(1, same.as_bytes()).unwrap();
        assert_eq!(database.ids(), "a b");
        let mut sink = resume_exactly_once(&spec, &deliverer(2), &all[..2]).unwrap();
        sink.deliver(2, b"").unwrap();
        sink.deliver(3, &all[2].bytes).unwrap();
        resume_exactly_once(&spec, &deliverer(3), &all).unwrap();
        assert_eq!(database.ids(), "a b c");
        assert_eq!(database.query("SELECT count(*) FROM alerts"), ["3"]);
    }
}

#[test]
fn what_was_committed_and_not_delivered_is_completed_on_resume() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let all = deliveries(&[&["a"], &["b"], &[], &["c", "d"]]);
        open_fresh(&spec, &deliverer(1)).unwrap().deliver(1, &all[0].bytes).unwrap();
        let sink = resume_exactly_once(&spec, &deliverer(2), &all).unwrap();
        assert_eq!(database.ids(), "a b c d");
        assert_eq!(sink.length(), all.iter().map(|delivery| delivery.bytes.len() as u64).sum::<u64>());
    }
}

#[test]
fn a_database_that_lost_what_is_no_longer_kept_is_refused() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let all = deliveries(&[&["a"], &["b"], &["c"], &["d"]]);
        open_fresh(&spec, &deliverer(1)).unwrap().deliver(1, &all[0].bytes).unwrap();
        // Checkpoint 2 is gone: what it put out cannot come from anywhere.
        let error = refused(resume_exactly_once(&spec, &deliverer(2), &all[2..]));
        assert!(error.to_string().contains("what checkpoint 1 put out and lacks the next ones"), "{error}");
        assert_eq!((database.ids().as_str(), database.record().starts_with("1|1|")), ("a", true));
        // All of it is gone.
        database.execute("DROP TABLE alerts; DROP TABLE tidewatch_delivered");
        refused(resume_exactly_once(&spec, &deliverer(2), &all[2..]));
        assert_eq!(database.ids(), "");
    }
}

#[test]
fn a_database_that_is_ahead_of_the_state_is_refused() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let all = deliveries(&[&["a"], &["b"], &["c"]]);
        let mut sink = open_fresh(&spec, &deliverer(4)).unwrap();
        for delivery in &all {
            sink.deliver(delivery.number, &delivery.bytes).unwrap();
        }
        // Restored from a copy: fewer checkpoints, and an older generation.
        let error = refused(resume_exactly_once(&spec, &deliverer(2), &all[..2]));
        let words = "has what checkpoint 3 put out, but the state only goes to 2";
        assert!(error.to_string().contains(words), "{error}");
        // Another state that has come as far.
        let other = deliveries(&[&["a"], &["b"], &["x"]]);
        let error = refused(resume_exactly_once(&spec, &deliverer(5), &other));
        assert!(error.to_string().contains("belongs to another state"), "{error}");
        assert_eq!(database.ids(), "a b c");
    }
}

#[test]
fn an_older_generation_delivers_nothing_once_a_later_one_has_the_table() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let all = deliveries(&[&["a"], &["b"], &["c"]]);
        let mut zombie = open_fresh(&spec, &deliverer(1)).unwrap();
        zombie.deliver(1, &all[0].bytes).unwrap();
        let mut sink = resume_exactly_once(&spec, &deliverer(2), &all[..1]).unwrap();
        // It is refused before the later one has delivered anything, and after.
        let error = zombie.deliver(2, &all[1].bytes).unwrap_err();
        assert!(matches!(error, SinkError::Fenced { latest: 2, generation: 1, .. }), "{error}");
        assert!(error.is_refusal());
        assert_eq!(database.ids(), "a");
        sink.deliver(2, &all[1].bytes).unwrap();
        zombie.deliver(2, &all[1].bytes).unwrap_err();
        zombie.deliver(3, &all[2].bytes).unwrap_err();
        refused(resume_exactly_once(&spec, &deliverer(1), &all[..2]));
        assert_eq!(database.ids(), "a b");
    }
}

#[test]
fn a_delivery_that_fails_half_way_leaves_nothing() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let mut sink = open_fresh(&spec, &deliverer(1)).unwrap();
        // More than a chunk, and then a line that is none.
        let mut lines: String = (0..9000).map(|number| alert(&format!("{number:05}"))).collect();
        let good = lines.len();
        lines.push_str("{\"no\":\"alert\"}\n");
        let error = sink.deliver(1, lines.as_bytes()).unwrap_err();
        assert!(matches!(error, SinkError::Row { .. }), "{error}");
        assert_eq!(database.query("SELECT count(*) FROM alerts"), ["0"]);
        assert_eq!(database.record(), "0|1|0");
        sink.deliver(1, &lines.as_bytes()[..good]).unwrap();
        assert_eq!(database.query("SELECT count(*) FROM alerts"), ["9000"]);
        assert_eq!(database.record(), format!("1|1|{good}"));
    }
}

#[test]
fn at_once_the_same_rows_may_come_again_and_are_no_second_ones() {
    for database in databases() {
        let spec = SinkSpec { mode: Mode::AtOnce, ..database.spec(Shape::Alerts) };
        let mut sink = open_fresh(&spec, &deliverer(0)).unwrap();
        sink.write([alert("a"), alert("b")].concat().as_bytes()).unwrap();
        sink.sync().unwrap();
        // After a crash, with a state and without.
        resume_at_once(&spec, &deliverer(0))
            .unwrap()
            .write([alert("b"), alert("c")].concat().as_bytes())
            .unwrap();
        open_fresh(&spec, &deliverer(0))
            .unwrap()
            .write([alert("a"), alert("d")].concat().as_bytes())
            .unwrap();
        assert_eq!(database.ids(), "a b c d");
        assert_eq!(database.record(), "", "who delivers at once keeps no record");
    }
}

#[test]
fn a_table_may_change_its_mode_to_and_fro_and_takes_no_row_twice() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let once = deliveries(&[&["a"], &["b"]]);
        let mut sink = open_fresh(&spec, &deliverer(1)).unwrap();
        once.iter().for_each(|delivery| sink.deliver(delivery.number, &delivery.bytes).unwrap());
        resume_at_once(&spec, &deliverer(2)).unwrap().write(alert("c").as_bytes()).unwrap();
        // Checkpoint 5 was the last; the row that came after it comes again.
        let mut sink = resume_after_at_once(&spec, &deliverer(3), 5).unwrap();
        let start = sink.length();
        let fence = Delivery { number: 6, start, bytes: Vec::new() };
        let next = delivery(7, start, &["c", "d"]);
        sink.deliver(7, &next.bytes).unwrap();
        resume_exactly_once(&spec, &deliverer(4), &[fence, next]).unwrap();
        assert_eq!(database.ids(), "a b c d");
        // A state that was restored does not know what the table was given.
        let error = refused(resume_after_at_once(&spec, &deliverer(5), 6));
        assert!(matches!(error, SinkError::Ahead { has: 7, last: 6, .. }), "{error}");
    }
}

#[test]
fn a_fresh_job_beside_rows_of_its_own_is_refused_and_beside_those_of_others_is_not() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let other = Deliverer { job: "other".into(), generation: 1 };
        let line = alert_of("o", "other", "1", "null", "null");
        open_fresh(&spec, &other).unwrap().deliver(1, line.as_bytes()).unwrap();
        // A run that dies before its first delivery is started again, whatever its generation was.
        open_fresh(&spec, &deliverer(7)).unwrap();
        let mut sink = open_fresh(&spec, &deliverer(1)).unwrap();
        sink.deliver(1, alert("a").as_bytes()).unwrap();
        let error = refused(open_fresh(&spec, &deliverer(1)));
        assert!(matches!(error, SinkError::TableNotEmpty { .. }), "{error}");
        database.execute("DELETE FROM alerts WHERE job = 'podcast'");
        // The record still says that there was something.
        refused(open_fresh(&spec, &deliverer(1)));
        database.execute("DELETE FROM tidewatch_delivered WHERE job = 'podcast'");
        open_fresh(&spec, &deliverer(1)).unwrap();
        assert_eq!(database.ids(), "o");
        // Rows that came at once have no record.
        let at_once = SinkSpec { mode: Mode::AtOnce, ..spec.clone() };
        open_fresh(&at_once, &deliverer(1)).unwrap().write(alert("a").as_bytes()).unwrap();
        let error = refused(open_fresh(&spec, &deliverer(1)));
        assert!(matches!(error, SinkError::TableNotEmpty { .. }), "{error}");
    }
}

#[test]
fn a_table_of_another_shape_is_refused_and_columns_of_others_are_no_harm() {
    for database in databases() {
        let spec = database.spec(Shape::Alerts);
        let refuse = |sql: &str, words: &str| {
            database.execute(sql);
            let error = refused(open_fresh(&spec, &deliverer(1)));
            assert!(error.to_string().contains(words), "{error}");
        };
        refuse("CREATE TABLE alerts (id text PRIMARY KEY)", "has another shape: it has no column `job`");
        database.execute("DROP TABLE alerts");
        open_fresh(&spec, &deliverer(1)).unwrap();
        database.execute("ALTER TABLE alerts ADD COLUMN seen_by text");
        open_fresh(&spec, &deliverer(1)).unwrap();
        database.execute("ALTER TABLE alerts DROP COLUMN score; ALTER TABLE alerts ADD COLUMN score text");
        refuse("SELECT 1", "its column `score` is ");
        database.execute("DROP TABLE alerts");
        open_fresh(&spec, &deliverer(1)).unwrap();
        database.execute("ALTER TABLE alerts RENAME TO old; CREATE TABLE alerts AS SELECT * FROM old");
        refuse("SELECT 1", "its primary key is not (\"id\")");
        database.execute("DROP TABLE alerts");
        let rows = database.spec(Shape::Rows { key: vec!["user".into()], rule: false });
        open_fresh(&rows, &deliverer(1)).unwrap();
        refuse("SELECT 1", "it has no column `id`");
        let rows = database.spec(Shape::Rows { key: vec!["user".into()], rule: true });
        let error = refused(open_fresh(&rows, &deliverer(1)));
        assert!(error.to_string().contains("it has no column `rule`"), "{error}");
    }
}

#[test]
fn the_columns_say_what_the_alert_says() {
    for database in databases() {
        let mut sink = open_fresh(&database.spec(Shape::Alerts), &deliverer(1)).unwrap();
        let lines = [
            alert_of("a", "podcast", "\"ann\"", "2.5", "\"ann paused\""),
            // Not one of these is a text that PostgreSQL takes.
            alert_of("b", "podcast", r#""nul\u0000""#, "\"NaN\"", r#""a\u0000b""#),
            alert_of("c", "podcast", r#"["ü\"",-7]"#, "null", "null"),
            alert_of("d", "podcast", r#""\"quoted\"""#, "\"-Infinity\"", "\"x\""),
            alert_of("e", "podcast", "42", "1e300", "\"x\""),
        ];
        sink.deliver(1, lines.concat().as_bytes()).unwrap();
        let found =
            database.query("SELECT id, job, rule, severity, key, summary, threshold FROM alerts ORDER BY id");
        assert_eq!(
            found,
            [
                "a|podcast|restless|warning|ann|ann paused|1",
                "b|podcast|restless|warning|\"nul\\u0000\"|a\u{FFFD}b|1",
                "c|podcast|restless|warning|[\"ü\\\"\",-7]||1",
                "d|podcast|restless|warning|\"\\\"quoted\\\"\"|x|1",
                "e|podcast|restless|warning|42|x|1",
            ]
        );
        let json = &database.query("SELECT alert FROM alerts WHERE id = 'd'")[0];
        let (json, line): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(json).unwrap(), serde_json::from_str(&lines[3]).unwrap());
        assert_eq!(json, line);
        match database {
            Database::Sqlite(..) => {
                let scores = database.query("SELECT score FROM alerts WHERE id <> 'e' ORDER BY id");
                assert_eq!(scores, ["2.5", "", "", "-inf"]);
                let window = database.query("SELECT window_start, unixepoch(window_end) FROM alerts LIMIT 1");
                assert_eq!(window, ["2026-01-02T03:00:00Z|1767323400"]);
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => {
                let scores = database.query("SELECT score FROM alerts ORDER BY id");
                assert_eq!(scores, ["2.5", "NaN", "", "-Infinity", "1e+300"]);
                let window = database.query(
                    "SELECT window_end - window_start, extract(epoch FROM window_end) FROM alerts LIMIT 1",
                );
                assert_eq!(window, ["00:10:00|1767323400.000000"]);
                assert_eq!(
                    database.query("SELECT alert->'data'->'features'->'pauses' FROM alerts LIMIT 1"),
                    ["9"]
                );
            }
        }
    }
}

#[test]
fn plain_rows_stand_by_key_and_window_and_a_key_of_any_length_or_kind_is_one() {
    for database in databases() {
        let shape = Shape::Rows { key: vec!["user".into()], rule: true };
        let mut sink = open_fresh(&database.spec(shape), &deliverer(1)).unwrap();
        let row = |key: &str, end: i64, rule: &str| {
            format!(
                "{{\"user\":{key},\"n\":1,\"window_start\":0,\"window_end\":{end},\"rule\":\"{rule}\"}}\n"
            )
        };
        // Nothing that a database could compress to what it can index.
        let mut random = testkit::random::Random::new(5);
        let long: String = (0..20_000).map(|_| format!("é{:x}", random.below(1 << 40))).collect();
        let other = format!("{long}x");
        let lines = [
            row("\"ann\"", 600_000, "a"),
            row("\"ann\"", 600_000, "b"),
            row("\"ann\"", 1_200_500, "a"),
            row("\"ann\\u0000\"", 600_000, "a"),
            row("\"\\\"ann\\\\u0000\\\"\"", 600_000, "a"),
            row(&format!("\"{long}\""), 600_000, "a"),
            row(&format!("\"{other}\""), 600_000, "a"),
            row("null", 600_000, "a"),
            row("\"null\"", 600_000, "a"),
        ];
        sink.deliver(1, lines.concat().as_bytes()).unwrap();
        assert_eq!(database.query("SELECT count(*), count(DISTINCT key) FROM alerts"), ["9|7"]);
        let found =
            database.query("SELECT rule, row FROM alerts WHERE key = 'ann' ORDER BY window_end, rule");
        let found: Vec<(&str, serde_json::Value)> = found
            .iter()
            .map(|line| line.split_once('|').unwrap())
            .map(|(rule, row)| (rule, serde_json::from_str(row).unwrap()))
            .collect();
        let wanted = [("a", 0), ("b", 1), ("a", 2)]
            .map(|(rule, at): (_, usize)| (rule, serde_json::from_str(&lines[at]).unwrap()));
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_composite_key_is_an_array_and_quarantine_rows_have_their_place() {
    for database in databases() {
        let shape = Shape::Rows { key: vec!["b".into(), "a".into()], rule: false };
        let mut sink = open_fresh(&database.spec(shape), &deliverer(1)).unwrap();
        sink.deliver(1, b"{\"a\":\"x\",\"b\":7,\"window_end\":60000,\"window_start\":0}\n").unwrap();
        assert_eq!(database.query("SELECT key FROM alerts"), ["[7,\"x\"]"]);
        database.execute("DROP TABLE alerts; DELETE FROM tidewatch_delivered");

        let mut sink = open_fresh(&database.spec(Shape::Quarantine), &deliverer(1)).unwrap();
        let lines = concat!(
            r#"{"reason":"malformed","detail":"no object","partition":"f#0","offset":42,"raw":"x\u0000"}"#,
            "\n",
            r#"{"reason":"expression","detail":"overflow","partition":null,"offset":null,"raw":"{}"}"#,
            "\n",
        );
        sink.deliver(1, lines.as_bytes()).unwrap();
        let found =
            database.query("SELECT reason, detail, partition, \"offset\", raw FROM alerts ORDER BY reason");
        assert_eq!(found, ["expression|overflow|||{}", "malformed|no object|f#0|42|x\u{FFFD}"]);
    }
}

#[test]
fn what_is_no_database_or_has_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| {
        let table = Table { name: "alerts".into(), shape: Shape::Alerts, retry_for: Duration::ZERO };
        let kind = SinkKind::Sqlite { path, table };
        refused(open_fresh(&SinkSpec { name: "sink".into(), kind, mode: Mode::ExactlyOnce }, &deliverer(1)))
    };
    assert!(matches!(open(folder.path().join("none/alerts.db")), SinkError::NoFolder { .. }));
    let text = folder.path().join("text");
    std::fs::write(&text, "not a database, but long enough to be looked at as if it were one".repeat(9))
        .unwrap();
    assert!(matches!(open(text), SinkError::Refused { .. }));
    assert!(matches!(open(folder.path().to_owned()), SinkError::Refused { .. }));
}

#[test]
fn a_database_that_another_has_locked_is_waited_for_and_not_for_ever() {
    let Some(database @ Database::Sqlite(..)) = databases().into_iter().next() else { unreachable!() };
    let Database::Sqlite(path, _) = &database else { unreachable!() };
    let mut sink = open_fresh(&database.spec(Shape::Alerts), &deliverer(1)).unwrap();
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2500));
        lock.execute_batch("ROLLBACK").unwrap();
        lock
    });
    sink.deliver(1, alert("a").as_bytes()).unwrap();
    assert_eq!(database.ids(), "a");

    let lock = holder.join().unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut spec = database.spec(Shape::Alerts);
    if let SinkKind::Sqlite { table, .. } = &mut spec.kind {
        table.retry_for = Duration::ZERO;
    }
    let begun = Instant::now();
    let error = resume_exactly_once(&spec, &deliverer(2), &deliveries(&[&["a"]])).err().unwrap();
    assert!(matches!(error, SinkError::Unavailable { .. }) && !error.is_refusal(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}
