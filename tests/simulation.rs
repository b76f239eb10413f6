//! Exactly once, in a simulated world: the shipped graph, operators, recovery and store on workers of timely
//! that step when a seeded scheduler says so, with crashes, losses of power, full disks and rescales at any
//! moment; held against the oracle after every step.
//!
//! - `TIDEWATCH_SIM_SEEDS=5000` runs more seeds than the default; `scripts/test.sh --seeds 5000` does that.
//! - `TIDEWATCH_SIM_SEED=17` (`scripts/test.sh --replay 17`) replays one seed and prints its trace;
//!   `TIDEWATCH_SIM_PLANT=FoldEarly` plants a mistake in it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alert::{AlertRule, CapLimit, CapSpec, Format, Mode, Output, Renderer, SinkKind, SinkSpec};
use checkpoint::Location;
use dataflow::simulation::{Plant, Run, Scenario, simulate};
use dataflow::{Beginning, Branch, Flow, Job, MeshSpec, StateSpec};
use detect::Detection;
use episodes::Telling;
use event::{AggregateFunction as Function, DataType, Field, Reason, RowSchema, Severity, SinkId};
use ingest::{
    Compression, DecodeSpec, End, FieldSpec, SourceKind, SourceSpec, Start, TimeSpec, TimeUnit, WatermarkSpec,
};
use testkit::oracle::episodes::Word;
use testkit::oracle::{self, Aggregate, Record, Value};
use testkit::random::Random;
use transform::{BranchSpec, Transform, TransformSpec};
use window::{WindowSpec, Windowing};

#[cfg(feature = "archive")]
#[path = "simulation/archive.rs"]
mod archive;
#[path = "simulation/episodes.rs"]
mod episodes;
#[path = "simulation/sleep.rs"]
mod sleep;

/// Seeds of the normal suite.
const SEEDS: u64 = 300;
const PARTITIONS: usize = 3;
const EVENTS: usize = 2_100;
/// Ticks are microseconds; the first event's time.
const START: i64 = 1_700_000_000_000_000;

/// A job, its input, and what must come out.
struct Case {
    job: Arc<Job>,
    inputs: Vec<Vec<u8>>,
    rows: Vec<u8>,
    quarantine: Vec<u8>,
    /// Key and end of window, in milliseconds, of each alert.
    alerts: Vec<(String, i64)>,
    /// Alerts altogether, those included that a cap kept back.
    said: u64,
    read: u64,
    filtered: u64,
    bad: u64,
    late: u64,
    windowed: u64,
}

const BOUND: i64 = 2_000_000;

fn shape(random: &mut Random) -> (i64, i64) {
    let slide = *random.pick(&[5, 10, 20]);
    (slide * *random.pick(&[1, 2, 3, 4]), slide)
}

/// What the oracle computes: the features of [`compile`].
fn aggregates() -> Vec<Aggregate> {
    vec![
        Aggregate::count(),
        Aggregate::of(Function::Sum, 0),
        Aggregate::of(Function::Max, 1),
        Aggregate::of(Function::Last, 2),
        Aggregate::of(Function::Count, 2).distinct(),
        Aggregate::of(Function::Sum, 0).distinct(),
    ]
}

