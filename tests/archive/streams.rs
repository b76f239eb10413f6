//! Archives of what streams gave while partitions slept, came and went, and the job was killed: their replay gives the
//! bytes that the live run gave.

use super::*;

/// The reference job on another source: its alerts and what does not fit go to files in the folder.
pub(super) fn reading(folder: &Path, source: &str) -> Job {
    std::fs::create_dir_all(folder).expect("a folder");
    let config =
        std::fs::read_to_string(repository().join("configs/podcast-reference.toml")).expect("a config");
    let (head, rest) = config.split_once("[source.events]").expect("a source");
    let (_, tail) = rest.split_once("[event]").expect("what follows");
    let path = folder.join("job.toml");
    std::fs::write(&path, format!("{head}[source.events]\n{source}\n\n[event]{tail}")).expect("write");
    Job::new(PROGRAM, path, folder)
        .with_alerts()
        .with_quarantine()
        .with_state()
        .set("state.checkpoint_every", "\"100ms\"")
}

/// Checks that replays give the same alerts, and quarantine rows with the same places and reasons, whatever the
/// workers, also when they are killed.
pub(super) fn replays_alike(folder: &Path, live: &Job, archive: &Path) {
    let source = format!("type = \"archive\"\ndir = \"{}\"", archive.display());
    for (workers, kills) in [(1, 0), (3, 2)] {
        let again = reading(&folder.join(format!("replay-{workers}")), &source);
        kill_again_and_again(&again.clone().set("source.events.rate", 4_000), kills, |_| {});
        let again = again.workers(workers);
        again.run();
        assert!(again.alerts() == live.alerts(), "{workers} workers: the replay gives other alerts");
        let places = |job: &Job| -> Vec<_> {
            let rows = job.quarantine().into_iter();
            rows.map(|row| {
                (row["partition"].clone(), row["offset"].clone(), row["reason"].clone(), row["raw"].clone())
            })
            .collect()
        };
        assert!(places(&again) == places(live), "{workers} workers: the replay rejects other records");
        assert_eq!(again.report()["late"], live.report()["late"]);
        assert_eq!(again.report()["read"], live.report()["read"]);
    }
}

/// How many records an archive has, each once, and how many of them something has lifted the watermark before.
fn records(duckdb: &DuckDb, archive: &Path) -> (u64, u64) {
    let records = visible(duckdb, archive);
    let rows = duckdb.ask(&format!("SELECT count(lifted) AS lifted FROM {}", files(archive)));
    (records, count(&rows[0], "lifted"))
}

/// An event an hour behind all others, which closes their windows.
#[cfg(any(feature = "kafka", feature = "kinesis"))]
fn closing(number: usize) -> String {
    let ts = 1_700_000_000_000_i64 + 2 * 3_600_000;
    format!("{{\"user_id\":\"later-{number}\",\"event_type\":\"listen\",\"ts\":{ts},\"duration_s\":1.0}}")
}

/// Events with late ones among them, and some that do not fit.
#[cfg(any(feature = "kafka", feature = "kinesis"))]
fn events(folder: &Path, events: u64) -> Vec<Vec<u8>> {
    let file = folder.join("events.ndjson");
    generate(events, 60, 12, &["--low-frac", "0.2"], &file);
    let lines = std::fs::read(&file).expect("events");
    let lines = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4);
    let numbered = lines.into_iter().enumerate();
    numbered
        .map(|(number, line)| match number % 500 {
            100 => b"{\"ts\":tru".to_vec(),
            200 => b"{}".to_vec(),
            _ => line.trim_ascii_end().to_vec(),
        })
        .collect()
}

/// Waits until the newest checkpoint of a job has so many records.
#[cfg(any(feature = "kafka", feature = "kinesis"))]
fn has_read(job: &Job, read: u64) {
    eventually("all records", SOON, || {
        let listed = job.about(&["checkpoints", "list"]).args(["--format", "json"]).run();
        let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
        (listed.as_array()?.last()?["counts"]["read"] == read).then_some(())
    });
}

