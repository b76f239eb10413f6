//! Jobs that write to tables of SQLite and PostgreSQL: killed, refused, cut off from their server. In the end
//! a table holds what the oracle says, each row once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Finished, children, eventually};
use testkit::random::{Random, seed};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const LANES: usize = 3;

const SOON: Duration = Duration::from_secs(60);

/// The columns of the reference job, and what tells the rows of a table apart besides.
const COLUMNS: &str = r#"["user_id", "window_start", "window_end", "events", "listen_s", "pauses", "exits",
    "round(score, 4) AS score", "rule"]"#;

/// Events with late ones among them, and the rows that they must give.
struct Input {
    file: PathBuf,
    rows: Vec<Value>,
}

fn input(folder: &Path, events: u64) -> Input {
    let file = folder.join("events.ndjson");
    generate(events, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let shuffled =
        delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    std::fs::write(&file, &shuffled).expect("write");
    let expected = Podcast { lanes: LANES, ..Podcast::default() }.expect(&shuffled);
    let with_rule = |line: &str| format!("{},\"rule\":\"low-engagement\"}}", line.trim_end_matches('}'));
    let rows = expected.alerts.lines().map(|line| serde_json::from_str(&with_rule(line)).expect("JSON"));
    Input { file, rows: sorted(rows.collect()) }
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| (row["window_end"].as_i64(), row["user_id"].as_str().map(str::to_owned)));
    rows
}

/// A database with two tables that a job fills: `alerts`, and `plain_rows`.
#[derive(Clone)]
enum Database {
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(testkit::postgres::Database),
}

impl Database {
    fn name(&self) -> &'static str {
        match self {
            Database::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => "postgres",
        }
    }

    /// The job with two more sinks.
    fn add_to(&self, mut job: Job) -> Job {
        let name = self.name();
        for (table, format) in [("alerts", "alert"), ("plain_rows", "plain")] {
            let sink = format!("sink.{name}_{table}");
            job = job.set(&format!("{sink}.type"), name).set(&format!("{sink}.table"), table);
            job = job.set(&format!("{sink}.format"), format);
            job = match self {
                Database::Sqlite(path) => job.set(&format!("{sink}.path"), path.display()),
                #[cfg(feature = "postgres")]
                Database::Postgres(database) => job.set(&format!("{sink}.url"), database.url()),
            };
        }
        job.set(&format!("sink.{name}_plain_rows.columns"), COLUMNS)
    }

    /// The values of a query's only column.
    fn query(&self, sql: &str) -> Vec<String> {
        match self {
            Database::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the database");
                // A run may be at work.
                connection.busy_timeout(SOON).expect("a time-out");
                let mut statement = connection.prepare(sql).expect("a statement");
                let rows = statement.query_map([], |row| row.get(0)).expect("rows");
                rows.collect::<Result<_, _>>().expect("texts")
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(database) => database.query(sql),
        }
    }

    fn count(&self, table: &str) -> usize {
        self.query(&format!("SELECT CAST(count(*) AS text) FROM {table}"))[0].parse().expect("a number")
    }

    /// Whether both tables hold exactly these rows.
    fn expect(&self, rows: &[Value]) {
        let name = self.name();
        let found = self.query("SELECT row FROM plain_rows");
        let found = found.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect();
        assert!(sorted(found) == rows, "{name}: other rows than the oracle");
        let alerts = self.query("SELECT alert FROM alerts");
        let alerts = alerts.iter().map(|alert| serde_json::from_str::<Value>(alert).expect("JSON"));
        let mut alerts: Vec<_> =
            alerts.map(|alert| (alert["time"].to_string(), alert["subject"].to_string())).collect();
        alerts.sort();
        assert_eq!(alerts.len(), rows.len(), "{name}: alerts");
        alerts.dedup();
        assert_eq!(alerts.len(), rows.len(), "{name}: an alert is there twice");
    }
}

/// All that there are here, the first one in that folder.
fn databases(folder: &Path) -> Vec<Database> {
    let sqlite = Database::Sqlite(folder.join("tables.db"));
    #[cfg(feature = "postgres")]
    if let Some(database) = testkit::postgres::database() {
        return vec![sqlite, Database::Postgres(database)];
    }
    vec![sqlite]
}

/// The reference job without a brake, checkpoints often, on these databases.
fn fast(folder: &Path, input: &Input, databases: &[Database]) -> Job {
    let job = Job::reference(PROGRAM, folder, &input.file)
        .set("source.events.lanes", LANES)
        .set("state.checkpoint_every", "\"100ms\"");
    databases.iter().fold(job, |job, database| database.add_to(job))
}

fn refused(finished: Finished, words: &[&str]) {
    let finished = finished.expect_code(3);
    for word in words {
        assert!(finished.stderr.contains(word), "no word of {word} in:\n{}", finished.stderr);
    }
}

