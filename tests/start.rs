//! Where sources begin that no checkpoint knows: what is there before is not read, what comes later is, however often the
//! job is killed, also right after its first start.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
#[cfg(feature = "http")]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
#[cfg(feature = "http")]
use std::process::Command;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::Signal;
use serde_json::Value;
#[cfg(feature = "http")]
use testkit::http::{Client, connect, free_address};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Invocation, Running, eventually};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(90);

/// Events in the order of their times, in so many parts.
fn parts(folder: &Path, count: u64, parts: usize) -> Vec<Vec<u8>> {
    let file = folder.join("events.ndjson");
    generate(count, 500, 15, &["--low-frac", "0.1"], &file);
    let bytes = std::fs::read(&file).expect("events");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    lines.chunks(lines.len().div_ceil(parts)).map(<[&[u8]]>::concat).collect()
}

/// The alerts of a job that reads these parts, and how many events they have.
fn expected(parts: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let bytes = parts.concat();
    let expected = Podcast { lanes: 1, ..Podcast::default() }.expect(&bytes);
    assert!(expected.late == 0 && !expected.alerts.is_empty());
    (expected.alerts.into_bytes(), bytes.iter().filter(|&&byte| byte == b'\n').count())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("pack");
    encoder.finish().expect("pack")
}

/// Shows a file under its name once it is written.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let hidden = folder.join(format!(".{name}"));
    std::fs::write(&hidden, bytes).expect("write");
    std::fs::rename(&hidden, folder.join(name)).expect("rename");
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("open");
    file.write_all(bytes).expect("write");
}

fn job(folder: &Path, input: &Path, start: &str) -> Job {
    Job::reference(PROGRAM, folder, input)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("source.events.start", format!("\"{start}\""))
}

/// Starts a job for the first time, and kills it as soon as it has the checkpoint that every start makes before it reads,
/// and no other.
fn first_start(job: &Job, known: impl Fn(Invocation) -> Invocation) {
    let running = known(job.clone().set("state.checkpoint_every", "\"1h\"").invocation()).start();
    eventually("a first checkpoint", SOON, || {
        (known(job.about(&["checkpoints", "list"])).run().code() == Some(0)).then_some(())
    });
    running.kill();
}

fn sigterm(running: Running) {
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

/// Starts a job, and tells it to stop, until it has read so many events: how many alerts there are by then depends on which
/// windows are still open.
fn read_all(job: &Job, count: usize, known: impl Fn(Invocation) -> Invocation) {
    eventually("all events", SOON, || {
        let running = known(job.invocation()).start();
        std::thread::sleep(Duration::from_secs(1));
        sigterm(running);
        (job.report()["read"] == count).then_some(())
    });
}

#[test]
fn of_a_watched_directory_only_what_came_after_the_first_start_is_read_however_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 40_000, 8);
    let (alerts, count) = expected(&parts[3..]);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a folder");
    put(&input, "k", &parts[0]);
    put(&input, "m.gz", &gzip(&parts[1]));
    put(&input, "x", &parts[2]);
    let job = job(&folder.path().join("out"), &input, "latest").set("source.events.end", "never");
    first_start(&job, |invocation| invocation);
    // While nobody looks; names around those that were there.
    put(&input, "a", &parts[3]);
    put(&input, "l.gz", &gzip(&parts[4]));
    // What is passed over may go, and change.
    std::fs::remove_file(input.join("k")).expect("remove");
    append(&input.join("x"), &parts[0]);
    for (number, name) in [(5, "z"), (6, "b"), (7, "n.gz")] {
        let running = job.clone().workers(number % 3 + 1).invocation().start();
        let before = job.alerts().len();
        eventually("more alerts", SOON, || (job.alerts().len() > before).then_some(()));
        running.kill();
        assert!(alerts.starts_with(&job.alerts()), "part {number}: not a prefix of the answer");
        put(&input, name, &if number == 7 { gzip(&parts[7]) } else { parts[number].clone() });
    }
    // A name that was passed over is known.
    put(&input, "k", &parts[0]);
    read_all(&job.clone().workers(2), count, |invocation| invocation);
    job.clone().set("source.events.end", "latest").run();
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], count);
}

#[test]
fn a_directory_that_is_empty_at_the_first_start_is_read_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 10_000, 1);
    let (alerts, count) = expected(&parts);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a folder");
    let job = job(&folder.path().join("out"), &input, "latest").set("source.events.end", "never");
    first_start(&job, |invocation| invocation);
    put(&input, "a", &parts[0]);
    read_all(&job, count, |invocation| invocation);
    job.clone().set("source.events.end", "latest").run();
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], count);
}

