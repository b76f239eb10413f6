//! Jobs that archive what they read: killed again and again, started from older checkpoints, replayed. What is visible is
//! held against the input by DuckDB, which shares no code with the writer, and a replay against the live run.

#[path = "archive/csv.rs"]
mod csv;
#[path = "archive/streams.rs"]
mod streams;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::duckdb::{DuckDb, duckdb};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::eventually;
use testkit::random::{Random, seed};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
/// Few, so that the watermark goes on while a file of some MiB is read.
const LANES: u64 = 3;
const CHUNK: u64 = 1 << 20;
const EVENTS: u64 = 40_000;
/// The events of the workload begin at 22:13 and span an hour: moved by this, two days have some.
const LATER_MS: i64 = 5_400_000;
const SOON: Duration = Duration::from_secs(60);

/// Events with late, bad and odd lines among them, and the alerts that they must give.
struct Input {
    file: PathBuf,
    bytes: Vec<u8>,
    alerts: Vec<u8>,
}

fn input(folder: &Path) -> Input {
    let file = folder.join("events.ndjson");
    generate(EVENTS, 600, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let lines = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4);
    let mut bytes = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let line = moved(line);
        match number % 1_000 {
            100 => bytes.extend_from_slice(b"{\"ts\":tru\n"),
            200 => bytes.extend_from_slice(b"  \xff\xfe no text\r\n"),
            300 => bytes.extend_from_slice(b"\n \r\n"),
            _ => {}
        }
        // A blank before a record, and a carriage return behind it, are a part of its line.
        if number % 1_000 == 400 {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(line.as_bytes());
        if number % 1_000 == 500 {
            bytes.insert(bytes.len() - 1, b'\r');
        }
    }
    std::fs::write(&file, &bytes).expect("write");
    let expected = Podcast { lanes: LANES as usize, ..Podcast::default() }.expect(&bytes);
    assert!(expected.late > 100 && expected.quarantined >= 80 && expected.alerts.len() > 10_000);
    Input { file, bytes, alerts: expected.alerts.into_bytes() }
}

/// A line whose event is later.
fn moved(line: &[u8]) -> String {
    let line = std::str::from_utf8(line).expect("text");
    let (head, rest) = line.split_once("\"ts\":").expect("a time");
    let end = rest.find(|c: char| !c.is_ascii_digit()).expect("an end");
    let time: i64 = rest[..end].parse().expect("a number");
    format!("{head}\"ts\":{}{}", time + LATER_MS, &rest[end..])
}

impl Input {
    /// Every record, by partition and offset.
    fn records(&self) -> BTreeMap<(String, u64), Vec<u8>> {
        let mut records = BTreeMap::new();
        let mut offset = 0;
        for line in self.bytes.split_inclusive(|&b| b == b'\n') {
            let record = line.strip_suffix(b"\n").unwrap_or(line);
            if !record.trim_ascii().is_empty() {
                let lane = offset / CHUNK % LANES;
                records.insert((format!("{}#{lane}", self.file.display()), offset), record.to_vec());
            }
            offset += line.len() as u64;
        }
        records
    }
}

/// A job that archives what it reads, and checkpoints often.
fn live(folder: &Path, input: &Input, rate: u64) -> Job {
    Job::reference(PROGRAM, folder, &input.file)
        .with_quarantine()
        .set("source.events.lanes", LANES)
        .set("source.events.rate", rate)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("archive.dir", folder.join("archive").display())
}

/// The same job on what was archived.
fn replay(folder: &Path, archive: &str) -> Job {
    std::fs::create_dir_all(folder).expect("a folder");
    let config =
        std::fs::read_to_string(repository().join("configs/podcast-reference.toml")).expect("a config");
    let (head, rest) = config.split_once("[source.events]").expect("a source");
    let (_, tail) = rest.split_once("[event]").expect("what follows");
    let path = folder.join("replay.toml");
    let source = format!("[source.events]\ntype = \"archive\"\ndir = \"{archive}\"\n\n[event]");
    std::fs::write(&path, format!("{head}{source}{tail}")).expect("write");
    Job::new(PROGRAM, path, folder)
        .with_alerts()
        .with_quarantine()
        .with_state()
        .set("state.checkpoint_every", "\"100ms\"")
}

const FAST: u64 = 10_000_000;