/// Stops a job once its newest checkpoint has so many records.
#[cfg(any(feature = "kafka", feature = "kinesis"))]
fn stopped_at(job: &Job, running: testkit::process::Running, read: u64) {
    has_read(job, read);
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

#[cfg(feature = "kafka")]
#[test]
fn a_topic_with_a_partition_that_slept_and_others_that_came_is_replayed_to_the_same_bytes() {
    let (Some(broker), Some(duckdb)) = (testkit::kafka::broker(), duckdb()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lines = events(folder.path(), 9_000);
    let topic = "archived";
    broker.create(topic, 3);
    let put = |partition: usize, part: &[Vec<u8>]| {
        broker.write(topic, partition, part.iter().map(|line| Some(line.as_slice())));
    };
    let deal = |partitions: &[usize], part: &[Vec<u8>]| {
        for (turn, partition) in partitions.iter().enumerate() {
            let own: Vec<Vec<u8>> = part.iter().skip(turn).step_by(partitions.len()).cloned().collect();
            put(*partition, &own);
        }
    };
    let out = folder.path().join("live");
    let source = format!("type = \"kafka\"\nbrokers = \"{}\"\ntopic = \"{topic}\"", broker.address());
    let archive = out.join("archive");
    let live = reading(&out, &source)
        .set("archive.dir", archive.display())
        .set("time.idle_partition_after", "\"300ms\"");
    let parts: Vec<&[Vec<u8>]> = lines.chunks(lines.len() / 6).collect();
    deal(&[0, 1, 2], parts[0]);
    let running = live.clone().workers(2).invocation().start();
    eventually("a first delivery", SOON, || (!live.alerts().is_empty()).then_some(()));
    // The last partition sleeps while the others go on.
    let before = live.alerts().len();
    deal(&[0, 1], parts[1]);
    eventually("more alerts", SOON, || (live.alerts().len() > before).then_some(()));
    running.kill();
    // It wakes with what is behind the others by then.
    deal(&[2, 0, 1], parts[2]);
    let running = live.clone().workers(3).invocation().start();
    std::thread::sleep(Duration::from_millis(900));
    running.kill();
    broker.grow(topic, 5);
    let running = live.clone().workers(2).invocation().start();
    deal(&[3, 0, 1], parts[3]);
    // All that was put in by now, a part of which is in a partition that was not there before.
    has_read(&live, parts[..4].iter().map(|part| part.len() as u64).sum());
    running.kill();
    deal(&[0, 1, 2, 3, 4], parts[4]);
    deal(&[4, 3, 2, 1, 0], parts[5]);
    let mut put_in: usize = parts[..6].iter().map(|part| part.len()).sum();
    let running = live.clone().workers(2).invocation().start();
    stopped_at(&live, running, put_in as u64);
    for partition in 0..5 {
        put(partition, &[closing(partition).into_bytes()]);
        put_in += 1;
    }
    let running = live.invocation().start();
    stopped_at(&live, running, put_in as u64);
    let report = live.report();
    assert!(count(&report, "late") > 50 && count(&report, "quarantined") > 20, "{report}");
    assert!(live.alerts().len() > 10_000, "few alerts");
    let (read, lifted) = records(&duckdb, &archive);
    assert_eq!(read, put_in as u64);
    assert!(lifted >= 3, "nothing slept: {lifted}");
    replays_alike(folder.path(), &live, &archive);
}

#[cfg(feature = "kinesis")]
#[test]
fn a_stream_with_a_split_and_a_merge_is_replayed_to_the_same_bytes() {
    use testkit::kinesis::{Entry, servers, with_credentials};

    let (Some(servers), Some(duckdb)) = (servers(), duckdb()) else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let lines = events(folder.path(), 6_000);
    kinesis.create("archived", 2);
    let put = |part: &[Vec<u8>]| {
        let entry = |(number, line): (usize, &Vec<u8>)| {
            let hash_key = (number as u128 * 7 % 40) * (u128::MAX / 40);
            Entry { hash_key, data: line.clone() }
        };
        kinesis.put("archived", &part.iter().enumerate().map(entry).collect::<Vec<_>>());
    };
    let out = folder.path().join("live");
    let source = format!(
        "type = \"kinesis\"\nstream = \"archived\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\npoll_every = \"20ms\"",
        kinesis.address()
    );
    let archive = out.join("archive");
    let live = reading(&out, &source).set("archive.dir", archive.display());
    let start = |workers: usize| with_credentials(live.clone().workers(workers).invocation()).start();
    let more = |before: usize| {
        eventually("more alerts", SOON, || (live.alerts().len() > before).then_some(()));
        live.alerts().len()
    };
    let parts: Vec<&[Vec<u8>]> = lines.chunks(lines.len().div_ceil(3)).collect();
    put(parts[0]);
    let running = start(1);
    let seen = more(0);
    for shard in kinesis.shards("archived").iter().filter(|shard| shard.is_open) {
        kinesis.split("archived", shard);
    }
    put(parts[1]);
    let seen = more(seen);
    running.kill();
    let mut open: Vec<_> = kinesis.shards("archived").into_iter().filter(|shard| shard.is_open).collect();
    open.sort_by_key(|shard| shard.first_key);
    kinesis.merge("archived", &open[1], &open[2]);
    put(parts[2]);
    let running = start(3);
    std::thread::sleep(Duration::from_millis(600));
    running.kill();
    let running = start(2);
    more(seen);
    let open = kinesis.shards("archived").into_iter().filter(|shard| shard.is_open);
    let last: Vec<Entry> = open
        .enumerate()
        .map(|(number, shard)| Entry { hash_key: shard.first_key, data: closing(number).into_bytes() })
        .collect();
    kinesis.put("archived", &last);
    let put_in = (lines.len() + last.len()) as u64;
    stopped_at(&live, running, put_in);
    let report = live.report();
    assert!(count(&report, "late") > 50 && count(&report, "quarantined") > 10, "{report}");
    let (read, lifted) = records(&duckdb, &archive);
    assert_eq!(read, put_in);
    assert!(lifted >= 3, "children begin where their parents ended: {lifted}");
    replays_alike(folder.path(), &live, &archive);
}

#[cfg(feature = "http")]
#[test]
fn what_clients_posted_is_replayed_to_the_same_bytes() {
    use testkit::http::{Client, free_address};

    let Some(duckdb) = duckdb() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let lines: Vec<&[u8]> = input.bytes.split_inclusive(|&b| b == b'\n').take(12_000).collect();
    let out = folder.path().join("live");
    let archive = out.join("archive");
    let address = free_address();
    let source =
        format!("type = \"http\"\nlisten = \"{address}\"\ndir = \"{}\"", out.join("journal").display());
    let live = reading(&out, &source).set("archive.dir", archive.display());
    let batches: Vec<Vec<u8>> = lines.chunks(200).map(<[&[u8]]>::concat).collect();
    let mut running = live.clone().workers(2).invocation().start();
    for (number, batch) in batches.iter().enumerate() {
        if number % 20 == 10 {
            // Between two batches: each is acknowledged, and none comes twice.
            running.kill();
            running = live.clone().workers(1 + number % 3).invocation().start();
        }
        eventually("an acknowledgement", SOON, || {
            let answer = Client::new(address).post("/v1/events", &[], batch).ok()?;
            (answer.status == 200).then_some(())
        });
    }
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    live.clone().set("source.events.end", "latest").run();
    let report = live.report();
    assert!(count(&report, "late") > 20 && count(&report, "quarantined") > 20, "{report}");
    assert_eq!(records(&duckdb, &archive).0, count(&report, "read"));
    replays_alike(folder.path(), &live, &archive);
    let rows = |job: &Job| std::fs::read(job.quarantine_path()).expect("quarantine rows");
    let again = reading(&folder.path().join("replay-1"), "type = \"archive\"\ndir = \"x\"");
    assert!(rows(&again) == rows(&live), "the replay's quarantine rows differ");
}
