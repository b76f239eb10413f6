//! Objects of a bucket of S3, beside a bare client that gets the same bytes and throws them away, and beside the same job
//! over the same bytes in a file.
//!
//! The server is one on this machine: VersityGW, or moto where Go is missing, which is another limit. The bare client is
//! curl, a process for each object, which asks once for the whole of it; it unpacks nothing. An object is one partition,
//! and the file is read as one, too.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::s3::{BUCKET, KEYS, Server, server_alone};

use crate::bench::{Bench, Failure, Median, Plan};
use crate::connector::{Turns, events, expect, expect_all, reading};
use crate::figure::{Figures, Target};
use crate::files::{Format, GZIP, PARQUET, PLAIN};

/// What the objects are; the other formats cost what they cost in a file.
const FORMATS: [Format; 3] = [PLAIN, GZIP, PARQUET];

/// An object in each format.
pub(crate) fn objects(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    if !has_curl()? {
        figures.leave_out("objects: there is no curl here, which is the bare client");
        return Ok(());
    }
    let Some(server) = server_alone() else {
        figures.leave_out("objects: there is no S3 server here");
        return Ok(());
    };
    let (count, input) = events(bench)?;
    let alerts = bench.limit(&input)?.alerts;
    for format in &FORMATS {
        let file = format.made(bench, &input, count)?;
        compare(bench, figures, &server, format, &Given { count, file, alerts: &alerts })?;
    }
    Ok(())
}

/// What is read.
struct Given<'a> {
    /// Events.
    count: u64,
    file: PathBuf,
    /// What a job must come to.
    alerts: &'a Path,
}

/// Reads a file as an object, barely and with a job, and as a file.
fn compare(
    bench: &Bench,
    figures: &mut Figures,
    server: &Server,
    format: &Format,
    given: &Given<'_>,
) -> Result<(), Failure> {
    let key = format!("objects/events.{}", format.ending);
    let bytes = std::fs::metadata(&given.file)?.len();
    put(server, &given.file, &key)?;
    let plan = reading(bench, &format!("type = \"file\"\npath = \"s3://{BUCKET}/{key}\"\n"))?;
    let plan = server.environment().iter().fold(plan, |plan, (name, value)| plan.env(name, value));
    let from_file = Plan::reference(&given.file).set("source.events.lanes", 1);
    let (mut turns, mut file) = (Turns::default(), Vec::new());
    for _ in 0..bench.repeat {
        let found = turns.bare(|| get(server, &key))?;
        expect("bytes that a bare client gets", found, bytes)?;
        let run = bench.run(&plan)?;
        expect_all(&run, given.alerts, given.count)?;
        turns.job(run.usage);
        let run = bench.run(&from_file)?;
        expect_all(&run, given.alerts, given.count)?;
        file.push(run.usage);
    }
    let what = format!("from an object, {}", format.name);
    turns.report(figures, &what, "events", given.count);
    let (job, file) = (turns.job_median(), Median::of(&file));
    figures.detail(format!("{what}, as a file"), file.to_json());
    figures.add(format!("{what}: the job over the same file"), file.wall_s / job.wall_s, "", Target::None);
    let cpu = (job.cpu_s - file.cpu_s) / turns.bare_median().cpu_s;
    figures.add(format!("{what}: CPU that it adds, over the bare client's"), cpu, "", Target::None);
    Ok(())
}

fn has_curl() -> Result<bool, Failure> {
    match Command::new("curl").arg("--version").output() {
        Ok(output) => Ok(output.status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Puts a file into the bucket.
fn put(server: &Server, file: &Path, key: &str) -> Result<(), Failure> {
    let file = file.display().to_string();
    curl(server, key, &["--upload-file", &file])?;
    Ok(())
}

/// Gets an object, and says how many bytes came.
fn get(server: &Server, key: &str) -> Result<u64, Failure> {
    let bytes = curl(server, key, &["--output", "/dev/null", "--write-out", "%{size_download}"])?;
    Ok(bytes.trim().parse()?)
}

/// Has curl make a request for an object, and gives what it prints. No settings of this machine's are in its way.
fn curl(server: &Server, key: &str, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("curl")
        .args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--fail"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("{}:{}", KEYS.0, KEYS.1)])
        // Servers demand it, and not every curl says it by itself.
        .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .args(arguments)
        .arg(format!("{}/{BUCKET}/{key}", server.address()))
        .output()?;
    if !output.status.success() {
        return Err(format!("{key}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
