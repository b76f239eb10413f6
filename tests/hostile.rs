//! Lines that somebody else wrote: each is either a record with these values or one row of quarantine with
//! this reason, its place and its first bytes. None panics, stalls, or moves the watermark.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::lanes;
use testkit::process::{Invocation, eventually, memory};
use testkit::random::{Random, seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// A job whose rows show what was decoded: one window, one row a key.
const CONFIG: &str = r#"
version = 1
name = "hostile"

[source.events]
type = "file"
path = "set by the test"

[event]
key = "user"
time = { field = "ts", unit = "ms" }

[event.fields]
v = "double"
n = "bigint"
s = "varchar"
b = "boolean"
deep = { path = "a.b", type = "bigint" }

[time]
out_of_order = "0s"

[window]
type = "tumbling"
size = "1h"

[features]
events = "count(*)"
v = "first(v)"
n = "first(n)"
s = "first(s)"
b = "first(b)"
deep = "first(deep)"

[sink.alerts]
type = "file"
path = "set by the test"
format = "plain"
columns = ["user", "events", "v", "n", "s", "b", "deep"]
"#;

/// What becomes of a line.
enum Fate {
    /// A record; these of its columns are not null.
    Fits(Value),
    /// Quarantine, with one of these reasons.
    Refused(&'static [&'static str]),
    /// Either: the contract leaves it open, as long as it is one of the two.
    Either(&'static [&'static str]),
    /// No record at all.
    Nothing,
}
use Fate::{Either, Fits, Nothing, Refused};

/// In a line, `KEY` stands for a key of its own, `TS` for `"ts":` and a good time.
struct Case {
    line: Vec<u8>,
    fate: Fate,
}

fn case(line: impl Into<Vec<u8>>, fate: Fate) -> Case {
    Case { line: line.into(), fate }
}

fn refused(reasons: &'static [&'static str], lines: &[&str]) -> Vec<Case> {
    lines.iter().map(|line| case(*line, Refused(reasons))).collect()
}

fn fits(lines: &[(&str, Value)]) -> Vec<Case> {
    lines.iter().map(|(line, row)| case(*line, Fits(row.clone()))).collect()
}

const MALFORMED: &[&str] = &["malformed"];
const MISSING: &[&str] = &["missing"];
const TYPE: &[&str] = &["type"];
/// A value that is no JSON either: which of the two is said first is a matter of taste.
const TOKEN: &[&str] = &["type", "malformed"];

fn whole_objects_only() -> Vec<Case> {
    let mut cases = refused(
        MALFORMED,
        &[
            "not json",
            "{",
            "}",
            "[]",
            "[{\"user\":\"KEY\",TS}]",
            "\"user\"",
            "null",
            "17",
            "{\"user\":\"KEY\",TS",
            "{\"user\":\"KEY\",TS}}",
            "{\"user\":\"KEY\",TS} x",
            "{\"user\":\"KEY\",TS}{\"user\":\"KEY\",TS}",
            "{\"user\":\"KEY\",TS},",
            "{\"user\":\"KEY\",TS,}",
            "{,\"user\":\"KEY\",TS}",
            "{\"user\":\"KEY\",,TS}",
            "{\"user\":\"KEY\" TS}",
            "{\"user\" \"KEY\",TS}",
            "{\"user\":\"KEY\",TS,\"x\"}",
            "{\"user\":\"KEY\",TS,\"x\":}",
            "{user:\"KEY\",TS}",
            "{'user':'KEY',TS}",
            "{\"user\":\"KEY,TS}",
            "{\"user\":\"KEY\",TS,\"x\":[1,2}",
            "{\"user\":\"KEY\",TS,\"x\":{\"y\":1]}",
            "{\"user\":\"KEY\",TS,\"x\":\"open}",
            "\u{feff}{\"user\":\"KEY\",TS}",
        ],
    );
    // The fields of a record, then rubbish: they could be read, the line is refused all the same.
    cases.push(case("{\"user\":\"KEY\",TS,\"n\":1}\0", Refused(MALFORMED)));
    cases.extend(fits(&[
        ("{\"user\":\"KEY\",TS}", json!({})),
        ("  \t{ \"user\" : \"KEY\" , TS , \"n\" : 4 } \t", json!({"n": 4})),
        ("{TS,\"n\":5,\"user\":\"KEY\"}", json!({"n": 5})),
        ("{\"x\":1,\"n\":6,\"y\":[{}],TS,\"z\":null,\"user\":\"KEY\"}", json!({"n": 6})),
    ]));
    cases.push(case("", Nothing));
    cases.push(case("  \t ", Nothing));
    cases.push(case("\r", Nothing));
    cases
}

