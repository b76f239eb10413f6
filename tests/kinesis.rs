//! Jobs on streams of Kinesis, against servers that stand in for it: what is put out is what the oracle says of the
//! records of each shard, also when the job is killed, the service fails, shards come and go, and records are packed.

#[path = "kinesis/proxy.rs"]
mod proxy;
#[path = "kinesis/pushed.rs"]
mod pushed;
#[path = "kinesis/starts.rs"]
mod starts;
#[path = "kinesis/trimmed.rs"]
mod trimmed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use proxy::{Fault, Proxy};
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::kinesis::{Entry, Kinesis, packed, servers, with_credentials};
use testkit::lanes;
use testkit::podcast::{Expected, Podcast};
use testkit::process::{Finished, Running, eventually};
use testkit::random::{Random, seed};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(120);
/// Bytes of the file that a lane has at a time: few, so that event time goes on alike in all shards.
const CHUNK: usize = 1 << 12;

/// Events with late ones among them, parted among shards, and what they must give.
struct Input {
    shards: Vec<Vec<Vec<u8>>>,
    expected: Expected,
}

impl Input {
    fn new(folder: &Path, events: u64, shards: usize) -> Input {
        let file = folder.join("events.ndjson");
        generate(events, 60, 12, &["--low-frac", "0.1"], &file);
        let lines = std::fs::read(&file).expect("events");
        let lines =
            delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
        let cut = lanes::cut(&lines, shards, CHUNK);
        let cut = cut.iter().map(|lane| lane.iter().map(|line| lines[line.bytes.clone()].to_vec()).collect());
        let expected = Podcast { lanes: shards, chunk: CHUNK, ..Podcast::default() }.expect(&lines);
        assert!(!expected.alerts.is_empty() && expected.late > 0, "{} late", expected.late);
        Input { shards: cut.collect(), expected }
    }

    /// Puts it into a new stream.
    fn put(&self, kinesis: &Kinesis, stream: &str) {
        kinesis.create(stream, self.shards.len());
        for (shard, lines) in kinesis.shards(stream).iter().zip(&self.shards) {
            let entry = |line: &Vec<u8>| Entry { hash_key: shard.first_key, data: line.clone() };
            kinesis.put(stream, &lines.iter().map(entry).collect::<Vec<_>>());
        }
    }

    fn check(&self, job: &Job, run: &str) {
        let report = job.report();
        let Expected { read, windowed, late, windows, .. } = self.expected;
        for (name, count) in [("read", read), ("windowed", windowed), ("late", late), ("windows", windows)] {
            assert_eq!(report[name], count, "{run}: {name}");
        }
        assert!(job.alerts() == self.expected.alerts.as_bytes(), "{run}: other alerts than the oracle");
    }
}

/// A job that reads a stream up to where it ends now, with nothing said of how.
fn reading(folder: &Path, address: &str, stream: &str) -> Job {
    Job::new(PROGRAM, "configs/podcast-kinesis.toml", folder)
        .with_alerts()
        .with_state()
        .set("source.events.endpoint", address)
        .set("source.events.stream", stream)
        .set("source.events.end", "latest")
        .set("state.checkpoint_every", "\"100ms\"")
}

/// The same by asking quickly.
fn job(folder: &Path, address: &str, stream: &str) -> Job {
    reading(folder, address, stream).set("source.events.poll_every", "\"20ms\"")
}

fn run(job: &Job) -> Finished {
    with_credentials(job.invocation()).run()
}

