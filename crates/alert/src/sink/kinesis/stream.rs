//! An open stream: puts rows into it until all are there.

use std::ops::Range;
use std::time::{Duration, Instant};

use aws::{Backoff, Kinesis, Trouble, trouble};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use super::super::table::Shape;
use super::super::{Sink, SinkError};
use super::KinesisTarget;
use super::keys::partition_key;
use super::rounds::{ROW_BYTES_MAX, Rounds};

/// The first pause before records are put again, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A stream that is a sink.
pub(super) struct Stream {
    sink: String,
    target: KinesisTarget,
    shape: Shape,
    kinesis: Kinesis,
    length: u64,
}

impl Stream {
    /// Opens a stream that was given `length` bytes before, and sees that it is there.
    pub(super) fn open(
        sink: &str,
        target: &KinesisTarget,
        shape: &Shape,
        length: u64,
    ) -> Result<Self, SinkError> {
        let refused = |trouble: Trouble| SinkError::Refused {
            sink: sink.to_owned(),
            database: describe(target),
            words: trouble.to_string(),
        };
        let of_arn = || arn(target).and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
        let region = target.region.clone().or_else(of_arn);
        let kinesis =
            aws::kinesis(&aws::Access { region, endpoint: target.endpoint.clone() }).map_err(refused)?;
        let stream =
            Stream { sink: sink.to_owned(), target: target.clone(), shape: shape.clone(), kinesis, length };
        let mut patience = Patience::new();
        while let Err(trouble) = stream.look() {
            patience.wait(&stream, trouble)?;
        }
        Ok(stream)
    }

    /// Sees whether it is there.
    fn look(&self) -> Result<(), Trouble> {
        let request = self.kinesis.client.describe_stream_summary();
        let request = request
            .set_stream_name(name(&self.target).map(str::to_owned))
            .set_stream_arn(arn(&self.target).map(str::to_owned));
        aws::block_on(async move { request.send().await.map(drop).map_err(|error| trouble(&error)) })?
    }

    /// The rows with their partition keys.
    fn rows(&self, lines: &[u8]) -> Result<Rounds, SinkError> {
        let wrong = |words: String| SinkError::Row { sink: self.sink.clone(), words };
        let (mut rows, mut start) = (Vec::new(), 0);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let row = line.trim_ascii_end();
            let text = std::str::from_utf8(row).map_err(|error| wrong(error.to_string()))?;
            let key = partition_key(&self.shape, text).map_err(|error| wrong(error.to_string()))?;
            if row.len() + key.len() > ROW_BYTES_MAX {
                return Err(wrong(format!(
                    "it has {} bytes, and a record of a stream has 1 MiB at most",
                    row.len()
                )));
            }
            rows.push((key, start..start + row.len()));
            start += line.len();
        }
        Ok(Rounds::new(rows))
    }

    /// One request. Tells of each record whether it is there, and what was said of one that is not.
    fn put(
        &self,
        entries: Vec<(String, Range<usize>)>,
        lines: &[u8],
    ) -> Result<(Vec<bool>, Option<Trouble>), Trouble> {
        let records = entries.into_iter().map(|(key, row)| {
            let record = PutRecordsRequestEntry::builder().data(Blob::new(&lines[row])).partition_key(key);
            record.build().map_err(|error| Trouble::Refused(error.to_string()))
        });
        let request = self.kinesis.client.put_records();
        let request = request
            .set_stream_name(name(&self.target).map(str::to_owned))
            .set_stream_arn(arn(&self.target).map(str::to_owned))
            .set_records(Some(records.collect::<Result<_, _>>()?));
        let answer = aws::block_on(async move { request.send().await.map_err(|error| trouble(&error)) })??;
        let failed = answer.records.iter().find(|record| record.error_code.is_some());
        let words = failed.map(|record| {
            let said = [record.error_code.as_deref(), record.error_message.as_deref()];
            Trouble::Passing(said.into_iter().flatten().collect::<Vec<_>>().join(": "))
        });
        Ok((answer.records.iter().map(|record| record.error_code.is_none()).collect(), words))
    }
}

/// How long nothing has come through, and how long to wait.
struct Patience {
    since: Option<Instant>,
    backoff: Backoff,
}

impl Patience {
    fn new() -> Self {
        Patience { since: None, backoff: Backoff::new(PAUSES.0, PAUSES.1) }
    }

    fn wait(&mut self, stream: &Stream, trouble: Trouble) -> Result<(), SinkError> {
        let (sink, database) = (stream.sink.clone(), describe(&stream.target));
        let words = trouble.to_string();
        if let Trouble::Missing(words) | Trouble::Refused(words) = trouble {
            return Err(SinkError::Refused { sink, database, words });
        }
        let after = self.since.get_or_insert_with(Instant::now).elapsed();
        let pause = self.backoff.pause();
        if after + pause > stream.target.retry_for {
            return Err(SinkError::Unavailable { sink, database, after, words });
        }
        std::thread::sleep(pause);
        Ok(())
    }
}

fn arn(target: &KinesisTarget) -> Option<&str> {
    Some(target.stream.as_str()).filter(|stream| stream.starts_with("arn:"))
}

fn name(target: &KinesisTarget) -> Option<&str> {
    Some(target.stream.as_str()).filter(|stream| !stream.starts_with("arn:"))
}

fn describe(target: &KinesisTarget) -> String {
    format!("the stream {} of Kinesis", target.stream)
}

impl Sink for Stream {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let mut rounds = self.rows(lines)?;
        let mut patience = Patience::new();
        loop {
            let entries = rounds.request();
            if entries.is_empty() {
                break;
            }
            let keyed = entries.iter().map(|entry| (rounds.key(entry).to_owned(), entry.row.clone()));
            let (there, trouble) = match self.put(keyed.collect(), lines) {
                Ok(answer) => answer,
                Err(trouble) => (vec![false; entries.len()], Some(trouble)),
            };
            let is_there = |at: usize| there.get(at).copied().unwrap_or(false);
            (0..).zip(&entries).for_each(|(at, entry)| rounds.settle(entry, is_there(at)));
            if there.contains(&true) {
                patience = Patience::new();
            }
            if let Some(trouble) = trouble {
                patience.wait(self, trouble)?;
            }
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// What was put is durable.
    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }
}