#[cfg(not(feature = "postgres"))]
#[test]
fn ci_builds_what_it_tests() {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "CI must run these tests with `--features tidewatch/full`");
    testkit::left_out::announce("tests with PostgreSQL, which `--features tidewatch/full` brings");
}

#[test]
fn after_any_number_of_kills_each_row_is_in_its_table_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let databases = databases(folder.path());
    let kills: u64 = std::env::var("TIDEWATCH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut random = Random::new(seed(78));
    let out = folder.path().join("out");
    // The last kill finds it at work like the first.
    let job = fast(&out, &input, &databases).set("source.events.rate", 60_000 / kills.max(1));
    let mut counts = vec![0; databases.len()];
    for kill in 0..kills {
        let running = job.clone().workers(1 + random.below(3) as usize).invocation().start();
        std::thread::sleep(Duration::from_millis(300 + random.below(1_200)));
        running.kill();
        for (database, before) in databases.iter().zip(&mut counts) {
            let now = database.count("plain_rows");
            assert!(now >= *before, "kill {kill}: rows have gone from {}", database.name());
            *before = now;
        }
        eprintln!("kill {kill}: {counts:?} of {} rows", input.rows.len());
    }
    fast(&out, &input, &databases).workers(2).run();
    databases.iter().for_each(|database| database.expect(&input.rows));
    // Once more: there is nothing to do, and nothing is done.
    fast(&out, &input, &databases).workers(1).run();
    databases.iter().for_each(|database| database.expect(&input.rows));
}

#[test]
fn what_a_run_has_committed_and_not_delivered_when_it_is_killed_is_delivered_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let databases = [Database::Sqlite(folder.path().join("tables.db"))];
    let Database::Sqlite(path) = &databases[0] else { unreachable!() };
    let out = folder.path().join("out");
    let job = fast(&out, &input, &databases);
    let running = job.clone().set("source.events.rate", 15_000).invocation().start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    // Nobody can write to the tables any more.
    let lock = rusqlite::Connection::open(path).expect("the database");
    lock.busy_timeout(SOON).expect("a time-out");
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let rows = databases[0].count("plain_rows");
    // The file is the first of the sinks: what it has got is committed, and cannot go on to the tables.
    eventually("a delivery", SOON, || {
        let delivered = job.alerts().iter().filter(|byte| **byte == b'\n').count();
        (delivered > rows).then_some(())
    });
    running.kill();
    lock.execute_batch("ROLLBACK").expect("no lock");
    assert_eq!(databases[0].count("plain_rows"), rows);
    job.run();
    databases[0].expect(&input.rows);
}

#[test]
fn at_once_rows_that_come_again_after_a_kill_are_no_second_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let databases = databases(folder.path());
    let out = folder.path().join("out");
    let at_once = |job: Job| {
        let sinks = databases.iter().flat_map(|database| {
            ["alerts", "plain_rows"].map(|table| format!("sink.{}_{table}.mode", database.name()))
        });
        sinks.fold(job, |job, mode| job.set(&mode, "at_once")).set("state.checkpoint_every", "1m")
    };
    let running =
        at_once(fast(&out, &input, &databases)).set("source.events.rate", 10_000).invocation().start();
    eventually("a first row", SOON, || {
        let there = |database: &Database| {
            let made = match database {
                Database::Sqlite(path) => path.exists(),
                #[cfg(feature = "postgres")]
                Database::Postgres(_) => true,
            };
            made && database.query("SELECT CAST(count(*) AS text) FROM tidewatch_delivered").len() == 1
                && database.count("plain_rows") > 100
        };
        // Tables are made one after the other.
        std::panic::catch_unwind(|| databases.iter().all(there)).unwrap_or(false).then_some(())
    });
    running.kill();
    // No checkpoint has held them, so all of them come again.
    at_once(fast(&out, &input, &databases)).run();
    databases.iter().for_each(|database| database.expect(&input.rows));
}

/// Starts a job, waits until it has delivered something, and tells it to stop.
fn stopped_half_way(out: &Path, input: &Input, databases: &[Database]) {
    let job = fast(out, input, databases).set("source.events.rate", 15_000).workers(2);
    let running = job.invocation().start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

/// Puts a database at `to` as it is at `from`, or nothing: what is not in the file yet is in the log beside it.
fn restore_database(from: Option<&Path>, to: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
        let _ = std::fs::remove_file(beside(to));
        if let Some(from) = from.map(beside).filter(|from| ending != "-shm" && from.exists()) {
            std::fs::copy(from, beside(to)).expect("copy");
        }
    }
}

