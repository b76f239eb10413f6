//! The source that takes events in over HTTP, from outside: what is answered, what is read, what a client may cost.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::Secret;
use flate2::Compression;
use flate2::write::GzEncoder;
use ingest::{
    DecodeSpec, Dedup, End, Format, HttpLimits, HttpSpec, IngestError, Partition, Poll, Position, SourceKind,
    SourceSpec, Start, TimeSpec, TimeUnit, open, partitions,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serve::{Certificate, ServeSpec};
use testkit::http::{Answer, Client, connect, free_address, read_answer, request};
use testkit::process::eventually;

const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "0123456789abcdef";

fn serve(listen: SocketAddr) -> ServeSpec {
    ServeSpec { listen, tls: None, tokens: Vec::new(), connections: 50, timeout: Duration::from_secs(10) }
}

fn spec(dir: &Path) -> HttpSpec {
    HttpSpec {
        serve: serve(free_address()),
        dir: dir.to_owned(),
        journal_bytes: 64 << 20,
        dedup: None,
        limits: HttpLimits {
            body_bytes: 100_000,
            decompressed_bytes: 200_000,
            timeout: Duration::from_secs(10),
        },
        has_checkpoints: true,
    }
}

fn source(http: &HttpSpec) -> SourceSpec {
    let kind = SourceKind::Http(Box::new(http.clone()));
    SourceSpec {
        name: "events".to_owned(),
        kind,
        rate: None,
        start: Start::Earliest,
        end: End::Never,
        format: Format::Json,
    }
}

fn try_open(source: &SourceSpec, resume: Option<&Position>) -> Result<Box<dyn Partition>, IngestError> {
    let decode = DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis));
    let all = partitions(source).expect("partitions");
    assert_eq!((all.len(), all[0].id.as_str()), (1, "http:events"));
    open(source, &decode, &all[0], Some(resume.unwrap_or(&all[0].start)))
}

/// A partition that listens.
fn listening(http: &HttpSpec, resume: Option<&Position>) -> Box<dyn Partition> {
    let mut partition = try_open(&source(http), resume).expect("open");
    partition.set_waker(Arc::new(|| {}));
    take(&mut *partition);
    partition
}

/// Times and reasons of all that there is by now, in milliseconds.
fn take(partition: &mut dyn Partition) -> (Vec<i64>, Vec<&'static str>) {
    let (mut times, mut reasons) = (Vec::new(), Vec::new());
    while let Poll::Decoded(decoded) = partition.poll(1000).expect("a poll") {
        times.extend(decoded.records.times.iter().map(|time| time / 1000));
        reasons.extend(decoded.rejected.iter().map(|rejected| rejected.reason.code()));
    }
    (times, reasons)
}

const EARLY: i64 = 1_700_000_000_000;

fn event(number: i64) -> String {
    format!("{{\"ts\":{},\"id\":\"e{number}\"}}\n", EARLY + number)
}

fn times(numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
    numbers.into_iter().map(|number| EARLY + number).collect()
}

fn post(address: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Client::new(address).post("/v1/events", headers, body).expect("an answer")
}

fn accepted(answer: &Answer, accepted: u64, deduplicated: u64) {
    let expected = format!("{{\"accepted\":{accepted},\"deduplicated\":{deduplicated}}}");
    assert_eq!((answer.status, answer.body.as_str()), (200, expected.as_str()));
}

fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.starts_with("{\"error\":\""), "{}", answer.body);
    let says_when = answer.header("retry-after").is_some();
    assert_eq!(says_when, [429, 503].contains(&status));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

#[test]
fn what_is_answered_with_2xx_is_read_once_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let mut partition = listening(&http, None);
    let mut client = Client::new(http.serve.listen);
    let mut send = |body: &str| client.post("/v1/events", &[], body.as_bytes()).expect("an answer");
    accepted(&send(&[event(1), event(2)].concat()), 2, 0);
    accepted(&send("nonsense\n\n{\"ts\":\"late\"}\n"), 2, 0);
    let (found, reasons) = take(&mut *partition);
    assert_eq!(found, times([1, 2]));
    assert_eq!(reasons, ["malformed", "type"], "what does not fit is read as well");
    let position = partition.position();
    assert_eq!(partition.lag().and_then(|lag| lag.bytes), Some(0));
    accepted(&send(&event(3)), 1, 0);
    assert_eq!(partition.lag().and_then(|lag| lag.bytes), Some(event(3).len() as u64));
    drop(partition);
    let mut partition = listening_without_taking(&http, &position);
    assert_eq!(take(&mut *partition).0, times([3]), "from a checkpoint on");
    drop(partition);
    let mut partition = try_open(&source(&http), None).expect("open");
    assert_eq!(take(&mut *partition).0, times([1, 2, 3]), "from the first one on");
}