fn needed_and_missing() -> Vec<Case> {
    let mut cases = refused(
        MISSING,
        &[
            "{}",
            "{TS}",
            "{\"user\":null,TS}",
            "{\"user\":\"KEY\"}",
            "{\"user\":\"KEY\",\"ts\":null}",
            "{\"User\":\"KEY\",TS}",
            "{\"user \":\"KEY\",TS}",
            "{\"x\":{\"user\":\"KEY\"},TS}",
            "{\"x\":[{\"user\":\"KEY\"}],TS}",
        ],
    );
    cases.extend(fits(&[
        ("{\"user\":\"KEY\",TS,\"n\":null,\"v\":null,\"s\":null,\"b\":null,\"a\":null}", json!({})),
        ("{\"user\":\"KEY\",TS,\"x\":{\"user\":\"other\",\"ts\":1,\"n\":\"no\"}}", json!({})),
        ("{\"x\":{\"n\":1},\"user\":\"KEY\",TS,\"n\":2}", json!({"n": 2})),
        ("{\"user\":\"KEY\",TS,\"a\":{\"b\":3,\"c\":{\"b\":4}}}", json!({"deep": 3})),
        ("{\"user\":\"KEY\",TS,\"a\":{\"c\":{\"b\":4}},\"b\":true}", json!({"b": true})),
        ("{\"user\":\"KEY\",TS,\"a.b\":9}", json!({})),
    ]));
    cases
}

