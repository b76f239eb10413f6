//! A proxy in front of a server of Kinesis that lets things go wrong as they do in a large service: it throttles, lets
//! iterators expire, fails, breaks connections before and within an answer, is slow, takes only some records of a
//! request, and breaks subscriptions off. A seed says what happens to which request. It also stands for a service some
//! time later, when a stream has dropped records or shards.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use testkit::kinesis::Kinesis;
use testkit::process::eventually;
use testkit::random::Random;

use super::SOON;

/// Records of an answer at most.
const RECORDS_MAX: usize = 50;

/// Bytes that come before the first event of a subscription, at most.
const HEAD_MAX: usize = 400;

/// What it does to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Any of what goes wrong, in three of ten requests; in one of ten that only ask what there is.
    Any,
    /// A server at which it is so many hours later.
    Later { hours: i64 },
    /// The same, where the stream has just dropped the record that is asked for by its number.
    Trimmed { hours: i64 },
    /// Somebody deregisters the consumer, so many times, before it subscribes once more.
    Deregistered { times: u64 },
    /// A stream that has forgotten its first shards.
    Vanished { shards: u64 },
    /// A stream that has dropped all before some record, and goes on there whatever is asked for: [`Proxy::dropped`].
    Dropped,
}

/// A proxy; it stops with the test.
pub(crate) struct Proxy {
    address: String,
    state: Arc<State>,
}

struct State {
    upstream: String,
    fault: Fault,
    /// The sequence number of the oldest record that is left.
    oldest: String,
    random: Mutex<Random>,
    faults: AtomicU64,
    broken_off: AtomicU64,
    is_over: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(upstream: &str, fault: Fault, seed: u64) -> Proxy {
        Proxy::start_at(upstream, fault, seed, "")
    }

    /// A stream whose oldest record is that of a sequence number.
    pub(crate) fn dropped(upstream: &str, oldest: &str) -> Proxy {
        Proxy::start_at(upstream, Fault::Dropped, 1, oldest)
    }

    fn start_at(upstream: &str, fault: Fault, seed: u64, oldest: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State {
            upstream: upstream.strip_prefix("http://").expect("an address").to_owned(),
            fault,
            oldest: oldest.to_owned(),
            random: Mutex::new(Random::new(seed)),
            faults: AtomicU64::new(0),
            broken_off: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&serving);
                // A connection that breaks is no matter of the test.
                std::thread::spawn(move || drop(state.serve(client)));
            }
        });
        Proxy { address, state }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How often something has gone wrong.
    pub(crate) fn faults(&self) -> u64 {
        self.state.faults.load(Ordering::Relaxed)
    }

    /// How many subscriptions ended in the middle of what was sent.
    pub(crate) fn broken_off(&self) -> u64 {
        self.state.broken_off.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address.trim_start_matches("http://")));
    }
}

/// A request: its head without `Connection`, what it asks for, its body.
struct Request {
    head: String,
    operation: String,
    body: Vec<u8>,
}