fn listening_without_taking(http: &HttpSpec, position: &Position) -> Box<dyn Partition> {
    try_open(&source(http), Some(position)).expect("open")
}

#[test]
fn a_partition_can_be_read_on_from_after_each_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let mut partition = listening(&http, None);
    (0..5).for_each(|n| {
        accepted(&post(http.serve.listen, &[], [event(2 * n), event(2 * n + 1)].concat().as_bytes()), 2, 0)
    });
    let mut positions = vec![partition.position()];
    for number in 0..10 {
        let Poll::Decoded(decoded) = partition.poll(1).expect("a poll") else { panic!("no record {number}") };
        assert_eq!(decoded.records.times, [1000 * (EARLY + number)]);
        positions.push(partition.position());
    }
    assert!(matches!(partition.poll(1), Ok(Poll::CaughtUp)));
    drop(partition);
    for (read, position) in positions.iter().enumerate() {
        let mut partition = listening_without_taking(&http, position);
        assert_eq!(take(&mut *partition).0, times(read as i64..10));
    }
}

#[test]
fn duplicates_are_acknowledged_and_not_read_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let dedup = Some(Dedup { fields: vec![vec!["id".to_owned()]], last: 100 });
    let http = HttpSpec { dedup, ..spec(folder.path()) };
    let mut partition = listening(&http, None);
    let body = [event(1), event(2), event(1), "{\"ts\":\n".to_owned()].concat();
    accepted(&post(http.serve.listen, &[], body.as_bytes()), 3, 1);
    accepted(&post(http.serve.listen, &[], body.as_bytes()), 1, 3);
    assert_eq!(take(&mut *partition), (times([1, 2]), vec!["malformed", "malformed"]));
    let position = partition.position();
    drop(partition);
    let mut partition = listening(&http, Some(&position));
    accepted(&post(http.serve.listen, &[], [event(2), event(3)].concat().as_bytes()), 1, 1);
    assert_eq!(take(&mut *partition).0, times([3]));
}

#[test]
fn a_job_that_ends_reads_what_is_there_and_takes_nothing_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let partition = listening(&http, None);
    accepted(&post(http.serve.listen, &[], [event(1), event(2)].concat().as_bytes()), 2, 0);
    drop(partition);
    let ends = SourceSpec { end: End::Latest, ..source(&http) };
    let mut partition = try_open(&ends, None).expect("open");
    assert!(matches!(partition.poll(1), Ok(Poll::Decoded(_))));
    let position = partition.position();
    assert!(connect(http.serve.listen).is_err(), "nobody listens");
    drop(partition);
    // Somebody adds more; it is not of this job.
    let partition = listening(&http, None);
    accepted(&post(http.serve.listen, &[], event(3).as_bytes()), 1, 0);
    drop(partition);
    let mut partition = try_open(&ends, Some(&position)).expect("open");
    assert_eq!(take(&mut *partition).0, times([2]));
    assert!(matches!(partition.poll(1), Ok(Poll::Finished)));
}

#[test]
fn a_journal_that_is_gone_or_another_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(&folder.path().join("journal"));
    let mut partition = listening(&http, None);
    accepted(&post(http.serve.listen, &[], event(1).as_bytes()), 1, 0);
    assert_eq!(take(&mut *partition).0.len(), 1);
    let position = partition.position();
    drop(partition);
    std::fs::remove_dir_all(&http.dir).expect("remove");
    let error = try_open(&source(&http), Some(&position)).err().expect("another journal");
    assert!(matches!(error, IngestError::OtherJournal { .. }) && error.is_refusal(), "{error}");
}

#[test]
fn a_port_that_is_taken_ends_the_source_with_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(&folder.path().join("one"));
    let _first = listening(&http, None);
    let other = HttpSpec { dir: folder.path().join("other"), ..http.clone() };
    let mut second = try_open(&source(&other), None).expect("the port is not asked for yet");
    let error = second.poll(1).expect_err("it is taken");
    assert!(!error.is_refusal());
    assert!(error.to_string().contains(&http.serve.listen.to_string()), "{error}");
}