/// What DuckDB makes of the files of an archive.
fn files(archive: &Path) -> String {
    format!("read_parquet('{}/events/*/*.parquet', hive_partitioning = true)", archive.display())
}

fn count(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

/// Checks that each record that is visible is visible once, and says how many there are.
fn visible(duckdb: &DuckDb, archive: &Path) -> u64 {
    let has_files = std::fs::read_dir(archive.join("events")).is_ok_and(|mut days| days.next().is_some());
    if !has_files {
        return 0;
    }
    let sql = format!(
        "SELECT count(*) AS records, count(DISTINCT (partition, \"offset\")) AS places FROM {}",
        files(archive)
    );
    let rows = duckdb.ask(&sql);
    assert_eq!(rows[0]["records"], rows[0]["places"], "a record is there twice");
    count(&rows[0], "records")
}

/// Checks that the archive has exactly what the input has.
fn holds_all(duckdb: &DuckDb, archive: &Path, input: &Input) {
    let sql = format!(
        "SELECT partition, \"offset\", hex(coalesce(encode(record), bytes)) AS hex, outcome, \
         (time IS NOT NULL AND date <> make_timestamp(epoch_us(time))::DATE) AS misfiled FROM {}",
        files(archive)
    );
    let mut found = BTreeMap::new();
    let mut days_are_right = true;
    for row in duckdb.ask(&sql) {
        let place = (row["partition"].as_str().expect("a partition").to_owned(), count(&row, "offset"));
        let hex = row["hex"].as_str().expect("hex");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        let record: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        days_are_right &= row["misfiled"] == Value::Bool(false);
        assert!(found.insert(place, record).is_none(), "a record is there twice");
    }
    let expected = input.records();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "other records than the input's");
    assert!(days_are_right, "records stand under another date than theirs");
    let leftovers = std::fs::read_dir(archive.join("staged")).expect("a folder").count();
    assert_eq!(leftovers, 0, "files that were never shown are still there");
}

fn kill_again_and_again(job: &Job, kills: u64, mut look: impl FnMut(u64)) {
    let mut random = Random::new(seed(91));
    for kill in 0..kills {
        let running = job.clone().workers(1 + random.below(3) as usize).invocation().start();
        std::thread::sleep(Duration::from_millis(200 + random.below(1_300)));
        running.kill();
        look(kill);
    }
}

#[test]
fn however_a_job_is_killed_its_archive_has_each_record_once_and_its_replay_gives_the_same_bytes() {
    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    let archive = out.join("archive");
    let mut before = 0;
    kill_again_and_again(&live(&out, &input, 8_000), 6, |kill| {
        // Each file is read whole: a torn one would be refused.
        let now = visible(&duckdb, &archive);
        assert!(now >= before, "kill {kill}: what was visible is gone");
        before = now;
    });
    assert!(before > 0, "nothing was visible before the end");
    let job = live(&out, &input, FAST).workers(2);
    job.run();
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    holds_all(&duckdb, &archive, &input);

    let report = job.report();
    let outcomes =
        duckdb.ask(&format!("SELECT outcome, count(*) AS n FROM {} GROUP BY outcome", files(&archive)));
    let of = |outcome: &str| {
        outcomes.iter().filter(|row| row["outcome"] == outcome).map(|row| count(row, "n")).sum()
    };
    assert_eq!((count(&report, "accepted"), count(&report, "filtered")), (of("accepted"), of("filtered")));
    assert_eq!(count(&report, "quarantined"), of("malformed") + of("type") + of("missing"));
    let days = duckdb.ask(&format!("SELECT count(DISTINCT date) AS days FROM {}", files(&archive)));
    assert_eq!(days[0]["days"], 2, "the events are of two days");

    let again = replay(&folder.path().join("replay"), &archive.display().to_string());
    kill_again_and_again(&again.clone().set("source.events.rate", 15_000), 3, |_| {});
    again.workers(3).run();
    let again = replay(&folder.path().join("replay"), &archive.display().to_string());
    assert!(again.alerts() == job.alerts(), "the replay gives other alerts");
    let quarantine = |job: &Job| std::fs::read(job.quarantine_path()).expect("quarantine rows");
    assert!(quarantine(&again) == quarantine(&job), "the replay rejects other records, or for other reasons");
    assert_eq!(again.report()["late"], report["late"]);
}