#[test]
fn four_shards_give_the_alerts_of_the_oracle_for_any_number_of_workers_and_processes() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 6_000, 4);
    input.put(&kinesis, "shapes");
    for (processes, workers) in [(1, 1), (1, 3), (2, 1)] {
        let out = folder.path().join(format!("{processes}x{workers}"));
        let job = job(&out, kinesis.address(), "shapes").processes(processes).workers(workers);
        run(&job).expect_code(0);
        input.check(&job, &format!("{processes} processes, {workers} workers"));
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_ends_with_the_bytes_of_the_oracle() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 6_000, 4);
    input.put(&kinesis, "killed");
    let paced = job(&folder.path().join("out"), kinesis.address(), "killed").set("source.events.rate", 1_500);
    let (mut random, mut committed) = (Random::new(seed(41)), 0);
    for kill in 0..5 {
        let running = with_credentials(paced.clone().workers(1 + kill % 3).invocation()).start();
        match kill {
            0 => eventually("a first delivery", SOON, || (!paced.alerts().is_empty()).then_some(())),
            _ => std::thread::sleep(Duration::from_millis(300 + random.below(1_500))),
        }
        running.kill();
        if kill == 0 {
            // What comes after the first start is not a part of what this job reads.
            std::thread::sleep(Duration::from_millis(2_200));
            let late = Entry { hash_key: 0, data: input.shards[0][0].clone() };
            kinesis.put("killed", &vec![late; 50]);
        }
        let now = paced.alerts();
        assert!(
            input.expected.alerts.as_bytes().starts_with(&now),
            "kill {kill}: not a prefix of the answer"
        );
        assert!(now.len() >= committed, "kill {kill}: what was committed is gone");
        committed = now.len();
    }
    let job = paced.set("source.events.rate", 0).workers(2);
    run(&job).expect_code(0);
    input.check(&job, "at last");
}

#[test]
fn a_service_that_throttles_fails_and_breaks_connections_loses_no_record_and_doubles_none() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 4_000, 3);
    input.put(&kinesis, "faults");
    for seed in [seed(51), seed(52)] {
        let proxy = Proxy::start(kinesis.address(), Fault::Any, seed);
        let out = folder.path().join(format!("out-{seed}"));
        let job = job(&out, proxy.address(), "faults").workers(2);
        run(&job).expect_code(0);
        input.check(&job, &format!("seed {seed}"));
        assert!(proxy.faults() > 10, "only {} faults", proxy.faults());
    }
}

#[test]
fn a_service_that_stays_away_ends_the_run_with_words_after_its_time() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    kinesis.create("away", 1);
    let nobody = "http://127.0.0.1:1";
    let job = job(folder.path(), nobody, "away").set("source.events.retry_for", "\"300ms\"");
    let finished = with_credentials(job.invocation().arg("--no-supervise")).run().expect_code(1);
    assert!(finished.stderr.contains("away could not be read for"), "{}", finished.stderr);
    let missing = run(&self::job(folder.path(), kinesis.address(), "no-such-stream")).expect_code(3);
    assert!(missing.stderr.contains("ResourceNotFoundException"), "{}", missing.stderr);
}

#[test]
fn aggregates_of_producers_are_read_as_the_records_in_them_and_resumed_within_them() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 3_000, 2);
    kinesis.create("packed", 2);
    let mut bad = 0;
    for (shard, lines) in kinesis.shards("packed").iter().zip(&input.shards) {
        let entry = |data: Vec<u8>| Entry { hash_key: shard.first_key, data };
        let of = |key: u128| lines.iter().map(move |line| (key, line.clone()));
        let here: Vec<_> = of(shard.last_key).collect();
        let aggregates: Vec<Vec<_>> = here.chunks(70).map(<[_]>::to_vec).collect();
        let mut entries = Vec::new();
        for (number, (aggregate, data)) in aggregates.iter().zip(packed(&aggregates)).enumerate() {
            match number % 4 {
                // As plain records in between,
                1 => entries.extend(aggregate.iter().map(|(_, line)| entry(line.clone()))),
                _ => entries.push(entry(data.clone())),
            }
            if number % 5 == 2 {
                // one that broke on its way,
                let mut broken = data;
                let last = broken.len() - 1;
                broken[last] ^= 1;
                entries.push(entry(broken));
                // and one that belongs elsewhere.
                let elsewhere = shard.first_key.wrapping_sub(1);
                entries.push(entry(
                    packed(&[vec![(shard.first_key, b"{}".to_vec()), (elsewhere, b"{}".to_vec())]]).remove(0),
                ));
                bad += 2;
            }
        }
        kinesis.put("packed", &entries);
    }
    let paced =
        job(folder.path(), kinesis.address(), "packed").set("source.events.rate", 1_500).with_quarantine();
    let mut random = Random::new(seed(43));
    for kill in 0..4 {
        let running = with_credentials(paced.clone().workers(1 + kill % 2).invocation()).start();
        std::thread::sleep(Duration::from_millis(300 + random.below(1_000)));
        running.kill();
    }
    let job = paced.set("source.events.rate", 0);
    run(&job).expect_code(0);
    let report = job.report();
    assert_eq!((&report["read"], &report["quarantined"]), (&(input.expected.read + bad).into(), &bad.into()));
    assert_eq!(
        (&report["windowed"], &report["late"]),
        (&input.expected.windowed.into(), &input.expected.late.into())
    );
    assert!(job.alerts() == input.expected.alerts.as_bytes(), "other alerts than the oracle");
    let rows = job.quarantine();
    let malformed = rows.iter().filter(|row| row["reason"] == "malformed");
    let said = malformed.filter(|row| {
        let detail = row["detail"].as_str().unwrap_or_default();
        let partition = row["partition"].as_str().unwrap_or_default();
        detail.contains("sequence number 4") && partition.starts_with("shardId-0000000")
    });
    assert_eq!(said.count() as u64, bad, "{rows:?}");
}

