//! Jobs that post to a webhook: killed, hung up on, throttled, refused, pointed elsewhere. The receiver has every
//! row at least once, knows it again by its id, and first sees them in the order of the oracle.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use testkit::arrival::{delayed, workload_time};
use testkit::job::{Job, json_lines};
use testkit::podcast::Podcast;
use testkit::process::{Finished, eventually};
use testkit::random::{Random, seed};
use testkit::receiver::{Receiver, Reply, Request};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const LANES: usize = 3;

const SOON: Duration = Duration::from_secs(60);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The columns of the reference job.
const COLUMNS: &str = r#"["user_id", "window_start", "window_end", "events", "listen_s", "pauses", "exits",
    "round(score, 4) AS score"]"#;

/// Events with late ones among them, and the rows that they must give.
struct Input {
    file: PathBuf,
    rows: String,
}

fn input(folder: &Path, events: u64) -> Input {
    let file = folder.join("events.ndjson");
    generate(events, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let shuffled =
        delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.05, 4).concat();
    std::fs::write(&file, &shuffled).expect("write");
    let expected = Podcast { lanes: LANES, ..Podcast::default() }.expect(&shuffled);
    Input { file, rows: expected.alerts }
}

/// The reference job without a brake, checkpoints often, that posts its rows to a receiver on this machine.
fn job(folder: &Path, input: &Input, receiver: &Receiver) -> Job {
    let job = Job::reference(PROGRAM, folder, &input.file)
        .set("source.events.lanes", LANES)
        .set("state.checkpoint_every", "\"100ms\"");
    hook(job, "hook", &receiver.url("/rows"))
        .set("sink.hook.format", "plain")
        .set("sink.hook.columns", COLUMNS)
}

/// The job with one more sink, whose circuit and pauses are as short as a test wants them.
fn hook(job: Job, name: &str, url: &str) -> Job {
    let set = |job: Job, key: &str, value: &str| job.set(&format!("sink.{name}.{key}"), value);
    let job = set(job, "type", "webhook");
    let job = set(job, "url", &format!("\"{url}\""));
    let job = set(job, "secret", SECRET);
    let job = set(job, "allow_hosts", "127.0.0.1");
    let job = set(job, "timeout", "\"300ms\"");
    set(job, "circuit_pause", "\"100ms\"")
}

/// HMAC-SHA256, as RFC 2104 describes it.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad).to_vec();
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5C), inner.to_vec()].concat()).to_vec()
}

/// Checks what a receiver would check: who sent it, when, and under which id.
fn verify(request: &Request) {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &request.body].concat();
    let signature = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
    assert_eq!(request.header("webhook-signature"), signature);
    assert_eq!(request.header("idempotency-key"), id);
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let sent: u64 = timestamp.parse().expect("a second");
    assert!(now.abs_diff(sent) < 300, "a receiver would take it for an old one");
}

/// The bodies of the requests that were taken, each id once, in the order of first arrivals.
fn once(receiver: &Receiver) -> Vec<(String, Vec<u8>)> {
    let mut seen: std::collections::HashMap<String, Vec<u8>> = std::collections::HashMap::new();
    let mut first = Vec::new();
    for request in receiver.taken() {
        verify(&request);
        let id = request.header("webhook-id").to_owned();
        match seen.get(&id) {
            Some(body) => assert!(*body == request.body, "two bodies have the id {id}"),
            None => {
                seen.insert(id.clone(), request.body.clone());
                first.push((id, request.body));
            }
        }
    }
    first
}

/// Whether the receiver has exactly these rows, each as one request.
fn expect_rows(receiver: &Receiver, rows: &str) {
    let found: Vec<u8> =
        once(receiver).into_iter().flat_map(|(_, body)| [body, b"\n".to_vec()].concat()).collect();
    assert!(found == rows.as_bytes(), "{} bytes, the oracle has {}", found.len(), rows.len());
}

fn words(finished: Finished, code: i32, words: &[&str]) -> Finished {
    let finished = finished.expect_code(code);
    for word in words {
        assert!(finished.stderr.contains(word), "no word of `{word}` in:\n{}", finished.stderr);
    }
    finished
}

