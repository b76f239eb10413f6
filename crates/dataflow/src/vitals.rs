//! Signs of life of a process, for whoever supervises it: whether each worker moves, since when it reads,
//! when it stopped, which checkpoint it goes on from and which it has committed.
//!
//! Part of [`crate::Control`]. Everything here is a relaxed store on the worker's side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alert::{CircuitState, Gauge};
use ingest::Lag;
use serde::{Deserialize, Serialize};

/// Signs of life of a process.
#[derive(Debug, Default)]
pub struct Vitals {
    pulses: Mutex<Vec<Arc<Beats>>>,
    /// Whether the sinks have taken everything that they were given; never so where nobody says it.
    sinks_idle: AtomicBool,
    /// Microseconds of the clock; 0 for never.
    reading_at: AtomicU64,
    stopped_at: AtomicU64,
    load_us: AtomicU64,
    /// Numbers of checkpoints plus 1; 0 for none.
    from: AtomicU64,
    committed: AtomicU64,
    /// What the windows of each worker hold.
    held: Mutex<BTreeMap<usize, HeldState>>,
    /// The partitions that each worker reads.
    partitions: Mutex<BTreeMap<usize, Vec<ReadPartition>>>,
    /// The sinks with a receiver that may be away, by name.
    gauges: Mutex<Vec<(String, Arc<Gauge>)>>,
}

/// A sink with a receiver that may be away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiving {
    /// Its name.
    pub sink: String,
    /// Whether requests are made.
    pub circuit: CircuitState,
    /// Since when it takes rows, or takes none, in microseconds since 1970.
    pub since: i64,
    /// Rows that wait for it, in the outbox and on the way there.
    pub waiting: u64,
}

/// A partition as its worker reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPartition {
    /// Its name.
    pub partition: String,
    /// How far event time has come in it, in microseconds since 1970; `None` before its first record.
    pub watermark: Option<i64>,
    /// Whether nothing has come for so long that the others go on without it.
    pub asleep: bool,
    /// How far it is behind the end of what there is, if its source knows.
    pub lag: Option<Lag>,
}

/// What windows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldState {
    /// Keys of which some window is open.
    pub keys: u64,
    /// Bytes of memory for all of them, texts, sketches and records that wait not counted.
    pub bytes: u64,
}

impl HeldState {
    /// Bytes for each key, if there is one.
    pub fn bytes_per_key(&self) -> Option<u64> {
        self.bytes.checked_div(self.keys)
    }
}

/// What one worker has done.
#[derive(Debug, Default)]
struct Beats {
    steps: AtomicU64,
    /// Ticks of its own that it has seen taken, if it waits for that; else `NOT_WAITING`.
    waits_at: AtomicU64,
    over: AtomicBool,
}

const NOT_WAITING: u64 = u64::MAX;

/// How often a worker has moved, as of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Grows with everything that the worker does, some fifty times a second at least.
    pub steps: u64,
    /// The worker waits for the end of the graph, has seen it take this many ticks, and the sinks are idle:
    /// if this stays the same, the frontier does not move although nobody holds it.
    pub waits_at: Option<u64>,
    /// Whether the worker has nothing more to do.
    pub over: bool,
}