/// The reference job on a file, with a stream as its sink.
fn writing(folder: &Path, input: &Path, address: &str, stream: &str) -> Job {
    let reference = testkit::workload::repository().join("configs/podcast-reference.toml");
    let config = std::fs::read_to_string(reference).expect("a config");
    let sink = format!(
        "type = \"kinesis\"\nstream = \"{stream}\"\nregion = \"us-east-1\"\nendpoint = \"{address}\"\nformat"
    );
    let written = config.replace("type = \"file\"\npath = \"alerts.ndjson\"\nformat", &sink);
    assert!(written != config);
    let path = folder.join("job.toml");
    std::fs::write(&path, written).expect("write");
    Job::new(PROGRAM, &path, folder)
        .on(input)
        .with_state()
        .set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
}

#[test]
fn every_row_comes_into_a_stream_by_its_key_and_in_its_order_whatever_fails_or_is_killed() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("events.ndjson");
    generate(20_000, 60, 12, &["--low-frac", "0.1"], &file);
    let bytes = std::fs::read(&file).expect("events");
    let expected = Podcast { lanes: 3, ..Podcast::default() }.expect(&bytes).alerts;
    kinesis.create("rows", 2);
    let proxy = Proxy::start(kinesis.address(), Fault::Any, seed(61));
    let job = writing(folder.path(), &file, proxy.address(), "rows");
    let paced = job.clone().set("source.events.rate", 8_000);
    let mut random = Random::new(seed(62));
    for kill in 0..3 {
        let running = with_credentials(paced.clone().workers(1 + kill % 2).invocation()).start();
        std::thread::sleep(Duration::from_millis(400 + random.below(1_000)));
        running.kill();
    }
    run(&job).expect_code(0);
    assert!(proxy.faults() > 3, "only {} faults", proxy.faults());

    let mut came: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut records, mut keys) = (0, BTreeMap::new());
    for shard in kinesis.shards("rows") {
        for (key, row) in kinesis.records("rows", &shard) {
            let rows = came.entry(key.clone()).or_default();
            let row = String::from_utf8(row).expect("a row");
            records += 1;
            // What comes again is what came before.
            if !rows.contains(&row) {
                rows.push(row);
            }
            assert_eq!(keys.entry(key).or_insert_with(|| shard.id.clone()), &shard.id, "a key has one shard");
        }
    }
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in expected.lines() {
        let json: serde_json::Value = serde_json::from_str(row).expect("a row");
        wanted.entry(json["user_id"].as_str().expect("a key").to_owned()).or_default().push(row.to_owned());
    }
    assert!(came == wanted, "other rows, or in another order, than the oracle's");
    assert!(records >= expected.lines().count());
}

#[test]
fn a_stream_that_is_not_there_is_refused_as_a_sink() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("events.ndjson");
    generate(10, 1, 12, &[], &file);
    let refused = run(&writing(folder.path(), &file, kinesis.address(), "nowhere")).expect_code(3);
    assert!(refused.stderr.contains("the stream nowhere of Kinesis refuses"), "{}", refused.stderr);
}

