//! What a start costs: of a process, and of somebody who builds the program for the first time.

use testkit::usage::Usage;

use crate::bench::{Bench, Failure, Median, Plan};
use crate::figure::{Figures, Target};

/// The whole life of a job with one record: an upper bound of the time to the first record decoded.
pub(crate) fn start(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (usages, decoded) = start_runs(bench, bench.repeat)?;
    if !decoded {
        return Err("a job with one record did not read one record".into());
    }
    let median = Median::of(&usages);
    figures.detail("one record", median.to_json());
    figures.add("process start to end of a job with one record", median.wall_s, "s", Target::AtMost(0.2));
    Ok(())
}

/// Runs that job so often; and whether each read its record.
pub(crate) fn start_runs(bench: &Bench, repeat: usize) -> Result<(Vec<Usage>, bool), Failure> {
    let input = bench.folder.join("one.ndjson");
    let line = r#"{"user_id":"user-000001","event_type":"listen","ts":1700000000000,"duration_s":1.5}"#;
    std::fs::write(&input, format!("{line}\n"))?;
    let mut usages = Vec::new();
    let mut decoded = true;
    for _ in 0..repeat.max(1) {
        let run = bench.run(&Plan::reference(&input))?;
        decoded &= run.report["windowed"].as_u64() == Some(1);
        usages.push(run.usage);
    }
    Ok((usages, decoded))
}

/// What a newcomer pays before the first alert.
pub(crate) fn cold_build(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let target = bench.folder.join("cold");
    if target.exists() {
        std::fs::remove_dir_all(&target)?;
    }
    let target_text = target.display().to_string();
    let command =
        ["cargo", "build", "--release", "--locked", "-p", "tidewatch", "--target-dir", &target_text];
    let usage = bench.measure(&command.map(str::to_owned))?;
    std::fs::remove_dir_all(&target)?;
    figures.detail("cold release build", usage.to_json());
    figures.add("cold release build: CPU", usage.cpu().as_secs_f64() / 60.0, "min", Target::None);
    figures.add("cold release build: wall", usage.wall.as_secs_f64() / 60.0, "min", Target::AtMost(7.0));
    Ok(())
}