#[test]
fn what_is_finite_and_begins_at_its_end_has_nothing_to_read_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 2_000, 2);
    let input = folder.path().join("events");
    std::fs::create_dir(&input).expect("a folder");
    put(&input, "a", &parts[0]);
    put(&input, "b.gz", &gzip(&parts[1]));
    for (number, path) in [input.clone(), input.join("a"), input.join("b.gz")].iter().enumerate() {
        let job = job(&folder.path().join(format!("out-{number}")), path, "latest");
        job.clone().workers(2).run();
        assert!(job.alerts().is_empty());
        let report = job.report();
        assert_eq!((&report["read"], &report["finished"]), (&Value::from(0), &Value::Bool(true)));
    }
}

/// What is appended to a file that is followed, as lines or CSV, and how it begins.
struct Log {
    head: String,
    parts: Vec<Vec<u8>>,
}

fn as_csv(parts: &[Vec<u8>]) -> Log {
    let written = |part: &Vec<u8>| {
        let mut csv = String::new();
        for line in part.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let event: Value = serde_json::from_slice(line).expect("an event");
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let duration = event.get("duration_s").map(Value::to_string).unwrap_or_default();
            let (user, kind) = (text("user_id"), text("event_type"));
            writeln!(csv, "\"a\n{user},1,\",{user},{},{kind},{duration}", event["ts"]).expect("text");
        }
        csv.into_bytes()
    };
    let head = "\u{feff}\"a \n note\",user_id,ts,event_type,duration_s\n".to_owned();
    Log { head, parts: parts.iter().map(written).collect() }
}

#[test]
fn a_file_that_is_followed_from_its_end_on_begins_with_the_record_that_was_not_whole_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 12_000, 6);
    let (alerts, count) = expected(&parts[2..]);
    let json = Log { head: String::new(), parts: parts.clone() };
    for (format, log) in [("json", json), ("csv", as_csv(&parts))] {
        let folder = folder.path().join(format);
        std::fs::create_dir(&folder).expect("a folder");
        let input = folder.join("log");
        append(&input, log.head.as_bytes());
        append(&input, &log.parts[..2].concat());
        // The writer is in the middle of a record, of CSV behind the newline in it.
        let (begun, rest) = log.parts[2].split_at(12);
        append(&input, begun);
        let job = job(&folder.join("out"), &input, "latest")
            .set("source.events.end", "never")
            .set("source.events.format", format!("\"{format}\""));
        first_start(&job, |invocation| invocation);
        append(&input, rest);
        let mut running = job.clone().invocation().start();
        for (number, part) in log.parts.iter().enumerate().skip(3) {
            if number == 4 {
                std::fs::rename(&input, folder.join("log.1")).expect("rotate");
                append(&input, log.head.as_bytes());
            }
            append(&input, part);
            std::thread::sleep(Duration::from_millis(400));
            running.kill();
            running = job.clone().workers(number % 2 + 1).invocation().start();
        }
        running.kill();
        read_all(&job, count, |invocation| invocation);
        assert!(!job.alerts().is_empty());
        assert!(alerts.starts_with(&job.alerts()), "{format}: other alerts than the oracle");
    }
}

/// A file that was last written that many days after 1970.
fn dated(path: &Path, bytes: &[u8], days: u64) -> PathBuf {
    std::fs::write(path, bytes).expect("write");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
    OpenOptions::new().write(true).open(path).expect("open").set_modified(time).expect("a time");
    path.to_owned()
}

#[test]
fn files_that_are_named_are_read_from_a_time_on_and_what_was_decided_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 20_000, 3);
    let (alerts, count) = expected(&parts[1..]);
    let old = dated(&folder.path().join("old.ndjson"), &parts[0], 100);
    let new = dated(&folder.path().join("new.ndjson"), &parts[1..].concat(), 200);
    let time = "1970-06-01T00:00:00Z";
    let list = format!("[\"{}\", \"{}\"]", old.display(), new.display());
    let both = job(&folder.path().join("both"), &new, time).set("source.events.path", list);
    let running = both.clone().set("source.events.rate", 5_000).invocation().start();
    eventually("some alerts", SOON, || (!both.alerts().is_empty()).then_some(()));
    running.kill();
    // Written anew, the one is still passed over, and the other still read.
    dated(&old, &parts[0], 300);
    dated(&new, &parts[1..].concat(), 100);
    both.run();
    assert!(both.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(both.report()["read"], count);

    // Alone it is cut into lanes, and all of them are passed over, or none is. By now the old one is the one that was
    // written late enough.
    let lines = parts[0].split_inclusive(|&byte| byte == b'\n').count();
    for (name, read) in [("old", lines), ("new", 0)] {
        let input = folder.path().join(format!("{name}.ndjson"));
        let alone = job(&folder.path().join(name), &input, time).workers(2);
        alone.run();
        assert_eq!(alone.report()["read"], read, "{name}");
    }
}