impl State {
    fn below(&self, bound: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(bound)
    }

    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let request = read_request(&mut client)?;
        match self.fault {
            Fault::Any => self.serve_badly(client, request),
            Fault::Later { hours } => self.serve_later(client, &request, hours),
            Fault::Dropped => {
                let mut request = request;
                if request.operation == "GetShardIterator" {
                    let mut body: Value = serde_json::from_slice(&request.body)?;
                    let asked = body["StartingSequenceNumber"].as_str().unwrap_or_default();
                    // All of them have as many digits.
                    if body["ShardIteratorType"] == "TRIM_HORIZON" || asked < self.oldest.as_str() {
                        self.faults.fetch_add(1, Ordering::Relaxed);
                        body["ShardIteratorType"] = json!("AT_SEQUENCE_NUMBER");
                        body["StartingSequenceNumber"] = json!(self.oldest);
                    }
                    request.body = body.to_string().into_bytes();
                }
                client.write_all(&self.forward(&request)?)
            }
            Fault::Trimmed { hours } => {
                let mut request = request;
                if matches!(request.operation.as_str(), "GetShardIterator" | "SubscribeToShard") {
                    let body = String::from_utf8_lossy(&request.body);
                    let changed = body.replace("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER");
                    self.faults.fetch_add(u64::from(changed != *body), Ordering::Relaxed);
                    request.body = changed.into_bytes();
                }
                self.serve_later(client, &request, hours)
            }
            Fault::Deregistered { times } => {
                if request.operation == "SubscribeToShard" && self.faults.load(Ordering::Relaxed) < times {
                    self.deregister(&request)?;
                    return self.pass_on(client, &request, 20_000, true);
                }
                self.serve_later(client, &request, 0)
            }
            Fault::Vanished { shards } => self.serve_without(client, &request, shards),
        }
    }

    /// Lets pass what there is, with another date.
    fn serve_later(&self, mut client: TcpStream, request: &Request, hours: i64) -> std::io::Result<()> {
        if request.operation == "SubscribeToShard" {
            return self.pass_on(client, request, u64::MAX, true);
        }
        let whole = self.forward(request)?;
        if hours == 0 {
            return client.write_all(&whole);
        }
        let start = body_of(&whole);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let date = http_date(now.cast_signed() + hours * 3600);
        let head = String::from_utf8_lossy(&whole[..start]).into_owned();
        let lines = head.lines().filter(|line| !line.is_empty());
        let lines = lines.filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        let head: String = lines.map(|line| format!("{line}\r\n")).collect();
        client.write_all(format!("{head}Date: {date}\r\n\r\n").as_bytes())?;
        client.write_all(&whole[start..])
    }

    /// Deregisters the consumer of a subscription that follows one that broke off, and waits until it is gone.
    fn deregister(&self, request: &Request) -> std::io::Result<()> {
        let asked: Value = serde_json::from_slice(&request.body)?;
        let (consumer, server) = (
            json!({ "ConsumerARN": asked["ConsumerARN"] }),
            Kinesis::at(&format!("http://{}", self.upstream)),
        );
        // Of two shards that find it there one comes first.
        if self.broken_off.load(Ordering::Relaxed) > 0
            && server.ask("DeregisterStreamConsumer", &consumer).0 == 200
        {
            self.faults.fetch_add(1, Ordering::Relaxed);
            eventually("a consumer that is gone", SOON, || {
                (server.ask("DescribeStreamConsumer", &consumer).0 == 400).then_some(())
            });
        }
        Ok(())
    }

    /// Lets pass what there is, without the first shards.
    fn serve_without(&self, mut client: TcpStream, request: &Request, shards: u64) -> std::io::Result<()> {
        let is_gone = |id: &str| {
            id.rsplit('-').next().and_then(|number| number.parse().ok()).is_some_and(|id: u64| id < shards)
        };
        let asked: Value = serde_json::from_slice(&request.body)?;
        if asked["ShardId"].as_str().is_some_and(is_gone) {
            self.faults.fetch_add(1, Ordering::Relaxed);
            let words = "Shard in stream under account 123 does not exist";
            let body = json!({ "__type": "ResourceNotFoundException", "message": words });
            return client.write_all(&answer(400, &body));
        }
        let whole = self.forward(request)?;
        if request.operation != "ListShards" {
            return client.write_all(&whole);
        }
        let mut said: Value = serde_json::from_slice(&whole[body_of(&whole)..])?;
        if let Some(listed) = said["Shards"].as_array_mut() {
            listed.retain(|shard| !shard["ShardId"].as_str().is_some_and(is_gone));
        }
        client.write_all(&answer(200, &said))
    }

    fn serve_badly(&self, mut client: TcpStream, request: Request) -> std::io::Result<()> {
        if request.operation == "SubscribeToShard" {
            return self.subscribe_badly(client, &request);
        }
        // Whatever subscribes asks for several of these before.
        let is_rare = request.operation.starts_with("Describe") || request.operation.starts_with("Register");
        let lot = self.below(if is_rare { 300 } else { 100 });
        if lot < 30 {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        let throttled = "ProvisionedThroughputExceededException";
        match lot {
            0..6 => {
                client.write_all(&answer(400, &json!({ "__type": throttled, "message": "Rate exceeded" })))
            }
            6..10 if request.operation == "GetRecords" => {
                let body = json!({ "__type": "ExpiredIteratorException", "message": "Iterator expired" });
                client.write_all(&answer(400, &body))
            }
            6..14 => client.write_all(&answer(500, &json!({ "__type": "InternalFailure" }))),
            14..18 => client.write_all(&answer(503, &Value::Null)),
            // Done, and nobody hears of it.
            18..22 => self.forward(&request).map(drop),
            22..26 => {
                let whole = self.forward(&request)?;
                client.write_all(&whole[..whole.len() / 2])
            }
            26..28 => {
                std::thread::sleep(Duration::from_millis(300));
                client.write_all(&self.forward(&request)?)
            }
            28..30 if request.operation == "PutRecords" => {
                let some = self.put_some(&request)?;
                client.write_all(&some)
            }
            _ => client.write_all(&self.forward(&request)?),
        }
    }

    /// A subscription that is refused, or breaks off: within its first event, which brings nothing on, or behind it. A
    /// server sends all that a shard has as one event, so that some must pass whole, however long they are.
    fn subscribe_badly(&self, mut client: TcpStream, request: &Request) -> std::io::Result<()> {
        let lot = self.below(100);
        self.faults.fetch_add(u64::from(lot < 30), Ordering::Relaxed);
        match lot {
            0..5 => {
                let throttled = json!({ "__type": "LimitExceededException", "message": "Rate exceeded" });
                client.write_all(&answer(400, &throttled))
            }
            5..8 => client.write_all(&answer(500, &json!({ "__type": "InternalFailure" }))),
            8..11 => client.write_all(&answer(503, &Value::Null)),
            11..30 => self.pass_on(client, request, 1 + self.below(20_000), true),
            _ => self.pass_on(client, request, 1 + self.below(3_000), false),
        }
    }

    /// Hands on what comes as it comes, up to so many bytes from its beginning or behind its first event.
    fn pass_on(
        &self,
        mut client: TcpStream,
        request: &Request,
        bytes_max: u64,
        mut counts: bool,
    ) -> std::io::Result<()> {
        let mut upstream = self.ask(request)?;
        let (mut buffer, mut left) = ([0; 4096], bytes_max);
        let (mut passed, mut last) = (0, Instant::now());
        loop {
            let some = upstream.read(&mut buffer)?;
            if some == 0 {
                return Ok(());
            }
            // The server sends an event a second.
            counts |= passed > HEAD_MAX && last.elapsed() > Duration::from_millis(300);
            (passed, last) = (passed + some, Instant::now());
            let given = usize::try_from(left).map_or(some, |left| left.min(some));
            let given = if counts { given } else { some };
            left -= if counts { given as u64 } else { 0 };
            client.write_all(&buffer[..given])?;
            if left == 0 {
                self.broken_off.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    /// What the server says. A shard gives few records at a time, so that it is asked often, and says when there are more.
    fn forward(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        if request.operation != "GetRecords" {
            return self.forward_whole(request);
        }
        let mut body: Value = serde_json::from_slice(&request.body)?;
        body["Limit"] = RECORDS_MAX.into();
        let few =
            Request { head: request.head.clone(), operation: String::new(), body: body.to_string().into() };
        let whole = self.forward_whole(&few)?;
        let start = body_of(&whole);
        let mut said: Value = serde_json::from_slice(&whole[start..])?;
        if said["Records"].as_array().is_none_or(|records| records.len() < RECORDS_MAX) {
            return Ok(whole);
        }
        said["MillisBehindLatest"] = 1.into();
        Ok(answer(200, &said))
    }

    fn forward_whole(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.ask(request)?.read_to_end(&mut answer)?;
        Ok(answer)
    }

    /// Asks the server.
    fn ask(&self, Request { head, body, .. }: &Request) -> std::io::Result<TcpStream> {
        let mut upstream = TcpStream::connect(&self.upstream)?;
        let head = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        upstream.write_all(head.as_bytes())?;
        upstream.write_all(body)?;
        Ok(upstream)
    }

    /// Takes two of three records of a request.
    fn put_some(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut body: Value = serde_json::from_slice(&request.body)?;
        let records = body["Records"].as_array().cloned().unwrap_or_default();
        let is_taken = |at: usize| at % 3 != 1;
        body["Records"] =
            (0..).zip(&records).filter(|(at, _)| is_taken(*at)).map(|(_, record)| record.clone()).collect();
        let taken =
            Request { head: request.head.clone(), operation: String::new(), body: body.to_string().into() };
        let forwarded = self.forward_whole(&taken)?;
        let start = body_of(&forwarded);
        let mut answered: Value = serde_json::from_slice(&forwarded[start..])?;
        let mut there = answered["Records"].as_array().cloned().unwrap_or_default().into_iter();
        let failed =
            json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded" });
        let all: Vec<Value> = (0..records.len())
            .map(|at| if is_taken(at) { there.next().unwrap_or_default() } else { failed.clone() })
            .collect();
        answered["FailedRecordCount"] =
            (records.len() - (0..records.len()).filter(|at| is_taken(*at)).count()).into();
        answered["Records"] = all.into();
        Ok(answer(200, &answered))
    }
}

/// Where the body of an answer begins.
fn body_of(answer: &[u8]) -> usize {
    answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |at| at + 4)
}

/// A second since 1970 as HTTP writes it.
fn http_date(second: i64) -> String {
    let said = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{second}"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .expect("date");
    String::from_utf8(said.stdout).expect("text").trim().to_owned()
}

fn answer(status: u16, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    format!(
        "HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn read_request(client: &mut TcpStream) -> std::io::Result<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|bytes: &[u8]| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        match client.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (mut head, mut operation, mut length) = (String::new(), String::new(), 0);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "connection" => {}
            name => {
                if name == "x-amz-target" {
                    operation = value.rsplit('.').next().unwrap_or_default().to_owned();
                }
                head += &format!("{line}\r\n");
            }
        }
    }
    let mut body = bytes.split_off(end);
    while body.len() < length {
        match client.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => body.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(Request { head, operation, body })
}
