//! Scores the series of the Numenta Anomaly Benchmark with every detector of this crate, row by row.
//!
//! `cargo run --release -p detect --example nab -- DATA_DIR OUT_DIR` reads `DATA_DIR/data/*/*.csv` (timestamp, value)
//! and writes `OUT_DIR/DETECTOR/CATEGORY/FILE.csv` with a line for each row: timestamp, value, anomaly_score. The score
//! of a row depends on that row and those before it. No setting depends on a series.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use detect::SlotState;
use detect::baseline::{BaselineColumns, BaselineSpec, Deviations, Dues, Season};
use detect::cusum::{CusumColumns, CusumSpec};
use detect::forest::{SeriesForest, SeriesSpec, StreamForest, StreamSpec};
use detect::onset::Onset;
use detect::page_hinkley::{PageHinkleyColumns, PageHinkleySpec};
use detect::robust::{RobustColumns, RobustSpec};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One file of the benchmark.
struct Series {
    /// Lines as they are, without the header.
    lines: Vec<String>,
    /// Microseconds since the Unix epoch.
    times: Vec<i64>,
    values: Vec<f64>,
}

/// A name, and scores for the rows of a series.
type Detector = (&'static str, fn(&Series) -> Outcome<Vec<f64>>);

const DETECTORS: [Detector; 11] = [
    // A week of five-minute rows in each tree.
    ("random_cut_forest", |series| forest(series, StreamSpec { trees: 100, sample: 2016, ..rows() })),
    ("random_cut_forest_1000", |series| forest(series, StreamSpec { trees: 100, sample: 1000, ..rows() })),
    ("random_cut_forest_256", |series| forest(series, rows())),
    ("random_cut_forest_shapes", |series| forest(series, StreamSpec { shingle: 48, ..rows() })),
    ("series_forest", series_forest),
    ("baseline", |series| baseline(series, Season::None)),
    ("baseline_hour_of_day", |series| baseline(series, Season::HourOfDay)),
    ("baseline_hour_of_week", |series| baseline(series, Season::HourOfWeek)),
    ("robust_z", robust),
    ("cusum", cusum),
    ("page_hinkley", page_hinkley),
];

fn rows() -> StreamSpec {
    StreamSpec { warmup: 100, ..StreamSpec::new(1) }
}

fn forest(series: &Series, spec: StreamSpec) -> Outcome<Vec<f64>> {
    let mut forest = StreamForest::new(spec)?;
    let scores = series.values.iter().map(|value| forest.observe(&[*value], None));
    Ok(scores.map(|verdict| verdict.map_or(0.0, |verdict| verdict.score)).collect())
}

fn series_forest(series: &Series) -> Outcome<Vec<f64>> {
    let mut forest = SeriesForest::new(SeriesSpec::default())?;
    let rows = series.times.iter().zip(&series.values);
    Ok(rows.map(|(time, value)| forest.observe(*time, *value).unwrap_or(0.0)).collect())
}

fn deviations(series: &Series, spec: BaselineSpec) -> Outcome<Vec<Vec<f32>>> {
    let mut columns = BaselineColumns::new(spec, 1)?;
    columns.grow(1);
    let mut out = Deviations::default();
    columns.observe(&slots(series), Dues::Own(&series.times), &[&series.values], &mut out);
    Ok(vec![out.counted(0, series.values.len()).collect()])
}

fn slots(series: &Series) -> Vec<u32> {
    vec![0; series.values.len()]
}

/// Absolute scores where an anomaly begins, as the life cycle of alerts would tell it once; 0 elsewhere.
fn onsets(scores: &[Vec<f32>]) -> Vec<f64> {
    let mut onset = Onset::new(100);
    let scores = scores.iter().flatten().map(|score| f64::from(score.abs()));
    scores.map(|score| if onset.observe(score) { score } else { 0.0 }).collect()
}

/// Rows of five minutes are near each other: a memory as long as there is, and levels that change.
fn slow() -> BaselineSpec {
    BaselineSpec { memory: 120, limit: 6.0, latched_max: 1, ..BaselineSpec::default() }
}

fn baseline(series: &Series, season: Season) -> Outcome<Vec<f64>> {
    Ok(onsets(&deviations(series, BaselineSpec { season, ..slow() })?))
}

fn robust(series: &Series) -> Outcome<Vec<f64>> {
    let mut columns = RobustColumns::new(RobustSpec::default(), 1)?;
    columns.grow(1);
    let mut out = Deviations::default();
    columns.observe(&slots(series), &[&series.values], &mut out);
    Ok(onsets(&[out.counted(0, series.values.len()).collect()]))
}

fn cusum(series: &Series) -> Outcome<Vec<f64>> {
    let deviations = deviations(series, slow())?;
    let mut columns = CusumColumns::new(CusumSpec::default(), 1)?;
    columns.grow(1);
    let mut scores = Vec::new();
    columns.observe(&slots(series), &deviations, &mut scores);
    Ok(onsets(&scores))
}

fn page_hinkley(series: &Series) -> Outcome<Vec<f64>> {
    let deviations: Vec<f64> = deviations(series, slow())?.into_iter().flatten().map(f64::from).collect();
    let mut columns = PageHinkleyColumns::new(PageHinkleySpec::default(), 1)?;
    columns.grow(1);
    let mut scores = Vec::new();
    columns.observe(&slots(series), &[&deviations], &mut scores);
    Ok(onsets(&scores))
}

fn read(path: &Path) -> Outcome<Series> {
    let text = fs::read_to_string(path).map_err(|e| format!("read {}: {e}", path.display()))?;
    let mut series = Series { lines: Vec::new(), times: Vec::new(), values: Vec::new() };
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let (time, value) = line.split_once(',').ok_or_else(|| format!("{}: {line}", path.display()))?;
        series.times.push(microseconds(time).ok_or_else(|| format!("{}: {time}", path.display()))?);
        series.values.push(value.trim().parse().map_err(|e| format!("{}: {value}: {e}", path.display()))?);
        series.lines.push(line.trim_end().to_owned());
    }
    Ok(series)
}

/// Of `YYYY-MM-DD HH:MM:SS`, with or without a fraction, which is left away.
fn microseconds(time: &str) -> Option<i64> {
    let field = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    // Days of the proleptic Gregorian calendar; years begin in March, so that the leap day is the last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    let days = 365 * years + leap_days + (153 * months + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
}

fn folder(path: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(|e| format!("list {}: {e}", path.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out] = &arguments[..] else { return Err("usage: nab DATA_DIR OUT_DIR".into()) };
    for category in folder(&Path::new(data).join("data"))?.iter().filter(|path| path.is_dir()) {
        for path in folder(category)?.iter().filter(|path| path.extension().is_some_and(|e| e == "csv")) {
            let series = read(path)?;
            for (name, detector) in DETECTORS {
                let mut text = String::from("timestamp,value,anomaly_score\n");
                for (line, score) in series.lines.iter().zip(detector(&series)?) {
                    writeln!(text, "{line},{score}")?;
                }
                let target = Path::new(out)
                    .join(name)
                    .join(category.file_name().unwrap_or_default())
                    .join(path.file_name().unwrap_or_default());
                fs::create_dir_all(target.parent().unwrap_or(Path::new(out)))?;
                fs::write(&target, text)?;
            }
        }
    }
    println!("{}", DETECTORS.map(|(name, _)| name).join("\n"));
    Ok(())
}
