//! Which shards a stream has, where each of them begins and ends, and which go on from which.

use std::time::{Duration, Instant};

use aws::{Backoff, Kinesis, Trouble, kinesis, trouble};
use aws_sdk_kinesis::types::Shard;

use super::super::position::{KinesisEnd, KinesisOrigin, KinesisPlace, Origin, Position};
use super::super::{Discovery, End, PartitionInfo, Start};
use super::{KinesisError, KinesisSpec};
use crate::IngestError;

/// The first pause before a stream that is away is asked again, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What was there when a job was first started came before this, in milliseconds after what the server says the time is:
/// it says so to the second, and a shard that has just come of another stamps its records up to a second ahead.
const STAMPED_AHEAD: i64 = 2000;

/// The pauses between tries.
pub(super) fn backoff() -> Backoff {
    Backoff::new(PAUSES.0, PAUSES.1)
}

/// All shards of a stream, with where they begin and end for a job that is started now.
pub(super) fn partitions(
    spec: &KinesisSpec,
    start: Start,
    end: End,
) -> Result<Vec<PartitionInfo>, KinesisError> {
    let (shards, now) = list(spec)?;
    let no_clock = || KinesisError::NoClock { stream: spec.stream.clone() };
    let place = match start {
        Start::Earliest | Start::Checkpoint => KinesisPlace::Horizon,
        Start::At(micros) => KinesisPlace::Time(micros.div_euclid(1000)),
        Start::Latest => KinesisPlace::Time(now.ok_or_else(no_clock)?),
    };
    let end = match end {
        End::Never => None,
        // What was there before is read in any case.
        End::Latest => Some(now.ok_or_else(no_clock)? + STAMPED_AHEAD),
    };
    shards.iter().map(|shard| shard.info(spec, &shards, place.clone(), end)).collect()
}

/// Looks for shards that come while the job runs.
pub(super) struct Looking {
    spec: KinesisSpec,
}

impl Looking {
    pub(super) fn new(spec: KinesisSpec) -> Self {
        Looking { spec }
    }
}

impl Discovery for Looking {
    fn look(&mut self) -> Result<Vec<PartitionInfo>, IngestError> {
        // A shard that has come later is read from its beginning, wherever the job began.
        Ok(partitions(&self.spec, Start::Earliest, End::Never)?)
    }
}

/// A shard of a stream.
struct Listed {
    id: String,
    number: u32,
    parents: Vec<u32>,
    hash_keys: (u128, u128),
}

impl Listed {
    fn of(spec: &KinesisSpec, shard: &Shard) -> Result<Self, KinesisError> {
        let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
        let parents = parents.into_iter().flatten().map(|parent| number(spec, parent));
        let hash_key = |key: Option<&str>, default| key.and_then(|key| key.parse().ok()).unwrap_or(default);
        let range = shard.hash_key_range();
        Ok(Listed {
            id: shard.shard_id().to_owned(),
            number: number(spec, shard.shard_id())?,
            parents: parents.collect::<Result<_, _>>()?,
            hash_keys: (
                hash_key(range.map(|range| range.starting_hash_key()), 0),
                hash_key(range.map(|range| range.ending_hash_key()), u128::MAX),
            ),
        })
    }

    fn info(
        &self,
        spec: &KinesisSpec,
        all: &[Listed],
        place: KinesisPlace,
        end: Option<i64>,
    ) -> Result<PartitionInfo, KinesisError> {
        let children = || children(self.number, all);
        let origin = KinesisOrigin {
            stream: spec.stream.clone(),
            hash_keys: self.hash_keys,
            place,
            end: end.map(|before| KinesisEnd { before, children: children() }),
            caught_up_at: None,
            closed: None,
        };
        Ok(PartitionInfo {
            id: self.id.clone(),
            number: self.number,
            series: self.number,
            start: Position { offset: 0, origin: Origin::Kinesis(origin) },
            parents: self.parents.clone(),
        })
    }
}

fn children(parent: u32, all: &[Listed]) -> Vec<u32> {
    all.iter().filter(|shard| shard.parents.contains(&parent)).map(|shard| shard.number).collect()
}