#[test]
fn only_who_shows_a_token_is_let_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "another-token-of-a-file\n").expect("write");
    let tokens = vec![Secret::Text(TOKEN.to_owned()), Secret::File(file)];
    let mut http = spec(&folder.path().join("journal"));
    http.serve.tokens = tokens;
    let mut partition = listening(&http, None);
    let with = |value: &str| post(http.serve.listen, &[("authorization", value)], event(1).as_bytes());
    accepted(&with(&format!("Bearer {TOKEN}")), 1, 0);
    accepted(&with("bearer  another-token-of-a-file"), 1, 0);
    for wrong in ["Bearer", "Bearer ", "Bearer 0123456789abcdeF", TOKEN, "Basic 0123456789abcdef", "Bearer é"]
    {
        let answer = with(wrong);
        refused(&answer, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    refused(&post(http.serve.listen, &[], b""), 401);
    let health =
        Client::new(http.serve.listen).send(&request("GET", "/v1/health", &[], b"")).expect("an answer");
    assert_eq!((health.status, health.body.as_str()), (200, "{\"status\":\"ok\"}"), "health needs no token");
    assert_eq!(take(&mut *partition).0.len(), 2);
}

#[test]
fn compressed_bodies_are_the_same_as_plain_ones_and_bombs_are_refused_early() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let mut partition = listening(&http, None);
    let body: String = (0..2000).map(event).collect();
    let gzip_said = &[("content-encoding", "gzip")];
    let zstd_said = &[("content-encoding", "zstd")];
    let zipped = gzip(body.as_bytes());
    let zstd = zstd::encode_all(body.as_bytes(), 3).expect("to memory");
    accepted(&post(http.serve.listen, gzip_said, &zipped), 2000, 0);
    accepted(&post(http.serve.listen, zstd_said, &zstd), 2000, 0);
    // Several members, several frames.
    let (one, two) = (event(1), event(2));
    let members = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
    accepted(&post(http.serve.listen, gzip_said, &members), 2, 0);
    let frames: Vec<u8> =
        [&one, &two].map(|part| zstd::encode_all(part.as_bytes(), 19).expect("to memory")).concat();
    accepted(&post(http.serve.listen, zstd_said, &frames), 2, 0);
    let all = take(&mut *partition).0;
    assert_eq!(all, [times(0..2000), times(0..2000), times([1, 2, 1, 2])].concat());

    let bomb = vec![b'\n'; 50 << 20];
    let (gzip_bomb, zstd_bomb) = (gzip(&bomb), zstd::encode_all(&bomb[..], 3).expect("to memory"));
    assert!(gzip_bomb.len() < 100_000 && zstd_bomb.len() < 100_000);
    refused(&post(http.serve.listen, gzip_said, &gzip_bomb), 413);
    refused(&post(http.serve.listen, zstd_said, &zstd_bomb), 413);
    for length in 0..zipped.len().min(64) {
        refused(&post(http.serve.listen, gzip_said, &zipped[..zipped.len() - 1 - length * 7]), 400);
    }
    for length in 0..64 {
        refused(&post(http.serve.listen, zstd_said, &zstd[..zstd.len() - 1 - length * 7]), 400);
    }
    refused(&post(http.serve.listen, gzip_said, b"this is no gzip"), 400);
    refused(&post(http.serve.listen, zstd_said, b"this is no zstd"), 400);
    refused(&post(http.serve.listen, &[("content-encoding", "br")], b"x"), 415);
    assert_eq!(take(&mut *partition).0, times([]), "nothing of what is refused is taken in");
}

#[test]
fn bodies_that_are_too_large_are_refused_whether_they_say_so_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let mut partition = listening(&http, None);
    let mut fits = event(1).into_bytes();
    fits.resize(100_000, b'\n');
    accepted(&post(http.serve.listen, &[], &fits), 1, 0);
    fits.push(b'\n');
    refused(&post(http.serve.listen, &[], &fits), 413);
    // Nobody has to send what would be refused.
    let mut stream = connect(http.serve.listen).expect("connect");
    stream
        .write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
        .expect("write");
    refused(&read_answer(&stream).expect("an answer"), 413);
    let mut stream = connect(http.serve.listen).expect("connect");
    stream
        .write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .expect("write");
    let chunk = [&b"4000\r\n"[..], &[b'\n'; 0x4000], b"\r\n"].concat();
    while stream.write_all(&chunk).is_ok() {}
    refused(&read_answer(&stream).expect("an answer"), 413);
    assert_eq!(take(&mut *partition).0, times([1]));
}