fn values_of_their_type() -> Vec<Case> {
    let mut cases = refused(
        TYPE,
        &[
            "{\"user\":7,TS}",
            "{\"user\":[\"KEY\"],TS}",
            "{\"user\":\"KEY\",\"ts\":\"1700000000000\"}",
            "{\"user\":\"KEY\",\"ts\":true}",
            "{\"user\":\"KEY\",TS,\"v\":\"1.5\"}",
            "{\"user\":\"KEY\",TS,\"v\":true}",
            "{\"user\":\"KEY\",TS,\"v\":1e999}",
            "{\"user\":\"KEY\",TS,\"v\":-1e999}",
            "{\"user\":\"KEY\",TS,\"v\":{}}",
            "{\"user\":\"KEY\",TS,\"n\":1.0}",
            "{\"user\":\"KEY\",TS,\"n\":1e3}",
            "{\"user\":\"KEY\",TS,\"n\":\"5\"}",
            "{\"user\":\"KEY\",TS,\"n\":9223372036854775808}",
            "{\"user\":\"KEY\",TS,\"n\":-9223372036854775809}",
            "{\"user\":\"KEY\",TS,\"n\":123456789012345678901234567890}",
            "{\"user\":\"KEY\",TS,\"s\":5}",
            "{\"user\":\"KEY\",TS,\"s\":{\"s\":\"x\"}}",
            "{\"user\":\"KEY\",TS,\"b\":1}",
            "{\"user\":\"KEY\",TS,\"b\":\"true\"}",
            "{\"user\":\"KEY\",TS,\"a\":{\"b\":\"x\"}}",
        ],
    );
    cases.extend(refused(
        TOKEN,
        &[
            "{\"user\":\"KEY\",TS,\"v\":NaN}",
            "{\"user\":\"KEY\",TS,\"v\":Infinity}",
            "{\"user\":\"KEY\",TS,\"v\":-Infinity}",
            "{\"user\":\"KEY\",TS,\"v\":+1}",
            "{\"user\":\"KEY\",TS,\"v\":01}",
            "{\"user\":\"KEY\",TS,\"v\":.5}",
            "{\"user\":\"KEY\",TS,\"v\":5.}",
            "{\"user\":\"KEY\",TS,\"v\":0x10}",
            "{\"user\":\"KEY\",TS,\"v\":1e}",
            "{\"user\":\"KEY\",TS,\"v\":1e4e}",
            "{\"user\":\"KEY\",TS,\"v\":-}",
            "{\"user\":\"KEY\",TS,\"n\":1 2}",
            "{\"user\":\"KEY\",TS,\"b\":TRUE}",
            "{\"user\":\"KEY\",TS,\"b\":nul}",
        ],
    ));
    cases.extend(fits(&[
        ("{\"user\":\"KEY\",TS,\"v\":3}", json!({"v": 3.0})),
        ("{\"user\":\"KEY\",TS,\"v\":-1.25e-2}", json!({"v": -0.0125})),
        ("{\"user\":\"KEY\",TS,\"v\":0.1}", json!({"v": 0.1})),
        ("{\"user\":\"KEY\",TS,\"v\":9007199254740993}", json!({"v": 9_007_199_254_740_992.0})),
        ("{\"user\":\"KEY\",TS,\"v\":1e-999}", json!({"v": 0.0})),
        ("{\"user\":\"KEY\",TS,\"v\":1.7976931348623157e308}", json!({"v": f64::MAX})),
        ("{\"user\":\"KEY\",TS,\"v\":5e-324}", json!({"v": 5e-324})),
        ("{\"user\":\"KEY\",TS,\"n\":9223372036854775807}", json!({"n": i64::MAX})),
        ("{\"user\":\"KEY\",TS,\"n\":-9223372036854775808}", json!({"n": i64::MIN})),
        ("{\"user\":\"KEY\",TS,\"n\":-0}", json!({"n": 0})),
        ("{\"user\":\"KEY\",TS,\"b\":false}", json!({"b": false})),
    ]));
    cases
}

