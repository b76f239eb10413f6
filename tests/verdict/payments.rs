//! The use that decides on a payment while it is made: `configs/payments.toml`, asked about an account that is being drained.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use testkit::process::eventually;
use testkit::random::Random;
use testkit::workload::repository;

use super::{Payments, SOON};

const MINUTE_MS: i64 = 60_000;
/// Minutes in which all is as ever.
const USUAL: i64 = 120;
const START: i64 = 1_700_000_000_000;

impl Payments {
    /// A minute of payments of an account, of about that amount.
    fn spend(&mut self, account: &str, minute: i64, count: i64, about: f64, random: &mut Random) {
        let mut lines = String::new();
        for number in 0..count {
            let ts = START + minute * MINUTE_MS + number * MINUTE_MS / count;
            // Cents, between half and one and a half of it.
            let amount = (about * (50 + random.below(100)) as f64).round() / 100.0;
            let line = json!({ "account_id": account, "ts": ts, "amount": amount, "status": "approved" });
            lines.push_str(&format!("{line}\n"));
        }
        let stdin = self.running.stdin.as_mut().expect("standard input");
        stdin.write_all(lines.as_bytes()).and_then(|()| stdin.flush()).expect("write payments");
    }
}

#[test]
fn an_account_that_is_being_drained_is_answered_alert_before_its_window_closes() {
    let config = repository().join("configs/payments.toml");
    let text = std::fs::read_to_string(config).expect("the config");
    let more = [("source", "{ events = { type = 'stdin' } }"), ("sink.alerts.type", "file")];
    for workers in [1, 2] {
        let mut payments = Payments::start_as(&text, 1, workers, &more);
        let mut random = Random::new(5);
        for minute in 0..USUAL {
            for account in ["drained", "other", "third"] {
                let count = 9 + random.below(5) as i64;
                payments.spend(account, minute, count, 24.0, &mut random);
            }
        }
        let usual = eventually("the usual payments are in", SOON, || {
            let listens = TcpStream::connect(payments.address).is_ok();
            let answer = listens.then(|| payments.verdict("drained"))?;
            (answer["verdict"] != "unknown").then_some(answer)
        });
        assert_eq!(usual["verdict"], "clear", "{usual}");
        for minute in USUAL..USUAL + 5 {
            payments.spend("drained", minute, 60, 90.0, &mut random);
            payments.spend("other", minute, 11, 24.0, &mut random);
        }
        let drained = eventually("the account is known to be drained", SOON, || {
            let answer = payments.verdict("drained");
            // That they are large may be known a moment before that they are many.
            (answer["severity"] == "critical").then_some(answer)
        });
        assert_eq!(drained["verdict"], "alert", "{drained}");
        let data = &drained["alerts"][0]["data"];
        assert_eq!((&data["key"], &data["rule"]), (&json!("drained"), &json!("velocity")), "{drained}");
        assert!(data["scores"]["fast"].as_f64() > Some(1.0), "{drained}");
        // The window that it rests on is open.
        let end = data["window"]["end"].as_str().expect("a time");
        let watermark = drained["watermark"].as_str().expect("a time");
        let instant = |text: &str| text.parse::<jiff::Timestamp>().expect("an instant");
        assert!(instant(end) > instant(watermark), "{drained}");
        assert_eq!(payments.verdict("other")["verdict"], "clear");
        drop(payments.running.stdin.take());
        payments.running.wait(SOON).expect_code(0);
    }
}