/// The number in the id of a shard: 12 of `shardId-000000000012`.
pub(super) fn number(spec: &KinesisSpec, id: &str) -> Result<u32, KinesisError> {
    let number = id.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| KinesisError::ShardId { stream: spec.stream.clone(), shard: id.to_owned() })
}

/// The shards that go on from that one, as soon as there are any.
pub(super) async fn children_of(
    kinesis: &Kinesis,
    spec: &KinesisSpec,
    parent: u32,
) -> Result<Vec<u32>, Trouble> {
    let shards = list_once(kinesis, spec).await?;
    let shards: Result<Vec<Listed>, KinesisError> =
        shards.iter().map(|shard| Listed::of(spec, shard)).collect();
    let shards = shards.map_err(|error| Trouble::Refused(error.to_string()))?;
    match children(parent, &shards) {
        // A split or a merge makes them before it closes a shard; a listing may be a moment old.
        none if none.is_empty() => {
            Err(Trouble::Passing("the shard is closed, and no shard goes on from it".to_owned()))
        }
        children => Ok(children),
    }
}

/// Whether a stream still has a shard.
pub(super) async fn has(kinesis: &Kinesis, spec: &KinesisSpec, shard: &str) -> Result<bool, Trouble> {
    Ok(list_once(kinesis, spec).await?.iter().any(|listed| listed.shard_id() == shard))
}

/// Whether a shard takes no more records.
pub(super) async fn is_closed(kinesis: &Kinesis, spec: &KinesisSpec, shard: &str) -> Result<bool, Trouble> {
    let shards = list_once(kinesis, spec).await?;
    let own = shards.iter().find(|listed| listed.shard_id() == shard);
    let range = own.and_then(|listed| listed.sequence_number_range());
    Ok(range.is_some_and(|range| range.ending_sequence_number().is_some()))
}

/// All shards by their numbers, and what time it was at the server when it said so.
fn list(spec: &KinesisSpec) -> Result<(Vec<Listed>, Option<i64>), KinesisError> {
    let refused =
        |trouble: Trouble| KinesisError::Refused { what: spec.stream.clone(), words: trouble.to_string() };
    let kinesis = kinesis(&spec.access()).map_err(refused)?;
    let (clock, asked) = (kinesis.clock.clone(), spec.clone());
    let shards = aws::block_on(async move { list_patiently(&kinesis, &asked).await }).map_err(refused)??;
    let mut shards =
        shards.iter().map(|shard| Listed::of(spec, shard)).collect::<Result<Vec<Listed>, KinesisError>>()?;
    shards.sort_by_key(|shard| shard.number);
    Ok((shards, clock.millis()))
}

/// Asks until a stream that is away is there again, for a bounded time.
async fn list_patiently(kinesis: &Kinesis, spec: &KinesisSpec) -> Result<Vec<Shard>, KinesisError> {
    let (begun, mut backoff) = (Instant::now(), backoff());
    loop {
        let words = match list_once(kinesis, spec).await {
            Ok(shards) => return Ok(shards),
            Err(Trouble::Missing(words) | Trouble::Refused(words)) => {
                return Err(KinesisError::Refused { what: spec.stream.clone(), words });
            }
            Err(trouble) => trouble.to_string(),
        };
        let (pause, after) = (backoff.pause(), begun.elapsed());
        if after + pause > spec.retry_for {
            return Err(KinesisError::Unavailable { what: spec.stream.clone(), after, words });
        }
        tokio::time::sleep(pause).await;
    }
}

async fn list_once(kinesis: &Kinesis, spec: &KinesisSpec) -> Result<Vec<Shard>, Trouble> {
    let (mut shards, mut token) = (Vec::new(), None);
    loop {
        let request = kinesis.client.list_shards();
        // A token stands for the stream.
        let request = match &token {
            None => request
                .set_stream_name(spec.name().map(str::to_owned))
                .set_stream_arn(spec.arn().map(str::to_owned)),
            Some(token) => request.next_token(token),
        };
        let page = request.send().await.map_err(|error| trouble(&error))?;
        shards.extend(page.shards.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return Ok(shards);
        }
    }
}
