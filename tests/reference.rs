//! The podcast job against the outside oracle: the reference program where nothing is late, the testkit's
//! oracle where records come beyond the bound. The same bytes for any number of workers and processes.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::Job;
use testkit::podcast::{Expected, Podcast};
use testkit::random::{Random, seed};
use testkit::workload::{generate, reference, sorted_lines};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// (processes, workers) of the runs that must agree.
const SHAPES: [(usize, usize); 4] = [(1, 1), (1, 2), (1, 4), (2, 2)];

fn shaped(folder: &Path, input: &Path, (processes, workers): (usize, usize)) -> Job {
    let folder = folder.join(format!("{processes}x{workers}"));
    Job::reference(PROGRAM, folder, input).processes(processes).workers(workers)
}

/// Runs the job in these shapes, checks that their bytes are equal, and gives them with the report.
fn run_shapes(folder: &Path, input: &Path, shapes: &[(usize, usize)]) -> (Vec<u8>, Value) {
    let mut first: Option<(Vec<u8>, Value)> = None;
    for &shape in shapes {
        let job = shaped(folder, input, shape);
        let finished = job.run();
        assert!(finished.stdout.is_empty(), "data goes to the file: {}", finished.text());
        let (alerts, report) = (job.alerts(), job.report());
        match &first {
            None => first = Some((alerts, report)),
            Some((expected, counts)) => {
                assert!(*expected == alerts, "{shape:?}: other bytes than {:?}", shapes[0]);
                for name in ["read", "accepted", "quarantined", "windowed", "late", "windows", "alerts"] {
                    assert_eq!(counts[name], report[name], "{shape:?}: {name}");
                }
            }
        }
    }
    first.expect("at least one shape")
}

/// Checks the job on `input` against the reference program.
fn check_reference(folder: &Path, input: &Path, shapes: &[(usize, usize)]) -> (String, Value) {
    let expected = folder.join("expected.ndjson");
    let words = reference(input, &expected);
    let (alerts, report) = run_shapes(folder, input, shapes);
    let expected = std::fs::read(&expected).expect("the expected alerts");
    assert!(sorted_lines(&alerts) == sorted_lines(&expected), "other alerts than the reference: {words}");
    assert_eq!(report["late"], 0);
    assert_eq!(report["alerts"], alerts.split(|&byte| byte == b'\n').count() as u64 - 1);
    assert!(words.contains(&format!("windows={} ", report["windows"])), "{words}: {report}");
    (words, report)
}

fn generated(folder: &Path, events: u64, users: u64, seed: u64) -> PathBuf {
    let input = folder.join("events.ndjson");
    generate(events, users, seed, &[], &input);
    input
}

#[test]
fn the_known_file_gives_the_known_alerts_for_any_number_of_workers_and_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = generated(folder.path(), 100_000, 2_000, 1);
    let (words, report) = check_reference(folder.path(), &input, &SHAPES);
    assert_eq!(words, "events=100000 users=2000 windows=126053 alerts=845 checksum=2c84df2831c4cde6");
    for (name, count) in [("read", 100_000), ("windowed", 100_000), ("windows", 126_053), ("alerts", 845)] {
        assert_eq!(report[name], count, "{name}");
    }
}

#[test]
fn other_seeds_and_numbers_of_keys_give_the_alerts_of_the_reference() {
    for (events, users, seed) in [(20_000, 1, 4), (30_000, 40, 2), (40_000, 30_000, 9)] {
        let folder = tempfile::tempdir().expect("a folder");
        let input = generated(folder.path(), events, users, seed);
        check_reference(folder.path(), &input, &[(1, 1), (1, 3)]);
    }
}

#[test]
fn events_shuffled_within_the_bound_change_nothing_of_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = generated(folder.path(), 50_000, 1_000, 6);
    let lines = std::fs::read(&input).expect("events");
    let shuffled =
        delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 5_000, 1.0, seed(21)).concat();
    assert!(shuffled != lines && shuffled.len() == lines.len());
    std::fs::write(&input, shuffled).expect("write");
    check_reference(folder.path(), &input, &[(1, 1), (1, 4)]);
}