#[test]
fn a_start_from_an_older_checkpoint_takes_back_what_was_archived_since() {
    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    let job = live(&out, &input, 12_000).workers(2);
    let running = job.invocation().start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    let archive = out.join("archive");
    let before = visible(&duckdb, &archive);
    let list = job.ask(&["checkpoints", "list"]);
    let oldest = list[0]["checkpoint"].to_string();
    // Outputs are taken back by whoever wants that; the archive follows the state.
    let shown = job.ask(&["checkpoints", "show", "--number", &oldest]);
    for (sink, path) in [job.alerts_path(), job.quarantine_path()].iter().enumerate() {
        let sink = &shown["sinks"][sink];
        let file = std::fs::OpenOptions::new().write(true).open(path).expect("the output");
        file.set_len(count(sink, "before") + count(sink, "bytes")).expect("take the output back");
    }
    live(&out, &input, FAST).invocation().args(["--from", &oldest]).run().expect_code(0);
    assert!(before > 0);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    holds_all(&duckdb, &archive, &input);

    // A job that begins anew is not mixed with what another has left.
    std::fs::remove_dir_all(job.state_path()).expect("remove");
    for file in [job.alerts_path(), job.quarantine_path()] {
        std::fs::remove_file(file).expect("remove");
    }
    let refused = live(&out, &input, FAST).invocation().run().expect_code(3);
    assert!(refused.stderr.contains("already has files"), "{}", refused.stderr);
}

#[test]
fn a_file_of_an_archive_that_is_damaged_anywhere_stops_a_replay_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    live(&out, &input, FAST).workers(2).run();
    let archive = out.join("archive");
    let mut paths = Vec::new();
    for day in std::fs::read_dir(archive.join("events")).expect("days") {
        let day = day.expect("a day").path();
        paths.extend(std::fs::read_dir(day).expect("files").map(|file| file.expect("a file").path()));
    }
    paths.sort();
    let again = replay(&folder.path().join("replay"), &archive.display().to_string()).workers(2);
    for (number, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path).expect("a file");
        let footer = u32::from_le_bytes(*bytes[bytes.len() - 8..].first_chunk().expect("a length")) as usize;
        let footer = bytes.len() - 8 - footer;
        // Among the records, in the footer, its length, at the ends, and cut off.
        let places = [
            4,
            footer / 2,
            footer - 1,
            footer + 3,
            (footer + bytes.len()) / 2,
            bytes.len() - 7,
            bytes.len() - 1,
        ];
        for place in [places[number % 7], places[(number + 3) % 7], places[(number + 5) % 7], bytes.len()] {
            let mut damaged = bytes.clone();
            match damaged.get_mut(place) {
                Some(byte) => *byte ^= 1,
                None => damaged.truncate(bytes.len() - 1),
            }
            std::fs::write(path, damaged).expect("write");
            let refused = again.invocation().run().expect_code(3);
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let words = &refused.stderr;
            assert!(words.contains(&name) && words.contains("is damaged"), "byte {place} of {name}: {words}");
            assert!(again.alerts().is_empty() || input.alerts.starts_with(&again.alerts()));
            for folder in [again.state_path(), again.alerts_path(), again.quarantine_path()] {
                // Whatever it had begun with.
                let _ = std::fs::remove_dir_all(&folder).or_else(|_| std::fs::remove_file(&folder));
            }
        }
        std::fs::write(path, bytes).expect("write");
    }
    assert!(paths.len() >= 2, "{paths:?}");
    again.run();
    assert!(again.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn an_archive_that_begins_at_its_end_has_nothing_to_read_and_ends_whatever_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    live(&out, &input, FAST).workers(2).run();
    let nothing = replay(&folder.path().join("nothing"), &out.join("archive").display().to_string());
    // Also by a start that finds a checkpoint of the one before, whatever `start` says by then.
    for start in ["latest", "earliest"] {
        nothing.clone().workers(2).set("source.events.start", format!("\"{start}\"")).run();
        let report = nothing.report();
        assert_eq!((&report["read"], &report["finished"]), (&Value::from(0), &Value::Bool(true)));
        assert!(nothing.alerts().is_empty() && nothing.quarantine().is_empty());
    }
}

