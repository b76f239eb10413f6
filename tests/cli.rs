//! The command line as a person and a script meet it: exit codes, data to stdout, words to stderr, errors
//! that point to the place.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::job::{Job, json_lines};
use testkit::process::{Finished, Invocation};
use testkit::workload::repository;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(30);

fn tidewatch<const N: usize>(arguments: [&str; N]) -> Invocation {
    Invocation::new(PROGRAM).args(arguments)
}

/// The main job with one change to its text, in a file of its own.
fn changed(folder: &Path, from: &str, to: &str) -> PathBuf {
    changed_of("configs/podcast.toml", folder, from, to)
}

/// A config with one change to its text, in a file of its own.
fn changed_of(config: &str, folder: &Path, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(repository().join(config)).expect("the config");
    assert!(text.contains(from), "{config} has no {from}");
    let path = folder.join("changed.toml");
    std::fs::write(&path, text.replacen(from, to, 1)).expect("write");
    path
}

fn check(config: &Path) -> Finished {
    Invocation::new(PROGRAM).arg("check").arg(config).run()
}

#[test]
fn help_and_version_are_data_and_end_well() {
    for flag in ["--help", "--version"] {
        let finished = tidewatch([flag]).run().expect_code(0);
        assert!(!finished.stdout.is_empty() && finished.stderr.is_empty());
    }
    let help = tidewatch(["--help"]).run().text();
    for verb in ["run", "check", "gen", "bench", "backtest", "completions"] {
        assert!(help.contains(verb), "no {verb} in:\n{help}");
        tidewatch([verb, "--help"]).run().expect_code(0);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_words() {
    for arguments in
        [&["nonsense"][..], &["run", "--nonsense"], &["run", "-w", "x"], &["run", "-w", "0"], &[]]
    {
        let finished = Invocation::new(PROGRAM).args(arguments).run().expect_code(2);
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [["--set", "no-value"], ["--set", "=1"]] {
        let finished = tidewatch(["check", "configs/podcast.toml"]).args(arguments).run();
        assert!(matches!(finished.code(), Some(2 | 3)), "{arguments:?}: {:?}", finished.code());
    }
}

#[test]
fn a_config_that_is_not_there_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let finished = tidewatch(["check", "none.toml"]).in_folder(folder.path()).run().expect_code(3);
    assert!(finished.stderr.contains("none.toml"), "{}", finished.stderr);
    for verb in ["check", "run"] {
        let finished = tidewatch([verb]).in_folder(folder.path()).run().expect_code(3);
        let words = &finished.stderr;
        assert!(words.contains("tidewatch.toml") && words.contains("`tidewatch run CONFIG`"), "{words}");
    }
}

#[test]
fn without_an_argument_the_config_is_the_one_in_the_working_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(repository().join("configs/podcast.toml"), folder.path().join("tidewatch.toml"))
        .expect("copy");
    tidewatch(["check"]).in_folder(folder.path()).run().expect_code(0);
}

#[test]
fn an_unknown_key_is_refused_at_its_line_with_the_nearest_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to, nearest) in [
        ("\nout_of_order", "\nout_of_ordr", "out_of_order"),
        ("\nslide", "\nslid", "slide"),
        ("\n[features]", "\n[feature]", "features"),
        ("\ncolumns", "\ncolumn", "columns"),
        ("\nwhen", "\nwhenn", "when"),
    ] {
        let text = std::fs::read_to_string(repository().join("configs/podcast.toml")).expect("the config");
        if !text.contains(from) {
            continue;
        }
        let config = changed(folder.path(), from, to);
        let line = std::fs::read_to_string(&config).expect("read");
        let line = line[..line.find(to).expect("the change")].lines().count() + 1;
        let finished = check(&config).expect_code(3);
        assert!(
            finished.stderr.contains(&format!("changed.toml:{line}:")),
            "{to}, {line}: {}",
            finished.stderr
        );
        assert!(finished.stderr.contains(&format!("`{nearest}`")), "{to}: {}", finished.stderr);
    }
}

