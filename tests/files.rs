//! Files that are one partition, and sources of several: whole jobs that read CSV, packed files or a directory give the
//! answer of the same events in one file of JSON, however often they are killed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::eventually;
use testkit::random::{Random, seed};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// Events with late ones among them as lines of JSON, and the alerts of a job that reads them as one partition.
fn events(folder: &Path, count: u64) -> (Vec<u8>, Vec<u8>) {
    let file = folder.join("events.ndjson");
    generate(count, 500, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let shuffled =
        delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    let expected = Podcast { lanes: 1, ..Podcast::default() }.expect(&shuffled);
    assert!(expected.late > 50 && !expected.alerts.is_empty());
    (shuffled, expected.alerts.into_bytes())
}

/// The same events as CSV: columns that nobody needs hold what is hard to read, and quotes stand where they may.
fn csv(lines: &[u8]) -> Vec<u8> {
    let mut csv = "\u{feff}note,\"user_id\",ts,event_type,\"a \"\"b\"\", c\",duration_s\r\n".to_owned();
    let notes = ["", "\"\"", "\"two\nlines, one \"\"field\"\"\"", "#", "a\"b", "\\", " "];
    for (number, line) in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let event: Value = serde_json::from_slice(line).expect("an event");
        let user = event["user_id"].as_str().expect("a user");
        let user = if number % 3 == 0 { format!("\"{user}\"") } else { user.to_owned() };
        let duration = event.get("duration_s").map(Value::to_string).unwrap_or_default();
        let kind = event["event_type"].as_str().expect("a kind");
        let note = notes[number % notes.len()];
        let end = if number % 2 == 0 { "\r\n" } else { "\n" };
        write!(csv, "{note},{user},{},{kind},\"x,\n\",{duration}{end}", event["ts"]).expect("text");
    }
    csv.into_bytes()
}

fn job(folder: &Path, input: &Path) -> Job {
    Job::reference(PROGRAM, folder, input).set("state.checkpoint_every", "\"100ms\"")
}

/// Kills a job again and again, starts it with another number of workers, and at last lets it end.
fn killed(job: &Job, kills: usize) {
    let mut random = Random::new(seed(91));
    for kill in 0..kills {
        let running =
            job.clone().set("source.events.rate", 20_000).workers(1 + kill % 3).invocation().start();
        std::thread::sleep(Duration::from_millis(random.below(900)));
        running.kill();
    }
    job.clone().workers(2).run();
}

#[test]
fn csv_gives_the_alerts_of_the_same_events_in_json_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 40_000);
    let input = folder.path().join("events.csv");
    std::fs::write(&input, csv(&lines)).expect("write");
    let job = job(&folder.path().join("out"), &input);
    killed(&job, 6);
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 40_000);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("pack");
    encoder.finish().expect("pack")
}

#[test]
fn packed_files_give_the_alerts_of_plain_ones_however_they_are_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 30_000);
    let zstd = zstd::encode_all(&lines[..], 1).expect("pack");
    for (name, bytes) in [("events.csv.gz", gzip(&csv(&lines))), ("events.ndjson.zst", zstd)] {
        let input = folder.path().join(name);
        std::fs::write(&input, bytes).expect("write");
        let job = job(&folder.path().join("out").join(name), &input);
        killed(&job, 3);
        assert!(job.alerts() == alerts, "{name}: other alerts than the oracle");
        assert_eq!(job.report()["read"], 30_000);
    }
}

#[test]
fn a_packed_file_that_is_cut_off_ends_the_run_with_its_name_and_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson.gz");
    let whole = gzip(&events(folder.path(), 5_000).0);
    std::fs::write(&input, &whole[..whole.len() - 9]).expect("write");
    let finished = job(&folder.path().join("out"), &input).invocation().run().expect_code(3);
    for words in ["cannot unpack", "events.ndjson.gz behind its first ", "hint: the file is damaged"] {
        assert!(finished.stderr.contains(words), "no {words} in {}", finished.stderr);
    }
}

/// The events of a file in order, parted into files of a directory: plain and packed, JSON.
fn directory(folder: &Path, count: u64) -> (std::path::PathBuf, Vec<u8>) {
    let file = folder.join("events.ndjson");
    generate(count, 500, 13, &["--low-frac", "0.1"], &file);
    let bytes = std::fs::read(&file).expect("events");
    let expected = Podcast { lanes: 1, ..Podcast::default() }.expect(&bytes);
    assert!(expected.late == 0 && !expected.alerts.is_empty());
    let input = folder.join("events");
    std::fs::create_dir(&input).expect("a folder");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    for (number, part) in lines.chunks(lines.len() / 3 + 1).enumerate() {
        let part = part.concat();
        match number {
            1 => std::fs::write(input.join("b.ndjson.gz"), gzip(&part)),
            _ => std::fs::write(input.join(format!("{number}.ndjson")), &part),
        }
        .expect("write");
    }
    (input, expected.alerts.into_bytes())
}