#[test]
fn a_client_that_takes_long_is_cut_off_and_others_are_served_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut http = spec(folder.path());
    (http.limits.timeout, http.serve.timeout) = (Duration::from_millis(500), Duration::from_millis(500));
    http.serve.connections = 20;
    let mut partition = listening(&http, None);
    let begun = Instant::now();
    let slow: Vec<_> =
        [&b"POST /v1/ev"[..], b"", b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"]
            .into_iter()
            .map(|head| {
                let mut stream = connect(http.serve.listen).expect("connect");
                stream.write_all(head).expect("write");
                stream
            })
            .collect();
    accepted(&post(http.serve.listen, &[], event(1).as_bytes()), 1, 0);
    for (number, mut stream) in slow.into_iter().enumerate() {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("the end of the connection");
        let said = String::from_utf8_lossy(&said);
        assert!(number < 2 || said.starts_with("HTTP/1.1 408"), "the body: {said}");
    }
    assert!(begun.elapsed() < SOON);
    assert_eq!(take(&mut *partition).0, times([1]));
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut http = spec(folder.path());
    (http.limits.timeout, http.serve.timeout) = (Duration::from_millis(400), Duration::from_millis(400));
    http.serve.connections = 2;
    let _partition = listening(&http, None);
    let held: Vec<_> = (0..2).map(|_| connect(http.serve.listen).expect("connect")).collect();
    // Those two send nothing, and are cut off in time.
    let begun = Instant::now();
    accepted(&post(http.serve.listen, &[], event(1).as_bytes()), 1, 0);
    assert!(begun.elapsed() > Duration::from_millis(100), "it has waited: {:?}", begun.elapsed());
    drop(held);
}

#[test]
fn a_client_that_reads_no_answers_loses_its_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut http = spec(folder.path());
    (http.limits.timeout, http.serve.timeout) = (Duration::from_millis(200), Duration::from_millis(200));
    let _partition = listening(&http, None);
    let mut stream = connect(http.serve.listen).expect("connect");
    let many = request("GET", "/v1/health", &[], b"").repeat(1000);
    let begun = Instant::now();
    while stream.write_all(&many).is_ok() {
        assert!(begun.elapsed() < SOON, "it is still read");
    }
    assert!(begun.elapsed() < SOON);
}

#[test]
fn a_job_that_does_not_read_has_its_clients_come_again_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = HttpSpec { journal_bytes: 1 << 20, ..spec(folder.path()) };
    let mut partition = listening(&http, None);
    let mut client = Client::new(http.serve.listen);
    let (mut sent, mut number) = (0, 0);
    let mut send = |client: &mut Client, sent: &mut i64| {
        let body: String = (0..1000)
            .map(|_| {
                number += 1;
                event(number)
            })
            .collect();
        let answer = client.post("/v1/events", &[], body.as_bytes()).expect("an answer");
        match answer.status {
            200 => *sent += 1000,
            _ => {
                refused(&answer, 429);
                number -= 1000;
            }
        }
        answer.status
    };
    while send(&mut client, &mut sent) == 200 {}
    assert!(sent > 20_000, "{sent} events in 1 MiB");
    assert_eq!(take(&mut *partition).0.len() as i64, sent);
    assert_eq!(send(&mut client, &mut sent), 429, "what is read may be needed again");
    partition.committed(&partition.position());
    eventually("room", SOON, || (send(&mut client, &mut sent) == 200).then_some(()));
    let position = partition.position();
    assert_eq!(take(&mut *partition).0.len(), 1000);
    drop(partition);
    let mut partition = listening_without_taking(&http, &position);
    assert_eq!(take(&mut *partition).0.len(), 1000, "what is behind the checkpoint is there");
    drop(partition);
    let error = try_open(&source(&http), None).map(|mut partition| take(&mut *partition).0.len());
    assert!((error.expect("open") as i64) < sent, "what lies before it is gone");
}

#[test]
fn without_checkpoints_what_was_read_makes_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = HttpSpec { journal_bytes: 1 << 20, has_checkpoints: false, ..spec(folder.path()) };
    let mut partition = listening(&http, None);
    let body: String = (0..1000).map(event).collect();
    for _ in 0..100 {
        accepted(&post(http.serve.listen, &[], body.as_bytes()), 1000, 0);
        assert_eq!(take(&mut *partition).0.len(), 1000);
    }
}

#[test]
fn the_waker_is_called_when_there_is_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let mut partition = listening(&http, None);
    let (sender, calls) = std::sync::mpsc::channel();
    partition.set_waker(Arc::new(move || sender.send(()).unwrap_or_default()));
    while calls.try_recv().is_ok() {}
    assert!(matches!(partition.poll(1), Ok(Poll::CaughtUp)));
    accepted(&post(http.serve.listen, &[], event(1).as_bytes()), 1, 0);
    calls.recv_timeout(SOON).expect("a call");
    partition.mark_end();
    assert!(!partition.has_passed_end());
    assert_eq!(take(&mut *partition).0, times([1]));
    assert!(partition.has_passed_end());
}

