//! A job written in Rust, with an aggregate of its own, on events that are made up:
//!
//!     cargo run --release --example podcast
//!
//! It raises alerts, one JSON object a line on standard output, and ends by itself after some seconds. Ctrl-C drains it.

use serde::{Deserialize, Serialize};
use tidewatch::prelude::*;

/// The median of durations in whole seconds: how many there were of each. Counts add up in any order.
struct MedianSeconds;

/// How many durations there were of 0 s, 1 s, and so on.
#[derive(Default, Serialize, Deserialize)]
struct Durations {
    counts: Vec<u64>,
}

impl Durations {
    fn add(&mut self, seconds: usize, count: u64) {
        if self.counts.len() <= seconds {
            self.counts.resize(seconds + 1, 0);
        }
        self.counts[seconds] += count;
    }
}

impl Aggregate for MedianSeconds {
    type Argument = f64;
    type State = Durations;
    type Output = i64;

    fn name(&self) -> &str {
        "median_seconds"
    }

    fn add(&self, state: &mut Durations, seconds: f64) {
        // A day is enough for everybody; NaN is 0.
        state.add(seconds.clamp(0.0, 86_400.0) as usize, 1);
    }

    fn merge(&self, state: &mut Durations, other: &Durations) {
        other.counts.iter().enumerate().for_each(|(seconds, count)| state.add(seconds, *count));
    }

    fn result(&self, state: &Durations) -> Option<i64> {
        let mut rest = state.counts.iter().sum::<u64>().div_ceil(2);
        let is_reached = |count: &u64| {
            let reached = rest > 0 && *count >= rest;
            rest = rest.saturating_sub(*count);
            reached
        };
        state.counts.iter().position(is_reached).map(|seconds| seconds as i64)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = events(generate().events(600_000).rate(200_000.0))
        .named("podcast")
        .time("ts", Millis)
        .field("event_type", Varchar)
        .field("duration_s", Double)
        .out_of_order(seconds(5))
        .with_aggregate(MedianSeconds)
        .key_by("user_id")
        .window(sliding(minutes(10), minutes(1)))
        .aggregate("events", "count(*)")
        .aggregate("listen_s", "coalesce(sum(duration_s) FILTER (WHERE event_type = 'listen'), 0)")
        .aggregate("typical_s", "median_seconds(duration_s) FILTER (WHERE event_type = 'listen')")
        .aggregate("pauses", "count(*) FILTER (WHERE event_type = 'pause')")
        .aggregate("exits", "count(*) FILTER (WHERE event_type = 'exit')")
        .score("engagement", "(listen_s + 30) / (listen_s + 30 + 20 * pauses + 60 * exits)")
        .detect(
            rule("disengaging")
                .when("engagement < 0.3")
                .min_events(5)
                .severity(Warning)
                .escalate("engagement < 0.15", Critical)
                .summary("{key}: engagement {engagement:.2f}, {pauses} pauses, {exits} exits"),
        )
        .alert_to(stdout())
        .build()?;

    let summary = job.run(workers(2).drained_by_signals())?;
    let counts = summary.counts;
    eprintln!("{} events, {} windows, {} alerts", counts.read, counts.windows, counts.alerts);
    Ok(())
}
