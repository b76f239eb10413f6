//! Flow control: a reader that is slow slows the source, and memory stays flat.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::process::{Invocation, bytes_read, eventually, memory};
use testkit::workload::generate;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// The podcast job with every window as a row to standard output: much more goes out than comes in.
const CONFIG: &str = r#"
version = 1
name = "flow"

[source.events]
type = "file"
path = "set by the test"

[event]
key = "user_id"
time = { field = "ts", unit = "ms" }

[event.fields]
duration_s = "double"

[time]
out_of_order = "5s"

[window]
type = "sliding"
size = "10m"
slide = "1m"

[features]
events = "count(*)"
seconds = "sum(duration_s)"

[sink.alerts]
type = "stdout"
format = "plain"
columns = ["user_id", "window_start", "window_end", "events", "seconds"]
"#;

fn write_config(folder: &Path) -> PathBuf {
    let path = folder.join("flow.toml");
    std::fs::write(&path, CONFIG).expect("write");
    path
}

#[test]
fn a_reader_that_stands_still_stops_the_source_and_memory_stays_flat() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(500_000, 20_000, 5, &["--skew", "0.2"], &input);
    let length = input.metadata().expect("a file").len();
    let mut running = Invocation::new(PROGRAM)
        .arg("run")
        .arg(write_config(folder.path()))
        .args(["-w", "2"])
        .set("source.events.path", &input)
        // Few lanes, so that the first windows close long before the end of the file.
        .set("source.events.lanes", "2")
        .pipe_stdout()
        .start();
    let id = running.id();
    let mut stdout = running.stdout.take().expect("a pipe");

    // A little is read, slowly; then nothing: the job comes to a stand long before the end of its file.
    let mut rows = vec![0; 64 << 10];
    let mut read = 0;
    for _ in 0..20 {
        read += stdout.read(&mut rows).expect("rows") as u64;
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut still = 0;
    let mut last = 0;
    eventually("the source stands still", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(20));
        let now = bytes_read(id)?;
        still = if now == last { still + 1 } else { 0 };
        last = now;
        (still > 50).then_some(())
    });
    assert!(last < length * 9 / 10, "{last} of {length} bytes were read for a reader that stands still");
    let standing = memory(id, "VmRSS").expect("memory");

    // Then the rest is read: nothing is lost, and what waited was bounded.
    loop {
        let count = stdout.read(&mut rows).expect("rows");
        if count == 0 {
            break;
        }
        read += count as u64;
        let now = memory(id, "VmRSS").unwrap_or(0);
        assert!(now < standing + (150 << 20), "{} MiB grew to {} MiB", standing >> 20, now >> 20);
    }
    running.wait(Duration::from_secs(20)).expect_code(0);
    assert!(standing < 300 << 20, "{} MiB", standing >> 20);
    assert!(read > length, "{read} bytes of rows");
}

#[test]
fn more_keys_than_are_allowed_for_end_the_job_with_a_message_before_memory_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(20_000, 500, 5, &[], &input);
    let run = |keys: &str, workers: &str| {
        Invocation::new(PROGRAM)
            .arg("run")
            .arg(write_config(folder.path()))
            .args(["-w", workers])
            .set("source.events.path", &input)
            .set("limits.keys", keys)
            .run()
    };
    for workers in ["1", "2"] {
        let refused = run("100", workers).expect_code(3);
        assert!(refused.stderr.contains("`limits.keys` allows for 100"), "{}", refused.stderr);
    }
    run("500", "1").expect_code(0);
}

#[test]
fn a_rate_paces_the_whole_job_whatever_the_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(20_000, 500, 5, &[], &input);
    for workers in ["1", "3"] {
        let finished = Invocation::new(PROGRAM)
            .arg("run")
            .arg(write_config(folder.path()))
            .args(["-w", workers])
            .set("source.events.path", &input)
            .set("source.events.rate", "10000")
            .run()
            .expect_code(0);
        // Two seconds, less what may come at once at the start; lanes that have ended leave their share.
        assert!(finished.wall > Duration::from_millis(1_300), "{workers} workers: {:?}", finished.wall);
        assert!(finished.wall < Duration::from_secs(5), "{workers} workers: {:?}", finished.wall);
    }
}
