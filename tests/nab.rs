//! The script that scores the Numenta Anomaly Benchmark, on three of its series (`tests/nab`, with their licence).

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::process::Invocation;
use testkit::workload::repository;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// A file of the benchmark: rows as they stand there.
fn rows(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn series() -> Vec<(String, Vec<[String; 2]>)> {
    let labels = repository().join("tests/nab/labels/combined_windows.json");
    let labels: Value =
        serde_json::from_slice(&std::fs::read(labels).expect("labels")).expect("an object of JSON");
    let text =
        |value: &Value| value.as_str().expect("a time").split('.').next().unwrap_or_default().to_owned();
    let windows = |windows: &Value| {
        windows
            .as_array()
            .expect("windows")
            .iter()
            .map(|window| [text(&window[0]), text(&window[1])])
            .collect()
    };
    labels.as_object().expect("series").iter().map(|(name, of)| (name.clone(), windows(of))).collect()
}

/// The scores of a detector, each with the time of its row.
fn scores(out: &Path, detector: &str, series: &str) -> Vec<(String, f64)> {
    let file: PathBuf = out.join(detector).join(series);
    let original = rows(&repository().join("tests/nab/data").join(series));
    let scored = rows(&file);
    assert_eq!(scored.len(), original.len(), "{}", file.display());
    let score = |(scored, original): (&String, &String)| {
        let score = scored.strip_prefix(original.trim()).and_then(|rest| rest.strip_prefix(','));
        let score: f64 = score.and_then(|score| score.parse().ok()).unwrap_or_else(|| panic!("{scored}"));
        assert!(score.is_finite(), "{scored}");
        (original.split(',').next().unwrap_or_default().to_owned(), score)
    };
    scored.iter().zip(&original).map(score).collect()
}

#[test]
fn each_row_of_a_series_has_a_score_of_each_detector_and_labelled_ones_stand_out() {
    let folder = tempfile::tempdir().expect("a folder");
    Invocation::new(repository().join("scripts/nab.sh"))
        .env("TIDEWATCH_BIN", PROGRAM)
        .arg(repository().join("tests/nab"))
        .arg(folder.path())
        .run()
        .expect_code(0);
    let detectors: Vec<String> = std::fs::read_dir(folder.path())
        .expect("detectors")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        detectors.len() >= 9 && detectors.iter().any(|name| name == "random_cut_forest"),
        "{detectors:?}"
    );
    let mut found = 0;
    for (name, windows) in series() {
        for detector in &detectors {
            let scores = scores(folder.path(), detector, &name);
            assert!(
                scores.iter().any(|(_, score)| *score != scores[0].1),
                "{detector} says one thing of {name}"
            );
        }
        // The oddest row to the forest, of those that the benchmark judges.
        let scores = scores(folder.path(), "random_cut_forest", &name);
        let judged = &scores[scores.len() * 15 / 100..];
        let (at, _) = judged.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("rows");
        found += usize::from(windows.iter().any(|[from, to]| from <= at && at <= to));
    }
    assert!(found >= 2, "the oddest row of {found} of 3 series is a labelled one");
}