/// Events by time, each with the hash key of its user; nothing of them is late.
fn by_user(folder: &Path, events: u64) -> (Vec<Entry>, Vec<u8>) {
    let file = folder.join("by-user.ndjson");
    generate(events, 40, 12, &["--low-frac", "0.2"], &file);
    let bytes = std::fs::read(&file).expect("events");
    let entry = |line: &[u8]| {
        let json: serde_json::Value = serde_json::from_slice(line).expect("an event");
        let user: u128 =
            json["user_id"].as_str().and_then(|user| user.rsplit('-').next()?.parse().ok()).expect("a user");
        Entry { hash_key: user * (u128::MAX / 40), data: line.trim_ascii_end().to_vec() }
    };
    (bytes.split_inclusive(|&byte| byte == b'\n').map(entry).collect(), bytes)
}

/// Puts events while shards are split and merged: two shards, then four, then two of these and their neighbours merged.
fn put_and_reshard(kinesis: &Kinesis, stream: &str, entries: &[Entry], mut between: impl FnMut(usize)) {
    let thirds: Vec<&[Entry]> = entries.chunks(entries.len().div_ceil(3)).collect();
    kinesis.put(stream, thirds[0]);
    between(1);
    for shard in kinesis.shards(stream).iter().filter(|shard| shard.is_open) {
        kinesis.split(stream, shard);
    }
    kinesis.put(stream, thirds[1]);
    between(2);
    let mut open: Vec<_> = kinesis.shards(stream).into_iter().filter(|shard| shard.is_open).collect();
    open.sort_by_key(|shard| shard.first_key);
    // The middle two are children of different shards.
    kinesis.merge(stream, &open[1], &open[2]);
    kinesis.put(stream, thirds[2]);
    between(3);
}

#[test]
fn shards_that_were_split_and_merged_are_read_after_those_that_they_go_on_from() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let (entries, bytes) = by_user(folder.path(), 6_000);
    let expected = Podcast { lanes: 1, ..Podcast::default() }.expect(&bytes);
    assert!(expected.late == 0 && !expected.alerts.is_empty());
    kinesis.create("resharded", 2);
    put_and_reshard(&kinesis, "resharded", &entries, |_| {});
    assert_eq!(kinesis.shards("resharded").len(), 7);
    let input = Input { shards: Vec::new(), expected };
    for workers in [1, 3] {
        let job =
            job(&folder.path().join(format!("{workers}")), kinesis.address(), "resharded").workers(workers);
        run(&job).expect_code(0);
        input.check(&job, &format!("{workers} workers"));
    }
    let paced =
        job(&folder.path().join("killed"), kinesis.address(), "resharded").set("source.events.rate", 2_000);
    let mut random = Random::new(seed(71));
    for kill in 0..5 {
        let running = with_credentials(paced.clone().workers(1 + kill % 3).invocation()).start();
        std::thread::sleep(Duration::from_millis(400 + random.below(1_000)));
        running.kill();
        assert!(input.expected.alerts.as_bytes().starts_with(&paced.alerts()), "kill {kill}: not a prefix");
    }
    let job = paced.set("source.events.rate", 0).processes(2);
    run(&job).expect_code(0);
    input.check(&job, "at last");
}

#[test]
fn shards_that_come_while_the_job_runs_or_is_down_are_found_and_nothing_of_them_is_lost() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let (entries, bytes) = by_user(folder.path(), 6_000);
    let expected = expected(&bytes);
    kinesis.create("live", 2);
    let job = job(folder.path(), kinesis.address(), "live").set("source.events.end", "never");
    let start = |workers: usize| Some(with_credentials(job.clone().workers(workers).invocation()).start());
    let mut running = start(1);
    let mut seen = 0;
    put_and_reshard(&kinesis, "live", &entries, |third| {
        if third == 3 {
            // It is killed again behind the merge.
            let again = start(3).expect("it starts");
            std::thread::sleep(Duration::from_millis(700));
            again.kill();
            running = start(2);
        }
        eventually("more alerts", SOON, || (job.alerts().len() > seen).then_some(()));
        seen = job.alerts().len();
        assert!(expected.as_bytes().starts_with(&job.alerts()), "third {third}: not a prefix of the answer");
        if third == 2 {
            // It is down while shards are merged.
            running.take().expect("it runs").kill();
        }
    });
    close_windows(&kinesis, "live", &bytes);
    ends_with(&job, running.expect("it runs"), &expected);
}