impl Vitals {
    /// A pulse for one more worker, which beats until it is dropped.
    pub(crate) fn pulse(&self) -> Pulse {
        let beats = Arc::new(Beats { waits_at: AtomicU64::new(NOT_WAITING), ..Beats::default() });
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&beats));
        Pulse(beats)
    }

    /// What each worker has done.
    pub fn beats(&self) -> Vec<Beat> {
        let sinks_idle = self.sinks_idle.load(Ordering::Relaxed);
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        let beat = |beats: &Arc<Beats>| Beat {
            steps: beats.steps.load(Ordering::Relaxed),
            waits_at: Some(beats.waits_at.load(Ordering::Relaxed))
                .filter(|ticks| sinks_idle && *ticks != NOT_WAITING),
            over: beats.over.load(Ordering::Relaxed),
        };
        pulses.iter().map(beat).collect()
    }

    /// Says whether the sinks have taken all that they were given. Only while they have is a frontier that
    /// does not move a sign of trouble; a process that does not have the sinks never says so.
    pub fn set_sinks_idle(&self, idle: bool) {
        self.sinks_idle.store(idle, Ordering::Relaxed);
    }

    /// What the windows of this process hold, as of about a second ago.
    pub fn held(&self) -> HeldState {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&HeldState) -> u64| held.values().map(of).sum();
        HeldState { keys: sum(|held| held.keys), bytes: sum(|held| held.bytes) }
    }

    pub(crate) fn holds(&self, worker: usize, held: HeldState) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, held);
    }

    /// The partitions that this process reads and that are not at their end, as of about a second ago.
    pub fn partitions(&self) -> Vec<ReadPartition> {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.values().flatten().cloned().collect()
    }

    pub(crate) fn reads(&self, worker: usize, partitions: Vec<ReadPartition>) {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, partitions);
    }

    /// The sinks of this process with a receiver that may be away, in the order of the config.
    pub fn receiving(&self) -> Vec<Receiving> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let receiving = |(sink, gauge): &(String, Arc<Gauge>)| {
            let (circuit, time) = gauge.circuit();
            let since = now().saturating_sub(time.as_micros() as u64) as i64;
            Receiving { sink: sink.clone(), circuit, since, waiting: gauge.waiting() }
        };
        gauges.iter().map(receiving).collect()
    }

    /// Says which sinks have a receiver that may be away.
    pub(crate) fn shows(&self, gauges: Vec<(String, Arc<Gauge>)>) {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = gauges;
    }

    /// When the last worker began to read, in microseconds since 1970; `None` before.
    pub fn reading_at(&self) -> Option<u64> {
        Some(self.reading_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// When the first worker stopped to read, in microseconds since 1970; `None` before.
    pub fn stopped_at(&self) -> Option<u64> {
        Some(self.stopped_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Number of the checkpoint that the job goes on from.
    pub fn from(&self) -> Option<u32> {
        self.from.load(Ordering::Relaxed).checked_sub(1).map(|number| number as u32)
    }

    /// Number of the newest checkpoint that is known to be committed.
    pub fn committed(&self) -> Option<u32> {
        self.committed.load(Ordering::Relaxed).checked_sub(1).map(|number| number as u32)
    }

    /// How long the slowest worker took to load its part of the state.
    pub fn load_time(&self) -> Duration {
        Duration::from_micros(self.load_us.load(Ordering::Relaxed))
    }

    /// Notes how long a worker took to load its part of the state.
    pub fn loaded_in(&self, time: Duration) {
        self.load_us.fetch_max(time.as_micros() as u64, Ordering::Relaxed);
    }

    pub(crate) fn begins_to_read(&self, first_interval: u32) {
        self.reading_at.fetch_max(now(), Ordering::Relaxed);
        self.from.store(u64::from(first_interval), Ordering::Relaxed);
        self.committed.fetch_max(u64::from(first_interval), Ordering::Relaxed);
    }

    pub(crate) fn stops_to_read(&self) {
        let _ = self.stopped_at.compare_exchange(0, now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Notes that the checkpoint of that number is committed.
    pub fn committed_up_to(&self, number: u32) {
        self.committed.fetch_max(u64::from(number) + 1, Ordering::Relaxed);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// A worker's own.
pub(crate) struct Pulse(Arc<Beats>);

impl Pulse {
    /// The worker has moved.
    pub(crate) fn beat(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The worker waits for the end of the graph, which has taken so many ticks; or does not wait.
    pub(crate) fn waits_at(&self, ticks: Option<u64>) {
        self.0.waits_at.store(ticks.unwrap_or(NOT_WAITING), Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_waits_is_a_sign_of_trouble_only_while_the_sinks_are_idle() {
        let vitals = Vitals::default();
        let pulse = vitals.pulse();
        pulse.beat();
        pulse.waits_at(Some(3));
        assert_eq!(vitals.beats(), [Beat { steps: 1, waits_at: None, over: false }]);
        vitals.set_sinks_idle(true);
        assert_eq!(vitals.beats()[0].waits_at, Some(3));
        pulse.waits_at(None);
        assert_eq!(vitals.beats()[0].waits_at, None);
        drop(pulse);
        assert!(vitals.beats()[0].over);
    }

    #[test]
    fn the_last_to_begin_and_the_first_to_stop_count() {
        let vitals = Vitals::default();
        assert_eq!((vitals.reading_at(), vitals.from(), vitals.committed()), (None, None, None));
        vitals.begins_to_read(4);
        let first = vitals.reading_at();
        vitals.begins_to_read(4);
        assert!(first.is_some() && vitals.reading_at() >= first);
        assert_eq!((vitals.from(), vitals.committed()), (Some(3), Some(3)));
        vitals.committed_up_to(7);
        vitals.stops_to_read();
        let stopped = vitals.stopped_at();
        vitals.stops_to_read();
        assert_eq!((vitals.stopped_at(), vitals.committed()), (stopped, Some(7)));
    }
}