#[test]
fn an_archive_that_begins_at_a_time_gives_the_windows_that_begin_then_or_later_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    kill_again_and_again(&live(&out, &input, 8_000), 2, |_| {});
    live(&out, &input, FAST).workers(2).run();
    let since = |alerts: &[u8], start: i64| -> Vec<String> {
        let lines = alerts.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let rows = lines.map(|line| serde_json::from_slice::<Value>(line).expect("a row"));
        rows.filter(|row| row["window_start"].as_i64() >= Some(start)).map(|row| row.to_string()).collect()
    };
    // Within the first day, at midnight, and in the second.
    for (number, time) in
        ["2023-11-14T23:50:30Z", "2023-11-15", "2023-11-15T00:20:00Z"].into_iter().enumerate()
    {
        let start =
            time.parse::<jiff::Timestamp>().map_or(1_700_006_400_000, jiff::Timestamp::as_millisecond);
        let again = replay(&folder.path().join(time), &out.join("archive").display().to_string());
        let again = again.set("source.events.start", format!("\"{time}\""));
        let running = again.clone().set("source.events.rate", 8_000).invocation().start();
        eventually("some alerts", SOON, || (!again.alerts().is_empty()).then_some(()));
        running.kill();
        again.clone().workers(1 + number % 2).run();
        let expected = since(&input.alerts, start);
        assert!(expected.len() > 300, "{}", expected.len());
        assert!(since(&again.alerts(), start) == expected, "{time}: other alerts than the oracle");
        // Fewer than all are read, and those of before the time are few: the ones that came between.
        let lines = input.bytes.split_inclusive(|&byte| byte == b'\n').map(String::from_utf8_lossy);
        let later = lines.filter(|line| time_of(line) >= Some(start)).count() as u64;
        let read = count(&again.report(), "read");
        assert!((later..later + 4_000).contains(&read), "{time}: {read} of {later}");
    }
    // None is as late.
    let nothing = replay(&folder.path().join("nothing"), &out.join("archive").display().to_string());
    nothing.clone().set("source.events.start", "\"2023-11-16\"").run();
    assert_eq!(nothing.report()["read"], 0);
}

/// The time of a line, if it is an event.
fn time_of(line: &str) -> Option<i64> {
    let event: Value = serde_json::from_str(line).ok()?;
    event["ts"].as_i64()
}

#[test]
fn several_processes_have_one_archive_and_several_may_replay_it() {
    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    let job = live(&out, &input, FAST).processes(2).workers(2);
    job.run();
    holds_all(&duckdb, &out.join("archive"), &input);
    let again = replay(&folder.path().join("replay"), &out.join("archive").display().to_string());
    again.clone().processes(2).run();
    assert!(job.alerts() == input.alerts && again.alerts() == input.alerts, "other alerts than the oracle");
}

#[test]
fn alerts_and_quarantine_rows_go_to_an_archive_once_however_the_job_is_killed() {
    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    let config =
        std::fs::read_to_string(repository().join("configs/podcast-reference.toml")).expect("a config");
    let archive = out.join("archive");
    std::fs::create_dir_all(&out).expect("a folder");
    let sink = format!("type = \"archive\"\ndir = \"{}\"", archive.display());
    let config = config.replace("type = \"file\"\npath = \"alerts.ndjson\"", &sink);
    let config = format!("{config}\n[sink.quarantine]\n{sink}\n");
    let path = out.join("job.toml");
    std::fs::write(&path, config).expect("write");
    let job = |rate: u64| {
        Job::new(PROGRAM, &path, &out)
            .on(&input.file)
            .with_state()
            .set("source.events.lanes", LANES)
            .set("source.events.rate", rate)
            .set("state.checkpoint_every", "\"100ms\"")
            .set("archive.dir", archive.display())
    };
    kill_again_and_again(&job(8_000), 4, |_| {});
    job(FAST).workers(2).run();
    let rows = |sink: &str| {
        let sql = format!(
            "SELECT row, date::VARCHAR AS day, (row->>'window_end')::BIGINT AS due FROM \
             read_parquet('{}/rows/sink={sink}/*/*.parquet', hive_partitioning = true) ORDER BY checkpoint, line",
            archive.display()
        );
        duckdb.ask(&sql)
    };
    let alerts = rows("alerts");
    let lines: String =
        alerts.iter().map(|row| format!("{}\n", row["row"].as_str().expect("a row"))).collect();
    assert!(lines.into_bytes() == input.alerts, "other alerts than the oracle");
    let midnight = 1_700_006_400_000;
    for row in &alerts {
        let day = if row["due"].as_i64() < Some(midnight) { "2023-11-14" } else { "2023-11-15" };
        assert_eq!(row["day"], day);
    }
    assert_eq!(
        rows("quarantine").len() as u64,
        count(&job(FAST).report(), "quarantined") + count(&job(FAST).report(), "late")
    );
    holds_all(&duckdb, &archive, &input);
}