/// Puts something into every open shard that happened an hour after the last of these events, so that all windows before
/// it close.
fn close_windows(kinesis: &Kinesis, stream: &str, bytes: &[u8]) {
    let last = workload_time(bytes.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().expect("a line"));
    let later = last.expect("a time") + 3_600_000;
    let open = kinesis.shards(stream).into_iter().filter(|shard| shard.is_open);
    let last = open.enumerate().map(|(number, shard)| {
        let line = format!(
            "{{\"user_id\":\"later-{number}\",\"event_type\":\"listen\",\"ts\":{later},\"duration_s\":1.0}}"
        );
        Entry { hash_key: shard.first_key, data: line.into_bytes() }
    });
    kinesis.put(stream, &last.collect::<Vec<_>>());
}

/// What the oracle says of events that come in the order of their times.
fn expected(bytes: &[u8]) -> String {
    Podcast { lanes: 1, ..Podcast::default() }.expect(bytes).alerts
}

/// Waits for the alerts of all windows, and stops the job.
fn ends_with(job: &Job, mut running: Running, expected: &str) {
    eventually("all alerts", SOON, || {
        let is_there = job.alerts().len() >= expected.len();
        (is_there || !running.is_running()).then_some(())
    });
    if !running.is_running() {
        panic!("it has ended: {}", running.wait(SOON).stderr);
    }
    assert!(job.alerts() == expected.as_bytes(), "other alerts than the oracle");
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    assert_eq!(job.report()["late"], 0);
}

/// A record that does not fit and is longer than what quarantine shows of it.
fn bad(number: usize) -> Vec<u8> {
    let note = "long ".repeat(300);
    format!(
        r#"{{"user_id":"u","event_type":"exit","ts":1700000000000,"duration_s":"{number}","note":"{note}"}}"#
    )
    .into_bytes()
}

/// Lines of whole records.
fn lines(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| [record, b"\n".as_slice()].concat()).collect()
}

