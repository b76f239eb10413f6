//! A disk that is full, a real one: the state, or the output, lies on a small tmpfs that a filler fills up.
//! The job waits, says so once, and goes on when there is space; told to stop meanwhile, it gives up.
//!
//! Needs the right to mount. Without it the suite fails where `CI=true`, and says elsewhere that this was left
//! out. What any other failing write, sync or rename does, `simulation.rs` tries one by one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::job::Job;
use testkit::podcast::Podcast;
use testkit::process::{Finished, Invocation, Running, eventually};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(60);
const LANES: usize = 3;

/// A disk of a few MiB, gone when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Result<Disk, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let options = format!("size={size}");
        match Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output() {
            Ok(Output { status, .. }) if status.success() => Ok(Disk(at.to_owned())),
            Ok(Output { stderr, .. }) => Err(String::from_utf8_lossy(&stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        use std::io::Write;
        let mut filler = std::fs::File::create(self.0.join("filler")).expect("create the filler");
        let block = [0u8; 4096];
        while filler.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("remove the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// The disk, or nothing if this user may not mount one.
fn disk(at: &Path, size: &str) -> Option<Disk> {
    match Disk::mount(at, size) {
        Ok(disk) => Some(disk),
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("cannot mount: {why}"),
        Err(why) => {
            testkit::left_out::announce(&format!("a disk that is full; it needs the right to mount: {why}"));
            None
        }
    }
}

/// The job on events that take it some seconds, and what it must put out.
fn job(folder: &Path) -> (Job, Vec<u8>) {
    let input = folder.join("events.ndjson");
    generate(60_000, 300, 31, &["--low-frac", "0.1"], &input);
    let bytes = std::fs::read(&input).expect("events");
    let expected = Podcast { lanes: LANES, ..Podcast::default() }.expect(&bytes);
    let job = Job::reference(PROGRAM, folder, &input)
        .set("source.events.lanes", LANES)
        .set("source.events.rate", 15_000)
        .set("state.checkpoint_every", "\"100ms\"")
        .workers(2);
    (job, expected.alerts.into_bytes())
}

/// Without a supervisor, which would start what has failed again.
fn alone(job: &Job) -> Invocation {
    job.invocation().arg("--no-supervise")
}

fn start(job: &Job) -> Running {
    let running = alone(job).start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    running
}

/// Waits until nothing has been delivered for two seconds.
fn stalled(job: &Job) {
    let mut last = (job.alerts().len(), std::time::Instant::now());
    eventually("deliveries to stop", SOON, || {
        let length = job.alerts().len();
        if length != last.0 {
            last = (length, std::time::Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(2)).then_some(())
    });
}

fn said_once(finished: &Finished) {
    for words in ["no space to go on", "there is space again"] {
        let times = finished.stderr.matches(words).count();
        assert_eq!(times, 1, "`{words}` was said {times} times:\n{}", finished.stderr);
    }
}

#[test]
fn a_full_disk_under_the_state_makes_the_job_wait_and_not_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, expected) = job(folder.path());
    let Some(disk) = disk(&job.state_path(), "8m") else { return };
    let mut running = start(&job);
    disk.fill();
    stalled(&job);
    assert!(running.is_running(), "a full disk ended the run");
    let seen = job.alerts();
    assert!(expected.starts_with(&seen) && seen.len() < expected.len());
    disk.free();
    let finished = running.wait(SOON).expect_code(0);
    said_once(&finished);
    assert!(job.alerts() == expected, "the output is another");
}

#[test]
fn a_job_that_begins_on_a_full_disk_waits_for_space_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, expected) = job(folder.path());
    let Some(disk) = disk(&job.state_path(), "8m") else { return };
    disk.fill();
    let mut running = job.invocation().start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.is_running(), "a full disk ended the run");
    disk.free();
    let finished = running.wait(SOON).expect_code(0);
    said_once(&finished);
    assert!(job.alerts() == expected, "the output is another");
}

#[test]
fn a_job_whose_state_cannot_even_have_its_folders_waits_for_space_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, expected) = job(folder.path());
    // There is a place for its root and for nothing else.
    let Some(disk) = disk(&job.state_path(), "8m,nr_inodes=1") else { return };
    let mut running = alone(&job).start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.is_running(), "a full disk ended the run");
    let place = Command::new("mount").args(["-o", "remount,nr_inodes=100000"]).arg(&disk.0).status();
    assert!(place.expect("mount").success());
    let finished = running.wait(SOON).expect_code(0);
    said_once(&finished);
    assert!(job.alerts() == expected, "the output is another");
}

#[test]
fn a_full_disk_under_the_output_makes_the_job_wait_and_leaves_no_torn_line() {
    check_full_output("exactly_once");
}

#[test]
fn a_full_disk_under_an_output_that_is_written_at_once_makes_the_job_wait_as_well() {
    check_full_output("at_once");
}

fn check_full_output(mode: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, expected) = job(folder.path());
    let out = folder.path().join("out");
    let Some(disk) = disk(&out, "32m") else { return };
    let alerts = out.join("alerts.ndjson");
    let job = job.set("sink.alerts.path", alerts.display());
    let job = job.set("sink.alerts.mode", format!("\"{mode}\""));
    let seen = || std::fs::read(&alerts).unwrap_or_default();
    let mut running = alone(&job).start();
    eventually("a first delivery", SOON, || (!seen().is_empty()).then_some(()));
    disk.fill();
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.is_running(), "a full disk ended the run");
    assert!(expected.starts_with(&seen()));
    disk.free();
    let finished = running.wait(SOON).expect_code(0);
    said_once(&finished);
    let found = seen();
    let at = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "the output is another: {} bytes of {}, at {at:?}",
        found.len(),
        expected.len()
    );
}

#[test]
fn a_job_that_is_told_to_stop_while_the_disk_is_full_gives_up_and_goes_on_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, expected) = job(folder.path());
    let Some(disk) = disk(&job.state_path(), "8m") else { return };
    let running = start(&job);
    disk.fill();
    stalled(&job);
    running.signal(Signal::SIGTERM);
    let finished = running.wait(SOON).expect_code(1);
    assert!(finished.stderr.contains("No space left"), "{}", finished.stderr);
    disk.free();
    alone(&job.clone().set("source.events.rate", 1_000_000)).run().expect_code(0);
    assert!(job.alerts() == expected, "the output is another");
}