fn names_and_strings() -> Vec<Case> {
    let mut cases = refused(
        &["duplicate_name"],
        &[
            "{\"user\":\"KEY\",\"user\":\"KEY\",TS}",
            "{\"user\":\"KEY\",TS,TS}",
            "{\"user\":\"KEY\",TS,\"n\":1,\"n\":1}",
            "{\"user\":\"KEY\",TS,\"n\":1,\"\\u006e\":2}",
            "{\"user\":\"KEY\",TS,\"a\":{\"b\":1,\"b\":2}}",
        ],
    );
    cases.extend(refused(
        MALFORMED,
        &[
            "{\"user\":\"KEY\",TS,\"s\":\"\\x41\"}",
            "{\"user\":\"KEY\",TS,\"s\":\"\\u12\"}",
            "{\"user\":\"KEY\",TS,\"s\":\"a\tb\"}",
        ],
    ));
    // A string without a meaning in UTF-8: malformed, or no value of the type.
    cases.extend(refused(
        TOKEN,
        &[
            "{\"user\":\"KEY\",TS,\"s\":\"\\ud800\"}",
            "{\"user\":\"KEY\",TS,\"s\":\"\\udc00\\ud800\"}",
            "{\"user\":\"KEY\",TS,\"s\":\"\\ud800x\"}",
            "{\"user\":\"\\ud83dKEY\",TS}",
        ],
    ));
    let with_bytes =
        |before: &str, bytes: &[u8], after: &str| [before.as_bytes(), bytes, after.as_bytes()].concat();
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        cases.push(case(with_bytes("{\"user\":\"KEY\",TS,\"s\":\"a", bytes, "\"}"), Refused(MALFORMED)));
        // In a value that nobody reads it only has to be stepped over.
        cases.push(case(with_bytes("{\"user\":\"KEY\",TS,\"x\":\"a", bytes, "\"}"), Fits(json!({}))));
    }
    cases.extend(fits(&[
        ("{\"\\u0075ser\":\"KEY\",TS,\"\\u006E\":8}", json!({"n": 8})),
        ("{\"user\":\"KEY\",TS,\"x\":1,\"x\":2}", json!({})),
        ("{\"user\":\"KEY\",TS,\"x\":\"\\ud800\"}", json!({})),
        ("{\"user\":\"KEY\",TS,\"N\":1,\"n \":2,\" n\":3}", json!({})),
        ("{\"user\":\"KEY\",TS,\"s\":\"\"}", json!({"s": ""})),
        ("{\"user\":\"KEY\",TS,\"s\":\"  a  \"}", json!({"s": "  a  "})),
        ("{\"user\":\"KEY\",TS,\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", json!({"s": "\"\\/\u{8}\u{c}\n\r\t"})),
        ("{\"user\":\"KEY\",TS,\"s\":\"\\u0000\\u001f\"}", json!({"s": "\0\u{1f}"})),
        ("{\"user\":\"KEY\",TS,\"s\":\"\\ud83d\\ude00\"}", json!({"s": "\u{1F600}"})),
        ("{\"user\":\"KEY\",TS,\"s\":\"\u{1F600}e\u{301}\u{e9}\"}", json!({"s": "\u{1F600}e\u{301}\u{e9}"})),
        ("{\"user\":\"KEY\",TS,\"s\":\"}{][,:\"}", json!({"s": "}{][,:"})),
        ("{\"user\":\"KEY\",TS,\"x\":\"\\\"}\",\"n\":2}", json!({"n": 2})),
        ("{\"user\":\"KEY\",TS,\"x\":\"\\\\\",\"n\":3}", json!({"n": 3})),
    ]));
    cases
}

fn times() -> Vec<Case> {
    let mut cases = refused(
        &["time_range"],
        &[
            "{\"user\":\"KEY\",\"ts\":253402300799000}",
            "{\"user\":\"KEY\",\"ts\":0}",
            "{\"user\":\"KEY\",\"ts\":-1}",
            "{\"user\":\"KEY\",\"ts\":631151999999}",
            "{\"user\":\"KEY\",\"ts\":4102444800000}",
            "{\"user\":\"KEY\",\"ts\":1700000000}",
        ],
    );
    // Beyond what microseconds hold: out of range, or no value of the type.
    cases.extend(refused(
        &["time_range", "type"],
        &[
            "{\"user\":\"KEY\",\"ts\":9223372036854775807}",
            "{\"user\":\"KEY\",\"ts\":-9223372036854775808}",
            "{\"user\":\"KEY\",\"ts\":99999999999999999999}",
        ],
    ));
    cases
}

fn long_and_deep() -> Vec<Case> {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!("{{\"user\":\"KEY\",TS,\"x\":{open}{close},\"n\":1}}")
    };
    let long = |bytes: usize| format!("{{\"user\":\"KEY\",TS,\"x\":\"{}\",\"n\":1}}", "y".repeat(bytes));
    let needed = format!("{{\"user\":\"KEY\",TS,\"s\":\"{}\"}}", "z".repeat(100_000));
    vec![
        // The record itself is one level.
        case(nested(99), Fits(json!({"n": 1}))),
        case(nested(150), Either(&["too_deep"])),
        case(nested(20_000), Either(&["too_deep"])),
        case(
            format!("{{\"user\":\"KEY\",TS,\"x\":{}", "{\"x\":".repeat(20_000)),
            Refused(&["too_deep", "malformed"]),
        ),
        case(long(255 * 1024), Fits(json!({"n": 1}))),
        case(long(3 << 20), Either(&["too_long"])),
        case("x".repeat(3 << 20), Refused(&["too_long", "malformed"])),
        case(needed, Fits(json!({"s": "z".repeat(100_000)}))),
    ]
}