/// The job as `tidewatch` compiles it from this config:
///
/// ```text
/// key = "user"; time = { field = "ts", unit = "ms" }; out_of_order = "2s"; where = "n < 95"
/// features: rows = "count(*)", total = "sum(v)", most = "max(n)", newest = "last(s)",
///   texts = "count(DISTINCT s)", different = "sum(DISTINCT v)"
/// rules.busy = "total > LEAST"; sinks: rows (plain), alerts, quarantine
/// ```
fn compile(window: WindowSpec, least: f64, telling: Option<Telling>) -> Job {
    let size = window.size.to_string();
    let fields = vec![
        FieldSpec::new("user", DataType::Varchar).required(),
        FieldSpec::new("v", DataType::Double),
        FieldSpec::new("n", DataType::Bigint),
        FieldSpec::new("s", DataType::Varchar),
    ];
    let decode = DecodeSpec::new(fields, TimeSpec::new(&["ts"], TimeUnit::Millis));
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())).collect()
    };
    let features = pairs(&[
        ("rows", "count(*)"),
        ("total", "sum(v)"),
        ("most", "max(n)"),
        ("newest", "last(s)"),
        ("texts", "count(DISTINCT s)"),
        ("different", "sum(DISTINCT v)"),
    ]);
    let (filters, key) = (pairs(&[("sane", "n < 95")]), ["user".to_owned()]);
    let branches = [BranchSpec { features: &features, ..BranchSpec::default() }];
    let spec =
        TransformSpec { filters: &filters, key: &key, branches: &branches, ..TransformSpec::default() };
    let transform = Transform::compile(&decode.schema(), &spec).expect("a transformation");
    let expressions = transform.branches()[0].features().expressions.clone();
    let feature_fields: Vec<Field> =
        expressions.iter().map(|(name, value)| Field::new(name.clone(), value.data_type())).collect();
    let row = RowSchema::new(transform.key_fields(), &feature_fields, &[]);
    let rule = detect::Rule {
        id: "busy".to_owned(),
        when: transform::compile(&format!("total > {least:?}"), row.schema()).expect("a condition"),
        score: None,
        threshold: None,
        min_events: 0,
        severity: Severity::Warning,
        escalate: Some((
            transform::compile("most > 80", row.schema()).expect("a condition"),
            Severity::Critical,
        )),
        agreement: None,
        grace: telling.map_or(0, |telling| telling.grace),
        life_cycle: telling.map(|telling| telling.life),
    };
    let (keys, shape) = (transform.key_fields().to_vec(), transform.key_shape().clone());
    let detection = Detection::new(keys, shape, expressions, vec![], vec![rule]).expect("a detection");
    let detection = detection.sliding(Some(window.slide));
    let plain = alert::plain_schema(row.schema());
    let names = features.iter().map(|(name, _)| name.as_str());
    let columns: Vec<&str> = ["\"user\"", "window_start", "window_end"].into_iter().chain(names).collect();
    let columns =
        columns.iter().map(|name| transform::compile_column(name, &plain).expect("a column")).collect();
    let outputs = vec![
        Output { sink: SinkId(0), format: Format::Plain { columns } },
        Output { sink: SinkId(1), format: Format::Alert { explain: true, muted: false } },
    ];
    let rules = vec![AlertRule { id: "busy".to_owned(), summary: None }];
    let renderer = Renderer::new("simulated", row, rules, outputs, Some(SinkId(2)));
    let renderer = match telling {
        Some(Telling { per_minute, .. }) => {
            let limit = CapLimit { per_minute, cooldown: episodes::SAME };
            renderer.capped(&CapSpec { limit, by: Vec::new(), rules: Vec::new() })
        }
        None => renderer,
    };
    let sink = |name: &str| SinkSpec {
        name: name.to_owned(),
        kind: SinkKind::File { path: name.into() },
        mode: Mode::ExactlyOnce,
    };
    let source =
        SourceKind::File { paths: vec!["simulated".into()], lanes: 1, compression: Compression::None };
    Job {
        name: "simulated".to_owned(),
        sources: vec![SourceSpec {
            name: "events".to_owned(),
            kind: source,
            format: ingest::Format::Json,
            rate: None,
            start: Start::Earliest,
            end: End::Latest,
        }],
        decode,
        watermark: WatermarkSpec::Bounded(BOUND),
        idle_after: None,
        drift_max: None,
        transform,
        branches: vec![Branch { window: Windowing::Sliced(window), detection, lag_within: 0, renderer }],
        keys_max: None,
        sinks: vec![sink("rows"), sink("alerts"), sink("quarantine")],
        quarantine: Some(SinkId(2)),
        late: Some(SinkId(2)),
        archive: None,
        state: None,
        identity: vec![("size".to_owned(), size)],
        flow: Flow::default(),
        mesh: MeshSpec::default(),
    }
}

/// What a line of the input is.
enum Line {
    Record(Record),
    Bad,
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut random = Random::new(seed);
        let (size, slide) = shape(&mut random);
        // A row stands in the outputs if the rule hits it; for most seeds it hits all.
        let least = *random.pick(&[-1e15, -1e15, 3.0]);
        // Some of the jobs have windows that grow, and some correct their rows after late records.
        let grows = seed % 8 == 5;
        let lateness = if seed % 4 == 3 { 15_000_000 } else { 0 };
        let (size, slide) = (size * 1_000_000, slide * 1_000_000);
        let window = if grows { WindowSpec::cumulate(size, slide) } else { WindowSpec::sliding(size, slide) };
        let window = window.and_then(|window| window.allowing(lateness)).expect("a window");
        // Some put out episodes rather than rows.
        let telling = (seed % 8 == 6).then(|| Telling::random(&mut random, slide));
        let mut job = compile(window, least, telling);
        job.state = Some(StateSpec {
            location: Location::Dir("/simulated".into()),
            checkpoint_every: Duration::from_micros(1_000 + random.below(12_000)),
            shards: *random.pick(&[8, 16, 64]),
            from: Beginning::Newest,
        });
        job.flow =
            Flow { ticks: 2 + random.below(6) as usize, tick: Duration::from_micros(500), sink_bytes: 4096 };
        let keys = *random.pick(&[3, 12, 60]);
        let partitions: Vec<(Vec<u8>, Vec<Placed>)> =
            (0..PARTITIONS).map(|_| partition(&mut random, keys)).collect();
        let oracle = oracle::Job {
            bound: BOUND,
            windows: oracle::Windows { grows, ..oracle::Windows::sliding(size, slide) },
            lateness,
            aggregates: aggregates(),
        };
        expect(job, partitions, &oracle, (least, telling))
    }
}

