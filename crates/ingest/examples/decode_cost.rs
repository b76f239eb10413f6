//! Prints what it costs to decode podcast events into the columns of the podcast job: made-up ones in
//! memory, or those of a file, read in lanes.
//!
//! `cargo run --release -p ingest --example decode_cost [-- EVENTS | FILE]`

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use event::DataType;
use ingest::{
    Compression, DecodeSpec, Decoder, End, FieldSpec, Format, GenerateSpec, PartitionWatermark, Piece, Poll,
    SourceKind, SourceSpec, Start, TimeSpec, TimeUnit, WatermarkSpec, open, partitions, write_events,
};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "2000000".to_owned());
    match argument.parse() {
        Ok(events) => in_memory(events),
        Err(_) => from_file(Path::new(&argument)),
    }
}

/// The fields of the podcast job.
fn podcast() -> DecodeSpec {
    DecodeSpec::new(
        vec![
            FieldSpec::new("user_id", DataType::Varchar).required(),
            FieldSpec::new("event_type", DataType::Varchar).dictionary(),
            FieldSpec::new("duration_s", DataType::Double),
        ],
        TimeSpec::new(&["ts"], TimeUnit::Millis),
    )
}

fn in_memory(events: u64) -> Result<(), Box<dyn Error>> {
    let spec = GenerateSpec { events: Some(events), users: 100_000, ..GenerateSpec::default() };
    let mut text = Vec::new();
    let each = |nanos: u128| nanos as f64 / events as f64;
    let start = Instant::now();
    write_events(&spec, &mut text)?;
    let mut out = io::stdout();
    let bytes = text.len() as f64 / events as f64;
    writeln!(out, "generate {:.1} ns/event, {bytes:.0} bytes", each(start.elapsed().as_nanos()))?;
    let pieces = cut(&text, 1 << 20);
    for _ in 0..5 {
        let mut decoder = Decoder::new(podcast());
        let mut watermark = PartitionWatermark::new(WatermarkSpec::Bounded(5_000_000));
        let (mut rows, mut copy, mut decode, mut mark) = (0, 0, 0, 0);
        for &(base, bytes) in &pieces {
            let start = Instant::now();
            let piece = Piece::new(bytes.to_vec(), base);
            let copied = Instant::now();
            let (decoded, _) = decoder.decode(piece, usize::MAX);
            let done = Instant::now();
            watermark.mark(&decoded.records.times, &[]);
            mark += done.elapsed().as_nanos();
            copy += (copied - start).as_nanos();
            decode += (done - copied).as_nanos();
            rows += decoded.records.batch.rows() as u64;
        }
        assert_eq!(rows, events);
        writeln!(
            out,
            "decode {:.1} ns/event, mark {:.1}, (copy {:.1})",
            each(decode),
            each(mark),
            each(copy)
        )?;
    }
    Ok(())
}

fn from_file(path: &Path) -> Result<(), Box<dyn Error>> {
    let (paths, lanes) = (vec![path.to_owned()], SourceKind::LANES);
    let kind = SourceKind::File { paths, lanes, compression: Compression::None };
    let spec = SourceSpec {
        name: "events".to_owned(),
        kind,
        format: Format::Json,
        rate: None,
        start: Start::Earliest,
        end: End::Latest,
    };
    for _ in 0..3 {
        let start = Instant::now();
        let mut lanes = Vec::new();
        for info in &partitions(&spec)? {
            lanes.push(open(&spec, &podcast(), info, Some(&info.start))?);
        }
        let (mut records, mut rejected) = (0, 0);
        while !lanes.is_empty() {
            for lane in (0..lanes.len()).rev() {
                match lanes[lane].poll(usize::MAX)? {
                    Poll::Decoded(decoded) => {
                        records += decoded.records.batch.rows();
                        rejected += decoded.rejected.len();
                    }
                    Poll::Pending | Poll::CaughtUp | Poll::Finished | Poll::Closed(_) => {
                        drop(lanes.remove(lane))
                    }
                }
            }
        }
        let each = start.elapsed().as_nanos() as f64 / (records + rejected).max(1) as f64;
        writeln!(io::stdout(), "read and decode {each:.1} ns/event, {records} records, {rejected} rejected")?;
    }
    Ok(())
}

/// Pieces of whole lines of about that many bytes.
fn cut(text: &[u8], bytes: usize) -> Vec<(u64, &[u8])> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let from = (start + bytes).min(text.len());
        let end = text[from..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| from + at + 1);
        pieces.push((start as u64, &text[start..end]));
        start = end;
    }
    pieces
}