#[test]
fn an_unknown_column_in_an_expression_is_pointed_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = changed(folder.path(), "sum(duration_s)", "sum(duration)");
    let text = std::fs::read_to_string(&config).expect("read");
    let before = &text[..text.find("sum(duration)").expect("the change") + "sum(".len()];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let finished = check(&config).expect_code(3);
    assert!(
        finished.stderr.contains(&format!("changed.toml:{line}:{column}")),
        "{line}: {}",
        finished.stderr
    );
    assert!(finished.stderr.contains("duration_s"), "{}", finished.stderr);
}

#[test]
fn a_check_in_json_has_message_file_line_and_help() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = changed(folder.path(), "\nout_of_order", "\nout_of_ordr");
    let finished =
        Invocation::new(PROGRAM).args(["check", "--format", "json"]).arg(&config).run().expect_code(3);
    let found: Value = serde_json::from_slice(&finished.stdout).expect("JSON on stdout");
    let text = found.to_string();
    assert!(text.contains("out_of_ordr") && text.contains("changed.toml") && text.contains("line"), "{text}");
    let finished = tidewatch(["check", "none.toml", "--format", "json"]).run().expect_code(3);
    let found: Value = serde_json::from_slice(&finished.stdout).expect("JSON on stdout");
    assert_eq!((&found["config"], &found["ok"]), (&"none.toml".into(), &false.into()), "{found}");
    let diagnostic = &found["diagnostics"][0];
    assert_eq!(diagnostic["code"], "E0108");
    assert!(diagnostic["message"].as_str().is_some_and(|words| words.contains("none.toml")), "{found}");
    let fine = tidewatch(["check", "configs/podcast.toml", "--format", "json"]).run().expect_code(0);
    assert!(serde_json::from_slice::<Value>(&fine.stdout).is_ok(), "{}", fine.text());
}

#[test]
fn an_override_that_does_not_fit_is_refused_by_its_own_name() {
    let finished =
        tidewatch(["check", "configs/podcast.toml", "--set", "window.size=10"]).run().expect_code(3);
    assert!(finished.stderr.contains("window.size"), "{}", finished.stderr);
    let finished =
        tidewatch(["check", "configs/podcast.toml", "--set", "window.sise=1"]).run().expect_code(3);
    assert!(finished.stderr.contains("`size`"), "{}", finished.stderr);
    tidewatch(["check", "configs/podcast.toml", "--set", "window.size=\"20m\""]).run().expect_code(0);
    // Not TOML, so a string.
    tidewatch(["check", "configs/podcast.toml", "--set", "window.size=20m"]).run().expect_code(0);
}

#[test]
fn an_input_that_is_not_there_ends_the_run_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = Job::reference(PROGRAM, folder.path().join("out"), &folder.path().join("none.ndjson"));
    let finished = job.invocation().run();
    assert!(matches!(finished.code(), Some(1 | 3)), "{:?}", finished.code());
    assert!(
        finished.stderr.contains("none.ndjson") && !finished.stderr.contains("panicked"),
        "{}",
        finished.stderr
    );
}

/// A job of one row, without a state.
const SMALL: &str = r#"
[source.events]
path = "events.ndjson"
[event]
key = "user_id"
time = { field = "ts", unit = "ms" }
[window]
type = "tumbling"
size = "1m"
[features]
events = "count(*)"
[sink.alerts]
path = "alerts"
format = "plain"
columns = ["user_id", "events"]
"#;

/// Writes the config of a small job and its input into a folder.
fn write_small(folder: &Path) -> PathBuf {
    let event = "{\"user_id\":\"u\",\"ts\":1700000000000}\n";
    std::fs::write(folder.join("events.ndjson"), event).expect("write");
    let config = folder.join("job.toml");
    std::fs::write(&config, SMALL).expect("write");
    config
}

/// A small job whose outputs are in `out`.
fn small_job(folder: &Path) -> Job {
    let config = write_small(folder);
    Job::new(PROGRAM, config, folder.join("out")).on(&folder.join("events.ndjson")).with_alerts()
}

/// The program refuses, in one sentence that says this.
fn refused(invocation: Invocation, what: &str) {
    let words = invocation.run().expect_code(3).stderr;
    assert_eq!(words.matches("error: ").count(), 1, "{words}");
    assert_eq!(words.matches(what).count(), 1, "{words}");
    assert!(words.contains("hint: "), "{words}");
}