fn corpus() -> Vec<Case> {
    let groups = [
        times(),
        whole_objects_only(),
        needed_and_missing(),
        values_of_their_type(),
        names_and_strings(),
        long_and_deep(),
        // Again, behind good records: a time in the year 9999 has made none of them late.
        times(),
        fits(&[("{\"user\":\"KEY\",TS}", json!({}))]),
    ];
    groups.into_iter().flatten().collect()
}

struct Written {
    bytes: Vec<u8>,
    /// For each case: the position of its line, and its bytes.
    lines: Vec<(u64, Vec<u8>)>,
}

fn key(case: usize) -> String {
    format!("k{case:04}")
}

/// The cases as a file: a byte order mark, both line ends, no last newline.
fn write_corpus(cases: &[Case]) -> Written {
    let mut written = Written { bytes: b"\xEF\xBB\xBF".to_vec(), lines: Vec::new() };
    for (number, case) in cases.iter().enumerate() {
        let line = replace(&case.line, b"KEY", key(number).as_bytes());
        let line = replace(&line, b"TS", b"\"ts\":1700000000000");
        let offset = if number == 0 { 0 } else { written.bytes.len() as u64 };
        written.bytes.extend_from_slice(&line);
        if number + 1 < cases.len() {
            written.bytes.extend_from_slice(if number.is_multiple_of(3) { b"\r\n" } else { b"\n" });
        }
        written.lines.push((offset, line));
    }
    written
}

fn replace(line: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(line.len() + 32);
    let mut at = 0;
    while at < line.len() {
        if line[at..].starts_with(from) {
            replaced.extend_from_slice(to);
            at += from.len();
        } else {
            replaced.push(line[at]);
            at += 1;
        }
    }
    replaced
}

