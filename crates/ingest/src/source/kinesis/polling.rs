//! Asking a shard again and again: five times a second at most, and for no more than 2 MB a second, which is what a
//! shard allows to all who ask it together.

use std::time::Instant;

use aws::trouble;
use aws_sdk_kinesis::types::Record;

use super::fetch::{Answer, Fetch, Stop, time_of};
use super::queue::Standing;

/// Records of an answer at most; an answer has no more than 10 MiB.
const RECORDS_MAX: i32 = 10_000;

/// Reads the shard on, until all of it is read; then the shards that go on from it.
pub(super) async fn read(fetch: &mut Fetch) -> Result<Vec<u32>, Stop> {
    let mut iterator = begin(fetch).await?;
    loop {
        fetch.queue.room().await;
        tokio::time::sleep_until(fetch.next.into()).await;
        fetch.next = Instant::now() + fetch.spec.poll_every;
        let standing = fetch.asks();
        let request = fetch.kinesis.client.get_records().shard_iterator(&iterator).limit(RECORDS_MAX);
        let answer = request.send().await.map_err(|error| trouble(&error))?;
        if !fetch.spec.poll_every.is_zero() {
            fetch.next = fetch.next.max(standing.asked + time_of(bytes(&answer.records)));
        }
        let behind = answer.millis_behind_latest;
        // An answer that is full says nothing of what is behind it, whatever some servers say.
        let is_end = behind == Some(0) && answer.records.len() < RECORDS_MAX as usize;
        let closed = match answer.next_shard_iterator {
            Some(next) => {
                iterator = next;
                None
            }
            None => Some(fetch.numbers(answer.child_shards)?),
        };
        let standing = Standing { behind, is_end, ..standing };
        if let Some(children) = fetch.hand_on(Answer { records: answer.records, standing, closed }).await? {
            return Ok(children);
        }
    }
}

/// An iterator for what comes next.
async fn begin(fetch: &mut Fetch) -> Result<String, Stop> {
    let (kind, sequence, time) = fetch.begin();
    let request = fetch.kinesis.client.get_shard_iterator().shard_id(&fetch.shard).shard_iterator_type(kind);
    let request = request
        .set_stream_name(fetch.spec.name().map(str::to_owned))
        .set_stream_arn(fetch.spec.arn().map(str::to_owned))
        .set_starting_sequence_number(sequence)
        .set_timestamp(time);
    let answer = request.send().await.map_err(|error| trouble(&error))?;
    let none = || aws::Trouble::Passing("it gave no iterator".to_owned());
    Ok(answer.shard_iterator.ok_or_else(none)?)
}

fn bytes(records: &[Record]) -> usize {
    records.iter().map(|record| record.data.as_ref().len()).sum()
}