#[test]
fn a_table_that_has_less_or_more_than_the_state_knows_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let databases = [Database::Sqlite(folder.path().join("tables.db"))];
    let Database::Sqlite(path) = &databases[0] else { unreachable!() };
    let out = folder.path().join("out");
    stopped_half_way(&out, &input, &databases);
    let job = fast(&out, &input, &databases);
    let (saved_state, saved_table) = (folder.path().join("state"), folder.path().join("saved.db"));
    copy_tree(&job.state_path(), &saved_state);
    restore_database(Some(path), &saved_table);
    let saved_file = job.alerts();

    // The database was lost, and what it had is no longer in the checkpoints.
    restore_database(None, path);
    refused(job.invocation().run(), &["tables.db", "rows were lost", "hint: restore the database"]);
    assert_eq!(databases[0].count("alerts"), 0, "a refused job has written");
    restore_database(Some(&saved_table), path);

    // The state was restored from an older copy; so was the file, which would be refused first.
    job.run();
    let count = databases[0].count("alerts");
    std::fs::remove_dir_all(job.state_path()).expect("remove");
    copy_tree(&saved_state, &job.state_path());
    std::fs::write(job.alerts_path(), saved_file).expect("write");
    refused(job.invocation().run(), &["tables.db", "but the state only goes to"]);
    assert_eq!(databases[0].count("alerts"), count, "a refused job has written");

    // A state that knows nothing of the table.
    let fresh = fast(&folder.path().join("fresh"), &input, &databases);
    refused(fresh.invocation().run(), &["tables.db", "already has rows of this job", "hint: "]);
    assert_eq!(databases[0].count("alerts"), count, "a refused job has written");
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_goes_away_in_mid_run_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let Some(server) = testkit::postgres::database_alone() else { return };
    let databases = [Database::Postgres(server.clone())];
    let out = folder.path().join("out");
    let job = fast(&out, &input, &databases);
    let running = job.clone().set("source.events.rate", 15_000).workers(2).invocation().start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    for _ in 0..5 {
        server.disconnect_all();
        std::thread::sleep(Duration::from_millis(150));
    }
    server.crash();
    std::thread::sleep(Duration::from_millis(500));
    server.restart();
    // The run that was cut off ends by itself, and well.
    running.wait(SOON).expect_code(0);
    databases[0].expect(&input.rows);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_stays_away_ends_the_run_and_the_same_command_delivers_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let Some(server) = testkit::postgres::database_alone() else { return };
    let databases = [Database::Postgres(server.clone())];
    let out = folder.path().join("out");
    let short = |job: Job| {
        job.set("sink.postgres_alerts.retry_for", "\"500ms\"")
            .set("sink.postgres_plain_rows.retry_for", "\"500ms\"")
    };
    let job = short(fast(&out, &input, &databases));
    let running = job.clone().set("source.events.rate", 15_000).invocation().arg("--no-supervise").start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    server.crash();
    let finished = running.wait(SOON).expect_code(1);
    assert!(finished.stderr.contains("was away for"), "{}", finished.stderr);
    server.restart();
    job.run();
    databases[0].expect(&input.rows);
}

#[cfg(feature = "postgres")]
#[test]
fn a_job_that_is_stopped_with_its_last_rows_undelivered_does_not_report_that_it_is_finished() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let Some(server) = testkit::postgres::database_alone() else { return };
    let databases = [Database::Postgres(server.clone())];
    let job = fast(&folder.path().join("out"), &input, &databases)
        .set("sink.postgres_alerts.retry_for", "\"300ms\"")
        .set("sink.postgres_plain_rows.retry_for", "\"300ms\"");
    // All rows come with the last checkpoint.
    let slow = job.clone().set("source.events.rate", 20_000).set("state.checkpoint_every", "\"1h\"");
    let running = slow.invocation().start();
    let fenced = || job.state_path().join("checkpoints").read_dir().ok()?.next().map(drop);
    eventually("it has fenced the state", SOON, fenced);
    std::thread::sleep(Duration::from_millis(500));
    server.crash();
    let finished = || job.ask(&["checkpoints", "show"])["finished"].as_bool().filter(|finished| *finished);
    eventually("the last checkpoint", SOON, finished);
    // The process dies again and again, until there are seconds between two.
    std::thread::sleep(Duration::from_secs(4));
    let workers = || children(running.id()).len();
    eventually("a worker process", SOON, || (workers() == 1).then_some(()));
    eventually("its end", SOON, || (workers() == 0).then_some(()));
    running.signal(Signal::SIGTERM);
    let said = running.wait(SOON).expect_code(0).stderr;
    assert!(said.contains("delivers what is missing"), "{said}");
    let report = job.report();
    assert_eq!((&report["finished"], &report["read"]), (&Value::from(false), &Value::from(60_000)));
    server.restart();
    job.run();
    assert_eq!(job.report()["finished"], true);
    databases[0].expect(&input.rows);
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create");
    for entry in std::fs::read_dir(from).expect("a folder of the state") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy");
        }
    }
}