#[test]
fn a_receiver_that_fails_in_every_way_has_each_row_after_any_number_of_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 24_000);
    let kills: u64 = std::env::var("TIDEWATCH_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut random = Random::new(seed(83));
    let mut fate = Random::new(seed(84));
    let mut moody = move |_: &Request| match fate.below(100) {
        0 => Reply::status(500),
        1 => Reply::Say(429, vec![("retry-after", "0".to_owned())], "slowly"),
        2 if fate.chance(0.2) => Reply::Hang(Duration::from_millis(400)),
        3 => Reply::Break,
        4..6 => Reply::TakeAndBreak,
        6 => Reply::status(408),
        7..10 => Reply::Say(200, vec![], "thank you"),
        _ => Reply::Take,
    };
    let rows = Receiver::start(moody.clone());
    let batches = Receiver::start(move |request| moody(request));
    let out = folder.path().join("out");
    let batched = hook(job(&out, &input, &rows), "batches", &batches.url("/batches"))
        .set("sink.batches.batch", 7)
        .set("sink.objects.path", folder.path().join("objects.ndjson").display());
    // The last kill finds it at work like the first.
    let slow = batched.clone().set("source.events.rate", 24_000 / kills.max(1));
    for kill in 0..kills {
        let running = slow.clone().workers(1 + random.below(3) as usize).invocation().start();
        std::thread::sleep(Duration::from_millis(400 + random.below(1_200)));
        running.kill();
        eprintln!("kill {kill}: {} requests, {} taken", rows.requests().len(), rows.taken().len());
    }
    batched.invocation().start().wait(4 * SOON).expect_code(0);
    expect_rows(&rows, &input.rows);
    assert!(batched.alerts() == input.rows.as_bytes(), "the file beside it");

    // Batches are arrays of whole events; those with the same id are the same.
    let objects = std::fs::read(folder.path().join("objects.ndjson")).expect("alerts");
    let mut events: Vec<Value> = Vec::new();
    for (_, body) in once(&batches) {
        let batch: Vec<Value> = serde_json::from_slice(&body).expect("an array");
        assert!((1..=7).contains(&batch.len()));
        events.extend(batch);
    }
    assert!(events == json_lines(&objects), "the batches hold other alerts than the file");
    assert!(batches.taken()[0].header("content-type").starts_with("application/cloudevents-batch+json"));

    // Once more: nobody knows that the receiver has what the last checkpoint put out, so that comes again.
    batched.workers(2).run();
    expect_rows(&rows, &input.rows);
}

#[test]
fn an_alert_is_posted_as_one_cloud_event_under_its_own_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|_| Reply::Take);
    let out = folder.path().join("out");
    let job = hook(Job::reference(PROGRAM, &out, &input.file), "hook", &receiver.url("/hunter2?a=b"))
        .set("sink.hook.token", "t0ken")
        .set("sink.objects.path", folder.path().join("objects.ndjson").display());
    let finished = job.run();
    assert!(
        !finished.stderr.contains("hunter2") && !finished.stderr.contains("t0ken"),
        "{}",
        finished.stderr
    );
    let objects = std::fs::read_to_string(folder.path().join("objects.ndjson")).expect("alerts");
    let requests = receiver.requests();
    let bodies: Vec<&str> =
        requests.iter().map(|request| std::str::from_utf8(&request.body).expect("UTF-8")).collect();
    assert!(bodies == objects.lines().collect::<Vec<_>>() && !bodies.is_empty());
    for request in &requests {
        verify(request);
        let event: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(event["id"], request.header("webhook-id"));
        assert_eq!(request.line, "POST /hunter2?a=b");
        assert_eq!(request.header("content-type"), "application/cloudevents+json; charset=utf-8");
        assert_eq!(request.header("authorization"), "Bearer t0ken");
    }
    // Neither address nor secrets are in what a config prints.
    let printed = job.about(&["check", "--print"]).run().expect_code(0);
    for secret in ["hunter2", "t0ken", SECRET] {
        assert!(!printed.text().contains(secret) && !printed.stderr.contains(secret), "{secret} is shown");
    }
}

