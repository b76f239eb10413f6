//! A line that says how far the job is: rewritten twice a second on a terminal, quiet in a pipe.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataflow::Control;
use event::Watermark;

use crate::config::duration::format_instant;

const ON_TERMINAL: Duration = Duration::from_millis(500);
const IN_PIPE: Duration = Duration::from_secs(10);

/// The thread that shows it.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Starts to show how far the job is: on a terminal, or if `verbose` in a pipe too; not if `quiet`.
    pub(crate) fn start(control: &Arc<Control>, quiet: bool, verbose: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        if quiet || !(terminal || verbose) {
            return Progress(None);
        }
        let (stop, stopped) = channel();
        let control = Arc::clone(control);
        let shown = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || show(&control, &stopped, terminal));
        // A job without progress is still a job.
        Progress(shown.ok().map(|thread| (stop, thread)))
    }

    /// Stops, and clears the line.
    pub(crate) fn stop(self) {
        if let Some((stop, thread)) = self.0 {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn show(control: &Control, stopped: &Receiver<()>, terminal: bool) {
    let every = if terminal { ON_TERMINAL } else { IN_PIPE };
    let mut last = (Instant::now(), 0);
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
        let now = Instant::now();
        let progress = control.progress();
        let seconds = now.duration_since(last.0).as_secs_f64();
        let rate = progress.read.saturating_sub(last.1) as f64 / seconds;
        last = (now, progress.read);
        let line = words(&progress, rate, control.is_draining());
        // The cursor stays at the start of the line, so that a row on the same terminal writes over it.
        let line = if terminal { format!("\r{line}\x1b[K\r") } else { format!("{line}\n") };
        if io::stderr().write_all(line.as_bytes()).is_err() {
            return;
        }
    }
    if terminal {
        let _ = io::stderr().write_all(b"\r\x1b[K");
    }
}

fn words(progress: &dataflow::Progress, rate: f64, draining: bool) -> String {
    let watermark = match progress.watermark {
        Some(Watermark::FINISHED) => "at the end".to_owned(),
        // Whole seconds are enough for the eye.
        Some(Watermark(time)) => format_instant(time - time.rem_euclid(event::MICROS_PER_SECOND)),
        None => "-".to_owned(),
    };
    let dataflow::Progress { windows, alerts, quarantined, held, .. } = progress;
    let what = if draining { "draining  " } else { "" };
    let keys = held.bytes_per_key().map(|bytes| format!("  {} keys of {bytes} B", held.keys));
    format!(
        "{what}{rate:.0} events/s  watermark {watermark}  {windows} windows  {alerts} alerts  {quarantined} quarantined{}",
        keys.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_watermark_windows_alerts_and_quarantine() {
        let progress = dataflow::Progress {
            read: 9,
            windows: 8,
            alerts: 7,
            quarantined: 6,
            watermark: Some(Watermark(1_700_000_000_999_999)),
            held: dataflow::HeldState { keys: 10, bytes: 1234 },
        };
        assert_eq!(
            words(&progress, 19_999.6, false),
            "20000 events/s  watermark 2023-11-14T22:13:20Z  8 windows  7 alerts  6 quarantined  10 keys of 123 B"
        );
        let none = dataflow::Progress { watermark: None, ..progress };
        assert!(words(&none, 0.0, true).starts_with("draining  0 events/s  watermark -  "));
    }
}