#[test]
fn a_directory_is_read_as_it_was_at_the_first_start_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, alerts) = directory(folder.path(), 40_000);
    let job = job(&folder.path().join("out"), &input);
    let running = job.clone().set("source.events.rate", 10_000).invocation().start();
    eventually("a first checkpoint", Duration::from_secs(30), || {
        job.state_path().read_dir().ok().and_then(|mut entries| entries.next()).map(drop)
    });
    std::thread::sleep(Duration::from_millis(500));
    running.kill();
    std::fs::write(input.join("a.ndjson"), std::fs::read(input.join("0.ndjson")).expect("events"))
        .expect("write");
    killed(&job, 3);
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 40_000, "the file that came later is not read");
}

#[test]
fn a_directory_is_read_from_a_time_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 20_000);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a directory");
    std::fs::write(input.join("b.ndjson"), &lines).expect("write");
    let old = std::fs::File::create(input.join("a.ndjson")).expect("a file");
    (&old).write_all(&lines[..lines.len() / 2]).expect("write");
    old.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("a time");
    let job = job(&folder.path().join("out"), &input).set("source.events.start", "\"2020-01-01T00:00:00Z\"");
    job.run();
    assert!(job.alerts() == alerts, "other alerts than of the newer file");
    assert_eq!(job.report()["read"], 20_000);
}

#[test]
fn a_list_of_files_is_read_whole_and_one_that_is_missing_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, alerts) = directory(folder.path(), 10_000);
    let list = |names: &[&str]| {
        let quoted: Vec<String> =
            names.iter().map(|name| format!("\"{}\"", input.join(name).display())).collect();
        format!("[{}]", quoted.join(", "))
    };
    let job = job(&folder.path().join("out"), &input);
    let all = job.clone().set("source.events.path", list(&["2.ndjson", "b.ndjson.gz", "0.ndjson"]));
    all.workers(2).run();
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    let absent = Job::reference(PROGRAM, folder.path().join("absent"), &input);
    let absent = absent.set("source.events.path", list(&["0.ndjson", "absent"]));
    let finished = absent.invocation().run().expect_code(3);
    assert!(finished.stderr.contains("absent does not exist"), "{}", finished.stderr);
}

#[test]
fn a_record_of_csv_that_does_not_fit_is_shown_whole_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events");
    let time = 1_700_000_000_000u64;
    let header = "user_id,ts,event_type,duration_s\n";
    let records = [
        format!("a,{time},listen,1.5\n"),
        format!("a,{time},\"two\nlines\",+1\r\n"),
        format!("a,{time},listen\n"),
        format!(",{time},listen,1\n"),
        "a,1,\"x\ny\",1\n".to_owned(),
        format!("a,{},\"late\nline\",1\n", time - 3_600_000),
        format!("a,{time},\"never closed,1\na,{time},listen,1\n"),
    ];
    std::fs::write(&input, header.to_owned() + &records.concat()).expect("write");
    let job = job(&folder.path().join("out"), &input).with_quarantine().set("source.events.format", "csv");
    job.run();
    let offset = |record: usize| header.len() + records[..record].iter().map(String::len).sum::<usize>();
    let shown: Vec<Value> = job
        .quarantine()
        .into_iter()
        .map(|row| json!([row["offset"], row["reason"], row["raw"], row["partition"]]))
        .collect();
    let expected: Vec<Value> =
        [(1, "type"), (2, "malformed"), (3, "missing"), (4, "time_range"), (5, "late"), (6, "malformed")]
            .map(|(record, reason)| {
                let raw = records[record].strip_suffix('\n').unwrap_or_default();
                let raw = if record == 6 { &records[record] } else { raw.strip_suffix('\r').unwrap_or(raw) };
                json!([offset(record), reason, raw, input.display().to_string()])
            })
            .to_vec();
    assert_eq!(shown, expected);
    let details: Vec<String> = job.quarantine().iter().map(|row| row["detail"].to_string()).collect();
    for (detail, words) in
        details.iter().zip(["is not a double: +1", "has 3 fields, the header 4", "`user_id` is missing"])
    {
        assert!(detail.contains(words), "no {words} in {detail}");
    }
}

#[test]
fn a_file_that_is_followed_through_rotation_gives_the_alerts_of_all_its_events_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = events(folder.path(), 12_000);
    let input = folder.path().join("log");
    let job = job(&folder.path().join("out"), &input).set("source.events.end", "never");
    let mut running = job.clone().invocation().start();
    let parts: Vec<&[u8]> = lines.split_inclusive(|&byte| byte == b'\n').collect();
    for (number, part) in parts.chunks(1_000).enumerate() {
        if number % 4 == 3 {
            std::fs::rename(&input, folder.path().join(format!("log.{number}"))).expect("rotate");
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&input).expect("open");
        file.write_all(&part.concat()).expect("write");
        std::thread::sleep(Duration::from_millis(150));
        if number % 5 == 2 {
            running.kill();
            running = job.clone().workers(1 + number % 2).invocation().start();
        }
    }
    // The last windows stay open for what may come.
    let most = alerts.len() / 2;
    eventually("most alerts", Duration::from_secs(60), || (job.alerts().len() > most).then_some(()));
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.wait(Duration::from_secs(30)).expect_code(0);
    assert_eq!(job.report()["read"], 12_000);
    assert!(alerts.starts_with(&job.alerts()), "other alerts than the oracle");
}