#[test]
fn a_state_or_an_output_that_cannot_be_one_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = small_job(folder.path());
    let file = folder.path().join("events.ndjson");
    let in_file = file.join("state");
    for dir in [Path::new("/dev/null"), &file, &in_file] {
        refused(job.clone().set("state.dir", dir.display()).invocation(), "is not a directory");
    }
    let into_folder = job.clone().set("sink.alerts.path", folder.path().display());
    refused(into_folder.invocation(), "is a folder");
    refused(into_folder.with_state().invocation(), "is a folder");
}

#[test]
fn a_device_that_is_full_ends_the_run_and_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = small_job(folder.path()).set("sink.alerts.path", "/dev/full");
    for job in [job.clone(), job.with_state()] {
        let finished = job.invocation().start().wait(SOON);
        assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("the device `/dev/full` takes no more"), "{}", finished.stderr);
    }
}

#[test]
fn a_report_is_never_written_over_a_file_of_the_job() {
    let folder = tempfile::tempdir().expect("a folder");
    write_small(folder.path());
    std::fs::create_dir(folder.path().join("out")).expect("create");
    for file in ["events.ndjson", "./events.ndjson", "out/../alerts", "job.toml"] {
        let before = std::fs::read(folder.path().join(file)).ok();
        let job = tidewatch(["run", "job.toml", "--report", file]).in_folder(folder.path());
        refused(job, "the report would overwrite");
        assert_eq!(std::fs::read(folder.path().join(file)).ok(), before, "{file}");
    }
}

#[test]
fn what_lies_in_a_folder_of_devices_is_a_file_nevertheless() {
    let folder = tempfile::tempdir().expect("a folder");
    write_small(folder.path());
    let file = "/dev/shm/not-there-yet";
    let job = |verb: &str| {
        let job = tidewatch([verb, "job.toml"]).in_folder(folder.path());
        job.set("sink.alerts.path", file)
    };
    refused(job("run").args(["--report", file]), "the report would overwrite");
    let finished = job("check").set("sink.quarantine.path", file).run().expect_code(3);
    assert!(finished.stderr.contains("has the file of sink `alerts`"), "{}", finished.stderr);
    // A device takes the lines of both, and the report.
    let job = tidewatch(["run", "job.toml", "--report", "/dev/null"]).in_folder(folder.path());
    job.set("sink.alerts.path", "/dev/null").set("sink.quarantine.path", "/dev/null").run().expect_code(0);
}

#[test]
fn two_outputs_are_one_file_however_their_paths_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    write_small(folder.path());
    std::os::unix::fs::symlink("alerts", folder.path().join("link"))
        .expect("a link to what is not there yet");
    let whole = folder.path().join("alerts").display().to_string();
    for other in ["./alerts", "x/../alerts", "link", &whole] {
        let job = tidewatch(["check", "job.toml"]).in_folder(folder.path());
        let finished = job.set("sink.quarantine.path", other).run().expect_code(3);
        assert!(finished.stderr.contains("has the file of sink `alerts`"), "{other}: {}", finished.stderr);
    }
}

#[test]
fn a_job_goes_on_with_the_same_output_whose_path_is_written_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    write_small(folder.path());
    std::fs::create_dir(folder.path().join("out")).expect("create");
    for output in ["out/alerts", "./out//alerts"] {
        let job = tidewatch(["run", "job.toml"]).in_folder(folder.path());
        job.set("sink.alerts.path", output).set("state.dir", "state").run().expect_code(0);
    }
}

#[test]
fn in_a_pipe_standard_output_has_alerts_only_and_standard_error_no_progress() {
    let finished = tidewatch(["run", "configs/podcast.toml", "-w", "2"])
        .args(["--set", "source.events.events=200000", "--set", "source.events.rate=1000000"])
        .run()
        .expect_code(0);
    assert!(!json_lines(&finished.stdout).is_empty());
    assert!(finished.stderr.lines().count() < 10, "{}", finished.stderr);
    assert!(!finished.stderr.contains('\r') && !finished.stderr.contains('\u{1b}'), "{:?}", finished.stderr);
}

