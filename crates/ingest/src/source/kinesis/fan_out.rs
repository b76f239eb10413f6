//! Enhanced fan-out: a shard sends what it has to a registered consumer, which has a rate of its own.
//!
//! A subscription ends after five minutes, and is made anew. The service says something every few seconds, records or
//! none; where it does not the connection is taken for dead. It says with the last records of a closed shard which go on
//! from it; where it does not, the list of shards is asked now and then whether one that sends nothing is closed. A
//! consumer that somebody has deregistered is registered again, and the shard is read on from the last record that came.

use std::time::{Duration, Instant};

use aws::{Trouble, event_trouble, trouble};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::types::{ConsumerStatus, StartingPosition, SubscribeToShardEventStream};

use super::fetch::{Answer, Fetch, Stop};
use super::list;
use super::queue::Standing;

/// How long a subscription may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How often it is asked whether a shard is closed that sends nothing.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Reads the shard on, until all of it is read; then the shards that go on from it.
pub(super) async fn read(fetch: &mut Fetch, consumer: &str) -> Result<Vec<u32>, Stop> {
    let consumer = registered(fetch, consumer).await?;
    loop {
        if let Some(children) = subscription(fetch, &consumer).await? {
            return Ok(children);
        }
    }
}

/// Reads one subscription to its end.
async fn subscription(fetch: &mut Fetch, consumer: &str) -> Result<Option<Vec<u32>>, Stop> {
    let (kind, sequence, time) = fetch.begin();
    let begin =
        StartingPosition::builder().r#type(kind).set_sequence_number(sequence).set_timestamp(time).build();
    let begin = begin.map_err(|error| Trouble::Refused(error.to_string()))?;
    let mut standing = fetch.asks();
    let request = fetch.kinesis.client.subscribe_to_shard();
    let request = request.consumer_arn(consumer).shard_id(&fetch.shard).starting_position(begin);
    let mut events = request.send().await.map_err(|error| trouble(&error))?.event_stream;
    let (mut looked, mut is_closed) = (Instant::now(), false);
    loop {
        fetch.queue.room().await;
        let silent = |_| Trouble::Passing(format!("the subscription has said nothing for {SILENCE:?}"));
        let event = tokio::time::timeout(SILENCE, events.recv()).await.map_err(silent)?;
        let event = match event.map_err(|error| event_trouble(&error))? {
            None => return Ok(None),
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => event,
            Some(_) => continue,
        };
        let behind = Some(event.millis_behind_latest);
        // What is sent was not asked for: it tells of a time after what was sent before.
        let since = std::mem::replace(&mut standing, fetch.asks());
        let standing = Standing { behind, is_end: behind == Some(0), ..since };
        let closed = match event.child_shards {
            Some(children) if !children.is_empty() => Some(fetch.numbers(Some(children))?),
            // Closed before this was sent, and this was nothing.
            _ if is_closed && standing.is_end && event.records.is_empty() => Some(Vec::new()),
            _ => None,
        };
        if standing.is_end && closed.is_none() && looked.elapsed() >= LOOK_EVERY {
            is_closed = list::is_closed(&fetch.kinesis, &fetch.spec, &fetch.shard).await?;
            looked = Instant::now();
        }
        if let Some(children) = fetch.hand_on(Answer { records: event.records, standing, closed }).await? {
            return Ok(Some(children));
        }
    }
}

/// The ARN of the consumer of that name, which is registered if it is not there yet.
async fn registered(fetch: &Fetch, consumer: &str) -> Result<String, Trouble> {
    let stream = stream_arn(fetch).await?;
    let client = &fetch.kinesis.client;
    let found = client.describe_stream_consumer().stream_arn(&stream).consumer_name(consumer).send().await;
    let words = match found {
        Ok(found) => match found.consumer_description {
            Some(found) if found.consumer_status == ConsumerStatus::Active => return Ok(found.consumer_arn),
            _ => format!("the consumer {consumer} is not active yet"),
        },
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            let register = client.register_stream_consumer().stream_arn(&stream).consumer_name(consumer);
            // Of all shards that find it missing one registers it.
            match register.send().await {
                Err(error) if error.code() != Some("ResourceInUseException") => return Err(trouble(&error)),
                _ => format!("the consumer {consumer} is being registered"),
            }
        }
        Err(error) => return Err(trouble(&error)),
    };
    Err(Trouble::Passing(words))
}

async fn stream_arn(fetch: &Fetch) -> Result<String, Trouble> {
    if let Some(arn) = fetch.spec.arn() {
        return Ok(arn.to_owned());
    }
    let request =
        fetch.kinesis.client.describe_stream_summary().set_stream_name(fetch.spec.name().map(str::to_owned));
    let answer = request.send().await.map_err(|error| trouble(&error))?;
    let stream =
        answer.stream_description_summary.ok_or_else(|| Trouble::Passing("it told no ARN".to_owned()))?;
    Ok(stream.stream_arn)
}