/// Checks rows, quarantine and report of a run over the corpus.
fn check_corpus(cases: &[Case], written: &Written, rows: &[Value], quarantine: &[Value], report: &Value) {
    let found = |number: usize| rows.iter().find(|row| row["user"] == key(number));
    let refused = |number: usize| {
        let offset = written.lines[number].0;
        quarantine.iter().filter(move |row| row["offset"] == offset).collect::<Vec<_>>()
    };
    let mut wrong = String::new();
    let (mut accepted, mut quarantined) = (0, 0);
    for (number, case) in cases.iter().enumerate() {
        let line = &written.lines[number].1;
        let shown = String::from_utf8_lossy(&line[..line.len().min(120)]);
        let problem = match (&case.fate, found(number), refused(number).as_slice()) {
            (Nothing, None, []) => None,
            (Fits(expected), Some(row), []) => {
                accepted += 1;
                row_problem(expected, row)
            }
            (Either(_), Some(_), []) => {
                accepted += 1;
                None
            }
            (Refused(reasons) | Either(reasons), None, [row]) => {
                quarantined += 1;
                quarantine_problem(reasons, line, row)
            }
            (_, row, rows) => Some(format!("row {row:?}, quarantine {rows:?}")),
        };
        if let Some(problem) = problem {
            writeln!(wrong, "{shown}\n    {problem}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!((rows.len(), quarantine.len()), (accepted, quarantined), "nothing else came out");
    assert!(quarantine.is_sorted_by_key(|row| row["offset"].as_u64()), "quarantine stands in order");
    assert_eq!(report["read"], (accepted + quarantined) as u64);
    assert_eq!(report["quarantined"], quarantined as u64);
    assert_eq!(report["late"], 0, "no bad time moved the watermark");
}

fn row_problem(expected: &Value, row: &Value) -> Option<String> {
    let wrong = ["v", "n", "s", "b", "deep"].into_iter().find(|name| {
        let (want, have) = (expected.get(*name).unwrap_or(&Value::Null), &row[*name]);
        // 3 and 3.0 are the same number, but a double is written with a point.
        want != have
    })?;
    Some(format!("{wrong} is {}, not {}", row[wrong], expected.get(wrong).unwrap_or(&Value::Null)))
}

fn quarantine_problem(reasons: &[&str], line: &[u8], row: &Value) -> Option<String> {
    let reason = row["reason"].as_str().unwrap_or_default();
    if !reasons.contains(&reason) {
        return Some(format!("reason {reason}, not one of {reasons:?}: {row}"));
    }
    // Whether a mark that is skipped belongs to the first line is left open.
    let raw = row["raw"].as_str().unwrap_or_default().trim_start_matches('\u{feff}');
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let expected = String::from_utf8_lossy(&line[..line.len().min(1024)]).into_owned();
    let expected = expected.trim_start_matches('\u{feff}');
    if raw.trim_end_matches('\u{fffd}') != expected.trim_end_matches('\u{fffd}') {
        return Some(format!("raw {raw:?}, not {expected:?}"));
    }
    (row["detail"].as_str().unwrap_or_default().is_empty()).then(|| format!("no words: {row}"))
}

/// The same job on standard input.
fn on_standard_input() -> String {
    CONFIG.replace("type = \"file\"\npath = \"set by the test\"\n\n[event]", "type = \"stdin\"\n\n[event]")
}

fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("hostile.toml");
    std::fs::write(&path, text).expect("write the config");
    path
}

#[test]
fn every_line_of_a_file_is_a_record_with_its_values_or_one_row_of_quarantine_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cases, input) = (corpus(), folder.path().join("hostile.ndjson"));
    let written = write_corpus(&cases);
    std::fs::write(&input, &written.bytes).expect("write the corpus");
    let config = write_config(folder.path(), CONFIG);
    let mut outputs = Vec::new();
    for workers in [1, 3] {
        let job = Job::new(PROGRAM, &config, folder.path().join(format!("{workers}"))).on(&input);
        // One lane, so that the order of quarantine is the order of the file.
        let job = job.with_alerts().with_quarantine().workers(workers).set("source.events.lanes", 1);
        let job = if workers == 1 { job.with_state() } else { job };
        job.run();
        let quarantine = job.quarantine();
        assert!(quarantine.iter().all(|row| row["partition"].as_str().is_some_and(|p| p.ends_with("#0"))));
        check_corpus(&cases, &written, &json_lines(&job.alerts()), &quarantine, &job.report());
        outputs.push((job.alerts(), std::fs::read(job.quarantine_path()).expect("quarantine")));
    }
    assert!(outputs[0] == outputs[1], "other bytes with three workers");
}

#[test]
fn standard_input_is_read_by_the_same_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = corpus();
    let mut written = write_corpus(&cases);
    // Whether a stream has a byte order mark to skip is left open, so it has none here.
    written.bytes.drain(..3);
    for (offset, _) in written.lines.iter_mut().skip(1) {
        *offset -= 3;
    }
    let text = CONFIG
        .replace("type = \"file\"\npath = \"set by the test\"\n\n[event]", "type = \"stdin\"\n\n[event]");
    let config = write_config(folder.path(), &text);
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).with_alerts().with_quarantine();
    job.invocation().input(written.bytes.clone()).run().expect_code(0);
    check_corpus(&cases, &written, &json_lines(&job.alerts()), &job.quarantine(), &job.report());
}

/// Runs a job to its end; gives the most memory that it had.
fn run_and_watch_memory(job: &Job) -> u64 {
    let mut running = job.invocation().start();
    let mut peak = 0;
    eventually("the job has read the file", Duration::from_secs(120), || {
        peak = memory(running.id(), "VmHWM").unwrap_or(0).max(peak);
        (!running.is_running()).then_some(())
    });
    running.wait(Duration::from_secs(1)).expect_code(0);
    peak
}