#[test]
fn the_first_alert_of_the_main_job_shows_within_seconds() {
    let started = Instant::now();
    let mut running = tidewatch(["run", "configs/podcast.toml"]).pipe_stdout().start();
    let mut first = [0];
    running.stdout.take().expect("a pipe").read_exact(&mut first).expect("an alert");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    running.kill();
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_job_quietly() {
    let mut running = tidewatch(["run", "configs/podcast.toml", "--set", "source.events.rate=200000"])
        .pipe_stdout()
        .start();
    let mut first = [0; 100];
    let mut stdout = running.stdout.take().expect("a pipe");
    stdout.read_exact(&mut first).expect("alerts");
    drop(stdout);
    let finished = running.wait(Duration::from_secs(60));
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    assert!(finished.status.code().is_some(), "no signal has ended it");
}

#[test]
fn ctrl_c_drains_and_a_second_one_leaves_at_once() {
    let job = ["run", "configs/podcast.toml", "--set", "source.events.rate=1000"];
    let running = tidewatch(job).start();
    std::thread::sleep(Duration::from_millis(700));
    running.signal(Signal::SIGINT);
    running.wait(SOON).expect_code(0);

    // Every row to a pipe that nobody reads: it cannot drain.
    let folder = tempfile::tempdir().expect("a folder");
    let config = changed_of("tests/jobs/engagement.toml", folder.path(), "\nmin_events", "\n# min_events");
    let mut running = Invocation::new(PROGRAM)
        .arg("run")
        .arg(&config)
        .args(["--set", "source.events.rate=1000000", "--set", "source.events.events=100000000"])
        .args(["--set", "rules.low-engagement.when=engagement >= 0"])
        .pipe_stdout()
        .start();
    let mut first = [0];
    let mut stdout = running.stdout.take().expect("a pipe");
    stdout.read_exact(&mut first).expect("a row");
    // Long enough for the pipe to fill, and every buffer before it.
    std::thread::sleep(Duration::from_secs(2));
    running.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(500));
    assert!(running.is_running(), "it has nowhere to drain to");
    running.signal(Signal::SIGINT);
    let finished = running.wait(SOON);
    assert_eq!(finished.code(), Some(130), "{}", finished.stderr);
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let finished = tidewatch(["completions", shell]).run().expect_code(0);
        assert!(finished.text().contains("tidewatch") && finished.stderr.is_empty(), "{shell}");
    }
}

#[test]
fn generated_events_are_the_same_for_a_seed_and_come_with_the_truth() {
    let folder = tempfile::tempdir().expect("a folder");
    let generate = |name: &str, seed: &str| {
        let (events, truth) =
            (folder.path().join(format!("{name}.ndjson")), folder.path().join(format!("{name}.truth")));
        tidewatch(["gen", "--events", "50000", "--users", "500", "--seed", seed, "--out"])
            .arg(&events)
            .arg("--truth")
            .arg(&truth)
            .run()
            .expect_code(0);
        (std::fs::read(events).expect("events"), std::fs::read(truth).expect("truth"))
    };
    let (events, truth) = generate("a", "7");
    assert!((events.clone(), truth.clone()) == generate("b", "7"));
    assert!(events != generate("c", "8").0);
    assert_eq!(json_lines(&events).len(), 50_000);
    let incidents = json_lines(&truth);
    assert!(!incidents.is_empty());
    for incident in incidents {
        let (from, to) = (incident["from"].as_i64(), incident["to"].as_i64());
        assert!(from.is_some() && from < to && incident["key"].is_string(), "{incident}");
        assert!(incident["kind"].is_string() && incident["size"].is_number(), "{incident}");
    }
}

#[test]
fn records_in_quarantine_without_a_place_to_go_are_told_on_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    std::fs::write(&input, "rubbish\n{\"user_id\":\"u\",\"event_type\":\"exit\",\"ts\":1700000000000}\n")
        .expect("write");
    let job = Job::reference(PROGRAM, folder.path().join("out"), &input);
    let finished = job.run();
    assert!(finished.stderr.contains("sink.quarantine.path"), "{}", finished.stderr);
    assert_eq!(job.report()["quarantined"], 1);
}

#[test]
fn bench_prints_a_report_in_json() {
    let finished = tidewatch(["bench", "configs/podcast.toml", "--format", "json"])
        .args(["--set", "source.events.events=50000"])
        .run()
        .expect_code(0);
    let report: Value = serde_json::from_slice(&finished.stdout).expect("JSON on stdout");
    assert!(report.is_object(), "{report}");
}
