//! How soon verdicts come from a job that is busy, with several workers and processes.

use std::io::Write;

use super::*;

/// Payments a second that come meanwhile, about.
const PAYMENTS: usize = 20_000;
const QUESTIONS: usize = 301;

#[test]
fn verdicts_come_in_milliseconds_while_payments_come_whatever_the_workers_and_the_windows() {
    for (processes, workers, window) in [
        (1, 2, "{ type = \"sliding\", size = \"10m\", slide = \"1m\" }"),
        (1, 4, "{ type = \"session\", gap = \"5m\" }"),
        (2, 1, "{ type = \"sliding\", size = \"10m\", slide = \"1m\" }"),
        (2, 2, "{ type = \"session\", gap = \"5m\" }"),
    ] {
        let mut payments = Payments::start(processes, workers, &[("window", window)]);
        payments.pay("a", 0, &[1.0; 3]);
        payments.verdict_of("a", 3);
        let mut stdin = payments.running.stdin.take().expect("standard input");
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let feeder = std::thread::spawn(move || {
            let mut sent = 0;
            // A hundredth of a second each, of event time as well.
            while stopped.try_recv().is_err() {
                let lines: String = (sent..sent + PAYMENTS / 100)
                    .map(|number| {
                        let ts = 1_700_000_000_000 + number as i64 / (PAYMENTS as i64 / 1_000);
                        format!(
                            "{}\n",
                            json!({ "card": format!("card-{}", number % 5_000), "ts": ts, "amount": 1.0 })
                        )
                    })
                    .collect();
                stdin.write_all(lines.as_bytes()).expect("write events");
                sent += PAYMENTS / 100;
                std::thread::sleep(Duration::from_millis(10));
            }
            sent
        });
        let begun = Instant::now();
        let mut times: Vec<Duration> = (0..QUESTIONS)
            .map(|number| {
                let asked = Instant::now();
                payments.verdict(&format!("card-{}", number % 50));
                asked.elapsed()
            })
            .collect();
        let took = begun.elapsed();
        stop.send(()).expect("somebody who feeds");
        let sent = feeder.join().expect("what was sent");
        payments.running.wait(SOON).expect_code(0);
        times.sort();
        let (median, late) = (times[QUESTIONS / 2], times[QUESTIONS * 99 / 100]);
        println!(
            "{processes} processes x {workers} workers, {window}, {} payments/s: p50 {median:.1?}, p99 {late:.1?}",
            (sent as f64 / took.as_secs_f64()) as u64
        );
        // On a machine that does other things as well.
        assert!(median < Duration::from_millis(50), "{median:?} at the median");
    }
}
