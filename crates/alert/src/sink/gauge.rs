//! What a sink that waits for its receiver shows of itself while it runs: read by any thread, also while a request is
//! under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Whether requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// They are.
    Closed,
    /// None is, for a while: the receiver has failed too often in a row.
    Open,
    /// One is, or is about to be, to see whether the receiver is back.
    HalfOpen,
}

impl CircuitState {
    /// As people are told.
    pub fn words(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half-open",
        }
    }
}

/// A sink that waits for its receiver.
#[derive(Debug)]
pub struct Gauge {
    /// Rows that it was given or will be, and that the receiver has not taken.
    waiting: AtomicU64,
    circuit: Mutex<(CircuitState, Instant)>,
}

impl Default for Gauge {
    fn default() -> Self {
        Gauge { waiting: AtomicU64::new(0), circuit: Mutex::new((CircuitState::Closed, Instant::now())) }
    }
}

impl Gauge {
    /// Notes rows that are on their way to the sink, in an outbox or in its hands.
    pub fn given(&self, rows: u64) {
        self.waiting.fetch_add(rows, Ordering::Relaxed);
    }

    /// Notes rows that the receiver has taken, or that were given up.
    pub fn settled(&self, rows: u64) {
        let less = |waiting: u64| Some(waiting.saturating_sub(rows));
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Notes how the circuit stands. From open to half-open and back is no change: the receiver has been away since it
    /// was closed last.
    pub fn stands(&self, state: CircuitState) {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let is_closed = |state| state == CircuitState::Closed;
        if is_closed(circuit.0) != is_closed(state) {
            circuit.1 = Instant::now();
        }
        circuit.0 = state;
    }

    /// How the circuit stands, and for how long the receiver has been there, or been away.
    pub fn circuit(&self) -> (CircuitState, Duration) {
        let circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        (circuit.0, circuit.1.elapsed())
    }

    /// Rows that wait for the receiver.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_away_since_the_circuit_was_closed_last_however_often_it_is_probed() {
        let gauge = Gauge::default();
        let rest = || std::thread::sleep(Duration::from_millis(20));
        assert_eq!(gauge.circuit().0, CircuitState::Closed);
        rest();
        gauge.stands(CircuitState::Open);
        assert!(gauge.circuit().1 < Duration::from_millis(20));
        for state in [CircuitState::HalfOpen, CircuitState::Open, CircuitState::HalfOpen] {
            rest();
            gauge.stands(state);
        }
        let (state, away) = gauge.circuit();
        assert!(state == CircuitState::HalfOpen && away >= Duration::from_millis(60), "{away:?}");
        gauge.stands(CircuitState::Closed);
        assert!(gauge.circuit().1 < away);
    }

    #[test]
    fn rows_wait_until_they_are_settled_and_never_less_than_none_do() {
        let gauge = Gauge::default();
        gauge.given(5);
        gauge.settled(3);
        assert_eq!(gauge.waiting(), 2);
        gauge.settled(3);
        assert_eq!(gauge.waiting(), 0);
    }
}
