//! Streams of Amazon Kinesis: how fast a job reads one and writes one, beside a bare client of the same server.
//!
//! The server is kinesalite on this machine, which takes some thousand records a second: the rates are its own. Where a
//! record holds many events, as producers with the library of Amazon's pack them, the source has something to do as well.
//! A job takes two seconds at least, since what comes by then belongs to it: so there is more to read than that, but with
//! `--quick`, which compares nothing.

use std::path::Path;

use testkit::kinesis::{Entry, Kinesis, packed, servers};
use testkit::lanes;

use crate::bench::{Bench, Failure, Plan};
use crate::connector::{Rows, Turns, expect, expect_all, lines, reading, writing};
use crate::figure::Figures;

const SHARDS: usize = 4;
/// Bytes of the file that a shard gets at a time.
const CHUNK: usize = 1 << 14;
/// Events in an aggregate.
const PACKED: usize = 100;

/// Records of one event each, aggregates, and the sink.
pub(crate) fn kinesis(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let Some(servers) = servers() else {
        figures.leave_out("kinesis: there are no servers here");
        return Ok(());
    };
    let kinesis = servers.kinesalite();
    source(bench, figures, &kinesis, "single", if bench.quick { 10_000 } else { 60_000 }, 1)?;
    source(bench, figures, &kinesis, "packed", if bench.quick { 50_000 } else { 600_000 }, PACKED)?;
    sink(bench, figures, &kinesis)
}

/// Reads all events of a stream whose records hold so many each.
fn source(
    bench: &Bench,
    figures: &mut Figures,
    kinesis: &Kinesis,
    stream: &str,
    events: u64,
    in_record: usize,
) -> Result<(), Failure> {
    let input = bench.events(events, events / 50, 5)?;
    let limit = bench.limit(&input)?;
    let records = fill(kinesis, stream, &input, in_record)?;
    let mut turns = Turns::default();
    for _ in 0..bench.repeat.div_ceil(2) {
        let found = turns.bare(|| drain(kinesis, stream))?;
        expect("records that a bare client reads", found, records)?;
        let run = bench.run(&job(reading(bench, &end(kinesis, stream))?))?;
        expect_all(&run, &limit.alerts, events)?;
        turns.job(run.usage);
    }
    let what = format!("from a stream of Kinesis, {in_record} in a record");
    turns.report(figures, &what, "events", events);
    Ok(())
}

/// Puts the lines of a file into a new stream, and says how many records they make.
fn fill(kinesis: &Kinesis, stream: &str, file: &Path, in_record: usize) -> Result<u64, Failure> {
    let bytes = std::fs::read(file)?;
    kinesis.create(stream, SHARDS);
    let mut records = 0;
    for (shard, lines) in kinesis.shards(stream).iter().zip(lanes::cut(&bytes, SHARDS, CHUNK)) {
        let lines = lines.iter().map(|line| bytes[line.bytes.clone()].to_vec());
        let data = match in_record {
            1 => lines.collect(),
            _ => {
                let all: Vec<(u128, Vec<u8>)> = lines.map(|line| (shard.first_key, line)).collect();
                packed(&all.chunks(in_record).map(<[_]>::to_vec).collect::<Vec<_>>())
            }
        };
        records += data.len() as u64;
        let entries = data.into_iter().map(|data| Entry { hash_key: shard.first_key, data });
        kinesis.put(stream, &entries.collect::<Vec<_>>());
    }
    Ok(records)
}

/// Reads all records of a stream, all shards at a time, and counts them.
fn drain(kinesis: &Kinesis, stream: &str) -> Result<u64, Failure> {
    let shards = kinesis.shards(stream);
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            shards.iter().map(|shard| scope.spawn(|| kinesis.records(stream, shard).len())).collect();
        let counts = readers.into_iter().map(|reader| reader.join().map_err(|_| "a reader panicked"));
        Ok(counts.sum::<Result<usize, _>>()? as u64)
    })
}

fn stream(kinesis: &Kinesis, name: &str) -> String {
    let endpoint = kinesis.address();
    format!("type = \"kinesis\"\nstream = \"{name}\"\nregion = \"us-east-1\"\nendpoint = \"{endpoint}\"\n")
}

/// A stream that is read up to its end, without regard to limits that this server does not have.
fn end(kinesis: &Kinesis, name: &str) -> String {
    format!("{}end = \"latest\"\npoll_every = \"0s\"\n", stream(kinesis, name))
}

/// With credentials, which the server does not look at.
fn job(plan: Plan<'static>) -> Plan<'static> {
    plan.env("AWS_ACCESS_KEY_ID", "tidewatch").env("AWS_SECRET_ACCESS_KEY", "only-for-tests")
}

/// Writes a row for each window that closes. A request holds one row of a key at most, so there are many keys.
fn sink(bench: &Bench, figures: &mut Figures, kinesis: &Kinesis) -> Result<(), Failure> {
    let (events, users) = if bench.quick { (200, 200) } else { (1_000, 1_000) };
    let rows = Rows::of_users(bench, events, users)?;
    let mut turns = Turns::default();
    for repeat in 0..bench.repeat {
        let (bare, written) = (format!("bare-{repeat}"), format!("rows-{repeat}"));
        kinesis.create(&bare, 1);
        kinesis.create(&written, 1);
        let lines = lines(&rows.bytes);
        let entries: Vec<Entry> =
            lines.iter().map(|line| Entry { hash_key: 0, data: line.to_vec() }).collect();
        turns.bare(|| {
            kinesis.put(&bare, &entries);
            Ok(())
        })?;
        turns.job(bench.run(&job(writing(bench, &rows.input, &stream(kinesis, &written))?))?.usage);
        let mut found: Vec<Vec<u8>> = Vec::new();
        for shard in kinesis.shards(&written) {
            found.extend(kinesis.records(&written, &shard).into_iter().map(|(_, data)| data));
        }
        // Those of a key are in order; the keys are not.
        found.sort_unstable();
        let mut wanted: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
        wanted.sort_unstable();
        if found != wanted {
            return Err(format!("the stream {written} has not the rows of the file").into());
        }
    }
    rows.report(figures, "into a stream of Kinesis", &turns);
    Ok(())
}
