//! What a job could not use: in every kind of sink, listed, and had again as it was in its source, each record
//! once, for a job whose config was corrected.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::job::{Job, json_lines};
use testkit::process::Invocation;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const CONFIG: &str = r#"
version = 1
name = "sums"

[source.events]
path = "set by the test"
lanes = 2

[event]
key = "user"
time = { field = "ts", unit = "ms" }

[event.fields]
v = "bigint"

[time]
out_of_order = "1h"

[window]
type = "tumbling"
size = "1m"

[features]
n = "count(*)"
total = "sum(v)"

[sink.alerts]
path = "set by the test"
format = "plain"
columns = ["user", "window_start", "window_end", "n", "total"]
"#;

/// What the lines of the input are, by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Good,
    /// A number with a fraction, which fits only a `double`.
    Fraction,
    /// The same, with more bytes than quarantine shows.
    LongFraction,
    /// Not JSON, with bytes that are no UTF-8.
    Broken,
    /// Two hours older than what stands before it.
    Late,
}

fn line(number: u64) -> Line {
    match number % 50 {
        7 => Line::Fraction,
        19 => Line::LongFraction,
        23 => Line::Broken,
        // Not among the first, before which there is nothing.
        31 if number > 1000 => Line::Late,
        _ => Line::Good,
    }
}

/// A config in a folder, and its input.
struct World {
    config: PathBuf,
    input: PathBuf,
    folder: PathBuf,
    /// The lines without their ends.
    lines: Vec<(Line, Vec<u8>)>,
}

const LINES: u64 = 30_000;

fn world(folder: &Path) -> World {
    let mut lines = Vec::new();
    for number in 0..LINES {
        let what = line(number);
        let ts = 1_700_000_000_000 + number as i64 * 1_000 - if what == Line::Late { 7_200_000 } else { 0 };
        let user = number % 13;
        let text = match what {
            Line::Good | Line::Late => format!(r#"{{"user":"u{user}","ts":{ts},"v":{number}}}"#),
            Line::Fraction => format!(r#"{{"user":"u{user}","ts":{ts},"v":{number}.5}}"#),
            Line::LongFraction => {
                format!(r#"{{"user":"u{user}","ts":{ts},"v":{number}.5,"note":"{}"}}"#, "long ".repeat(400))
            }
            Line::Broken => String::new(),
        };
        let bytes = match what {
            Line::Broken => [format!("{{\"user\":\"u{user}").as_bytes(), b"\xFF\0\xF0 no end"].concat(),
            _ => text.into_bytes(),
        };
        lines.push((what, bytes));
    }
    let input = folder.join("events.ndjson");
    std::fs::write(
        &input,
        lines.iter().flat_map(|(_, line)| [line, b"\n".as_slice()].concat()).collect::<Vec<_>>(),
    )
    .expect("write");
    let config = folder.join("sums.toml");
    std::fs::write(&config, CONFIG).expect("write");
    World { config, input, folder: folder.to_owned(), lines }
}

impl World {
    /// The job, its outputs in a folder of that name.
    fn job(&self, name: &str) -> Job {
        Job::new(PROGRAM, &self.config, self.folder.join(name)).on(&self.input).with_alerts()
    }

    fn count(&self, what: &[Line]) -> u64 {
        self.lines.iter().filter(|(line, _)| what.contains(line)).count() as u64
    }

    /// The lines of that kind as they must come back.
    fn text(&self, what: &[Line]) -> Vec<u8> {
        let wanted = self.lines.iter().filter(|(line, _)| what.contains(line));
        wanted.flat_map(|(_, line)| [line, b"\n".as_slice()].concat()).collect()
    }
}

const NOT_USED: [Line; 4] = [Line::Fraction, Line::LongFraction, Line::Broken, Line::Late];

/// Where what does not fit goes.
#[derive(Clone)]
enum Kept {
    File,
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(testkit::postgres::Database),
}

impl Kept {
    /// The job with its quarantine there, and late records in another place of the kind if they are apart.
    fn add_to(&self, job: Job, apart: bool) -> Job {
        let late = apart.then_some("late");
        ["quarantine"].into_iter().chain(late).fold(job, |job, name| {
            let sink = |key: &str| format!("sink.{name}.{key}");
            let table = format!("{name}_{}", if apart { "apart" } else { "together" });
            match self {
                Kept::File if name == "late" => {
                    let path = job.quarantine_path().with_extension("late");
                    job.set(&sink("path"), path.display())
                }
                Kept::File => job.with_quarantine(),
                Kept::Sqlite(path) => {
                    let job = job.set(&sink("type"), "sqlite").set(&sink("path"), path.display());
                    job.set(&sink("table"), table)
                }
                #[cfg(feature = "postgres")]
                Kept::Postgres(database) => {
                    let job = job.set(&sink("type"), "postgres").set(&sink("table"), table);
                    job.set(&sink("url"), format!("\"{}\"", database.url()))
                }
            }
        })
    }
}

/// All kinds that there are here, in folders of their own.
fn kinds(folder: &Path) -> Vec<(&'static str, Kept)> {
    let kinds = vec![("file", Kept::File), ("sqlite", Kept::Sqlite(folder.join("kept.db")))];
    #[cfg(feature = "postgres")]
    if let Some(database) = testkit::postgres::database() {
        return [kinds, vec![("postgres", Kept::Postgres(database))]].concat();
    }
    kinds
}

fn words(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "no word of `{word}` in:\n{said}");
    }
}

#[cfg(not(feature = "postgres"))]
#[test]
fn ci_builds_what_it_tests() {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "CI must run these tests with `--features tidewatch/full`");
    testkit::left_out::announce(
        "tests of quarantine in PostgreSQL, which `--features tidewatch/full` brings",
    );
}

