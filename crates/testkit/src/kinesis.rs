//! Servers that stand in for Amazon Kinesis in tests, through `scripts/kinesis.sh`, and a client that shares no code with
//! what is tested: requests are JSON over a connection each.
//!
//! kinesalite is for load and for splits and merges, kinesis-local for enhanced fan-out. Tests of a program that run at
//! the same time share both; each takes streams of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Invocation, eventually};
use crate::served::{Served, serve};
use crate::workload::repository;

/// Records of a request at most.
const RECORDS_MAX: usize = 500;
/// and bytes of their data, if there are several: the service takes 5 MiB, keys included.
const BYTES_MAX: usize = 4 << 20;
const SOON: Duration = Duration::from_secs(60);

/// The two servers.
#[derive(Debug)]
pub struct Servers(Served);

/// The servers that tests share; `None`, with words, where there are none.
///
/// # Panics
/// If they cannot be started; with `CI=true` also if they cannot be installed.
pub fn servers() -> Option<Arc<Servers>> {
    static SERVERS: Mutex<Weak<Servers>> = Mutex::new(Weak::new());
    let mut shared = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(servers) = shared.upgrade() {
        return Some(servers);
    }
    let servers = Arc::new(Servers(serve("kinesis.sh", "servers of Kinesis")?));
    *shared = Arc::downgrade(&servers);
    Some(servers)
}

impl Servers {
    fn address(&self, at: usize) -> String {
        self.0.answer().split(' ').nth(at).expect("two addresses").to_owned()
    }

    /// kinesalite.
    pub fn kinesalite(&self) -> Kinesis {
        Kinesis { address: self.address(0) }
    }

    /// kinesis-local.
    pub fn fan_out(&self) -> Kinesis {
        Kinesis { address: self.address(1) }
    }
}

/// A command with credentials, which any of these servers takes.
pub fn with_credentials(invocation: Invocation) -> Invocation {
    invocation.env("AWS_ACCESS_KEY_ID", "tidewatch").env("AWS_SECRET_ACCESS_KEY", "only-for-tests")
}

/// A server.
#[derive(Debug, Clone)]
pub struct Kinesis {
    address: String,
}

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// Its least hash key: a record with this explicit hash key comes to it.
    pub first_key: u128,
    /// Its greatest one.
    pub last_key: u128,
    /// Whether it takes records.
    pub is_open: bool,
}

/// A record that is to be put.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it belongs.
    pub hash_key: u128,
    /// What it is.
    pub data: Vec<u8>,
}

impl Kinesis {
    /// A server at `http://HOST:PORT`.
    pub fn at(address: &str) -> Kinesis {
        Kinesis { address: address.to_owned() }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for something; the status and the answer.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn ask(&self, operation: &str, input: &Value) -> (u16, Value) {
        let host = self.address.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(host).expect("a connection");
        let body = input.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
             X-Amz-Date: 20200101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=x/20200101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=x\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).expect("write");
        connection.write_all(body.as_bytes()).expect("write");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Asks for something that must be done.
    ///
    /// # Panics
    /// If it is not.
    pub fn done(&self, operation: &str, input: &Value) -> Value {
        let (status, answer) = self.ask(operation, input);
        assert_eq!(status, 200, "{operation} {input}: {answer}");
        answer
    }

    /// Makes a stream with so many shards.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn create(&self, stream: &str, shards: usize) {
        self.done("CreateStream", &json!({ "StreamName": stream, "ShardCount": shards }));
        self.settled(stream);
    }

    /// Waits until nothing about a stream is under way.
    fn settled(&self, stream: &str) {
        eventually("an active stream", SOON, || {
            let answer = self.done("DescribeStreamSummary", &json!({ "StreamName": stream }));
            (answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE").then_some(())
        });
    }

    /// All shards, the closed ones too, in the order of their numbers.
    ///
    /// # Panics
    /// If they cannot be had.
    pub fn shards(&self, stream: &str) -> Vec<Shard> {
        let answer = self.done("ListShards", &json!({ "StreamName": stream }));
        let key = |shard: &Value, name: &str| {
            shard["HashKeyRange"][name].as_str().and_then(|key| key.parse().ok()).expect("a hash key")
        };
        let shards = answer["Shards"].as_array().expect("shards").iter().map(|shard| Shard {
            id: shard["ShardId"].as_str().expect("an id").to_owned(),
            first_key: key(shard, "StartingHashKey"),
            last_key: key(shard, "EndingHashKey"),
            is_open: shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null(),
        });
        let mut shards: Vec<Shard> = shards.collect();
        shards.sort_by(|a, b| a.id.cmp(&b.id));
        shards
    }

    /// Puts records, in their order.
    ///
    /// # Panics
    /// If one is not taken.
    pub fn put(&self, stream: &str, entries: &[Entry]) {
        let mut rest = entries;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |entry: &&Entry| {
                bytes += entry.data.len();
                bytes <= BYTES_MAX
            };
            let count = rest.iter().take(RECORDS_MAX).take_while(fits).count().max(1);
            let (next, later) = rest.split_at(count);
            rest = later;
            let records: Vec<Value> = next.iter().map(record).collect();
            let answer = self.done("PutRecords", &json!({ "StreamName": stream, "Records": records }));
            assert_eq!(answer["FailedRecordCount"], 0, "{answer}");
        }
    }