#[test]
fn a_file_that_is_followed_is_read_from_a_time_on_if_it_was_written_since_else_from_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 12_000, 3);
    // What was written last before the time, after it, and not at all.
    for (name, days, from) in [("old", Some(100), 1), ("new", Some(200), 0), ("none", None, 0)] {
        let (alerts, count) = expected(&parts[from..]);
        let input = folder.path().join(name).with_extension("ndjson");
        if let Some(days) = days {
            dated(&input, &parts[0], days);
        }
        let job =
            job(&folder.path().join(name), &input, "1970-06-01T00:00:00Z").set("source.events.end", "never");
        first_start(&job, |invocation| invocation);
        if days.is_none() {
            append(&input, &parts[0]);
        }
        append(&input, &parts[1]);
        let running = job.clone().workers(2).invocation().start();
        eventually("some alerts", SOON, || (!job.alerts().is_empty()).then_some(()));
        running.kill();
        append(&input, &parts[2]);
        read_all(&job, count, |invocation| invocation);
        assert!(alerts.starts_with(&job.alerts()), "{name}: other alerts than the oracle");
    }
}

#[cfg(feature = "s3")]
#[test]
fn of_a_watched_prefix_only_what_came_after_the_first_start_is_read() {
    use checkpoint::{Bucket, Disk, Keys, S3Disk};
    use testkit::s3::{BUCKET, KEYS, server};

    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 20_000, 4);
    let (alerts, count) = expected(&parts[2..]);
    let bucket = Bucket::parse(&format!("s3://{BUCKET}/start/events")).expect("s3").expect("an address");
    let keys = Some(Keys { access: KEYS.0.into(), secret: KEYS.1.into() });
    let objects = S3Disk::open(&Bucket { endpoint: Some(server.address().to_owned()), keys, ..bucket });
    let objects = objects.expect("a disk");
    let put = |name: &str, bytes: Vec<u8>| objects.write(name, &[bytes.into()]).expect("put");
    put("k", parts[0].clone());
    put("dt=1/m.gz", gzip(&parts[1]));
    let input = format!("s3://{BUCKET}/start/events/");
    let job = job(&folder.path().join("out"), Path::new(&input), "latest").set("source.events.end", "never");
    first_start(&job, |invocation| server.known_to(invocation));
    objects.remove("k").expect("remove");
    put("a", parts[2].clone());
    let running = server.known_to(job.clone().workers(2).invocation()).start();
    eventually("some alerts", SOON, || (!job.alerts().is_empty()).then_some(()));
    running.kill();
    put("dt=1/b.gz", gzip(&parts[3]));
    read_all(&job, count, |invocation| server.known_to(invocation));
    server.known_to(job.clone().set("source.events.end", "latest").invocation()).run().expect_code(0);
    assert!(job.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], count);
}

/// Jobs on one journal, and whoever posts to it.
#[cfg(feature = "http")]
struct Posting {
    folder: PathBuf,
    address: SocketAddr,
}

#[cfg(feature = "http")]
impl Posting {
    fn new(folder: &Path) -> Self {
        Posting { folder: folder.to_owned(), address: free_address() }
    }

    /// A job with a state of its own.
    fn job(&self, name: &str, start: &str) -> Job {
        Job::new(PROGRAM, "configs/podcast-http.toml", self.folder.join(name))
            .with_alerts()
            .with_state()
            .set("source.events.listen", self.address)
            .set("source.events.dir", self.folder.join("journal").display())
            .set("source.events.start", format!("\"{start}\""))
            .set("state.checkpoint_every", "\"100ms\"")
    }

    /// One that has no checkpoint but that which the start itself makes.
    fn listening_for_the_first_time(&self, job: &Job) -> Running {
        self.listening(&job.clone().set("state.checkpoint_every", "\"1h\""))
    }

    fn listening(&self, job: &Job) -> Running {
        let running = job.invocation().start();
        eventually("a server", SOON, || connect(self.address).ok());
        running
    }