#[test]
fn every_sink_that_keeps_rows_lists_them_and_gives_each_record_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    for (name, kept) in kinds(folder.path()) {
        for apart in [false, true] {
            // Without a state: each run begins anew, and a table takes a row that it has only once.
            let job = kept.add_to(world.job(&format!("{name}-{apart}")), apart);
            job.clone().workers(2).run();
            let listed = job.ask(&["quarantine", "list"]);
            let reasons: BTreeMap<&str, u64> = [
                ("type", world.count(&[Line::Fraction, Line::LongFraction])),
                ("malformed", world.count(&[Line::Broken])),
                ("late", world.count(&[Line::Late])),
            ]
            .into();
            let reported = job.report();
            for (reason, count) in &reasons {
                assert_eq!(listed["by_reason"][reason], *count, "{name}: {reason}");
                assert_eq!(reported["by_reason"][reason], *count, "{name}: {reason}");
            }
            assert_eq!(listed["count"], world.count(&NOT_USED));

            let again = job.about(&["quarantine", "replay"]).run().expect_code(0);
            assert!(again.stdout == world.text(&NOT_USED), "{name}: other bytes than in the source");
            let late =
                job.about(&["quarantine", "replay"]).args(["--reason", "late", "-q"]).run().expect_code(0);
            assert!(late.stdout == world.text(&[Line::Late]) && late.stderr.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_table_of_rows_ends_with_the_counts_and_shows_no_more_than_was_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    let job = world.job("out").with_quarantine();
    job.run();
    let listed = job.about(&["quarantine", "list"]).args(["--limit", "3"]).run().expect_code(0).text();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3 + 1 + 3 + 1, "{listed}");
    words(&listed, &["events.ndjson#0@", "more; `--limit` shows them"]);
    assert!(listed.ends_with(&format!("all            {}\n", world.count(&NOT_USED))), "{listed}");
    let some = job.about(&["quarantine", "list"]).args(["--reason", "malformed", "--limit", "1"]).run();
    assert!(!some.text().contains('\0') && some.text().contains('\u{FFFD}'), "{}", some.text());
    let partition = format!("{}#1", world.input.display());
    let from = job
        .about(&["quarantine", "list", "--format", "json"])
        .args(["--partition", &partition, "--from", "2000000"])
        .run()
        .expect_code(0);
    let from: Value = serde_json::from_slice(&from.stdout).expect("JSON");
    let rows = from["rows"].as_array().expect("rows");
    let at = |row: &Value| row["offset"].as_u64().expect("an offset");
    assert!(
        !rows.is_empty()
            && rows.iter().all(|row| row["partition"] == partition.as_str() && at(row) >= 2_000_000)
    );
    let unknown = job.about(&["quarantine", "list"]).args(["--reason", "lat"]).run().expect_code(2);
    words(&unknown.stderr, &["the reasons are malformed"]);
}

/// How many records the plain rows of a job count, and what they add up to.
fn totals(job: &Job) -> (u64, f64) {
    let rows = json_lines(&job.alerts());
    let sum = |name: &str| rows.iter().map(|row| row[name].as_f64().expect("a number")).sum::<f64>();
    (sum("n") as u64, sum("total"))
}

#[test]
fn after_the_config_is_corrected_a_replay_brings_each_record_into_an_output_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    let job = world.job("out").with_state().with_quarantine();
    job.clone().workers(2).run();
    assert_eq!(totals(&job).0, world.count(&[Line::Good]));
    // A sink that delivers at once may have rows twice after a crash.
    let mut doubled = std::fs::read(job.quarantine_path()).expect("rows");
    doubled.extend_from_within(..);
    std::fs::write(job.quarantine_path(), doubled).expect("write");

    // As it was, the config takes none of them; corrected, those that it was corrected for.
    let check = |job: &Job, code: i32| -> Value {
        let checked =
            job.about(&["quarantine", "replay", "--format", "json"]).arg("--check").run().expect_code(code);
        serde_json::from_slice(&checked.stdout).expect("JSON")
    };
    let fixed = world.count(&[Line::Fraction, Line::LongFraction]);
    let late = world.count(&[Line::Late]);
    let before = check(&job, 3);
    assert_eq!((&before["accepted"], &before["by_reason"]["type"]), (&late.into(), &fixed.into()));
    let corrected = job.clone().set("event.fields.v", "double");
    let after = check(&corrected, 3);
    assert_eq!(after["accepted"], fixed + late);
    assert_eq!(after["by_reason"]["malformed"], world.count(&[Line::Broken]));

    let again = folder.path().join("again.ndjson");
    let replay = |job: &Job| job.about(&["quarantine", "replay", "--reason", "type"]);
    replay(&corrected).arg("--into").arg(&again).run().expect_code(0);
    assert!(std::fs::read(&again).expect("records") == world.text(&[Line::Fraction, Line::LongFraction]));
    let second = world
        .job("second")
        .on(&again)
        .set("event.fields.v", "double")
        .set("name", "sums-again")
        .with_state()
        .with_quarantine();
    second.clone().workers(2).run();
    let expected: f64 = (0..LINES)
        .filter(|n| matches!(line(*n), Line::Fraction | Line::LongFraction))
        .map(|n| n as f64 + 0.5)
        .sum();
    assert_eq!(totals(&second), (fixed, expected));
    assert!(second.quarantine().is_empty());

    // A record that was had is not had again unless somebody asks for it.
    let twice = replay(&corrected).arg("--into").arg(&again).run().expect_code(3);
    words(&twice.stderr, &["is not empty", "hint: ", "--except"]);
    let rest = folder.path().join("rest.ndjson");
    corrected
        .about(&["quarantine", "replay"])
        .arg("--into")
        .arg(&rest)
        .arg("--except")
        .arg(&again)
        .run()
        .expect_code(0);
    assert!(std::fs::read(&rest).expect("records") == world.text(&[Line::Broken, Line::Late]));
    let nothing = corrected.about(&["quarantine", "replay"]);
    let nothing = nothing.arg("--except").arg(&again).arg("--except").arg(&rest).run().expect_code(0);
    assert!(nothing.stdout.is_empty());
}

