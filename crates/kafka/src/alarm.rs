//! Words about brokers that are away, once in a while.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is said that brokers are away.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Says on standard error that brokers are away, once in a while, and that they are back.
#[derive(Debug)]
pub struct Alarm {
    /// Who waits, and for what.
    who: String,
    said: Mutex<Option<Instant>>,
}

impl Alarm {
    /// `who` begins each sentence: "source `events`: the topic .. of ..".
    pub fn new(who: String) -> Self {
        Alarm { who, said: Mutex::default() }
    }

    /// Brokers are away.
    pub fn away(&self, words: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            say(&format!("warning: {} is waited for: {words}", self.who));
        }
    }

    /// They are back.
    pub fn back(&self) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
        if said.is_some() {
            say(&format!("{} is there again", self.who));
        }
    }
}

/// A job that stands still must not be silent about it. When nobody listens there is nobody to tell.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
