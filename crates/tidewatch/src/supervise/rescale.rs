//! A change of the number of workers while a job runs: drain, start with the new number, tell how long
//! nothing was read.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::desk::{Answer, Client};
use super::words::say;

/// One that is under way.
#[derive(Debug)]
pub(super) struct Rescale {
    from: u32,
    to: u32,
    client: Client,
    /// When reading stopped, in microseconds of the clock.
    stopped_at: Option<u64>,
}

impl Rescale {
    pub(super) fn new(from: u32, to: u32, client: Client) -> Self {
        Rescale { from, to, client, stopped_at: None }
    }

    /// The new number.
    pub(super) fn workers(&self) -> u32 {
        self.to
    }

    /// The old number.
    pub(super) fn before(&self) -> u32 {
        self.from
    }

    /// The process with the old number has ended; it stopped to read then, if it said so.
    pub(super) fn stopped(&mut self, at: Option<u64>) {
        self.stopped_at.get_or_insert_with(|| at.unwrap_or_else(now));
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stopped_at.is_some()
    }

    /// The process with the new number reads.
    pub(super) fn finish(self, reading_at: u64, load_us: u64, quiet: bool) {
        let seconds = |us: u64| us as f64 / 1e6;
        let pause = seconds(reading_at.saturating_sub(self.stopped_at.unwrap_or(reading_at)));
        let (load, Rescale { from, to, .. }) = (seconds(load_us), &self);
        let words = format!(
            "rescaled from {from} to {to} workers: nothing was read for {pause:.3} s, {load:.3} s of it to load the state"
        );
        if !quiet {
            say(&words);
        }
        let data = json!({"from": from, "to": to, "pause_s": pause, "load_s": load});
        self.client.answer(&Answer::Done { data, words });
    }

    /// The process with the new number has ended before it read anything.
    pub(super) fn take_back(self, why: &str) {
        let Rescale { from, to, .. } = &self;
        let words = format!("not rescaled to {to} workers, the job goes on with {from}: {why}");
        say(&format!("error: {words}"));
        self.fail(&words);
    }

    pub(super) fn fail(self, why: &str) {
        self.client.answer(&Answer::Failed(why.to_owned()));
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