/// Events in the order of their times, none of them late, and the alerts of a job that reads all of them.
fn in_order(folder: &Path, count: u64) -> (Vec<u8>, Vec<u8>) {
    let file = folder.join("events.ndjson");
    generate(count, 500, 13, &["--low-frac", "0.1"], &file);
    let bytes = std::fs::read(&file).expect("events");
    let expected = Podcast { lanes: 1, ..Podcast::default() }.expect(&bytes);
    assert!(expected.late == 0 && !expected.alerts.is_empty());
    (bytes, expected.alerts.into_bytes())
}

/// Shows a file under its name once it is written.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let hidden = folder.join(format!(".{name}"));
    std::fs::write(&hidden, bytes).expect("write");
    std::fs::rename(&hidden, folder.join(name)).expect("rename");
}

fn sigterm(running: testkit::process::Running) {
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.wait(Duration::from_secs(60)).expect_code(0);
}

#[test]
fn a_directory_that_is_watched_gives_the_alerts_of_all_files_that_come_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = in_order(folder.path(), 40_000);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a folder");
    let job = job(&folder.path().join("out"), &input).set("source.events.end", "never");
    let parts: Vec<&[u8]> = lines.split_inclusive(|&byte| byte == b'\n').collect();
    let parts: Vec<Vec<u8>> = parts.chunks(parts.len() / 10 + 1).map(<[&[u8]]>::concat).collect();
    // Names whose order is not that in which the files come.
    let names = ["m", "c.gz", "x", "a", "k", "b.gz", "z", "d", "e", "y"];
    let mut random = Random::new(seed(92));
    let mut running = job.clone().workers(2).invocation().start();
    for (number, (part, name)) in parts.iter().zip(names).enumerate() {
        let bytes = if name.ends_with(".gz") { gzip(part) } else { part.clone() };
        put(&input, name, &bytes);
        if number == 2 {
            // Noticed while the job runs: it was not there at any start.
            eventually("some alerts", Duration::from_secs(60), || (!job.alerts().is_empty()).then_some(()));
            std::fs::remove_file(input.join("m")).expect("remove a file that was read to its end");
        }
        std::thread::sleep(Duration::from_millis(random.below(700)));
        if number % 2 == 1 {
            running.kill();
            if number == 5 {
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(alerts.starts_with(&job.alerts()), "part {number}: not a prefix of the answer");
            running = job.clone().workers(1 + number % 3).invocation().start();
        }
    }
    let most = alerts.len() * 9 / 10;
    eventually("most alerts", Duration::from_secs(90), || (job.alerts().len() >= most).then_some(()));
    sigterm(running);
    assert_eq!(job.report()["read"], 40_000);
    // What comes from now on is not read, and the windows close.
    put(&input, "later", &parts[0]);
    job.clone().set("source.events.end", "latest").workers(2).run();
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 40_000);
}

#[test]
fn a_file_that_is_taken_away_before_it_was_read_stops_the_job_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, _) = in_order(folder.path(), 20_000);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a folder");
    put(&input, "a", &lines);
    let job = job(&folder.path().join("out"), &input).set("source.events.end", "never");
    let running = job.clone().set("source.events.rate", 5_000).invocation().start();
    eventually("a first delivery", Duration::from_secs(60), || (!job.alerts().is_empty()).then_some(()));
    sigterm(running);
    std::fs::remove_file(input.join("a")).expect("remove");
    let finished = job.invocation().run().expect_code(3);
    let words = format!("{} is gone, and was not read to its end", input.join("a").display());
    assert!(finished.stderr.contains(&words), "{}", finished.stderr);
}

#[test]
fn files_that_are_found_together_join_together_so_that_none_makes_another_late() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, alerts) = in_order(folder.path(), 40_000);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a folder");
    let job = job(&folder.path().join("out"), &input).set("source.events.end", "never").workers(3);
    let lines: Vec<&[u8]> = lines.split_inclusive(|&byte| byte == b'\n').collect();
    for (batch, lines) in lines.chunks(lines.len() / 2 + 1).enumerate() {
        // Each file spans the time of all of them.
        for number in 0..5 {
            let part: Vec<&[u8]> = lines.iter().skip(number).step_by(5).copied().collect();
            put(&input, &format!("{number}-{batch}"), &part.concat());
        }
        let before = job.alerts().len();
        let running = job.clone().invocation().start();
        let most = alerts.len() * (2 * batch + 1) / 5;
        eventually("more alerts", Duration::from_secs(60), || {
            (job.alerts().len() > before.max(most)).then_some(())
        });
        sigterm(running);
    }
    job.clone().set("source.events.end", "latest").run();
    assert_eq!((&job.report()["read"], &job.report()["late"]), (&json!(40_000), &json!(0)));
    assert!(job.alerts() == alerts, "other alerts than the oracle");
}