#[test]
fn when_it_is_told_to_stop_whoever_is_sending_is_told_to_come_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let partition = listening(&http, None);
    let mut sending = connect(http.serve.listen).expect("connect");
    let whole = request("POST", "/v1/events", &[], event(1).as_bytes());
    sending.write_all(&whole[..whole.len() - 5]).expect("write");
    accepted(&post(http.serve.listen, &[], event(2).as_bytes()), 1, 0);
    let begun = Instant::now();
    drop(partition);
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for a slow client");
    refused(&read_answer(&sending).expect("an answer"), 503);
    assert!(connect(http.serve.listen).is_err(), "nobody listens any more");
    let mut partition = try_open(&source(&http), None).expect("open");
    assert_eq!(take(&mut *partition).0, times([2]));
}

#[test]
fn what_is_not_http_or_asks_for_nothing_that_is_there_is_refused_and_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let http = spec(folder.path());
    let mut partition = listening(&http, None);
    let long = "x".repeat(200_000);
    let hostile: Vec<Vec<u8>> = vec![
        b"\0\x01\x02\xff\xfe garbage\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(50),
        b"POST /v1/events HTTP/9.9\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(),
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        format!("POST /v1/events HTTP/1.1\r\nx: {long}\r\n\r\n").into_bytes(),
        format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(),
        (0..1000)
            .map(|n| format!("h{n}: v\r\n"))
            .fold("POST /v1/events HTTP/1.1\r\n".to_owned(), |a, b| a + &b)
            .into_bytes(),
    ];
    for bytes in hostile {
        let mut stream = connect(http.serve.listen).expect("connect");
        // It may be cut off in the middle.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let status = read_answer(&stream).map(|answer| answer.status).ok();
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?}");
    }
    let mut client = Client::new(http.serve.listen);
    let mut status =
        |method: &str, path: &str| client.send(&request(method, path, &[], b"")).expect("an answer").status;
    assert_eq!(status("GET", "/v1/events"), 405);
    assert_eq!(status("POST", "/"), 404);
    assert_eq!(status("POST", "/v1/events/../events"), 404);
    accepted(&post(http.serve.listen, &[], event(1).as_bytes()), 1, 0);
    assert_eq!(take(&mut *partition), (times([1]), vec![]));
}

#[test]
fn lines_that_are_too_long_or_too_deep_go_to_quarantine_and_others_beside_them_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut http = spec(folder.path());
    (http.limits.body_bytes, http.limits.decompressed_bytes) = (4 << 20, 4 << 20);
    let mut partition = listening(&http, None);
    let long = format!("{{\"ts\":1,\"x\":\"{}\"}}\n", "x".repeat(2 << 20));
    let deep = format!("{{\"ts\":{EARLY},\"x\":{}1{}}}\n", "[".repeat(50_000), "]".repeat(50_000));
    let body = [event(1), long, event(2), deep, event(3)].concat();
    accepted(&post(http.serve.listen, &[], body.as_bytes()), 5, 0);
    let (found, reasons) = take(&mut *partition);
    assert_eq!((found, reasons), (times([1, 2, 3]), vec!["too_long", "too_deep"]));
}

#[test]
fn connections_are_encrypted_with_the_certificate_that_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("a certificate");
    let tls = Certificate { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&tls.cert, certificate.pem()).expect("write");
    std::fs::write(&tls.key, key.serialize_pem()).expect("write");
    let mut http = spec(&folder.path().join("journal"));
    http.serve.tls = Some(tls.clone());
    let mut partition = listening(&http, None);

    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = StreamOwned::new(session, connect(http.serve.listen).expect("connect"));
    stream.write_all(&request("POST", "/v1/events", &[], event(1).as_bytes())).expect("write");
    accepted(&read_answer(&mut stream).expect("an answer"), 1, 0);
    assert_eq!(take(&mut *partition).0, times([1]));
    // Without TLS there is no answer.
    assert!(Client::new(http.serve.listen).post("/v1/events", &[], event(2).as_bytes()).is_err());

    let broken = Certificate { cert: tls.key, key: tls.cert };
    let mut other = spec(&folder.path().join("other"));
    other.serve.tls = Some(broken);
    let error = try_open(&source(&other), None).expect("open").poll(1).expect_err("no certificate");
    assert!(error.is_refusal() && error.to_string().contains("tls.cert"), "{error}");
}
