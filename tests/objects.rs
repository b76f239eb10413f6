//! Objects of a bucket as a source, and Parquet that another program wrote: whole jobs give the answer of the same events
//! in one file of JSON, however often they are killed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use checkpoint::{Bucket, Disk, Keys, S3Disk};
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::duckdb::duckdb;
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Running, eventually};
use testkit::random::{Random, seed};
use testkit::s3::{BUCKET, KEYS, Server, server};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(90);

/// Events with late ones among them, or none, as lines of JSON, and the alerts of a job that reads them as one partition.
fn events(folder: &Path, count: u64, late: bool) -> (Vec<u8>, Vec<u8>) {
    let file = folder.join("events.ndjson");
    generate(count, 500, 14, &["--low-frac", "0.1"], &file);
    let mut lines = std::fs::read(&file).expect("events");
    if late {
        lines = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
        std::fs::write(&file, &lines).expect("write");
    }
    let expected = Podcast { lanes: 1, ..Podcast::default() }.expect(&lines);
    assert!((expected.late > 50) == late && !expected.alerts.is_empty());
    (lines, expected.alerts.into_bytes())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("pack");
    encoder.finish().expect("pack")
}

/// A job that reads what is at an address, or a path.
fn job(folder: &Path, input: &str) -> Job {
    Job::reference(PROGRAM, folder, Path::new(input)).set("state.checkpoint_every", "\"100ms\"")
}

/// Where objects of a test lie.
fn disk(server: &Server, prefix: &str) -> S3Disk {
    let bucket = Bucket::parse(&format!("s3://{BUCKET}/{prefix}")).expect("s3").expect("an address");
    let keys = Some(Keys { access: KEYS.0.into(), secret: KEYS.1.into() });
    let endpoint = Some(server.address().to_owned());
    S3Disk::open(&Bucket { endpoint, keys, ..bucket }).expect("a disk")
}

fn put(disk: &S3Disk, name: &str, bytes: Vec<u8>) {
    disk.write(name, &[bytes.into()]).expect("put");
}

/// Kills a job again and again, starts it with another number of workers, and at last lets it end.
fn killed(job: &Job, server: Option<&Server>, kills: usize) {
    let known = |job: &Job| match server {
        Some(server) => server.known_to(job.invocation()),
        None => job.invocation(),
    };
    let mut random = Random::new(seed(93));
    for kill in 0..kills {
        let paced = job.clone().set("source.events.rate", 20_000).workers(1 + kill % 3);
        let running = known(&paced).start();
        std::thread::sleep(Duration::from_millis(200 + random.below(900)));
        running.kill();
    }
    known(&job.clone().workers(2)).run().expect_code(0);
}

fn sigterm(running: Running) {
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

#[test]
fn a_prefix_that_is_watched_gives_the_alerts_of_all_objects_that_come_however_it_is_killed() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 30_000, false);
    let objects = disk(&server, "watched/events");
    let job = job(&folder.path().join("out"), &format!("s3://{BUCKET}/watched/events/"));
    let job = job.set("source.events.end", "never");
    let start = |workers: usize| server.known_to(job.clone().workers(workers).invocation()).start();
    let parts: Vec<&[u8]> = lines.split_inclusive(|&byte| byte == b'\n').collect();
    let parts: Vec<Vec<u8>> = parts.chunks(parts.len() / 8 + 1).map(<[&[u8]]>::concat).collect();
    // Names whose order is not that in which the objects come, some of them further down.
    let names = ["m", "dt=2/c.gz", "x", "a", "k", "dt=1/b.gz", "z", "d"];
    let mut random = Random::new(seed(94));
    let mut running = start(2);
    for (number, (part, name)) in parts.iter().zip(names).enumerate() {
        put(&objects, name, if name.ends_with(".gz") { gzip(part) } else { part.clone() });
        if number == 2 {
            // Noticed while the job runs: it was not there at any start.
            eventually("some alerts", SOON, || (!job.alerts().is_empty()).then_some(()));
            objects.remove("m").expect("remove an object that was read to its end");
        }
        std::thread::sleep(Duration::from_millis(random.below(700)));
        if number % 2 == 1 {
            running.kill();
            assert!(alerts.starts_with(&job.alerts()), "part {number}: not a prefix of the answer");
            running = start(1 + number % 3);
        }
    }
    let most = alerts.len() * 9 / 10;
    eventually("most alerts", SOON, || (job.alerts().len() >= most).then_some(()));
    sigterm(running);
    assert_eq!(job.report()["read"], 30_000);
    // What comes from now on is not read, and the windows close.
    put(&objects, "later", parts[0].clone());
    server
        .known_to(job.clone().set("source.events.end", "latest").workers(2).invocation())
        .run()
        .expect_code(0);
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 30_000);
}

#[test]
fn objects_of_any_format_give_the_alerts_of_a_file_however_they_are_killed() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 20_000, true);
    let objects = disk(&server, "formats");
    let csv = csv(&lines);
    let zstd = zstd::encode_all(&lines[..], 1).expect("pack");
    for (name, bytes) in [
        ("a.ndjson", lines.clone()),
        ("b.csv", csv.clone()),
        ("c.csv.gz", gzip(&csv)),
        ("d.ndjson.zst", zstd),
    ] {
        put(&objects, name, bytes);
        let job = job(&folder.path().join("out").join(name), &format!("s3://{BUCKET}/formats/{name}"));
        killed(&job, Some(&server), 3);
        assert!(job.alerts() == alerts, "{name}: other alerts than the oracle");
        assert_eq!(job.report()["read"], 20_000, "{name}");
    }
    // A pattern finds the one that fits.
    let job = job(&folder.path().join("pattern"), &format!("s3://{BUCKET}/formats/*.ndjson"));
    server.known_to(job.invocation()).run().expect_code(0);
    assert!(job.alerts() == alerts, "pattern: other alerts than the oracle");
}

