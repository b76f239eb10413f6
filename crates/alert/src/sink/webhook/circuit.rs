//! When the next request may be made: at once after a good one, later and later after failures, and after
//! several in a row not at all for a while. Pure: the time and the chance are given.
//!
//! A circuit is *closed* while requests are made, *open* while none is, and *half-open* when one is made to
//! see whether the receiver is back. What waits meanwhile waits in the outbox.

use std::time::{Duration, Instant};

use crate::sink::receiver::CircuitSpec;

/// The first pause after a failure; each next one is twice as long,
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// No longer pause is taken, whatever the receiver asks for.
const ASKED_MAX: Duration = Duration::from_secs(3600);
/// How many times as long as at first a circuit stays open at most.
const OPEN_FACTOR_MAX: u32 = 10;

/// What a failure or a success has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// The circuit was closed, and is open for so long.
    Opened(Duration),
    /// The circuit was open, and is closed.
    Closed,
}

/// Who decides when the next request is made.
#[derive(Debug)]
pub(super) struct Circuit {
    spec: CircuitSpec,
    /// Failures in a row.
    failures: u32,
    /// Refusals in a row.
    refusals: u32,
    /// No request before.
    until: Option<Instant>,
}

impl Circuit {
    pub(super) fn new(spec: CircuitSpec) -> Self {
        Circuit { spec, failures: 0, refusals: 0, until: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.failures >= self.spec.failures.max(1)
    }

    /// How long there is to wait before the next request; `None` if it may be made now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Notes that the receiver did not answer, or said that it cannot. `asked` is the pause that it asked
    /// for, `chance` anything from 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, asked: Option<Duration>, chance: f64) -> Change {
        let was_open = self.is_open();
        self.failures += 1;
        self.refusals = 0;
        let pause = match self.failures.checked_sub(self.spec.failures.max(1)) {
            None => spread(doubled(self.failures), chance),
            Some(probes) => {
                let factor = 1u32.checked_shl(probes).map_or(OPEN_FACTOR_MAX, |f| f.min(OPEN_FACTOR_MAX));
                spread(self.spec.pause * factor, chance)
            }
        };
        self.rest(now, pause, asked);
        if was_open || !self.is_open() { Change::Nothing } else { Change::Opened(self.spec.pause) }
    }

    /// Notes that the receiver is there, and will not have this.
    pub(super) fn refused(&mut self, now: Instant, asked: Option<Duration>, chance: f64) -> Change {
        let change = self.close();
        self.refusals += 1;
        self.rest(now, spread(doubled(self.refusals), chance), asked);
        change
    }

    /// Notes that the receiver took what it was sent, or that this was given up: the next one is sent at once.
    pub(super) fn succeeded(&mut self) -> Change {
        self.refusals = 0;
        self.until = None;
        self.close()
    }

    fn close(&mut self) -> Change {
        let was_open = self.is_open();
        self.failures = 0;
        if was_open { Change::Closed } else { Change::Nothing }
    }

    fn rest(&mut self, now: Instant, pause: Duration, asked: Option<Duration>) {
        let asked = asked.unwrap_or_default().min(ASKED_MAX);
        self.until = now.checked_add(pause.max(asked));
    }
}

/// The pause after so many failures in a row, at least one.
fn doubled(failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    PAUSE_MIN.saturating_mul(factor).min(PAUSE_MAX)
}

/// From half of it to all of it, so that those who failed together do not come back together.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn circuit(failures: u32) -> Circuit {
        Circuit::new(CircuitSpec { failures, pause: ms(1000) })
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_chance_takes_off_half_at_most() {
        let now = Instant::now();
        let mut circuit = circuit(100);
        for expected in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            assert_eq!(circuit.failed(now, None, 1.0), Change::Nothing);
            assert_eq!(circuit.wait(now), Some(ms(expected)));
        }
        circuit.failed(now, None, 0.0);
        assert_eq!(circuit.wait(now), Some(ms(15_000)));
        assert_eq!(circuit.wait(now + ms(15_000)), None);
        for _ in 0..80 {
            circuit.failed(now, None, 1.0);
        }
        assert_eq!(circuit.succeeded(), Change::Nothing);
        assert_eq!(circuit.wait(now), None);
        circuit.failed(now, None, 1.0);
        assert_eq!(circuit.wait(now), Some(ms(100)), "from the start again");
    }

    #[test]
    fn a_circuit_opens_once_after_so_many_failures_and_closes_with_the_first_probe_that_is_taken() {
        let now = Instant::now();
        let mut circuit = circuit(3);
        assert_eq!(circuit.failed(now, None, 1.0), Change::Nothing);
        assert_eq!(circuit.failed(now, None, 1.0), Change::Nothing);
        assert_eq!(circuit.failed(now, None, 1.0), Change::Opened(ms(1000)));
        assert_eq!(circuit.wait(now + ms(999)), Some(ms(1)));
        assert_eq!(circuit.wait(now + ms(1000)), None, "half-open");
        for expected in [2000, 4000, 8000, 10_000, 10_000] {
            assert_eq!(circuit.failed(now, None, 1.0), Change::Nothing, "it was open before");
            assert_eq!(circuit.wait(now), Some(ms(expected)));
        }
        assert_eq!(circuit.succeeded(), Change::Closed);
        assert_eq!(circuit.succeeded(), Change::Nothing);
        assert_eq!(circuit.wait(now), None);
    }

    #[test]
    fn one_failure_between_good_requests_never_opens_it() {
        let now = Instant::now();
        let mut circuit = circuit(2);
        for _ in 0..10 {
            assert_eq!(circuit.failed(now, None, 1.0), Change::Nothing);
            assert_eq!(circuit.succeeded(), Change::Nothing);
        }
    }

    #[test]
    fn the_receiver_may_ask_for_a_longer_pause_and_not_for_more_than_an_hour() {
        let now = Instant::now();
        let mut circuit = circuit(9);
        circuit.failed(now, Some(ms(7000)), 0.3);
        assert_eq!(circuit.wait(now), Some(ms(7000)));
        circuit.failed(now, Some(ms(1)), 1.0);
        assert_eq!(circuit.wait(now), Some(ms(200)));
        circuit.failed(now, Some(Duration::from_secs(1 << 40)), 1.0);
        assert_eq!(circuit.wait(now), Some(ASKED_MAX));
    }

    #[test]
    fn a_refusal_shows_that_the_receiver_is_there_and_waits_all_the_same() {
        let now = Instant::now();
        let mut circuit = circuit(1);
        assert_eq!(circuit.failed(now, None, 1.0), Change::Opened(ms(1000)));
        assert_eq!(circuit.refused(now, None, 1.0), Change::Closed);
        assert_eq!(circuit.wait(now), Some(ms(100)));
        assert_eq!(circuit.refused(now, None, 1.0), Change::Nothing);
        assert_eq!(circuit.wait(now), Some(ms(200)));
        assert_eq!(circuit.succeeded(), Change::Nothing);
        assert_eq!(circuit.wait(now), None);
    }
}
