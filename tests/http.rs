//! Jobs on events that clients post: killed, cut off from their disk, told to stop, several processes of them. In the
//! end each event that was acknowledged is counted once, and the alerts are the oracle's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::http::{Answer, Client, connect, free_address, request};
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Finished, Invocation, Running, children, eventually, send};
use testkit::random::{Random, seed};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const SOON: Duration = Duration::from_secs(60);

/// Lines that are posted together.
const BATCH: usize = 100;
/// Batches that clients are ahead of the oldest one that is not acknowledged: with events of an hour in 60,000 lines, a
/// minute of event time. The job allows for five.
const AHEAD: usize = 10;

/// Events of an hour, and the alerts that they must give, in whatever order they come.
struct Input {
    batches: Vec<Vec<u8>>,
    alerts: Vec<u8>,
}

fn input(folder: &Path, events: u64) -> Input {
    let file = folder.join("events.ndjson");
    generate(events, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let expected = Podcast { lanes: 1, bound_ms: 300_000, ..Podcast::default() }.expect(&lines);
    assert!(expected.late == 0 && expected.alerts.lines().count() > 100);
    let all: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
    let batches = all.chunks(BATCH).map(<[&[u8]]>::concat).collect();
    Input { batches, alerts: expected.alerts.into_bytes() }
}

/// The job, with the alerts and the state in that folder, and the journal beside them.
fn job(folder: &Path, address: SocketAddr) -> Job {
    Job::new(PROGRAM, "configs/podcast-http.toml", folder)
        .with_alerts()
        .with_state()
        .set("source.events.listen", address)
        .set("source.events.dir", folder.join("journal").display())
        .set("state.checkpoint_every", "\"100ms\"")
}

/// Runs it to the end of what was acknowledged.
fn finish(job: &Job) {
    job.clone().set("source.events.end", "latest").run();
}

fn listens(address: SocketAddr) {
    eventually("a server", SOON, || connect(address).ok());
}

/// The batches, and which of them are acknowledged.
struct Queue {
    next: usize,
    is_done: Vec<bool>,
    oldest: usize,
}

/// Clients that post batches until each is acknowledged.
struct Clients {
    queue: Arc<Mutex<Queue>>,
    threads: Vec<JoinHandle<()>>,
    accepted: Arc<AtomicU64>,
    deduplicated: Arc<AtomicU64>,
    busy: Arc<AtomicU64>,
    gives_up: Arc<AtomicBool>,
}

impl Clients {
    /// So many, each of which rests for that long after a batch.
    fn start(count: usize, address: SocketAddr, batches: &[Vec<u8>], rest: Duration) -> Clients {
        let queue = Queue { next: 0, is_done: vec![false; batches.len()], oldest: 0 };
        let mut clients = Clients {
            queue: Arc::new(Mutex::new(queue)),
            threads: Vec::new(),
            accepted: Arc::default(),
            deduplicated: Arc::default(),
            busy: Arc::default(),
            gives_up: Arc::default(),
        };
        let batches = Arc::new(batches.to_vec());
        for _ in 0..count {
            let (queue, batches) = (Arc::clone(&clients.queue), Arc::clone(&batches));
            let (accepted, deduplicated) = (Arc::clone(&clients.accepted), Arc::clone(&clients.deduplicated));
            let (busy, gives_up) = (Arc::clone(&clients.busy), Arc::clone(&clients.gives_up));
            clients.threads.push(std::thread::spawn(move || {
                let mut client = Client::new(address);
                while let Some(batch) = take(&queue) {
                    let Some(batch) = batch else {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    let (media, body) = body_of(batch, &batches[batch]);
                    loop {
                        match client.post("/v1/events", &[("content-type", media)], &body) {
                            Ok(answer) if answer.status == 200 => {
                                let [new, again] = counts(&answer);
                                accepted.fetch_add(new, Ordering::Relaxed);
                                deduplicated.fetch_add(again, Ordering::Relaxed);
                                break;
                            }
                            Ok(answer) => {
                                assert!([429, 503].contains(&answer.status), "{answer:?}");
                                assert_eq!(answer.header("retry-after"), Some("1"));
                                busy.fetch_add(1, Ordering::Relaxed);
                            }
                            // Killed: whether it was taken in nobody knows.
                            Err(_) => {}
                        }
                        if gives_up.load(Ordering::Relaxed) {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    queue.lock().expect("a queue").is_done[batch] = true;
                    std::thread::sleep(rest);
                }
            }));
        }
        clients
    }

    fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// How many batches are acknowledged.
    fn acknowledged(&self) -> usize {
        self.queue.lock().expect("a queue").is_done.iter().filter(|done| **done).count()
    }

    /// Waits for them to be done.
    fn wait(&mut self) {
        eventually("all are acknowledged", SOON, || self.are_done().then_some(()));
        self.threads.drain(..).for_each(|thread| thread.join().expect("a client"));
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.gives_up.store(true, Ordering::Relaxed);
    }
}

/// The next batch, none yet, or no more.
fn take(queue: &Mutex<Queue>) -> Option<Option<usize>> {
    let mut queue = queue.lock().expect("a queue");
    while queue.is_done.get(queue.oldest) == Some(&true) {
        queue.oldest += 1;
    }
    if queue.next == queue.is_done.len() {
        return None;
    }
    if queue.next >= queue.oldest + AHEAD {
        return Some(None);
    }
    queue.next += 1;
    Some(Some(queue.next - 1))
}

/// A batch as lines or, each other one, as an array.
fn body_of(number: usize, lines: &[u8]) -> (&'static str, Vec<u8>) {
    if number.is_multiple_of(2) {
        return ("application/x-ndjson", lines.to_vec());
    }
    let text = String::from_utf8(lines.to_vec()).expect("text");
    ("application/json", format!("[{}]", text.trim_end().replace('\n', ",\n")).into_bytes())
}

fn counts(answer: &Answer) -> [u64; 2] {
    let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    ["accepted", "deduplicated"].map(|name| said[name].as_u64().expect("a count"))
}

#[test]
fn however_often_it_is_killed_each_event_that_was_acknowledged_is_counted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 60_000);
    let address = free_address();
    let out = folder.path().join("out");
    // Small enough that files of the journal are removed meanwhile.
    let job = job(&out, address)
        .set("source.events.journal_bytes", "\"16MiB\"")
        .set("source.events.decompressed_bytes", "\"1MiB\"");
    let kills: u64 = std::env::var("TIDEWATCH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let mut random = Random::new(seed(81));
    let rest = Duration::from_millis(5 * kills);
    let mut clients = Clients::start(4, address, &input.batches, rest);
    let mut committed = Vec::new();
    for kill in 0..kills {
        let workers = 1 + random.below(3) as usize;
        let running = job.clone().workers(workers).invocation().start();
        std::thread::sleep(Duration::from_millis(200 + random.below(1_000)));
        running.kill();
        let now = job.alerts();
        assert!(now.starts_with(&committed) && input.alerts.starts_with(&now), "kill {kill}: not a prefix");
        committed = now;
        eprintln!(
            "kill {kill}: {} of {} batches, {} of {} bytes",
            clients.acknowledged(),
            input.batches.len(),
            committed.len(),
            input.alerts.len()
        );
    }
    assert!(clients.acknowledged() > 50, "they have come through in between");
    let running = job.clone().workers(2).invocation().start();
    clients.wait();
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    finish(&job.clone().workers(3));
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    let report = job.report();
    assert_eq!((&report["read"], &report["late"]), (&60_000.into(), &0.into()));
    let sent = clients.accepted.load(Ordering::Relaxed) + clients.deduplicated.load(Ordering::Relaxed);
    assert_eq!(sent, 60_000, "each event was acknowledged once");
    eprintln!("{} were there when they came again", clients.deduplicated.load(Ordering::Relaxed));
    let first = out.join("journal").join(format!("{:020}.log", 0));
    assert!(!first.exists(), "what lies before the checkpoints is gone");
}

#[test]
fn the_first_of_several_processes_listens_and_all_of_them_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let address = free_address();
    let job = job(&folder.path().join("out"), address);
    let running = job.clone().processes(2).workers(2).invocation().start();
    let mut clients = Clients::start(2, address, &input.batches, Duration::ZERO);
    clients.wait();
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    finish(&job);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 20_000);
}

#[test]
fn a_source_that_falls_to_another_process_than_the_first_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    // The second source of two, where each process has one worker.
    let config = std::fs::read_to_string(repository().join("configs/podcast-http.toml")).expect("a config");
    let other = config.replacen("[source.events]", "[source.a]\ntype = \"generate\"\n\n[source.events]", 1);
    let path = folder.path().join("two.toml");
    std::fs::write(&path, other).expect("write");
    let address = free_address();
    let two = Job::new(PROGRAM, &path, folder.path().join("two"))
        .with_alerts()
        .with_state()
        .set("source.events.listen", address)
        .set("source.events.dir", folder.path().join("journal").display())
        .processes(2);
    let finished = two.invocation().run();
    let words = "source `events` can be read by the first process alone";
    assert!(finished.code() != Some(0) && finished.stderr.contains(words), "{}", finished.stderr);
    let running = two.workers(2).invocation().start();
    listens(address);
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

#[test]
fn a_job_that_cannot_keep_up_has_its_clients_come_again_later_and_none_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 150_000);
    let address = free_address();
    let job = job(&folder.path().join("out"), address)
        .set("source.events.journal_bytes", "\"16MiB\"")
        .set("source.events.decompressed_bytes", "\"1MiB\"")
        .set("source.events.rate", 30_000);
    let running = job.invocation().start();
    let mut clients = Clients::start(4, address, &input.batches, Duration::ZERO);
    clients.wait();
    assert!(clients.busy.load(Ordering::Relaxed) > 0, "nobody was told to come again");
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    finish(&job.set("source.events.rate", 0));
    let job = self::job(&folder.path().join("out"), address);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 150_000);
}