#[test]
fn while_a_receiver_is_away_the_circuit_is_open_and_afterwards_nothing_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 40_000);
    let receiver = Receiver::start(|_| Reply::Take);
    let out = folder.path().join("out");
    let job = job(&out, &input, &receiver).set("sink.hook.circuit_pause", "\"2s\"");
    // So slowly that it is at work while the receiver is away and when nothing waits any more.
    let running = job.clone().set("source.events.rate", 2_000).workers(2).invocation().start();
    eventually("a first row", SOON, || (!receiver.taken().is_empty()).then_some(()));
    let (before, began) = (receiver.requests().len(), Instant::now());
    receiver.answer(|_| Reply::Say(503, vec![], "closed for today"));
    std::thread::sleep(Duration::from_secs(5));
    let status = job.ask(&["ctl", "status"]);
    let shown = &status["receivers"][0];
    assert!(
        shown["sink"] == "hook"
            && ["open", "half_open"].contains(&shown["circuit"].as_str().expect("a state"))
    );
    assert!(shown["rows_waiting"].as_u64() > Some(0) && shown["since"].as_str().is_some(), "{status}");
    let said = job.about(&["ctl", "status"]).run().expect_code(0).text();
    assert!(said.contains("sink hook: circuit ") && said.contains(" rows wait"), "{said}");
    let asked = receiver.requests().len() - before;
    // Five failures, and a probe after about two seconds.
    assert!((5..=8).contains(&asked), "{asked} requests in {:?}", began.elapsed());
    receiver.answer(|_| Reply::Take);
    eventually("a closed circuit, with nothing that waits", SOON, || {
        let shown = job.about(&["ctl", "status", "--format", "json"]).run();
        let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
        let shown = &shown["receivers"][0];
        (shown["circuit"] == "closed" && shown["rows_waiting"] == 0).then_some(())
    });
    running.signal(Signal::SIGTERM);
    let finished =
        words(running.wait(SOON), 0, &["takes no rows: HTTP 503", "closed for today", "takes rows again"]);
    assert_eq!(finished.stderr.matches("takes no rows").count(), 1, "{}", finished.stderr);
    job.run();
    expect_rows(&receiver, &input.rows);
}

#[test]
fn a_job_that_is_told_to_stop_does_not_wait_for_a_receiver_and_the_next_run_delivers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 40_000);
    let receiver = Receiver::start(|_| Reply::Take);
    let out = folder.path().join("out");
    let job = job(&out, &input, &receiver);
    let running = job.clone().set("source.events.rate", 15_000).invocation().start();
    eventually("a first row", SOON, || (!receiver.taken().is_empty()).then_some(()));
    receiver.answer(|_| Reply::Break);
    std::thread::sleep(Duration::from_millis(1_500));
    running.signal(Signal::SIGTERM);
    words(running.wait(SOON), 1, &["takes no rows now", "nothing is lost"]);
    // A start while it is still away waits likewise.
    let running = job.invocation().start();
    std::thread::sleep(Duration::from_secs(7));
    receiver.answer(|_| Reply::Take);
    running.wait(SOON).expect_code(0);
    expect_rows(&receiver, &input.rows);
}

/// An id that the receiver has taken, of a row in the middle.
fn some_row(folder: &Path, input: &Input) -> (String, String) {
    let receiver = Receiver::start(|_| Reply::Take);
    job(&folder.join("scout"), input, &receiver).run();
    let rows = once(&receiver);
    let (id, body) = rows[rows.len() / 2].clone();
    (id, String::from_utf8(body).expect("UTF-8"))
}