/// Events of which many come beyond the bound, with lines in between that do not fit.
fn beyond_the_bound(file: &Path, seed: u64) -> Vec<u8> {
    generate(60_000, 1_000, 8, &[], file);
    let lines = std::fs::read(file).expect("events");
    let shuffled = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 1_200_000, 0.2, seed);
    let mut random = Random::new(seed);
    let mut hostile = Vec::new();
    for line in shuffled {
        if random.chance(0.002) {
            hostile.extend_from_slice(random.pick(&BAD_LINES).as_bytes());
            hostile.push(b'\n');
        }
        hostile.extend_from_slice(line);
    }
    std::fs::write(file, &hostile).expect("write");
    hostile
}

const BAD_LINES: [&str; 8] = [
    "no json at all",
    r#"{"user_id":"user-000001","ts":1700000000000,"event_type":"exit""#,
    r#"{"event_type":"exit","ts":1700003500000,"duration_s":0.0}"#,
    r#"{"user_id":null,"event_type":"exit","ts":1700003500000,"duration_s":0.0}"#,
    r#"{"user_id":"user-000001","event_type":"exit","duration_s":0.0}"#,
    r#"{"user_id":"user-000001","event_type":"exit","ts":253402300799000,"duration_s":0.0}"#,
    r#"{"user_id":"user-000001","event_type":"exit","ts":"1700003500000","duration_s":0.0}"#,
    r#"{"user_id":"user-000001","event_type":"exit","ts":1700003500000,"duration_s":"0.0"}"#,
];

#[test]
fn records_beyond_the_bound_are_judged_by_their_own_lane_whatever_the_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    let bytes = beyond_the_bound(&input, seed(31));
    for lanes in [16, 3] {
        let expected = Podcast { lanes, ..Podcast::default() }.expect(&bytes);
        assert!(expected.late > 1_000 && expected.quarantined > 50, "{} late", expected.late);
        for shape in SHAPES {
            let folder = folder.path().join(format!("{lanes}"));
            let job = shaped(&folder, &input, shape).set("source.events.lanes", lanes).with_quarantine();
            job.run();
            check_expected(&job, &expected, &format!("{lanes} lanes, {shape:?}"));
        }
    }
}

fn check_expected(job: &Job, expected: &Expected, run: &str) {
    let report = job.report();
    for (name, count) in [
        ("read", expected.read),
        ("quarantined", expected.quarantined),
        ("windowed", expected.windowed),
        ("late", expected.late),
        ("windows", expected.windows),
    ] {
        assert_eq!(report[name], count, "{run}: {name}");
    }
    assert!(job.alerts() == expected.alerts.as_bytes(), "{run}: other alerts than the oracle");
    let rows = job.quarantine();
    assert_eq!(rows.len(), expected.quarantine.len(), "{run}: quarantine rows");
    for (row, expected) in rows.iter().zip(&expected.quarantine) {
        assert_eq!(row["reason"], expected.reason.code(), "{run}: {row}");
        assert_eq!(row["offset"], expected.offset, "{run}: {row}");
        assert_eq!(row["raw"], expected.raw, "{run}: {row}");
        let partition = row["partition"].as_str().unwrap_or_default();
        assert!(partition.ends_with(&format!("#{}", expected.lane)), "{run}: {row}");
    }
}

#[test]
fn tiny_files_end_well() {
    let line = r#"{"user_id":"u","event_type":"exit","ts":1700000000000,"duration_s":0.0}"#;
    for (name, bytes, windows, alerts) in [
        ("empty", String::new(), 0, 0),
        ("blank", "\n \r\n\n".to_owned(), 0, 0),
        ("one", format!("{line}\n"), 10, 0),
        ("no last newline", format!("{line}\n{line}\n{line}"), 10, 10),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("events.ndjson");
        std::fs::write(&input, bytes).expect("write");
        let (rows, report) = run_shapes(folder.path(), &input, &[(1, 2), (2, 1)]);
        assert_eq!(report["windows"], windows, "{name}");
        assert_eq!(rows.split(|&byte| byte == b'\n').count() - 1, alerts, "{name}");
    }
}