#[test]
fn a_line_without_an_end_is_one_row_of_quarantine_in_flat_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("long.ndjson");
    let good = "{\"user\":\"a\",\"ts\":1700000000000,\"n\":1}\n";
    let long = format!("{{\"user\":\"b\",\"ts\":1700000000000,\"x\":\"{}\"}}\n", "y".repeat(400 << 20));
    std::fs::write(&input, [good, &long, good].concat()).expect("write");
    drop(long);
    let config = write_config(folder.path(), CONFIG);
    let job =
        Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts().with_quarantine();
    let peak = run_and_watch_memory(&job);
    let reasons: Vec<Value> = job.quarantine().iter().map(|row| row["reason"].clone()).collect();
    assert_eq!(reasons, ["too_long"]);
    let quarantined = &job.quarantine()[0];
    assert_eq!(quarantined["raw"].as_str().map(str::len), Some(1024));
    assert_eq!(quarantined["offset"], good.len() as u64);
    assert_eq!(json_lines(&job.alerts())[0]["events"], 2);
    assert!(peak < 200 << 20, "{} MiB", peak >> 20);
}

#[test]
fn a_time_that_is_declared_a_timestamptz_is_the_time_and_a_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    let times =
        ["2023-11-14T22:10:20Z", "2023-11-14T23:13:20.5+01:00", "2023-11-14 22:11:00", "2023-11-14T22:00:00"];
    let lines = times.map(|time| format!("{}\n", json!({"user": "a", "ts": time})));
    std::fs::write(&input, lines.concat()).expect("write");
    let text = CONFIG
        .replace("unit = \"ms\" }", "unit = \"rfc3339\" }")
        .replace("out_of_order = \"0s\"", "out_of_order = \"1h\"")
        .replace("v = \"double\"", "v = \"double\"\nts = \"timestamptz\"")
        .replace("v = \"first(v)\"", "v = \"max(ts)\"")
        .replace("n = \"first(n)\"", "n = \"count(*) FILTER (WHERE ts = event_time AND minute(ts) > 10)\"");
    let config = write_config(folder.path(), &text);
    let job =
        Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts().with_quarantine();
    job.run();
    let row = &json_lines(&job.alerts())[0];
    assert_eq!((&row["events"], &row["v"], &row["n"]), (&json!(3), &json!(1_700_000_000_500_i64), &json!(2)));
    let quarantine = job.quarantine();
    assert_eq!((quarantine.len(), &quarantine[0]["reason"]), (1, &json!("type")), "no zone, and a T");
}

#[test]
fn a_file_of_which_no_line_fits_goes_to_quarantine_in_its_order_and_in_flat_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("bad.ndjson");
    let bad = format!("{{\"user\":\"a\",\"ts\":\"not a time\",\"x\":\"{}\"}}\n", "y".repeat(160));
    let count = (128 << 20) / bad.len();
    std::fs::write(&input, bad.repeat(count)).expect("write");
    let config = write_config(folder.path(), CONFIG);
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).workers(2).on(&input);
    let job = job.with_alerts().with_quarantine();
    let peak = run_and_watch_memory(&job);
    let offsets: Vec<u64> = job.quarantine().iter().filter_map(|row| row["offset"].as_u64()).collect();
    assert_eq!(offsets.len(), count);
    assert!(offsets.is_sorted(), "lanes are no order of their own");
    // In memory the rows would take half a gigabyte.
    assert!(peak < 300 << 20, "{} MiB", peak >> 20);
}

/// Where each line without a time stands in quarantine: by its lane's watermark before it, then source, then
/// offset. The bound is 0 s, so that a watermark is the largest time so far less one.
fn order_of_quarantine(sources: &[(&Path, &str)], lanes: usize) -> Vec<(String, u64)> {
    let mut rows = Vec::new();
    for (source, (path, file)) in sources.iter().enumerate() {
        for (number, lane) in lanes::cut(file.as_bytes(), lanes, lanes::CHUNK).iter().enumerate() {
            let mut seen = i64::MIN;
            for line in lane {
                let value: Value = serde_json::from_str(&file[line.bytes.clone()]).expect("a line of ours");
                match value["ts"].as_i64() {
                    Some(time) => seen = seen.max(time * 1000 - 1),
                    None => rows.push(((seen, source, line.offset), format!("{}#{number}", path.display()))),
                }
            }
        }
    }
    rows.sort_unstable();
    rows.into_iter().map(|((.., offset), partition)| (partition, offset)).collect()
}