#[test]
fn what_its_source_no_longer_has_comes_from_its_row_or_is_said_to_be_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    let job = world.job("out").with_quarantine();
    job.run();
    let lost = world.count(&[Line::LongFraction, Line::Broken]);
    let kept = world.text(&[Line::Fraction, Line::Late]);
    let bytes = std::fs::metadata(&world.input).expect("a file").len() as usize;
    // Another file of the same length; none at all.
    for input in [Some(vec![b'x'; bytes]), None] {
        match input {
            Some(other) => std::fs::write(&world.input, other).expect("write"),
            None => std::fs::remove_file(&world.input).expect("remove"),
        }
        let replayed = job.about(&["quarantine", "replay"]).run().expect_code(3);
        assert!(replayed.stdout == kept, "{}", replayed.stderr);
        words(&replayed.stderr, &["could not be had", &format!("error: {lost} records could not be had")]);
    }
}

#[test]
fn a_stream_that_cannot_be_read_again_is_replayed_as_far_as_its_rows_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    let config = folder.path().join("stdin.toml");
    let text = CONFIG.replace("path = \"set by the test\"\nlanes = 2", "type = \"stdin\"");
    std::fs::write(&config, text).expect("write");
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).with_alerts().with_quarantine();
    job.invocation().input(std::fs::read(&world.input).expect("the input")).run().expect_code(0);
    let replayed = job.about(&["quarantine", "replay"]).run().expect_code(3);
    words(&replayed.stderr, &["standard input cannot be read again"]);
    assert!(replayed.stdout == world.text(&[Line::Fraction, Line::Late]));
}

#[test]
fn standard_output_takes_quarantine_rows_which_can_then_be_given_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    let file = world.job("file").with_quarantine();
    file.run();
    let job = world.job("out").set("sink.quarantine.type", "stdout");
    let shown = job.run();
    assert!(shown.stdout == std::fs::read(file.quarantine_path()).expect("rows"));
    let listed = job.about(&["quarantine", "list"]).run().expect_code(3);
    words(&listed.stderr, &["standard output keeps nothing", "--rows FILE"]);
    let caught = folder.path().join("caught.ndjson");
    std::fs::write(&caught, &shown.stdout).expect("write");
    let replayed = job.about(&["quarantine", "replay"]).arg("--rows").arg(&caught).run().expect_code(0);
    assert!(replayed.stdout == world.text(&NOT_USED));
}

#[test]
fn a_job_that_only_counts_what_does_not_fit_has_nothing_to_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world(folder.path());
    let listed = world.job("out").about(&["quarantine", "list"]).run().expect_code(3);
    words(&listed.stderr, &["no [sink.quarantine]", "hint: "]);
    let missing = world.job("out").with_quarantine().about(&["quarantine", "list"]).run();
    assert_ne!(missing.code(), Some(0));
    words(&missing.stderr, &["quarantine.ndjson"]);
    let mut help = String::new();
    for verb in ["list", "replay"] {
        let said = Invocation::new(PROGRAM).args(["quarantine", verb, "--help"]).run().expect_code(0);
        write!(help, "{}", said.text()).expect("write");
    }
    words(&help, &["--reason", "--into", "--except", "--check"]);
}
