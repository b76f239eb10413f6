//! What it costs to archive what a job reads, beside a bare writer of the same rows; and how fast an archive is replayed,
//! beside a bare reader of its files.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::bench::{Bench, Failure, Median, Plan, remove, size};
use crate::connector::{Turns, events, expect, expect_all, reading};
use crate::figure::{Figures, Target};

/// Writing one and reading it.
pub(crate) fn archive(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (count, input) = events(bench)?;
    let limit = bench.limit(&input)?;
    let folder = bench.folder.join("archive");
    let plan = Plan::reference(&input);
    let archiving = plan.clone().set("archive.dir", folder.display());
    let replay = reading(bench, &format!("type = \"archive\"\ndir = \"{}\"\n", folder.display()))?;
    let (mut without, mut written, mut read) = (Vec::new(), Turns::default(), Turns::default());
    for _ in 0..bench.repeat {
        without.push(bench.run(&plan)?.usage);
        remove(&folder)?;
        let run = bench.run(&archiving)?;
        expect_all(&run, &limit.alerts, count)?;
        written.job(run.usage);
        let files = files_below(&folder.join("events"))?;
        let found = read.bare(|| files.iter().map(|file| rows_of(file)).sum())?;
        expect("records in the archive", found, count)?;
        write_again(bench, &files, &mut written)?;
        let run = bench.run(&replay)?;
        expect_all(&run, &limit.alerts, count)?;
        read.job(run.usage);
    }
    let bytes = size(&folder.join("events"))? as f64 / count as f64;
    remove(&folder)?;
    let without = Median::of(&without);
    report_written(figures, count, &written, without);
    figures.add("archiving: bytes on disk of an event", bytes, "", Target::None);
    let input_bytes = std::fs::metadata(&input)?.len() as f64 / count as f64;
    figures.add("archiving: bytes on disk over those of the input", bytes / input_bytes, "", Target::None);
    read.report(figures, "replay of an archive", "events", count);
    let over = without.wall_s / read.job_median().wall_s;
    figures.add("replay of an archive: the job over the plain file", over, "", Target::None);
    Ok(())
}

/// What archiving adds to a job.
fn report_written(figures: &mut Figures, count: u64, written: &Turns, without: Median) {
    let (with, bare) = (written.job_median(), written.bare_median());
    figures.detail("without an archive", without.to_json());
    written.report(figures, "archiving", "events", count);
    figures.add("archiving: CPU over that without", with.cpu_s / without.cpu_s, "", Target::None);
    figures.add("archiving: events/s over those without", without.wall_s / with.wall_s, "", Target::None);
    let over = (with.cpu_s - without.cpu_s) / bare.cpu_s;
    figures.add("archiving: CPU that it adds, over the bare writer's", over, "", Target::None);
}

/// All files below a folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// Reads all columns of a file, and counts rows.
fn rows_of(file: &Path) -> Result<u64, Failure> {
    let mut rows = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

/// Has a bare client write the rows of these files, which it has in memory, into one file. They are compressed as ours are,
/// and like ours they have no dictionary of texts that are all different.
fn write_again(bench: &Bench, files: &[PathBuf], turns: &mut Turns) -> Result<(), Failure> {
    let (mut schema, mut batches) = (None, Vec::new());
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?;
        schema = Some(reader.schema().clone());
        batches.extend(reader.with_batch_size(1 << 16).build()?.collect::<Result<Vec<_>, _>>()?);
    }
    let schema = schema.ok_or("the archive has no files")?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .build();
    let path = bench.folder.join("bare.parquet");
    turns.bare(|| {
        let mut writer = ArrowWriter::try_new(File::create(&path)?, schema, Some(properties))?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        Ok(writer.into_inner()?.sync_all()?)
    })?;
    Ok(remove(&path)?)
}
