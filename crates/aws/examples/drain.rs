//! A bare client: reads all shards of a stream as fast as they answer, and prints how many records a second that was.
//! `scripts/bench.sh` has it beside tidewatch, as the limit of the server.
//!
//!     cargo run --release -p aws --example drain -- STREAM REGION ENDPOINT

use std::error::Error;
use std::time::Instant;

use aws::{Access, Kinesis, kinesis, trouble};
use aws_sdk_kinesis::types::ShardIteratorType;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stream, region, endpoint] = arguments.as_slice() else {
        return Err("usage: drain STREAM REGION ENDPOINT".into());
    };
    let access = Access { region: Some(region.clone()), endpoint: Some(endpoint.clone()) };
    let said = |trouble: aws::Trouble| trouble.to_string();
    let kinesis = kinesis(&access).map_err(said)?;
    let begun = Instant::now();
    let stream = stream.clone();
    let records = aws::block_on(async move { drain(kinesis, stream).await }).map_err(said)?.map_err(said)?;
    let rate = records as f64 / begun.elapsed().as_secs_f64();
    // Data of a program goes to standard output.
    #[expect(clippy::print_stdout, reason = "an example")]
    {
        println!("{{\"records\":{records},\"records_per_s\":{rate:.0}}}");
    }
    Ok(())
}

async fn drain(kinesis: Kinesis, stream: String) -> Result<u64, aws::Trouble> {
    let listed = kinesis.client.list_shards().stream_name(&stream).send().await;
    let shards = listed.map_err(|error| trouble(&error))?.shards.unwrap_or_default();
    let mut tasks = Vec::new();
    for shard in shards {
        let (kinesis, stream) = (kinesis.clone(), stream.clone());
        let runtime = aws::runtime()?;
        tasks.push(runtime.spawn(async move { drain_shard(&kinesis, &stream, shard.shard_id()).await }));
    }
    let mut records = 0;
    for task in tasks {
        records += task.await.map_err(|error| aws::Trouble::Refused(error.to_string()))??;
    }
    Ok(records)
}

async fn drain_shard(kinesis: &Kinesis, stream: &str, shard: &str) -> Result<u64, aws::Trouble> {
    let request = kinesis.client.get_shard_iterator().stream_name(stream).shard_id(shard);
    let answer = request.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    let mut iterator = answer.map_err(|error| trouble(&error))?.shard_iterator;
    let mut records = 0;
    while let Some(next) = iterator {
        let answer = kinesis.client.get_records().shard_iterator(next).limit(10_000).send().await;
        let answer = answer.map_err(|error| trouble(&error))?;
        if answer.records.is_empty() {
            break;
        }
        records += answer.records.len() as u64;
        iterator = answer.next_shard_iterator;
    }
    Ok(records)
}