#[test]
fn a_job_that_is_told_to_stop_keeps_what_it_has_acknowledged_and_goes_on_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let address = free_address();
    let job = job(&folder.path().join("out"), address);
    let mut clients = Clients::start(3, address, &input.batches, Duration::from_millis(20));
    for stop in 0..3 {
        let before = clients.acknowledged();
        let running = job.invocation().start();
        eventually("some batches", SOON, || (clients.acknowledged() > before + 10).then_some(()));
        running.signal(Signal::SIGTERM);
        running.wait(SOON).expect_code(0);
        assert!(connect(address).is_err(), "stop {stop}: nobody listens");
    }
    let running = job.invocation().start();
    clients.wait();
    running.kill();
    finish(&job);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 20_000);
}

#[test]
fn a_port_that_is_taken_ends_the_job_with_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let job = job(folder.path(), address);
    let finished = job.invocation().arg("--no-supervise").run().expect_code(1);
    assert!(finished.stderr.contains(&format!("cannot listen at {address}")), "{}", finished.stderr);
}

#[test]
fn a_journal_that_is_gone_while_the_state_is_there_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let address = free_address();
    let job = job(&folder.path().join("out"), address);
    let running = job.invocation().start();
    let mut clients = Clients::start(1, address, &input.batches[..5], Duration::ZERO);
    clients.wait();
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    std::fs::remove_dir_all(folder.path().join("out/journal")).expect("remove");
    let finished = job.invocation().run().expect_code(3);
    assert!(finished.stderr.contains("is not the one that the state"), "{}", finished.stderr);
}