#[test]
fn a_row_that_the_receiver_will_not_have_goes_to_a_file_and_the_others_are_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let (_, poison) = some_row(folder.path(), &input);
    let refuses = poison.clone();
    let without = input.rows.replace(&format!("{poison}\n"), "");
    for batch in [1, 10] {
        let refuses = refuses.clone();
        let receiver =
            Receiver::start(move |request| match String::from_utf8_lossy(&request.body).contains(&refuses) {
                true => Reply::Say(422, vec![], "no such user"),
                false => Reply::Take,
            });
        let out = folder.path().join(format!("out{batch}"));
        let undelivered = out.join("undelivered.ndjson");
        let finished = job(&out, &input, &receiver)
            .set("sink.hook.batch", batch)
            .set("sink.hook.give_up_after", "\"500ms\"")
            .set("sink.hook.undelivered", undelivered.display())
            .run();
        assert!(finished.stderr.contains("HTTP 422") && finished.stderr.contains("no such user"));
        let file = std::fs::read(&undelivered).expect("the file of what was given up");
        let lines = json_lines(&file);
        assert_eq!(lines.len(), 1, "{}", String::from_utf8_lossy(&file));
        assert_eq!(lines[0]["row"], serde_json::from_str::<Value>(&poison).expect("JSON"));
        assert_eq!(lines[0]["status"], 422);
        let bodies: Vec<u8> = once(&receiver)
            .into_iter()
            .flat_map(|(_, mut body)| {
                body.extend_from_slice(if batch == 1 { b"\n" } else { b"" });
                body
            })
            .collect();
        assert!(bodies == without.as_bytes(), "batches of {batch}: other rows than the oracle's");
    }
}

#[test]
fn without_such_a_file_the_run_ends_and_the_same_command_goes_on_once_the_row_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let (poison, _) = some_row(folder.path(), &input);
    let refused = poison.clone();
    let receiver = Receiver::start(move |request| match request.header("webhook-id") == refused {
        true => Reply::status(400),
        false => Reply::Take,
    });
    let job = job(&folder.path().join("out"), &input, &receiver).set("sink.hook.give_up_after", "0s");
    words(job.invocation().run(), 3, &[&poison, "HTTP 400", "undelivered"]);
    receiver.answer(|_| Reply::Take);
    job.run();
    expect_rows(&receiver, &input.rows);
}

#[test]
fn no_redirect_leads_to_an_address_that_is_not_listed_and_one_that_does_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let elsewhere = Receiver::start(|_| Reply::Take);
    let to = |status: u16, location: String| {
        move |_: &Request| Reply::Say(status, vec![("location", location.clone())], "")
    };
    let receiver = Receiver::start(|_| Reply::Take);
    let run = |name: &str, redirects: u32, answer: Box<dyn FnMut(&Request) -> Reply + Send>| {
        receiver.answer(answer);
        let job = job(&folder.path().join(name), &input, &receiver)
            .set("sink.hook.redirects", redirects)
            .set("sink.hook.token", "t0ken")
            .set("sink.hook.give_up_after", "0s");
        job.invocation().run()
    };
    let local = elsewhere.url("/there").replace("127.0.0.1", "127.0.0.2");
    let metadata = "http://169.254.169.254/latest/meta-data".to_owned();
    words(run("default", 0, Box::new(to(307, elsewhere.url("/there")))), 3, &["HTTP 307", "is not followed"]);
    words(run("metadata", 3, Box::new(to(307, metadata))), 3, &["`169.254.169.254` is not in `allow_hosts`"]);
    words(run("local", 3, Box::new(to(308, local))), 3, &["`127.0.0.2` is not in `allow_hosts`"]);
    words(run("get", 3, Box::new(to(302, elsewhere.url("/there")))), 3, &["HTTP 302", "lose the body"]);
    words(run("loop", 2, Box::new(to(307, receiver.url("/rows")))), 3, &["HTTP 307", "is not followed"]);
    assert!(elsewhere.requests().is_empty(), "a request has gone where it must not");
    run("allowed", 3, Box::new(to(308, elsewhere.url("/there")))).expect_code(0);
    expect_rows(&elsewhere, &input.rows);
    // Another port is another receiver, which the token is none of the business of.
    assert!(elsewhere.requests().iter().all(|request| !request.has("authorization")));
    assert!(receiver.requests().iter().all(|request| request.has("authorization")));
}

