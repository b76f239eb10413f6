//! Whole processes under test: started, fed, watched, signalled, killed.
//!
//! Nothing outlives its test: a process that is dropped is killed. Nothing hangs: every wait has a limit,
//! behind which the process is killed and its words are in the panic.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::workload::repository;

/// How long a process may take unless a test says otherwise. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A command line in the making. Paths are relative to the root of the repository.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    input: Option<Vec<u8>>,
    pipe_stdin: bool,
    pipe_stdout: bool,
}

impl Invocation {
    /// That program without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Invocation {
        let mut command = Command::new(program);
        command.current_dir(repository());
        Invocation { command, input: None, pipe_stdin: false, pipe_stdout: false }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// `--set NAME=VALUE`.
    pub fn set(self, name: &str, value: impl AsRef<Path>) -> Self {
        let value = value.as_ref().display();
        self.arg("--set").arg(format!("{name}={value}"))
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Another working directory.
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The same under another program, which takes a command line at its end, such as `strace`.
    pub fn under(self, program: Invocation) -> Self {
        let inner = self.command;
        let mut outer = program.command;
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Invocation { command: outer, ..self }
    }

    /// What it reads from standard input; nothing without this.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Leaves standard input to the test: [`Running::stdin`].
    pub fn pipe_stdin(mut self) -> Self {
        self.pipe_stdin = true;
        self
    }

    /// Leaves standard output to the test: [`Running::stdout`].
    pub fn pipe_stdout(mut self) -> Self {
        self.pipe_stdout = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut self) -> Running {
        let input = if self.input.is_some() || self.pipe_stdin { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("start {:?}: {e}", self.command));
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take_if(|_| !self.pipe_stdin)) {
            // A program that ends before it has read everything is no failure of the writer.
            std::thread::spawn(move || stdin.write_all(&bytes));
        }
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let (stdout, collected) = if self.pipe_stdout { (stdout, None) } else { (None, stdout.map(collect)) };
        let words = child.stderr.take().map(collect);
        Running { child, started: Instant::now(), stdin, stdout, collected, words }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started, or runs for too long.
    pub fn run(self) -> Finished {
        self.start().wait(LIMIT)
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is all there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// A process that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    /// Its standard input, if the test asked for it.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, if the test asked for it.
    pub stdout: Option<ChildStdout>,
    collected: Option<JoinHandle<Vec<u8>>>,
    words: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as an operator or a power cut does (SIGKILL), unless it has ended, and waits for its end.
    pub fn kill(mut self) -> Finished {
        let _ = self.child.kill();
        self.wait(LIMIT)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within `limit`; it is killed then.
    pub fn wait(mut self, limit: Duration) -> Finished {
        drop(self.stdin.take());
        let asked = Instant::now();
        let (status, in_time) = loop {
            match self.child.try_wait().expect("the state of a child") {
                Some(status) => break (status, true),
                None if asked.elapsed() > limit => {
                    let _ = self.child.kill();
                    break (self.child.wait().expect("the end of a killed child"), false);
                }
                None => std::thread::sleep(Duration::from_millis(3)),
            }
        };
        let finished = Finished {
            status,
            stdout: gather(self.collected.take()),
            stderr: String::from_utf8_lossy(&gather(self.words.take())).into_owned(),
            wall: self.started.elapsed(),
        };
        assert!(in_time, "did not end within {limit:?}; it said:\n{}", finished.stderr);
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gather(collector: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    collector.map(|thread| thread.join().expect("a reader of a pipe")).unwrap_or_default()
}

/// A process that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output, unless the test read that itself.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
    /// From its start until its end was noticed.
    pub wall: Duration,
}

impl Finished {
    /// Its exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The same, after checking that it ended with that code.
    ///
    /// # Panics
    /// With its words, if it did not. Also if it panicked, whatever its code.
    pub fn expect_code(self, code: i32) -> Finished {
        assert_eq!(self.code(), Some(code), "it said:\n{}", self.stderr);
        assert!(!self.stderr.contains("panicked at"), "it panicked:\n{}", self.stderr);
        self
    }
}

/// Sends a signal to a process by its id. One that has just ended is no error.
pub fn send(id: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(id as i32), signal);
}

/// Ids of the processes whose parent is `id`.
pub fn children(id: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|child| parent(*child) == Some(id)).collect()
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may hold anything; the state and the parent stand behind it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process is there and not a zombie.
pub fn is_alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// A size out of `/proc/ID/status`, in bytes: `VmRSS` is resident now, `VmHWM` was at the most.
pub fn memory(id: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time of a process so far, without that of its children.
pub fn cpu(id: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Behind the name, which may hold anything: the state, ten numbers, then user and system time.
    let times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    let hundredths = times.map(|time| time.parse::<u64>().ok()).sum::<Option<u64>>()?;
    // What Linux tells programs is in hundredths of a second on all machines that we know.
    Some(Duration::from_millis(hundredths * 10))
}

/// Bytes that a process has asked to read so far, of files, pipes and all.
pub fn bytes_read(id: u32) -> Option<u64> {
    let io = std::fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

/// Waits until `condition` gives something.
///
/// # Panics
/// With `what`, if it does not within `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let asked = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(asked.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_output_words_and_code_of_a_process_come_back() {
        let finished = Invocation::new("sh").args(["-c", "cat; echo words >&2; exit 3"]).input("data").run();
        assert_eq!((finished.code(), finished.text().as_str()), (Some(3), "data"));
        assert_eq!(finished.stderr, "words\n");
    }

    #[test]
    fn a_running_process_can_be_watched_and_killed() {
        let mut running = Invocation::new("sleep").arg("60").start();
        assert!(running.is_running() && is_alive(running.id()));
        assert!(memory(running.id(), "VmRSS") > Some(0) && bytes_read(running.id()).is_some());
        assert!(cpu(running.id()).is_some_and(|time| time < Duration::from_secs(1)));
        assert!(children(std::process::id()).contains(&running.id()));
        assert_eq!(running.kill().code(), None);
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn a_process_that_takes_too_long_fails_its_test() {
        Invocation::new("sleep").arg("60").start().wait(Duration::from_millis(50));
    }
}
