//! The side of the process that is supervised: it dies with its supervisor, tells it several times a second
//! that it lives and moves, and drains when it is told to.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use dataflow::Control;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use super::link::{self, Beat, DRAIN, Ending, Message, Orders, VARIABLE};

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(100);
/// A gap between two beats counts at most so much: the process itself, not its workers, was held up.
const GAP: Duration = Duration::from_millis(300);

/// What this process was started with, if it is supervised.
///
/// # Errors
/// If its supervisor is gone already, or the variable is somebody else's.
pub(crate) fn orders() -> anyhow::Result<Option<Orders>> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let text = text.to_string_lossy();
    let orders: Orders = serde_json::from_str(&text).with_context(|| format!("read {VARIABLE}"))?;
    die_with_parent();
    // Asked after the system was told, so that no moment is left in which it may have died unnoticed.
    anyhow::ensure!(getppid().as_raw() == orders.parent as i32, "the supervisor of this process is gone");
    Ok(Some(orders))
}

/// Linux ends this process with the one that started it. Elsewhere the end of the link does, a moment later.
fn die_with_parent() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
}

/// The link to the supervisor, and the thread that tells it how this process is.
pub(crate) struct Link {
    socket: UnixStream,
    beats: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Link {
    /// Opens the link and begins to tell.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(crate) fn open(control: &Arc<Control>) -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (incoming, told) = (socket.try_clone()?, Arc::clone(control));
        std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
            link::read(incoming, |word: String| {
                if word == DRAIN {
                    told.drain();
                }
            });
            leave();
        })?;
        let (stop, stopped) = channel();
        let (outgoing, control) = (socket.try_clone()?, Arc::clone(control));
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || tell(&outgoing, &control, &stopped))?;
        Ok(Link { socket, beats: Some((stop, thread)) })
    }

    /// Tells why the run has failed, and how it ended.
    pub(crate) fn fail(self, why: &str, ending: Ending) {
        // A supervisor that is gone does not want to know.
        let _ = link::write(&self.socket, &Message::Failed(why.to_owned()));
        self.close(ending);
    }

    /// Tells how the run ended, after a last beat.
    pub(crate) fn close(mut self, ending: Ending) {
        if let Some((stop, thread)) = self.beats.take() {
            drop(stop);
            let _ = thread.join();
        }
        // A supervisor that is gone does not want to know.
        let _ = link::write(&self.socket, &Message::Ended(ending));
    }
}

/// Nobody is left who would start this process again or reap it: it must not go on by itself.
fn leave() {
    let _ = kill(Pid::this(), Signal::SIGKILL);
    process::abort();
}

fn tell(socket: &UnixStream, control: &Control, stopped: &Receiver<()>) {
    let mut stillness = Stillness::default();
    loop {
        let last = stopped.recv_timeout(BEAT);
        stillness.look(control.vitals().beats(), Instant::now());
        if link::write(socket, &Message::Beat(beat(control, &stillness))).is_err() {
            leave();
        }
        if last != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn beat(control: &Control, stillness: &Stillness) -> Beat {
    let vitals = control.vitals();
    let progress = control.progress();
    Beat {
        reading_at: vitals.reading_at(),
        stopped_at: vitals.stopped_at(),
        load_us: vitals.load_time().as_micros() as u64,
        from: vitals.from(),
        committed: vitals.committed(),
        still_ms: stillness.still().as_millis() as u64,
        stuck_ms: stillness.stuck().as_millis() as u64,
        read: progress.read,
        windows: progress.windows,
        alerts: progress.alerts,
        quarantined: progress.quarantined,
        keys: vitals.held().keys,
        state_bytes: vitals.held().bytes,
        partitions: vitals.partitions(),
        receiving: vitals.receiving(),
        watermark: progress.watermark.and_then(crate::report::instant),
    }
}

/// For how long workers have not moved. Only time in which this process was awake counts: after a stop of
/// the whole process its workers get the same time as ever.
#[derive(Debug, Default)]
struct Stillness {
    last: Option<Instant>,
    workers: Vec<Watched>,
}

#[derive(Debug, Clone, Default)]
struct Watched {
    steps: u64,
    still: Duration,
    waits_at: Option<u64>,
    stuck: Duration,
}

impl Stillness {
    fn look(&mut self, beats: Vec<dataflow::Beat>, now: Instant) {
        let gap = self.last.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last).min(GAP));
        self.workers.resize(beats.len(), Watched::default());
        for (worker, beat) in self.workers.iter_mut().zip(beats) {
            let moved = beat.over || beat.steps != worker.steps;
            let flows = beat.over || beat.waits_at.is_none() || beat.waits_at != worker.waits_at;
            worker.still = if moved { Duration::ZERO } else { worker.still + gap };
            worker.stuck = if flows { Duration::ZERO } else { worker.stuck + gap };
            (worker.steps, worker.waits_at) = (beat.steps, beat.waits_at);
        }
    }

    fn still(&self) -> Duration {
        self.workers.iter().map(|worker| worker.still).max().unwrap_or_default()
    }

    fn stuck(&self) -> Duration {
        self.workers.iter().map(|worker| worker.stuck).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_still_while_its_steps_stay_the_same_and_only_time_awake_counts() {
        let beat = |steps| dataflow::Beat { steps, waits_at: None, over: false };
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut stillness = Stillness::default();
        stillness.look(vec![beat(1), beat(1)], at(0));
        stillness.look(vec![beat(1), beat(2)], at(100));
        assert_eq!(stillness.still(), Duration::from_millis(100));
        // An hour in which the whole process was stopped.
        stillness.look(vec![beat(1), beat(2)], at(3_600_000));
        assert_eq!(stillness.still(), Duration::from_millis(100) + GAP);
        let over = dataflow::Beat { over: true, ..beat(1) };
        stillness.look(vec![over, beat(3)], at(3_600_100));
        assert_eq!(stillness.still(), Duration::ZERO);
    }

    #[test]
    fn a_frontier_is_stuck_while_a_worker_waits_at_the_same_tick() {
        let beat = |waits_at| dataflow::Beat { steps: 0, waits_at, over: false };
        let start = Instant::now();
        let mut stillness = Stillness::default();
        let mut stuck = |waits_at, millis| {
            stillness.look(vec![beat(waits_at)], start + Duration::from_millis(millis));
            stillness.stuck().as_millis()
        };
        assert_eq!([stuck(Some(3), 0), stuck(Some(3), 100), stuck(Some(3), 300)], [0, 100, 300]);
        assert_eq!([stuck(Some(4), 400), stuck(Some(4), 500), stuck(None, 600)], [0, 100, 0]);
    }
}