/// A row that is put out.
struct Shown {
    key: String,
    start: i64,
    end: i64,
    /// Whether it is critical.
    worse: bool,
    text: String,
    /// What it says of an episode.
    word: Option<Word>,
}

/// A line, where it begins, and what it is.
struct Placed {
    offset: usize,
    text: String,
    line: Line,
    /// What the watermark of its partition is lifted to before it: see [`Record::lifted`].
    lifted: i64,
}

fn partition(random: &mut Random, keys: u64) -> (Vec<u8>, Vec<Placed>) {
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    let mut time = START + random.below(3_000_000) as i64;
    for _ in 0..EVENTS / PARTITIONS + 1 {
        time += random.below(160_000) as i64;
        let behind = match random.below(20) {
            0 => random.below(60_000_000),
            1..8 => random.below(BOUND as u64),
            _ => 0,
        };
        let millis = (time - behind as i64).div_euclid(1_000);
        let user = format!("u{}", random.below(keys));
        let v = *random.pick(&[0.1, 0.2, -0.3, 1e12, -1e12, 1.5, 0.007, 123.456]);
        let (n, s) = (random.below(100) as i64, format!("s{}", random.below(1_000)));
        let text = match random.below(40) {
            0 => format!("{{\"user\":\"{user}\",\"ts\":{millis},\"v\":tru"),
            _ => format!("{{\"user\":\"{user}\",\"ts\":{millis},\"v\":{v:?},\"n\":{n},\"s\":\"{s}\"}}"),
        };
        let line = if text.ends_with('}') {
            let values = vec![Value::Double(v), Value::Int(n), Value::Text(s)];
            let mut record = Record::new(user.into_bytes(), millis * 1_000, values);
            record.filtered = n >= 95;
            Line::Record(record)
        } else {
            Line::Bad
        };
        lines.push(Placed { offset: bytes.len(), text: text.clone(), line, lifted: i64::MIN });
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
    }
    (bytes, lines)
}

fn expect(
    job: Job,
    partitions: Vec<(Vec<u8>, Vec<Placed>)>,
    oracle: &oracle::Job,
    (least, telling): (f64, Option<Telling>),
) -> Case {
    let records: Vec<Vec<Record>> = partitions
        .iter()
        .map(|(_, lines)| {
            let records = lines.iter().filter_map(|placed| match &placed.line {
                Line::Record(record) => Some(record.clone()),
                Line::Bad => None,
            });
            records.collect()
        })
        .collect();
    let outcome = oracle.run(&records);
    let mut shown = Vec::new();
    for row in &outcome.rows {
        let key = String::from_utf8_lossy(&row.key).into_owned();
        let text = |value: &Value| match value {
            Value::Int(int) => int.to_string(),
            Value::Double(double) => format!("{double:?}"),
            Value::Text(text) => format!("\"{text}\""),
            other => panic!("no {other:?} is expected"),
        };
        let values: Vec<&Value> = row.values.iter().map(|v| v.as_ref().expect("no overflow")).collect();
        let is_new = telling.is_some_and(|telling| telling.is_new(row, &outcome.rows));
        if is_new || !matches!(values[1], Value::Double(total) if *total > least) {
            continue;
        }
        let text = format!(
            "{{\"user\":\"{key}\",\"window_start\":{},\"window_end\":{},\"rows\":{},\"total\":{},\"most\":{},\"newest\":{},\"texts\":{},\"different\":{}}}",
            row.start / 1_000,
            row.end / 1_000,
            text(values[0]),
            text(values[1]),
            text(values[2]),
            text(values[3]),
            text(values[4]),
            text(values[5])
        );
        let worse = matches!(values[2], Value::Int(most) if *most > 80);
        shown.push(Shown { key, start: row.start, end: row.end, worse, text, word: None });
    }
    if let Some(telling) = telling {
        shown = episodes::told(telling.life, shown);
    }
    let rows: String = shown.iter().map(|row| format!("{}\n", row.text)).collect();
    let said = shown.len() as u64;
    let alerts = match telling {
        Some(telling) => episodes::capped(telling, &shown),
        None => shown.into_iter().map(|row| (row.key, row.end / 1_000)).collect(),
    };
    let quarantine = quarantine(&partitions, &records, &outcome, oracle);
    let bad = partitions.iter().flat_map(|(_, lines)| lines).filter(|p| matches!(p.line, Line::Bad)).count();
    Case {
        job: Arc::new(job),
        rows: rows.into_bytes(),
        quarantine,
        alerts,
        said,
        read: partitions.iter().map(|(_, lines)| lines.len() as u64).sum(),
        filtered: outcome.filtered,
        bad: bad as u64,
        late: outcome.late.len() as u64,
        windowed: outcome.windowed,
        inputs: partitions.into_iter().map(|(bytes, _)| bytes).collect(),
    }
}

