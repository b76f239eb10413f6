//! What a running job says of a key before its window closes, asked over HTTP.

#[path = "verdict/kinds.rs"]
mod kinds;
#[cfg(all(feature = "onnx", feature = "inference"))]
#[path = "verdict/models.rs"]
mod models;
#[path = "verdict/payments.rs"]
mod payments;
#[path = "verdict/pressed.rs"]
mod pressed;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::http::{read_answer, request};
use testkit::process::{Invocation, Running, eventually};
use testkit::workload::repository;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
name = "cards"
[source.events]
type = "stdin"
[event]
key = "card"
time = { field = "ts", unit = "ms" }
[event.fields]
amount = "double"
[time]
out_of_order = "1s"
[window]
type = "sliding"
size = "10m"
slide = "1m"
[features]
payments = "count(*)"
spent = "sum(amount)"
[rules.velocity]
when = "payments >= 5"
severity = "critical"
[rules.amount]
when = "spent > 1000"
[sink.alerts]
path = "set by the test"
"#;

/// A job that waits for more on standard input, and answers.
struct Payments {
    running: Running,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Payments {
    fn start(processes: usize, workers: usize, more: &[(&str, &str)]) -> Payments {
        Payments::start_as(CONFIG, processes, workers, more)
    }

    fn start_as(text: &str, processes: usize, workers: usize, more: &[(&str, &str)]) -> Payments {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("cards.toml");
        std::fs::write(&config, text).expect("write the config");
        let address = free_address();
        let program = match processes {
            1 => Invocation::new(PROGRAM).arg("run").arg(&config).args(["-w", &workers.to_string()]),
            _ => Invocation::new(repository().join("scripts/run-local.sh"))
                .env("TIDEWATCH_BIN", PROGRAM)
                .args(["-p", &processes.to_string(), "-w", &workers.to_string()])
                .arg(&config),
        };
        let alerts: PathBuf = folder.path().join("alerts.ndjson");
        let program = program.set("http.listen", address.to_string()).set("sink.alerts.path", alerts);
        let program = more.iter().fold(program, |program, (name, value)| program.set(name, value));
        let running = program.pipe_stdin().start();
        Payments { running, address, _folder: folder }
    }

    /// Payments of a card, one a second of event time from `at` on.
    fn pay(&mut self, card: &str, at: i64, amounts: &[f64]) {
        let mut lines = String::new();
        for (second, amount) in (0..).zip(amounts) {
            let ts = 1_700_000_000_000 + at + 1_000 * second;
            lines.push_str(&format!("{}\n", json!({ "card": card, "ts": ts, "amount": amount })));
        }
        let stdin = self.running.stdin.as_mut().expect("standard input");
        stdin.write_all(lines.as_bytes()).and_then(|()| stdin.flush()).expect("write events");
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.write_all(&request("GET", path, headers, b"")).expect("ask");
        let answer = read_answer(stream).expect("an answer");
        (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    fn verdict(&self, card: &str) -> Value {
        let (status, verdict) = self.ask(&format!("/v1/keys/{card}/verdict"), &[]);
        assert_eq!(status, 200, "{verdict}");
        verdict
    }

    /// The verdict once it rests on so many records.
    fn verdict_of(&self, card: &str, records: u64) -> Value {
        eventually("the records are in", SOON, || {
            let is_there = TcpStream::connect(self.address).is_ok();
            let verdict = is_there.then(|| self.verdict(card))?;
            (verdict["windows"][0]["records"] == records).then_some(verdict)
        })
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn a_card_is_judged_by_its_open_window_whatever_the_workers() {
    for (processes, workers) in [(1, 1), (1, 3), (2, 2)] {
        let mut payments = Payments::start(processes, workers, &[]);
        payments.pay("a/1", 0, &[10.0, 20.0]);
        payments.pay("b", 0, &[1.0, 1.0, 1.0, 1.0]);
        payments.pay("c", 0, &[2_000.0]);
        let clear = payments.verdict_of("a%2F1", 2);
        assert_eq!((&clear["key"], &clear["verdict"]), (&json!("a/1"), &json!("clear")), "{clear}");
        // The oldest open window that holds its payments.
        assert_eq!(clear["windows"][0]["start"], "2023-11-14T22:04:00Z");
        assert_eq!(clear["windows"][0]["end"], "2023-11-14T22:14:00Z");
        assert_eq!((&clear["severity"], &clear["alerts"]), (&Value::Null, &json!([])));

        assert_eq!(payments.verdict_of("b", 4)["verdict"], "clear");
        payments.pay("b", 4_000, &[1.0]);
        let velocity = payments.verdict_of("b", 5);
        assert_eq!((&velocity["verdict"], &velocity["severity"]), (&json!("alert"), &json!("critical")));
        let data = &velocity["alerts"][0]["data"];
        assert_eq!((&data["rule"], &data["features"]["payments"]), (&json!("velocity"), &json!(5)), "{data}");
        assert_eq!(data["window"]["end"], "2023-11-14T22:14:00Z");

        let amount = payments.verdict_of("c", 1);
        assert_eq!(amount["alerts"][0]["data"]["rule"], "amount", "{amount}");
        assert_eq!(payments.verdict("nobody")["verdict"], "unknown");
        drop(payments.running.stdin.take());
        payments.running.wait(SOON).expect_code(0);
    }
}

#[test]
fn what_has_left_the_open_windows_no_longer_counts() {
    let mut payments = Payments::start(1, 2, &[]);
    payments.pay("a", 0, &[2_000.0]);
    assert_eq!(payments.verdict_of("a", 1)["verdict"], "alert");
    // Event time goes on by twenty minutes: all windows with that payment are closed.
    payments.pay("b", 1_200_000, &[1.0]);
    payments.verdict_of("b", 1);
    assert_eq!(payments.verdict("a")["verdict"], "unknown");
    payments.pay("a", 1_200_000, &[1.0]);
    assert_eq!(payments.verdict_of("a", 1)["verdict"], "clear");
}

#[test]
fn whoever_takes_the_questions_stays_when_it_has_nothing_left_to_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = folder.path().join("history.ndjson");
    let old = json!({ "card": "old", "ts": 1_699_999_999_000_i64, "amount": 1.0 });
    std::fs::write(&history, format!("{old}\n")).expect("write");
    // Of two workers the first reads the history, the second standard input.
    let first =
        format!("[source.history]\nlanes = 1\npath = {:?}\n[source.events]", history.display().to_string());
    let text = CONFIG.replacen("[source.events]", &first, 1);
    let mut payments = Payments::start_as(&text, 1, 2, &[]);
    payments.pay("a", 0, &[2_000.0]);
    assert_eq!(payments.verdict_of("a", 1)["verdict"], "alert");
    // The history has been read for a while by then.
    std::thread::sleep(Duration::from_millis(300));
    payments.pay("a", 1_000, &[1.0]);
    assert_eq!(payments.verdict_of("a", 2)["verdict"], "alert");
    drop(payments.running.stdin.take());
    payments.running.wait(SOON).expect_code(0);
}

#[test]
fn verdicts_come_in_milliseconds() {
    let mut payments = Payments::start(1, 2, &[]);
    payments.pay("a", 0, &[1.0; 3]);
    payments.verdict_of("a", 3);
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let asked = Instant::now();
            payments.verdict("a");
            asked.elapsed()
        })
        .collect();
    times.sort();
    // On a machine that does other things as well.
    assert!(times[50] < Duration::from_millis(50), "{:?} at the median", times[50]);
}

#[test]
fn who_may_not_ask_and_what_is_no_key_is_told_so() {
    let token = "0123456789abcdef";
    std::fs::write(std::env::temp_dir().join("tidewatch-verdict-token"), token).expect("write");
    let file = std::env::temp_dir().join("tidewatch-verdict-token");
    let tokens = format!("[{{ file = {:?} }}]", file.display().to_string());
    let mut payments =
        Payments::start(1, 1, &[("http.tokens", &tokens), ("event.key", "[\"card\", \"shop\"]")]);
    eventually("it listens", SOON, || TcpStream::connect(payments.address).ok());
    let path = "/v1/keys/%5B%22a%22%2C%22s%22%5D/verdict";
    assert_eq!(payments.ask(path, &[]).0, 401);
    let shown = [("authorization", "Bearer 0123456789abcdef")];
    assert_eq!(payments.ask("/v1/keys/a/verdict", &shown).0, 400);
    assert_eq!(payments.ask("/v1/keys", &shown).0, 404);
    let stdin = payments.running.stdin.as_mut().expect("standard input");
    let line = json!({ "card": "a", "shop": "s", "ts": 1_700_000_000_000_i64, "amount": 5000.0 });
    writeln!(stdin, "{line}").expect("write an event");
    let verdict = eventually("it is judged", SOON, || {
        let (status, verdict) = payments.ask(path, &shown);
        assert_eq!(status, 200, "{verdict}");
        (verdict["verdict"] == "alert").then_some(verdict)
    });
    assert_eq!(verdict["key"], json!(["a", "s"]));
}

#[test]
fn a_job_without_rules_and_one_where_every_event_is_a_row_are_refused() {
    for (name, value, words) in [
        ("window", "{ type = \"each\" }", "none is ever open"),
        ("rules", "{}", "the job has none"),
        ("http.listen", "\"0.0.0.0:7717\"", "other machines reach"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("cards.toml");
        let text = CONFIG.split("[rules.velocity]").next().expect("a part").to_owned();
        let text = if name == "rules" {
            text + "[sink.alerts]\npath = \"x\"\nformat = \"plain\"\ncolumns = [\"card\"]\n"
        } else {
            CONFIG.to_owned()
        };
        std::fs::write(&config, text).expect("write the config");
        let check = Invocation::new(PROGRAM).arg("check").arg(&config).set("http.listen", "\"127.0.0.1:1\"");
        let check = if name == "rules" { check } else { check.set(name, value) };
        let refused = check.run().expect_code(3);
        assert!(refused.stderr.contains(words), "{name}: {}", refused.stderr);
    }
}

#[test]
fn a_card_is_judged_by_what_its_detectors_remember_and_asking_teaches_them_nothing() {
    let config = CONFIG
        .replace("type = \"sliding\"\nsize = \"10m\"\nslide = \"1m\"", "type = \"tumbling\"\nsize = \"1m\"")
        .replace(
            "[rules.velocity]",
            "[score]\nodd = \"baseline(spent, direction => 'high', warmup => 4)\"\n[rules.odd]",
        )
        .replace("payments >= 5", "odd > 1")
        .replace("spent > 1000", "spent > 100000");
    for (processes, workers) in [(1, 1), (2, 2)] {
        let mut payments = Payments::start_as(&config, processes, workers, &[]);
        for minute in 0..8_u32 {
            payments.pay("a", i64::from(minute) * 60_000, &[10.0 + f64::from(minute % 3), 10.0]);
            payments.pay("b", i64::from(minute) * 60_000, &[500.0]);
        }
        payments.pay("a", 480_000, &[20.0, 1.0]);
        payments.pay("b", 480_000, &[500.0, 90.0, 30.0]);
        payments.verdict_of("b", 3);
        // Records may be in before the windows of all workers are closed: then nothing is known of the past yet.
        eventually("it is odd beside a constant past", SOON, || {
            (payments.verdict("b")["verdict"] == "alert").then_some(())
        });
        let of_a = payments.verdict_of("a", 2);
        assert_eq!(of_a["verdict"], "clear", "{of_a}");
        payments.pay("a", 482_000, &[400.0]);
        let odd = payments.verdict_of("a", 3);
        assert_eq!((&odd["verdict"], &odd["severity"]), (&json!("alert"), &json!("critical")), "{odd}");
        let score = &odd["alerts"][0]["data"]["scores"]["odd"];
        assert!(score.as_f64().is_some_and(|score| score > 10.0), "{odd}");
        let why = &odd["alerts"][0]["data"]["explanation"];
        assert_eq!(
            (&why["drivers"][0]["feature"], &why["drivers"][0]["direction"]),
            (&json!("spent"), &json!("high")),
            "{why}"
        );
        for _ in 0..20 {
            assert_eq!(payments.verdict("a")["alerts"][0]["data"]["scores"]["odd"], *score);
        }
        drop(payments.running.stdin.take());
        payments.running.wait(SOON).expect_code(0);
    }
}