#[test]
fn quarantine_of_several_sources_stands_by_watermark_source_and_offset_for_any_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(seed(5));
    let mut file = || {
        let line = |random: &mut Random| {
            let time = 1_700_000_000_000 + random.below(40) * 50_000;
            let time = if random.chance(0.4) { json!("no time") } else { json!(time) };
            format!("{}\n", json!({"user": "a", "ts": time, "x": "y".repeat(900)}))
        };
        (0..4000).map(|_| line(&mut random)).collect::<String>()
    };
    let (first, second) = (file(), file());
    // The order is that of the config, not of the names.
    let text = CONFIG.replace("[source.events]\ntype = \"file\"\npath = \"set by the test\"\n", "");
    let (z, a) = (folder.path().join("z.ndjson"), folder.path().join("a.ndjson"));
    let source =
        |name: &str, path: &Path| format!("[source.{name}]\npath = \"{}\"\nlanes = 2\n", path.display());
    let config = write_config(folder.path(), &[text, source("z", &z), source("a", &a)].concat());
    std::fs::write(&z, &first).expect("write");
    std::fs::write(&a, &second).expect("write");
    let expected = order_of_quarantine(&[(&z, &first), (&a, &second)], 2);
    for workers in [1, 2, 4] {
        let job = Job::new(PROGRAM, &config, folder.path().join(workers.to_string())).workers(workers);
        let job = job.with_alerts().with_quarantine();
        job.run();
        let place = |row: &Value| Some((row["partition"].as_str()?.to_owned(), row["offset"].as_u64()?));
        let found: Vec<_> = job.quarantine().iter().filter_map(place).collect();
        assert!(found == expected, "{workers} workers");
    }
}

#[test]
fn a_time_beyond_its_range_does_not_close_the_windows_of_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = on_standard_input();
    let text = text.replace("type = \"file\"\npath = \"set by the test\"\n", "type = \"stdout\"\n");
    let config = write_config(folder.path(), &text);
    let event = |user: &str, ts: i64| format!("{{\"user\":\"{user}\",\"ts\":{ts}}}\n");
    let input = [
        event("a", 1_700_000_000_000),
        event("a", 253_402_300_799_000),
        event("a", 4_102_444_799_999),
        event("a", 1_700_000_000_001),
    ];
    // 2099-12-31 is within the range: it closes the window, and the last record is late.
    let finished =
        Invocation::new(PROGRAM).arg("run").arg(&config).input(input.concat()).run().expect_code(0);
    let events: Vec<Value> = json_lines(&finished.stdout).iter().map(|row| row["events"].clone()).collect();
    assert_eq!(events, [1, 1]);
    // Were the year 9999 an event, there would be two that are late and none in quarantine.
    assert!(finished.stderr.contains("1 late, 1 quarantined"), "{}", finished.stderr);
}

#[test]
fn keys_are_bytes_that_nothing_trims_folds_or_normalises() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("keys.ndjson");
    let keys =
        ["", " ", "a", "A", "a ", " a", "\0", "e\u{301}", "\u{e9}", "\u{feff}", "\u{1F600}", "\u{ffff}"];
    let line = |key: &str| format!("{}\n", json!({"user": key, "ts": 1_700_000_000_000_i64}));
    std::fs::write(&input, keys.map(line).concat()).expect("write");
    let config = write_config(folder.path(), CONFIG);
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts();
    job.run();
    let found: Vec<String> = json_lines(&job.alerts())
        .iter()
        .map(|row| row["user"].as_str().unwrap_or("not a string").to_owned())
        .collect();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