/// Bad and late lines in the order (`seen`, partition, offset).
fn quarantine(
    partitions: &[(Vec<u8>, Vec<Placed>)],
    records: &[Vec<Record>],
    outcome: &oracle::Outcome,
    oracle: &oracle::Job,
) -> Vec<u8> {
    let mut rows: Vec<(i64, usize, usize, String)> = Vec::new();
    for (partition, (_, lines)) in partitions.iter().enumerate() {
        let seen = oracle.seen(&records[partition]);
        let (mut index, mut last) = (0, i64::MIN);
        for placed in lines {
            let (seen, reason, detail) = match &placed.line {
                Line::Record(record) => {
                    let seen = seen[index];
                    last = seen.max(record.time - oracle.bound - 1);
                    let late = outcome.late.iter().any(|l| (l.partition, l.index) == (partition, index));
                    index += 1;
                    if !late {
                        continue;
                    }
                    let detail = format!("{} us behind the watermark of its partition", seen - record.time);
                    (seen, "late", detail)
                }
                Line::Bad => (last.max(placed.lifted), "malformed", String::new()),
            };
            let raw = serde_json::to_string(&placed.text).expect("a string");
            let offset = placed.offset;
            rows.push((
                seen,
                partition,
                offset,
                format!(
                    "{{\"reason\":\"{reason}\",\"detail\":\"{detail}\",\"partition\":\"simulated#{partition}\",\
                     \"offset\":{offset},\"raw\":{raw}}}\n"
                ),
            ));
        }
    }
    rows.sort();
    rows.into_iter().map(|(.., line)| line).collect::<String>().into_bytes()
}

fn scenario(seed: u64, case: &Case, plant: Option<Plant>, verbose: bool) -> Scenario {
    Scenario {
        seed,
        job: Arc::clone(&case.job),
        inputs: case.inputs.clone(),
        silences: false,
        parents: Vec::new(),
        newcomers: Vec::new(),
        interruptions: 4 + seed % 3,
        faults: seed % 2 == 1,
        fails_at: None,
        full_for: None,
        plant,
        verbose,
    }
}

/// Words of a quarantine row that the decoder chose: they are not what is tested here.
fn without_details(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        match (line.starts_with("{\"reason\":\"malformed\""), line.split_once(",\"detail\":\"")) {
            (true, Some((head, rest))) => match rest.split_once("\",\"partition\"") {
                Some((_, tail)) => {
                    write!(out, "{head},\"detail\":\"\",\"partition\"{tail}").expect("a string")
                }
                None => out.push_str(head),
            },
            _ => out.push_str(line),
        }
    }
    out.into_bytes()
}

fn prefix(what: &str, seen: &[u8], expected: &[u8]) -> Result<(), String> {
    if expected.starts_with(seen) {
        return Ok(());
    }
    let at = seen.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(expected.len());
    let from = seen[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).lines().next().unwrap_or("").to_owned()
    };
    Err(format!("{what} differ at byte {at}:\n  found    {}\n  expected {}", line(seen), line(expected)))
}

/// Runs a seed, held against the oracle after every step and at the end.
fn run(seed: u64, case: &Case, plant: Option<Plant>, verbose: bool) -> Run {
    let mut run = watch(&scenario(seed, case, plant, verbose), case);
    if run.finding.is_none() && run.crashes + run.rescales < 3 {
        run.finding = Some(format!("only {} crashes and {} rescales", run.crashes, run.rescales));
    }
    run
}

