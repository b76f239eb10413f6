//! What it costs to archive what a job reads, and how fast an archive is replayed, beside a bare reader of its files.

use std::fs::File;
use std::path::Path;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::bench::{Bench, Failure, Median, Plan, check_equal, remove, size};
use crate::connector::{Turns, events, expect, reading};
use crate::figure::{Figures, Target};

/// Writing one and reading it.
pub(crate) fn archive(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (count, input) = events(bench)?;
    let limit = bench.limit(&input)?;
    let folder = bench.folder.join("archive");
    let plan = Plan::reference(&input);
    let archiving = plan.clone().set("archive.dir", folder.display());
    let replay = reading(bench, &format!("type = \"archive\"\ndir = \"{}\"\n", folder.display()))?;
    let (mut with, mut without, mut turns) = (Vec::new(), Vec::new(), Turns::default());
    for _ in 0..bench.repeat {
        without.push(bench.run(&plan)?.usage);
        remove(&folder)?;
        let run = bench.run(&archiving)?;
        check_equal(&run.alerts, &limit.alerts)?;
        with.push(run.usage);
        let found = turns.bare(|| rows_below(&folder.join("events")))?;
        expect("records in the archive", found, usize::try_from(count)?)?;
        let run = bench.run(&replay)?;
        check_equal(&run.alerts, &limit.alerts)?;
        turns.job(run.usage);
    }
    let bytes = size(&folder.join("events"))? as f64 / count as f64;
    remove(&folder)?;
    let (with, without) = (Median::of(&with), Median::of(&without));
    figures.detail("with an archive", with.to_json());
    figures.detail("without an archive", without.to_json());
    figures.add("CPU with an archive over without", with.cpu_s / without.cpu_s, "", Target::None);
    let us = |seconds: f64| seconds / count as f64 * 1e6;
    figures.add("CPU to archive an event", us(with.cpu_s - without.cpu_s), "us", Target::None);
    figures.add("events/s with an archive", count as f64 / with.wall_s, "", Target::None);
    figures.add("events/s with an archive over without", without.wall_s / with.wall_s, "", Target::None);
    figures.add("bytes on disk of an archived event", bytes, "", Target::None);
    let input_bytes = std::fs::metadata(&input)?.len() as f64 / count as f64;
    figures.add("bytes on disk over those of the input", bytes / input_bytes, "", Target::None);
    turns.report(figures, "replay of an archive", "events", usize::try_from(count)?);
    let over = without.wall_s / turns.job_median().wall_s;
    figures.add("replay of an archive: the job over the plain file", over, "", Target::None);
    Ok(())
}

/// Reads all columns of all Parquet files below a folder, one after the other, and counts rows.
fn rows_below(folder: &Path) -> Result<usize, Failure> {
    let mut rows = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        rows += if path.is_dir() { rows_below(&path)? } else { rows_of(&path)? };
    }
    Ok(rows)
}

fn rows_of(file: &Path) -> Result<usize, Failure> {
    let mut rows = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
        rows += batch?.num_rows();
    }
    Ok(rows)
}