#[test]
fn who_listens_where_others_reach_it_needs_certificate_and_tokens_or_says_that_it_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |settings: &[(&str, &str)]| {
        let job = job(folder.path(), SocketAddr::from(([0, 0, 0, 0], 8080)));
        let job =
            settings.iter().fold(job, |job, (name, value)| job.set(&format!("source.events.{name}"), value));
        let finished =
            job.about(&["check"]).env("TW_TOKEN", "0123456789abcdef").env("TW_SHORT", "secret7").run();
        (finished.code(), finished.stderr)
    };
    let refused = |settings: &[(&str, &str)], words: &str| {
        let (code, said) = check(settings);
        assert!(code == Some(3) && said.contains(words), "{settings:?}:\n{said}");
    };
    let tls = ("tls", "{ cert = \"cert.pem\", key = \"key.pem\" }");
    let tokens = ("tokens", "[{ env = \"TW_TOKEN\" }]");
    refused(&[], "other machines reach 0.0.0.0:8080, and there is no `tls` and `tokens`");
    refused(&[tls], "there is no `tokens`");
    refused(&[tls, ("tokens", "[]")], "there is no `tokens`");
    refused(&[tokens], "there is no `tls`");
    refused(&[tls, tokens, ("insecure", "true")], "take `insecure` out");
    refused(&[tls, ("tokens", "[{ env = \"TW_SHORT\" }]")], "16 characters");
    refused(&[tls, ("tokens", "[\"0123456789abcdef\"]")], "`{ env = .. }`");
    refused(&[tls, ("tokens", "[{ env = \"TW_MISSING\" }]")], "`TW_MISSING` is not set");
    refused(&[tls, tokens, ("journal_bytes", "\"16MiB\"")], "8 times `decompressed_bytes`");
    refused(&[tls, tokens, ("dedup", "{ field = \"a..b\" }")], "not the path of a field");
    refused(&[tls, tokens, ("listen", "localhost:8080")], "not an address with a port");
    let (_, said) = check(&[tls, ("tokens", "[{ env = \"TW_SHORT\" }]")]);
    assert!(!said.contains("secret7"), "a secret is shown:\n{said}");
    let since = ("start", "2024-01-01");
    for good in
        [&[tls, tokens][..], &[tls, tokens, since], &[("insecure", "true")], &[tokens, ("insecure", "true")]]
    {
        let (code, said) = check(good);
        assert_eq!(code, Some(0), "{good:?}:\n{said}");
    }
}