fn watch(scenario: &Scenario, case: &Case) -> Run {
    let mut last: Vec<Vec<u8>> = Vec::new();
    let mut look = |seen: &[&[u8]]| {
        prefix("rows", seen[0], &case.rows)?;
        if let Some(last) = last.get(1) {
            prefix("alerts that were seen", last, seen[1])?;
        }
        let whole = seen[2].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        prefix("quarantine", &without_details(&seen[2][..whole]), &case.quarantine)?;
        last = seen.iter().map(|seen| seen.to_vec()).collect();
        Ok(())
    };
    let mut run = simulate(scenario, &mut look);
    if run.finding.is_none() {
        run.finding = check_end(&run, case).err();
    }
    run
}

fn check_end(run: &Run, case: &Case) -> Result<(), String> {
    let same = |what: &str, found: u64, expected: u64| match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found}, not {expected}")),
    };
    prefix("rows", &case.rows, &run.outputs[0])?;
    prefix("quarantine", &case.quarantine, &without_details(&run.outputs[2]))?;
    let alerts: Vec<(String, i64)> = testkit::job::json_lines(&run.outputs[1])
        .iter()
        .map(|alert| {
            let end = alert["data"]["window"]["end"].as_str().expect("an end").to_owned();
            let subject = alert["subject"].as_str().expect("a key").to_owned();
            let roll_up = (alert["type"] == "tidewatch.rollup").then(|| &alert["data"]["state"]);
            (roll_up.map_or(subject.clone(), |state| format!("{subject} {state}")), millis(&end))
        })
        .collect();
    if alerts != case.alerts {
        return Err(format!(
            "{} alerts that are not those {} of the oracle",
            alerts.len(),
            case.alerts.len()
        ));
    }
    let counts = &run.counts;
    same("read", counts.read, case.read)?;
    same("filtered", counts.filtered, case.filtered)?;
    same("quarantined", counts.quarantined, case.bad)?;
    same("late", counts.late, case.late)?;
    same("late by its reason", counts.by_reason.of(Reason::Late), case.late)?;
    same("malformed", counts.by_reason.of(Reason::Malformed), case.bad)?;
    same("windowed", counts.windowed, case.windowed)?;
    same("read", counts.read, counts.accepted + counts.filtered + counts.quarantined)?;
    same("accepted", counts.accepted, counts.windowed + counts.late + counts.deduplicated)?;
    same("alerts", counts.alerts, case.said)
}

/// Milliseconds of `2023-11-14T22:13:25Z`, as all ends of windows here are whole seconds of that day or the
/// next.
fn millis(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().expect("a number");
    let days = number(8..10) - 14;
    let seconds = number(11..13) * 3_600 + number(14..16) * 60 + number(17..19);
    (1_699_920_000 + days * 86_400 + seconds) * 1_000
}

