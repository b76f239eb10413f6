//! A receiver of webhooks for tests: an HTTP server on 127.0.0.1 that keeps what it is sent and answers as the
//! test says, well or badly.
//!
//! HTTP/1.1 as far as a client needs it that posts bodies of a known length.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub fn header(&self, name: &str) -> &str {
        let found: Vec<&str> =
            self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect();
        match found.as_slice() {
            [one] => one,
            other => panic!("{name} is there {} times in {:?}", other.len(), self.headers),
        }
    }

    /// Whether there is such a header.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(found, _)| found == name)
    }
}

/// What a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 204: the receiver has it.
    Take,
    /// The receiver has it, and the connection breaks before it can say so.
    TakeAndBreak,
    /// That status, headers and body.
    Say(u16, Vec<(&'static str, String)>, &'static str),
    /// 200, with that body.
    Answer(String),
    /// Nothing, for so long; then the connection breaks.
    Hang(Duration),
    /// The connection breaks.
    Break,
}

impl Reply {
    /// An answer that is only a status.
    pub fn status(status: u16) -> Reply {
        Reply::Say(status, Vec::new(), "")
    }

    fn is_taken(&self) -> bool {
        matches!(self, Reply::Take | Reply::TakeAndBreak | Reply::Answer(_))
            || matches!(self, Reply::Say(200..=299, ..))
    }
}

type Decide = Box<dyn FnMut(&Request) -> Reply + Send>;

#[derive(Default)]
struct Log {
    /// What came, in order, and whether it was taken.
    requests: Vec<(Request, bool)>,
}

/// A receiver that runs until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    decide: Arc<Mutex<Decide>>,
    over: Arc<AtomicBool>,
}

impl Receiver {
    /// Starts a receiver on a free port.
    ///
    /// # Panics
    /// If there is none.
    pub fn start(decide: impl FnMut(&Request) -> Reply + Send + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let receiver = Receiver {
            address,
            log: Arc::default(),
            decide: Arc::new(Mutex::new(Box::new(decide))),
            over: Arc::default(),
        };
        let (log, decide, over) =
            (Arc::clone(&receiver.log), Arc::clone(&receiver.decide), Arc::clone(&receiver.over));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (log, decide) = (Arc::clone(&log), Arc::clone(&decide));
                std::thread::spawn(move || serve(stream, &log, &decide));
            }
        });
        receiver
    }

    /// Its address with that path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on requests are answered like that.
    pub fn answer(&self, decide: impl FnMut(&Request) -> Reply + Send + 'static) {
        *lock(&self.decide) = Box::new(decide);
    }

    /// All requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.log).requests.iter().map(|(request, _)| request.clone()).collect()
    }

    /// Those that were taken.
    pub fn taken(&self) -> Vec<Request> {
        let log = lock(&self.log);
        log.requests.iter().filter(|(_, taken)| *taken).map(|(request, _)| request.clone()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes whoever waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of a connection until it ends. A client that has gone away is no failure of the test.
fn serve(stream: TcpStream, log: &Mutex<Log>, decide: &Mutex<Decide>) {
    let Ok(reading) = stream.try_clone() else { return };
    let (mut reading, mut writing) = (BufReader::new(reading), stream);
    while let Some(request) = read(&mut reading) {
        let reply = {
            // One after the other, so that what is decided is in the order of what is kept.
            let mut log = lock(log);
            let reply = lock(decide)(&request);
            log.requests.push((request, reply.is_taken()));
            reply
        };
        let sent = match reply {
            Reply::Take => say(&mut writing, 204, &[], ""),
            Reply::Say(status, headers, body) => say(&mut writing, status, &headers, body),
            Reply::Answer(body) => say(&mut writing, 200, &[], &body),
            Reply::Hang(time) => {
                std::thread::sleep(time);
                return;
            }
            Reply::TakeAndBreak | Reply::Break => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

fn say(to: &mut TcpStream, status: u16, headers: &[(&str, String)], body: &str) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} as told\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    to.write_all(text.as_bytes())
}

/// The next request of a connection; `None` if it ends before there is a whole one.
fn read(from: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut text = String::new();
    let mut next = |from: &mut BufReader<TcpStream>| {
        text.clear();
        let read = from.read_line(&mut text).ok()?;
        (read > 0).then(|| text.trim_end().to_owned())
    };
    let line = next(from)?;
    let line = line.rsplit_once(' ').map_or(line.clone(), |(line, _)| line.to_owned());
    let mut headers = Vec::new();
    loop {
        let header = next(from)?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(Request { line, headers, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_kept_and_answered_as_told() {
        let receiver = Receiver::start(|request| match request.body.as_slice() {
            b"no" => Reply::Say(422, vec![("retry-after", "7".to_owned())], "never"),
            _ => Reply::Take,
        });
        let mut stream = TcpStream::connect(receiver.address).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let mut ask = |body: &str| {
            let head = format!("POST /a HTTP/1.1\r\nX-Y: z\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            let status = line.split(' ').nth(1).unwrap().to_owned();
            while line.trim_end() != "" {
                line.clear();
                answers.read_line(&mut line).unwrap();
            }
            status
        };
        assert_eq!(ask("yes"), "204");
        assert_eq!(ask("no"), "422");
        assert_eq!(receiver.requests().len(), 2);
        let taken = receiver.taken();
        assert_eq!((taken.len(), taken[0].line.as_str(), taken[0].header("x-y")), (1, "POST /a", "z"));
    }
}