#[cfg(feature = "s3")]
#[test]
fn an_archive_in_a_bucket_has_each_record_once_and_its_replay_gives_the_same_bytes() {
    use checkpoint::{Bucket, Disk, Keys, S3Disk};
    use testkit::s3::{BUCKET, KEYS, server};

    let (Some(server), Some(duckdb)) = (server(), duckdb()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let out = folder.path().join("live");
    let address = format!("s3://{BUCKET}/archive");
    let job = |rate| live(&out, &input, rate).set("archive.dir", &address);
    let mut random = Random::new(seed(92));
    for kill in 0..3 {
        let running = server.known_to(job(8_000).workers(1 + kill % 3).invocation()).start();
        std::thread::sleep(Duration::from_millis(400 + random.below(1_200)));
        running.kill();
    }
    server.known_to(job(FAST).workers(2).invocation()).run().expect_code(0);
    assert!(job(FAST).alerts() == input.alerts, "other alerts than the oracle");

    let keys = Keys { access: KEYS.0.to_owned(), secret: KEYS.1.to_owned() };
    let bucket = Bucket::parse(&address).expect("a bucket").expect("an address");
    let bucket = Bucket { endpoint: Some(server.address().to_owned()), keys: Some(keys), ..bucket };
    let disk = S3Disk::open(&bucket).expect("the bucket");
    let copy = folder.path().join("copy");
    std::fs::create_dir_all(copy.join("staged")).expect("a folder");
    assert!(disk.list("staged").expect("a list").is_empty(), "files that were never shown are still there");
    for day in disk.folders("events").expect("folders") {
        std::fs::create_dir_all(copy.join("events").join(&day)).expect("a folder");
        for name in disk.list(&format!("events/{day}")).expect("a list") {
            let name = format!("events/{day}/{name}");
            std::fs::write(copy.join(&name), disk.read(&name, None).expect("an object")).expect("write");
        }
    }
    holds_all(&duckdb, &copy, &input);

    let again = replay(&folder.path().join("replay"), &address).workers(2);
    server.known_to(again.invocation()).run().expect_code(0);
    assert!(again.alerts() == input.alerts, "the replay gives other alerts");
}

#[test]
fn records_in_quarantine_are_had_again_from_the_archive_as_from_the_source_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut input = input(folder.path());
    // Longer than what quarantine shows of them, so that only an archive or the source has all of it.
    let bytes = std::fs::read(&input.file).expect("events");
    let long =
        format!(r#"{{"user_id":"u","ts":1700000000000,"duration_s":"x","note":"{}"}}"#, "long ".repeat(300));
    input.file = folder.path().join("long.ndjson");
    std::fs::write(&input.file, [bytes, format!("{long}\n").repeat(3).into_bytes()].concat()).expect("write");
    let live = live(&folder.path().join("live"), &input, FAST);
    live.run();
    let archive = folder.path().join("live/archive");
    let again = replay(&folder.path().join("again"), archive.to_str().expect("a path"));
    again.run();
    let of = |job: &Job| job.about(&["quarantine", "replay", "-q"]).run().expect_code(0).stdout;
    let records = of(&live);
    assert!(records.split(|byte| *byte == b'\n').filter(|line| *line == long.as_bytes()).count() == 3);
    // Lanes of a file share its offsets, so that the order is the same too.
    assert!(of(&again) == records, "other records than the source has");
    // What is gone from the archive is named.
    std::fs::remove_dir_all(archive.join("events")).expect("remove");
    let lost = again.about(&["quarantine", "replay", "-q"]).run().expect_code(3);
    assert!(
        lost.stderr.contains("could not be had") && lost.stderr.contains("cannot be read"),
        "{}",
        lost.stderr
    );
}
