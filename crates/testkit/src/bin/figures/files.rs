//! Files in each format, beside a bare reader that unpacks them, cuts them into fields or reads the columns that the job
//! needs, and beside the plain file.
//!
//! All but the plain one are one partition, so that one is read as one, too. To have the figures of another format,
//! say in [`FORMATS`] how a file of it is made and how it is read barely.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, Value};

use crate::bench::{Bench, Failure, Plan};
use crate::columnar;
use crate::connector::{Turns, events, expect, expect_all};
use crate::figure::{Figures, Target};

/// A format of files.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    /// How its files' names end.
    pub(crate) ending: &'static str,
    /// Makes a file of it out of one of newline-delimited JSON.
    make: fn(&Path, &Path) -> Result<(), Failure>,
    /// Reads one as far as the format goes, and says how many bytes or records it has.
    read: fn(&Path) -> Result<u64, Failure>,
    /// Whether that is records.
    counts_records: bool,
}

impl Format {
    /// A file of so many events in this format, out of one of newline-delimited JSON.
    pub(crate) fn made(&self, bench: &Bench, input: &Path, count: u64) -> Result<PathBuf, Failure> {
        bench.made(&format!("events-{count}.{}", self.ending), |part| (self.make)(input, part))
    }
}

pub(crate) const PLAIN: Format =
    Format { name: "plain", ending: "ndjson", make: copy, read: read_plain, counts_records: false };
pub(crate) const GZIP: Format =
    Format { name: "gzip", ending: "ndjson.gz", make: gzip, read: read_gzip, counts_records: false };
pub(crate) const PARQUET: Format = Format {
    name: "Parquet",
    ending: "parquet",
    make: columnar::write,
    read: columnar::read,
    counts_records: true,
};

/// The first is what the others are held against.
const FORMATS: &[Format] = &[
    PLAIN,
    GZIP,
    Format { name: "zstd", ending: "ndjson.zst", make: zstd, read: read_zstd, counts_records: false },
    Format { name: "CSV", ending: "csv", make: to_csv, read: read_csv, counts_records: true },
    PARQUET,
];

/// A file in each format.
pub(crate) fn files(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (count, input) = events(bench)?;
    let limit = bench.limit(&input)?;
    let made: Vec<PathBuf> =
        FORMATS.iter().map(|format| format.made(bench, &input, count)).collect::<Result<_, _>>()?;
    let mut all: Vec<Turns> = FORMATS.iter().map(|_| Turns::default()).collect();
    for _ in 0..bench.repeat {
        for ((format, file), turns) in FORMATS.iter().zip(&made).zip(&mut all) {
            let found = turns.bare(|| (format.read)(file))?;
            let wanted = if format.counts_records { count } else { std::fs::metadata(&input)?.len() };
            expect(format.name, found, wanted)?;
            let run = bench.run(&Plan::reference(file).set("source.events.lanes", 1))?;
            expect_all(&run, &limit.alerts, count)?;
            turns.job(run.usage);
        }
    }
    let Some(plain) = all.first().map(Turns::job_median) else { return Ok(()) };
    for (((number, format), file), turns) in FORMATS.iter().enumerate().zip(&made).zip(&all) {
        let what = format!("from a file, {}", format.name);
        turns.report(figures, &what, "events", count);
        let bytes = std::fs::metadata(file)?.len() as f64 / count as f64;
        figures.add(format!("{what}: bytes of an event"), bytes, "", Target::None);
        if number == 0 {
            continue;
        }
        let (job, bare) = (turns.job_median(), turns.bare_median());
        let over = plain.wall_s / job.wall_s;
        figures.add(format!("{what}: the job over the plain file"), over, "", Target::None);
        let added = (job.cpu_s - plain.cpu_s) / bare.cpu_s;
        figures.add(format!("{what}: CPU that it adds, over the bare reader's"), added, "", Target::None);
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::copy(from, to)?;
    Ok(())
}

/// Reads to the end, and counts bytes.
fn drain(mut reader: impl Read) -> Result<u64, Failure> {
    let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}

fn read_plain(file: &Path) -> Result<u64, Failure> {
    drain(File::open(file)?)
}

fn gzip(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut packed = GzEncoder::new(BufWriter::new(File::create(to)?), Compression::default());
    std::io::copy(&mut File::open(from)?, &mut packed)?;
    Ok(packed.finish()?.flush()?)
}

fn read_gzip(file: &Path) -> Result<u64, Failure> {
    drain(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, File::open(file)?)))
}

fn zstd(from: &Path, to: &Path) -> Result<(), Failure> {
    // The level that its own program takes.
    Ok(::zstd::stream::copy_encode(File::open(from)?, File::create(to)?, 3)?)
}

fn read_zstd(file: &Path) -> Result<u64, Failure> {
    drain(::zstd::stream::read::Decoder::new(File::open(file)?)?)
}

fn to_csv(from: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(from)?;
    let mut out = csv::Writer::from_path(to)?;
    for (number, line) in crate::connector::lines(&bytes).into_iter().enumerate() {
        let event: Map<String, Value> = serde_json::from_slice(line)?;
        if number == 0 {
            out.write_record(event.keys())?;
        }
        out.write_record(event.values().map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))?;
    }
    Ok(out.flush()?)
}

fn read_csv(file: &Path) -> Result<u64, Failure> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_path(file)?;
    let (mut record, mut count) = (csv::ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record)? {
        count += 1;
    }
    Ok(count)
}