    fn post(&self, part: &[u8]) {
        let headers = [("content-type", "application/x-ndjson")];
        let answer = Client::new(self.address).post("/v1/events", &headers, part);
        assert_eq!(answer.expect("an answer").status, 200);
    }

    /// Reads all that the journal holds for the job, and ends.
    fn drain(&self, job: &Job) {
        job.clone().set("source.events.end", "latest").run();
    }
}

/// What a job that reads these parts of a journal puts out, and how many events they have.
#[cfg(feature = "http")]
fn expected_of_posted(parts: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let bytes = parts.concat();
    let oracle = Podcast { lanes: 1, bound_ms: 300_000, ..Podcast::default() }.expect(&bytes);
    assert!(oracle.late == 0 && !oracle.alerts.is_empty());
    (oracle.alerts.into_bytes(), bytes.iter().filter(|&&byte| byte == b'\n').count())
}

#[cfg(feature = "http")]
#[test]
fn of_a_journal_only_what_is_acknowledged_after_the_first_start_is_read_also_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 12_000, 6);
    let (alerts, count) = expected_of_posted(&parts[2..]);
    let posting = Posting::new(folder.path());
    let first = posting.job("first", "earliest");
    let running = posting.listening(&first);
    posting.post(&parts[0]);
    running.kill();
    let running = posting.listening(&first);
    posting.post(&parts[1]);
    sigterm(running);

    let other = posting.job("other", "latest");
    let running = posting.listening_for_the_first_time(&other);
    posting.post(&parts[2]);
    running.kill();
    let running = posting.listening(&other);
    posting.post(&parts[3]);
    posting.post(&parts[4]);
    running.kill();
    let running = posting.listening(&other);
    posting.post(&parts[5]);
    sigterm(running);
    posting.drain(&other);
    assert!(other.alerts() == alerts, "other alerts than the oracle");
    assert_eq!(other.report()["read"], count);

    // With an end there is nothing to read at all.
    let nothing = posting.job("nothing", "latest");
    posting.drain(&nothing);
    assert_eq!(nothing.report()["read"], 0);
}

/// A time of whole seconds that lies behind all that was done before, and not behind what is done next.
#[cfg(feature = "http")]
fn a_time_between() -> String {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).expect("a time");
    let next = Duration::from_secs(since(SystemTime::now()).as_secs() + 1);
    eventually("the next second", SOON, || (since(SystemTime::now()) >= next).then_some(()));
    let shown = Command::new("date").args(["-u", "-d", &format!("@{}", next.as_secs()), "+%FT%TZ"]).output();
    String::from_utf8(shown.expect("date").stdout).expect("UTF-8").trim().to_owned()
}

#[cfg(feature = "http")]
#[test]
fn of_a_journal_what_was_acknowledged_at_a_time_or_later_is_read_and_what_was_decided_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let parts = parts(folder.path(), 12_000, 6);
    let posting = Posting::new(folder.path());
    let judge = |job: &Job, parts: &[Vec<u8>]| {
        let (alerts, count) = expected_of_posted(parts);
        assert_eq!(job.report()["read"], count);
        assert!(job.alerts() == alerts, "other alerts than the oracle");
    };
    let first = posting.job("first", "earliest");
    let running = posting.listening(&first);
    posting.post(&parts[0]);
    running.kill();
    let running = posting.listening(&first);
    posting.post(&parts[1]);
    let time = a_time_between();
    posting.post(&parts[2]);
    sigterm(running);

    let since = posting.job("since", &time);
    let running = posting.listening_for_the_first_time(&since);
    posting.post(&parts[3]);
    running.kill();
    let running = posting.listening(&since);
    posting.post(&parts[4]);
    sigterm(running);
    posting.drain(&since);
    judge(&since, &parts[2..5]);

    // Where there is nothing as late it begins at the end, which a start after a crash does not look for again.
    let behind = posting.job("behind", "2999-01-01T00:00:00Z");
    let running = posting.listening_for_the_first_time(&behind);
    posting.post(&parts[5]);
    running.kill();
    posting.drain(&behind);
    judge(&behind, &parts[5..]);
    let nothing = posting.job("nothing", "2999-01-01T00:00:00Z");
    posting.drain(&nothing);
    assert_eq!(nothing.report()["read"], 0);

    let all = posting.job("all", "2000-01-01T00:00:00Z");
    posting.drain(&all);
    judge(&all, &parts);
    // What came while others listened has its time, too.
    let again = posting.job("again", &time);
    posting.drain(&again);
    judge(&again, &parts[2..]);
}