/// Calls `work` with 0, 1, ... below `count` on as many threads as there are processors, until one gives
/// something.
fn on_all_cores<T: Send>(count: u64, work: impl Fn(u64) -> Option<T> + Sync) -> Option<(u64, T)> {
    let (next, found) = (AtomicU64::new(0), std::sync::Mutex::new(None::<(u64, T)>));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while found.lock().expect("no panic").is_none() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    if let Some(result) = work(number) {
                        let mut found = found.lock().expect("no panic");
                        if found.as_ref().is_none_or(|(other, _)| number < *other) {
                            *found = Some((number, result));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().expect("no panic")
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

fn planted() -> Option<Plant> {
    let name = std::env::var("TIDEWATCH_SIM_PLANT").ok()?;
    Some(
        *Plant::ALL
            .iter()
            .chain(&Plant::OF_SLEEP)
            .chain(&Plant::OF_BIRTHS)
            .chain(&Plant::OF_ARCHIVE)
            .find(|plant| format!("{plant:?}") == name)
            .unwrap_or_else(|| {
                panic!("no plant is called {name}; there are {:?}", Plant::ALL);
            }),
    )
}

/// Runs a seed twice. What is wrong with it, if anything.
fn twice(seed: u64, totals: &[AtomicU64; 8]) -> Option<String> {
    let case = Case::new(seed);
    let first = run(seed, &case, None, false);
    if let Some(finding) = first.finding {
        return Some(finding);
    }
    let second = run(seed, &case, None, false);
    let numbers = [
        first.decisions,
        first.crashes,
        first.rescales,
        first.drains,
        first.zombies,
        first.fulls,
        first.failures,
        first.checkpoints,
    ];
    for (total, number) in totals.iter().zip(numbers) {
        total.fetch_add(number, Ordering::Relaxed);
    }
    (first.trace != second.trace).then(|| "two runs of the seed have different traces".to_owned())
}

#[test]
fn every_schedule_of_crashes_and_rescales_puts_out_what_the_oracle_does() {
    if let Some(seed) = setting("TIDEWATCH_SIM_SEED") {
        return replay(seed);
    }
    let seeds = setting("TIDEWATCH_SIM_SEEDS").unwrap_or(SEEDS);
    let totals: [AtomicU64; 8] = std::array::from_fn(|_| AtomicU64::new(0));
    let found = on_all_cores(seeds, |seed| twice(seed, &totals));
    let [decisions, crashes, rescales, drains, zombies, fulls, failures, checkpoints] =
        totals.each_ref().map(|total| total.load(Ordering::Relaxed));
    println!(
        "{seeds} seeds, {decisions} decisions, {crashes} crashes, {rescales} rescales, {drains} drains, {zombies} \
         zombies, {fulls} full disks, {failures} failed writes, {checkpoints} checkpoints"
    );
    if let Some((seed, finding)) = found {
        panic!("seed {seed}: {finding}\nTIDEWATCH_SIM_SEED={seed} prints its trace");
    }
}

/// Prints the trace of a seed.
#[allow(clippy::print_stdout)]
fn replay(seed: u64) {
    let run = run(seed, &Case::new(seed), planted(), true);
    run.lines.iter().for_each(|line| println!("{line}"));
    run.said.iter().for_each(|words| println!("said: {words}"));
    println!("trace {:016x}, {} decisions, {} crashes", run.trace, run.decisions, run.crashes);
    if let Some(finding) = run.finding {
        panic!("seed {seed}: {finding}");
    }
}

#[test]
fn the_default_seeds_find_every_planted_mistake() {
    let mut missed = Vec::new();
    for plant in planted().map_or(Plant::ALL.to_vec(), |plant| vec![plant]) {
        let found = on_all_cores(SEEDS, |seed| run(seed, &Case::new(seed), Some(plant), false).finding);
        match found {
            Some((seed, finding)) => {
                println!("{plant:?}: seed {seed}: {}", finding.lines().next().unwrap_or_default());
            }
            None => missed.push(plant),
        }
    }
    assert!(missed.is_empty(), "{SEEDS} seeds do not find {missed:?}");
}

/// A run without interruptions.
fn quiet(seed: u64, case: &Case) -> Scenario {
    Scenario { interruptions: 0, faults: false, ..scenario(seed, case, None, false) }
}

#[test]
fn every_operation_of_a_run_may_fail_once_and_the_output_is_the_same() {
    let case = Case::new(1);
    let whole = watch(&quiet(1, &case), &case);
    assert_eq!(whole.finding, None);
    assert!(whole.operations > 50, "{} operations", whole.operations);
    for full in [false, true] {
        let failed = on_all_cores(whole.operations, |operation| {
            let scenario = Scenario { fails_at: Some((operation + 1, full)), ..quiet(1, &case) };
            let run = watch(&scenario, &case);
            run.finding.map(|finding| format!("full: {full}: {finding}"))
        });
        assert_eq!(failed, None, "operation and what is wrong");
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_ends_no_run_and_stops_the_sources_in_time() {
    let mut case = Case::new(4);
    let mut job = Arc::into_inner(case.job).expect("nobody else has it");
    // Only the bound on what waits for a checkpoint asks for one.
    job.state.as_mut().expect("a state").checkpoint_every = Duration::from_secs(1 << 30);
    job.flow.sink_bytes = 256;
    case.job = Arc::new(job);
    let run = watch(&Scenario { full_for: Some(4_000), ..quiet(4, &case) }, &case);
    assert_eq!(run.finding, None);
    assert_eq!(run.generations, 2, "the one that found the job finished included");
    let read = &run.read_while_full;
    let (half, last) = (read[read.len() / 2], read[read.len() - 1]);
    assert!(half == last && last < case.read * 3 / 4, "it reads on while the disk is full: {read:?}");
    assert_eq!(run.said.len(), 2, "{:?}", run.said);
    assert!(run.said[0].contains("no space to go on") && run.said[1].contains("space again"));
}
