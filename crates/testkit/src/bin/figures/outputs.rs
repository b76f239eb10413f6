//! Rows into a file and to standard output, beside a bare client that writes the same bytes.
//!
//! The rows have to be computed first, which a bare client does not do: so there is the job, too, that throws them away.

use std::fs::File;
use std::io::Write;

use crate::bench::{Bench, Failure, remove};
use crate::connector::{Rows, Turns, file, writing};
use crate::figure::Figures;

/// The sinks that need no library.
pub(crate) fn outputs(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let rows = Rows::of(bench, if bench.quick { 100_000 } else { 1_000_000 })?;
    to_file(bench, figures, &rows)?;
    to_stdout(bench, figures, &rows)
}

/// A file, which is durable when its checkpoint is delivered.
fn to_file(bench: &Bench, figures: &mut Figures, rows: &Rows) -> Result<(), Failure> {
    let bare = bench.folder.join("bare.ndjson");
    let plan = writing(bench, &rows.input, &file(&bench.alerts_path()))?;
    let mut turns = Turns::default();
    for _ in 0..bench.repeat {
        remove(&bare)?;
        turns.bare(|| {
            let mut file = File::create(&bare)?;
            file.write_all(&rows.bytes)?;
            Ok(file.sync_all()?)
        })?;
        let run = bench.run(&plan)?;
        check(&std::fs::read(&run.alerts)?, rows)?;
        turns.job(run.usage);
    }
    remove(&bare)?;
    rows.report(figures, "into a file", &turns);
    Ok(())
}

/// A pipe that this process reads to its end. A bare client is `cat`.
fn to_stdout(bench: &Bench, figures: &mut Figures, rows: &Rows) -> Result<(), Failure> {
    let source = bench.folder.join("bare.ndjson");
    std::fs::write(&source, &rows.bytes)?;
    let cat = ["cat".to_owned(), source.display().to_string()];
    let plan = writing(bench, &rows.input, "type = \"stdout\"\n")?;
    let mut turns = Turns::default();
    for _ in 0..bench.repeat {
        turns.bare(|| bench.measure(&cat))?;
        let run = bench.run(&plan)?;
        check(&run.stdout, rows)?;
        turns.job(run.usage);
    }
    remove(&source)?;
    rows.report(figures, "to standard output", &turns);
    Ok(())
}

fn check(found: &[u8], rows: &Rows) -> Result<(), Failure> {
    if found == rows.bytes { Ok(()) } else { Err("a sink has other rows than the file".into()) }
}