    /// Splits a shard in the middle.
    ///
    /// # Panics
    /// If it cannot be split.
    pub fn split(&self, stream: &str, shard: &Shard) {
        let middle = shard.first_key + (shard.last_key - shard.first_key) / 2 + 1;
        let input = json!({
            "StreamName": stream, "ShardToSplit": shard.id, "NewStartingHashKey": middle.to_string()
        });
        self.done("SplitShard", &input);
        self.settled(stream);
    }

    /// Merges two neighbours.
    ///
    /// # Panics
    /// If they cannot be merged.
    pub fn merge(&self, stream: &str, first: &Shard, second: &Shard) {
        let input = json!({
            "StreamName": stream, "ShardToMerge": first.id, "AdjacentShardToMerge": second.id
        });
        self.done("MergeShards", &input);
        self.settled(stream);
    }

    /// All records of a shard, as partition key and data.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn records(&self, stream: &str, shard: &Shard) -> Vec<(String, Vec<u8>)> {
        let input = json!({
            "StreamName": stream, "ShardId": shard.id, "ShardIteratorType": "TRIM_HORIZON"
        });
        let mut iterator = self.done("GetShardIterator", &input)["ShardIterator"].clone();
        let mut all = Vec::new();
        loop {
            let answer = self.done("GetRecords", &json!({ "ShardIterator": iterator }));
            let records = answer["Records"].as_array().expect("records");
            all.extend(records.iter().map(|record| {
                let text = |name: &str| record[name].as_str().expect("a text");
                (text("PartitionKey").to_owned(), from_base64(text("Data")))
            }));
            if records.is_empty() || answer["NextShardIterator"].is_null() {
                return all;
            }
            iterator = answer["NextShardIterator"].clone();
        }
    }
}

fn record(entry: &Entry) -> Value {
    json!({
        "PartitionKey": "any", "ExplicitHashKey": entry.hash_key.to_string(), "Data": base64(&entry.data)
    })
}

/// Packs records into aggregates with `aws_kinesis_agg`, as Amazon's producers do: each list of (hash key, data) into one.
///
/// # Panics
/// If they cannot be packed.
pub fn packed(aggregates: &[Vec<(u128, Vec<u8>)>]) -> Vec<Vec<u8>> {
    const SCRIPT: &str = "\
import base64, json, sys
from aws_kinesis_agg.aggregator import RecordAggregator
for records in json.load(sys.stdin):
    aggregator = RecordAggregator()
    for number, (key, data) in enumerate(records):
        full = aggregator.add_user_record('user-%d' % (number % 3), base64.b64decode(data), key)
        assert full is None or full is False
    print(base64.b64encode(aggregator.clear_and_get().get_contents()[2]).decode())
";
    let input: Vec<Vec<(String, String)>> = aggregates
        .iter()
        .map(|records| records.iter().map(|(key, data)| (key.to_string(), base64(data))).collect())
        .collect();
    let python = repository().join("target/kinesis/packer/bin/python");
    let output = piped(&python, SCRIPT, &serde_json::to_vec(&input).expect("JSON"));
    let packed: Vec<Vec<u8>> = output.lines().map(from_base64).collect();
    assert_eq!(packed.len(), aggregates.len());
    packed
}

fn piped(python: &Path, script: &str, input: &[u8]) -> String {
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the end");
    writer.join().expect("the writer").expect("write");
    assert!(output.status.success(), "the script failed");
    String::from_utf8(output.stdout).expect("text")
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bytes.extend((0..four.len() - 1).map(|at| (bits >> (16 - 8 * at)) as u8));
    }
    bytes
}

fn value(digit: u8) -> u32 {
    u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit of base64"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard_and_back() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text), bytes.as_bytes());
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_base64(&base64(&all)), all);
    }
}
