//! One process of the job as its supervisor holds it: started, listened to, told to drain, killed, reaped.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Context;
use dataflow::{Custody, InHand};

use super::Event;
use super::link::{self, Beat, DRAIN, Ending, Message, Orders, VARIABLE};
use super::past::Past;

/// Longest time that a gap between two looks counts as silence: a supervisor that was stopped itself must
/// not take the time of its own stop for that of its child.
const GAP: Duration = Duration::from_millis(300);

/// A process of the job.
pub(super) struct Generation {
    child: Child,
    link: UnixStream,
    notes: File,
    /// Where the notes are until the child has opened them.
    notes_path: PathBuf,
    started: Instant,
    beat: Option<Beat>,
    failure: Option<String>,
    ending: Option<Ending>,
    looked: Instant,
    silent: Duration,
}

/// A process that has ended.
pub(super) struct End {
    pub(super) status: ExitStatus,
    pub(super) ran: Duration,
    /// Its last signs of life, if there were any.
    pub(super) beat: Option<Beat>,
    /// Why its run has failed, if it said so.
    pub(super) failure: Option<String>,
    /// How its run has ended, if it said so.
    pub(super) ending: Option<Ending>,
    /// Records that it had in hand, as far as they may be to blame.
    pub(super) in_hand: Vec<InHand>,
}

impl Generation {
    /// Starts a process, whose number tells its messages from those of others. Has to be called by the main
    /// thread: on Linux the child dies with the thread that started it.
    ///
    /// # Errors
    /// If the system refuses a file, a socket, a thread or a process, as it may for a while.
    pub(super) fn start(
        number: u64,
        workers: u32,
        past: &Past,
        suspects: &super::suspects::Suspects,
        events: Sender<Event>,
    ) -> anyhow::Result<Self> {
        let (path, notes) = create_notes().context("create a file for notes")?;
        let (link, its_end) = UnixStream::pair().context("create a socket")?;
        let orders = Orders {
            parent: std::process::id(),
            workers,
            again: past.has_begun(),
            have_met: past.has_read(),
            notes: path.clone(),
            suspects: suspects.to_read_alone(),
        };
        // The process comes last, so that whatever fails leaves none behind that nobody would reap.
        let child = listen(number, &link, events)
            .and_then(|()| command(&orders, its_end).spawn().context("start the worker process"));
        if child.is_err() {
            let _ = fs::remove_file(&path);
        }
        let child = child?;
        let now = Instant::now();
        Ok(Generation {
            child,
            link,
            notes,
            notes_path: path,
            started: now,
            beat: None,
            failure: None,
            ending: None,
            looked: now,
            silent: Duration::ZERO,
        })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn ran(&self) -> Duration {
        self.started.elapsed()
    }

    /// The newest signs of life.
    pub(super) fn beat(&self) -> Option<&Beat> {
        self.beat.as_ref()
    }

    /// Takes a message in.
    pub(super) fn told(&mut self, message: Message) {
        self.silent = Duration::ZERO;
        match message {
            Message::Beat(beat) => self.beat = Some(beat),
            Message::Failed(why) => self.failure = Some(why),
            Message::Ended(ending) => self.ending = Some(ending),
        }
    }

    /// Asks it to drain. One that is gone will be noticed.
    pub(super) fn drain(&self) {
        let _ = link::write(&self.link, &DRAIN);
    }

    /// Why it is to be killed, if it hangs: it says nothing, a worker does not move, or the frontier does not.
    pub(super) fn hangs(&mut self, bound: Duration) -> Option<&'static str> {
        let now = Instant::now();
        self.silent += now.duration_since(self.looked).min(GAP);
        self.looked = now;
        let beat = self.beat.as_ref();
        let over = |millis: u64| Duration::from_millis(millis) > bound;
        if self.silent > bound {
            Some("it gives no sign of life")
        } else if beat.is_some_and(|beat| over(beat.still_ms)) {
            Some("one of its workers does not move")
        } else if beat.is_some_and(|beat| over(beat.stuck_ms)) {
            Some("its frontier does not move")
        } else {
            None
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end, which is near: its link is broken, or it was killed.
    pub(super) fn reap(mut self) -> io::Result<End> {
        let status = self.child.wait()?;
        // It may have died before it came so far.
        let _ = fs::remove_file(&self.notes_path);
        let in_hand = Custody::read_notes(&self.notes).unwrap_or_default();
        let in_hand = match (status.code(), self.ending) {
            (None, _) => in_hand,
            // A thread that panics notes that it fell, unless the process is gone before.
            (Some(_), Some(Ending::Panicked)) if !in_hand.iter().any(|note| note.fell) => in_hand,
            // Any other error is not the fault of what is in hand.
            _ => in_hand.into_iter().filter(|note| note.fell).collect(),
        };
        let Generation { started, beat, failure, ending, .. } = self;
        Ok(End { status, ran: started.elapsed(), beat, failure, ending, in_hand })
    }
}

/// Hands on what the process of that number tells, until its end of the link is closed.
fn listen(number: u64, link: &UnixStream, events: Sender<Event>) -> anyhow::Result<()> {
    let incoming = link.try_clone().context("share a socket")?;
    let hand_on = move || {
        link::read(incoming, |message: Message| {
            let _ = events.send(Event::Told(number, message));
        });
        let _ = events.send(Event::Gone(number));
    };
    let thread = std::thread::Builder::new().name("link".to_owned()).spawn(hand_on);
    thread.map(drop).context("start a thread")
}

/// Settings of glibc's allocator, which it reads when a process starts; other allocators ignore them. Batches and
/// rows are made anew every tick: memory that is given back between two of them would be faulted in again, which
/// costs a job some percent (`CPU per event` of scripts/bench.sh shows it).
const ALLOCATOR: [&str; 2] =
    ["GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=268435456"];

/// The command line of this process once more, with orders.
fn command(orders: &Orders, its_end: UnixStream) -> Command {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("tidewatch"));
    let mut command = Command::new(program());
    command.arg0(name).args(arguments);
    command.env(VARIABLE, serde_json::to_string(orders).unwrap_or_default());
    let [allocator, settings] = ALLOCATOR;
    if std::env::var_os(allocator).is_none() {
        command.env(allocator, settings);
    }
    command.stdin(Stdio::from(OwnedFd::from(its_end)));
    command
}

/// This program, even if its file was replaced or removed since.
fn program() -> PathBuf {
    let own = std::env::current_exe().ok().filter(|path| path.exists());
    own.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// A file of our own, whose name the child removes as soon as it has opened it.
fn create_notes() -> io::Result<(PathBuf, File)> {
    let name = format!("tidewatch-{}-{:016x}", std::process::id(), checkpoint::nonce());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

/// Opens the notes on the child's side.
///
/// # Errors
/// If they are gone.
pub(crate) fn open_notes(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}