fn csv(lines: &[u8]) -> Vec<u8> {
    let mut csv = "user_id,ts,event_type,duration_s\n".to_owned();
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).expect("an event");
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let duration = event.get("duration_s").map(Value::to_string).unwrap_or_default();
        csv += &format!("{},{},\"{}\",{duration}\n", text("user_id"), event["ts"], text("event_type"));
    }
    csv.into_bytes()
}

#[test]
fn an_object_that_is_replaced_or_gone_before_its_end_stops_the_job_with_its_address() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, _) = events(folder.path(), 20_000, false);
    let objects = disk(&server, "changes");
    for (name, replaced, words) in [
        ("replaced", true, "was replaced before it was read to its end"),
        ("gone", false, "is gone, and was not read to its end"),
    ] {
        put(&objects, name, lines.clone());
        let address = format!("s3://{BUCKET}/changes/{name}");
        let job = job(&folder.path().join(name), &address);
        let running = server.known_to(job.clone().set("source.events.rate", 5_000).invocation()).start();
        eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
        sigterm(running);
        objects.remove(name).expect("remove");
        if replaced {
            // As long as before, so that only what the server knows of its content differs.
            let other = [&lines[..lines.len() - 1], b" "].concat();
            put(&objects, name, other);
        }
        let finished = server.known_to(job.invocation()).run().expect_code(3);
        assert!(finished.stderr.contains(&format!("{address} {words}")), "{}", finished.stderr);
    }
}

#[test]
fn objects_are_read_on_when_the_server_was_away_for_a_while() {
    let Some(server) = testkit::s3::server_alone() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 60_000, false);
    put(&disk(&server, "away"), "events.ndjson", lines);
    let job = job(&folder.path().join("out"), &format!("s3://{BUCKET}/away/*.ndjson"));
    let running = server.known_to(job.clone().set("source.events.rate", 20_000).invocation()).start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    server.pause();
    std::thread::sleep(Duration::from_millis(2_500));
    server.resume();
    running.wait(SOON).expect_code(0);
    assert!(job.alerts() == alerts, "other alerts than the oracle");
}

/// The events as a file of Parquet that DuckDB wrote, with that expression as `ts`; `None` where there is no DuckDB.
fn parquet(folder: &Path, name: &str, time: &str) -> Option<PathBuf> {
    let duckdb = duckdb()?;
    let (from, to) = (folder.join("events.ndjson"), folder.join(name));
    duckdb.ask(&format!(
        "SET threads = 1; COPY (SELECT * REPLACE ({time} AS ts), {{'a': duration_s, 'b': [1, 2]}} AS nested \
         FROM read_json('{}', format = 'newline_delimited')) TO '{}' (FORMAT parquet, ROW_GROUP_SIZE 4096); SELECT 1 AS one",
        from.display(),
        to.display()
    ));
    Some(to)
}

#[test]
fn parquet_of_another_program_gives_the_alerts_of_its_json_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, alerts) = events(folder.path(), 30_000, true);
    for (name, time) in [
        ("whole.parquet", "ts"),
        ("local.parquet", "epoch_ms(ts)"),
        ("zoned.parquet", "epoch_ms(ts)::TIMESTAMPTZ"),
    ] {
        let Some(input) = parquet(folder.path(), name, time) else { return };
        let job = job(&folder.path().join("out").join(name), &input.display().to_string());
        let job = job.set("event.fields.duration_s", "{ path = \"nested.a\", type = \"double\" }");
        killed(&job, None, 4);
        assert!(job.alerts() == alerts, "{name}: other alerts than the oracle");
        assert_eq!(job.report()["read"], 30_000, "{name}");
    }
}

#[test]
fn parquet_in_a_bucket_gives_the_alerts_of_its_json_however_it_is_killed() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (_, alerts) = events(folder.path(), 20_000, true);
    let Some(input) = parquet(folder.path(), "events.parquet", "ts") else { return };
    put(&disk(&server, "parquet"), "events.parquet", std::fs::read(input).expect("read"));
    let job = job(&folder.path().join("out"), &format!("s3://{BUCKET}/parquet/events.parquet"));
    killed(&job, Some(&server), 3);
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 20_000);
}

#[test]
fn a_row_of_parquet_that_does_not_fit_is_shown_with_its_file_and_number() {
    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.parquet");
    duckdb.ask(&format!(
        "COPY (SELECT 'u' AS user_id, 1700000000000 + i AS ts, 'listen' AS event_type, \
         CASE WHEN i = 7 THEN 'NaN'::DOUBLE ELSE i END AS duration_s FROM range(10) AS t(i)) \
         TO '{}' (FORMAT parquet); SELECT 1 AS one",
        file.display()
    ));
    let job = job(&folder.path().join("out"), &file.display().to_string()).with_quarantine();
    job.run();
    let rows: Vec<Value> = job.quarantine();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["offset"], &rows[0]["reason"]), (&7.into(), &"type".into()), "{rows:?}");
    assert_eq!(rows[0]["partition"], file.display().to_string());
}