/// Whether processes can be traced here.
fn can_trace() -> bool {
    let there = Command::new(repository().join("scripts/packages.sh")).args(["strace", "strace"]).output();
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    match (there, traced) {
        (_, Ok(traced)) if traced.status.success() => true,
        (there, traced) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("cannot trace a process: {there:?} {traced:?}")
        }
        _ => {
            testkit::left_out::announce("a disk that fails under what is posted; it needs `strace`");
            false
        }
    }
}

/// Starts a job one of whose calls on the journal fails.
fn traced(job: &Job, log: PathBuf, fault: &str) -> Running {
    let under = Invocation::new("strace").args(["-f", "-y", "-o"]).arg(log).args(["-e", fault]);
    job.invocation().arg("--no-supervise").under(under).start()
}

#[test]
fn an_fsync_that_fails_ends_the_job_and_nothing_that_rests_on_it_is_acknowledged() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let address = free_address();
    let job = job(&folder.path().join("out"), address).set("state.checkpoint_every", "\"1h\"");
    // Frames of the journal are synced with this call.
    let running = traced(&job, folder.path().join("log"), "inject=fdatasync:error=EIO:when=4");
    listens(address);
    let mut client = Client::new(address);
    let mut answers = (0..4).map(|batch| client.post("/v1/events", &[], &input.batches[batch]));
    for answer in answers.by_ref().take(3) {
        assert_eq!(answer.expect("an answer").status, 200);
    }
    let last = answers.next().expect("a fourth one");
    assert!(last.is_err() || last.is_ok_and(|answer| answer.status == 503), "it is not acknowledged");
    let Finished { stderr, .. } = running.wait(SOON).expect_code(1);
    assert!(stderr.contains("has stopped: cannot sync"), "{stderr}");

    // The next start reads what there is, and whoever has no answer sends again.
    let running = job.invocation().start();
    Clients::start(2, address, &input.batches, Duration::ZERO).wait();
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    finish(&job);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 20_000);
}