#[test]
fn records_in_quarantine_are_had_again_from_their_shard_and_in_their_aggregate_until_it_drops_them() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 3_000, 1);
    kinesis.create("again", 1);
    let shard = kinesis.shards("again").remove(0);
    // Every third part of them is packed; some records do not fit. All are longer than what a row shows of them.
    let note = format!(",\"note\":\"{}\"}}", "long ".repeat(220));
    let long = |line: &Vec<u8>| {
        [line.trim_ascii_end().strip_suffix(b"}").expect("an object"), note.as_bytes()].concat()
    };
    let (mut entries, mut read) = (Vec::new(), Vec::new());
    for (at, chunk) in input.shards[0].chunks(60).enumerate() {
        let mut data: Vec<Vec<u8>> = chunk.iter().map(long).collect();
        if at % 2 == 0 {
            [0, 30, 62].into_iter().for_each(|place| data.insert(place, bad(read.len() + place)));
        }
        read.extend(data.clone());
        let here: Vec<(u128, Vec<u8>)> = data.into_iter().map(|line| (shard.first_key, line)).collect();
        match at % 3 {
            0 => entries.push(Entry { hash_key: shard.first_key, data: packed(&[here]).remove(0) }),
            _ => entries.extend(here.into_iter().map(|(hash_key, data)| Entry { hash_key, data })),
        }
    }
    entries.chunks(100).for_each(|some| kinesis.put("again", some));
    let out = folder.path().join("out");
    let job = job(&out, kinesis.address(), "again").with_quarantine();
    run(&job).expect_code(0);
    let rows = job.quarantine();
    let records_of = |reason: &str| {
        let rows = rows.iter().filter(|row| row["reason"] == reason);
        let offsets: BTreeSet<u64> = rows.map(|row| row["offset"].as_u64().expect("an offset")).collect();
        offsets.into_iter().map(|offset| read[offset as usize].clone()).collect::<Vec<_>>()
    };
    let (late, bads) = (records_of("late"), records_of("type"));
    assert_eq!((late.len() as u64, bads.len()), (input.expected.late, 75));
    assert!(bads.iter().all(|record| record.starts_with(br#"{"user_id":"u","#)));
    let is_packed =
        |row: &&Value| row["detail"].as_str().is_some_and(|words| words.contains(", sub-sequence "));
    assert!(rows.iter().filter(is_packed).count() > 20, "rows say where in an aggregate their records are");

    let replay = |job: &Job, reason: &str| {
        with_credentials(job.about(&["quarantine", "replay", "-q"]).args(["--reason", reason])).run()
    };
    assert!(replay(&job, "type").expect_code(0).stdout == lines(&bads), "other records than were put");
    // Of which no row says a sequence number: a checkpoint does, for the end of what was read.
    assert!(replay(&job, "late").expect_code(0).stdout == lines(&late), "other late records than were put");
    let forgotten = job.clone().set("state.dir", folder.path().join("empty").display());
    let nowhere = replay(&forgotten, "late").expect_code(3);
    assert!(
        nowhere.stdout.is_empty() && nowhere.stderr.contains("nobody knows which record"),
        "{}",
        nowhere.stderr
    );

    // A stream that has dropped all before the record in which the fortieth of those stands.
    let place = |row: &Value| {
        let detail = row["detail"].as_str().expect("a detail");
        let (_, place) = detail.trim_end_matches(')').rsplit_once("sequence number ").expect("a place");
        let (sequence, packed) = place.split_once(", sub-sequence ").unwrap_or((place, "0"));
        (sequence.to_owned(), packed.parse::<u64>().expect("a number"))
    };
    let mut places: Vec<(u64, (String, u64))> = rows
        .iter()
        .filter(|row| row["reason"] == "type")
        .map(|row| (row["offset"].as_u64().expect("an offset"), place(row)))
        .collect();
    places.sort();
    let (offset, (oldest, packed)) = places[40].clone();
    let first = (offset - packed) as usize;
    let proxy = Proxy::dropped(kinesis.address(), &oldest);
    let dropped = job.clone().set("source.events.endpoint", proxy.address());
    for reason in ["type", "late"] {
        let kept: Vec<Vec<u8>> =
            records_of(reason).into_iter().filter(|record| read[first..].contains(record)).collect();
        let lost = records_of(reason).len() - kept.len();
        assert!(kept.len() > 10 && lost > 10, "{reason}: {} of {lost}", kept.len());
        let replayed = replay(&dropped, reason).expect_code(3);
        assert!(
            replayed.stdout == lines(&kept),
            "{reason}: other records than are left\n{}",
            replayed.stderr
        );
        for word in [
            "shardId-000000000000@",
            "does not keep records that old",
            &format!("{lost} records could not be had"),
        ] {
            assert!(replayed.stderr.contains(word), "{reason}: no {word:?} in:\n{}", replayed.stderr);
        }
    }
    assert!(proxy.faults() > 0);
}

#[test]
fn quarantine_rows_and_late_ones_go_to_streams_of_their_own() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("events.ndjson");
    generate(6_000, 60, 12, &["--low-frac", "0.1"], &file);
    let events = std::fs::read(&file).expect("events");
    let mut events =
        delayed(events.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    events.extend_from_slice(b"no json\n{}\n");
    std::fs::write(&file, &events).expect("write");
    ["rows-beside", "rest", "late"].iter().for_each(|stream| kinesis.create(stream, 1));
    let to_stream = |job: Job, sink: &str, stream: &str| {
        let set = |job: Job, key: &str, value: &str| job.set(&format!("sink.{sink}.{key}"), value);
        let job = set(set(job, "type", "kinesis"), "stream", stream);
        set(set(job, "region", "us-east-1"), "endpoint", kinesis.address())
    };
    let job = writing(folder.path(), &file, kinesis.address(), "rows-beside");
    run(&to_stream(to_stream(job, "quarantine", "rest"), "late", "late")).expect_code(0);
    let files = folder.path().join("files");
    std::fs::create_dir_all(&files).expect("a folder");
    let late = files.join("late.ndjson");
    let again = Job::reference(PROGRAM, &files, &file).set("source.events.lanes", 3).with_quarantine();
    let again = again.set("sink.late.path", late.display());
    again.run();
    for (stream, path) in [("rest", again.quarantine_path()), ("late", late)] {
        let records = kinesis.records(stream, &kinesis.shards(stream)[0]);
        let found: BTreeSet<Vec<u8>> = records.iter().map(|(_, row)| row.clone()).collect();
        let expected = std::fs::read(path).expect("rows");
        let expected: BTreeSet<Vec<u8>> =
            expected.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).map(<[u8]>::to_vec).collect();
        assert!(!expected.is_empty() && found == expected, "{stream}: other rows");
        assert!(records.iter().all(|(key, _)| key.starts_with(file.to_str().expect("a path"))), "{stream}");
    }
}