#[test]
fn a_receiver_on_this_machine_is_refused_unless_the_config_says_that_it_may_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|_| Reply::Take);
    let url = receiver.url("/rows");
    let named = url.replace("127.0.0.1", "localhost");
    let run = |name: &str, url: &str, settings: &[(&str, &str)]| {
        let mut job = Job::reference(PROGRAM, folder.path().join(name), &input.file)
            .set("sink.hook.type", "webhook")
            .set("sink.hook.url", format!("\"{url}\""))
            .set("sink.hook.give_up_after", "0s");
        for (key, value) in settings {
            job = job.set(&format!("sink.hook.{key}"), value);
        }
        job.invocation().run()
    };
    words(run("address", &url, &[]), 3, &["`127.0.0.1` has no public address", "allow_private"]);
    words(run("plain", &named, &[]), 3, &["without TLS", "allow_http"]);
    // Found out when the name is resolved, at the first row.
    words(run("name", &named, &[("allow_http", "true")]), 3, &["`localhost` has no public address"]);
    let other = [("allow_http", "true"), ("allow_hosts", "example.com")];
    words(run("unlisted", &named, &other), 3, &["`localhost` is not in `allow_hosts`"]);
    assert!(receiver.requests().is_empty(), "a request has gone where it must not");
    run("listed", &named, &[("allow_http", "true"), ("allow_hosts", "localhost")]).expect_code(0);
    run("private", &url, &[("allow_private", "true")]).expect_code(0);
    assert!(!receiver.requests().is_empty());
}

#[test]
fn at_once_rows_come_again_after_a_kill_under_the_same_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|_| Reply::Take);
    let at_once = job(&folder.path().join("out"), &input, &receiver)
        .set("sink.hook.mode", "at_once")
        .set("state.checkpoint_every", "1m");
    let running = at_once.clone().set("source.events.rate", 10_000).invocation().start();
    eventually("some rows", SOON, || (receiver.taken().len() > 100).then_some(()));
    running.kill();
    let before = receiver.taken().len();
    at_once.run();
    let rows = input.rows.lines().count();
    assert!(receiver.taken().len() >= rows.max(before + 1), "no checkpoint has held them, so all come again");
    expect_rows(&receiver, &input.rows);
}

#[test]
fn a_change_of_mode_between_two_runs_loses_no_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    for (first, second) in [("exactly_once", "at_once"), ("at_once", "exactly_once")] {
        let receiver = Receiver::start(|_| Reply::Take);
        let job = job(&folder.path().join(first), &input, &receiver);
        let before = job.clone().set("sink.hook.mode", first).set("source.events.rate", 8_000);
        let running = before.invocation().start();
        eventually("some rows", SOON, || (receiver.taken().len() > 100).then_some(()));
        running.signal(Signal::SIGTERM);
        running.wait(SOON).expect_code(0);
        let after = job.set("sink.hook.mode", second);
        // One that is killed again before it has settled what is owed.
        let running = after.invocation().start();
        std::thread::sleep(Duration::from_millis(150));
        running.kill();
        after.run();
        assert!(receiver.taken().len() >= input.rows.lines().count());
        expect_rows(&receiver, &input.rows);
    }
}

#[test]
fn quarantine_rows_can_be_posted_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|_| Reply::Take);
    let out = folder.path().join("out");
    let file = folder.path().join("late.ndjson");
    hook(Job::reference(PROGRAM, &out, &input.file), "quarantine", &receiver.url("/bad"))
        .set("source.events.lanes", LANES)
        .set("sink.quarantine.batch", 100)
        .run();
    let posted: Vec<u8> = once(&receiver).into_iter().flat_map(|(_, body)| body).collect();
    Job::reference(PROGRAM, folder.path().join("again"), &input.file)
        .set("source.events.lanes", LANES)
        .set("sink.quarantine.path", file.display())
        .run();
    assert!(!posted.is_empty() && posted == std::fs::read(&file).expect("late rows"));
}