#[test]
fn a_disk_without_space_has_clients_come_again_later_and_the_job_goes_on() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let address = free_address();
    let job = job(&folder.path().join("out"), address);
    let running = traced(&job, folder.path().join("log"), "inject=pwrite64:error=ENOSPC:when=3..6");
    listens(address);
    let mut client = Client::new(address);
    let statuses: Vec<u16> = (0..8)
        .map(|_| client.post("/v1/events", &[], &input.batches[0]).expect("an answer").status)
        .collect();
    // What was there before is a duplicate, and asks nothing of the disk.
    assert_eq!(statuses, [200; 8]);
    let mut clients = Clients::start(2, address, &input.batches, Duration::ZERO);
    clients.wait();
    assert!(clients.busy.load(Ordering::Relaxed) >= 2, "nobody was told to come again");
    let health = Client::new(address).send(&request("GET", "/v1/health", &[], b"")).expect("an answer");
    assert_eq!(health.status, 200);
    // The job is the child of the one that traces it.
    let jobs = children(running.id());
    jobs.iter().for_each(|job| send(*job, Signal::SIGTERM));
    running.wait(SOON).expect_code(0);
    finish(&job);
    assert!(job.alerts() == input.alerts, "other alerts than the oracle");
    assert_eq!(job.report()["read"], 20_000);
}

#[test]
fn posted_records_in_quarantine_are_had_again_from_the_journal_until_it_is_trimmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let job = job(&folder.path().join("out"), address)
        .with_quarantine()
        .set("source.events.journal_bytes", "\"16MiB\"")
        .set("source.events.decompressed_bytes", "\"1MiB\"");
    let note = "long ".repeat(300);
    let record = |number: usize| {
        format!(
            r#"{{"user_id":"u","event_type":"exit","ts":1700000000000,"duration_s":"{number}","note":"{note}"}}"#
        )
    };
    let good = r#"{"user_id":"u","event_type":"exit","ts":1700000000000,"duration_s":0.0}"#;
    let running = job.invocation().start();
    listens(address);
    let mut client = Client::new(address);
    let mut post = |body: &str| {
        let answer = client.post("/v1/events", &[("content-type", "application/x-ndjson")], body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 200);
    };
    for number in 0..6 {
        post(&format!("{good}\n{}\n{good}\n", record(number)));
    }
    eventually("rows", SOON, || (job.quarantine().len() == 6).then_some(()));
    // While the job has the journal open.
    let replay = || job.about(&["quarantine", "replay", "-q"]).run();
    let expected: String = (0..6).map(|number| record(number) + "\n").collect();
    assert_eq!(replay().expect_code(0).text(), expected);

    // Enough to fill some files of the journal, which go once a checkpoint lies behind them.
    let many = format!("{good}\n").repeat(10_000);
    (0..10).for_each(|_| post(&many));
    post(&format!("{}\n", record(6)));
    let first = folder.path().join("out/journal").join(format!("{:020}.log", 0));
    eventually("a trimmed journal and the last row", SOON, || {
        (!first.exists() && job.quarantine().len() == 7).then_some(())
    });
    let replayed = replay().expect_code(3);
    assert_eq!(replayed.text(), record(6) + "\n");
    for word in ["http:events@", "was trimmed behind a checkpoint", "6 records could not be had"] {
        assert!(replayed.stderr.contains(word), "no {word:?} in:\n{}", replayed.stderr);
    }
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}
