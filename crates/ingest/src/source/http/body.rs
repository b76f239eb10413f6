//! Reads a body: decompresses it as it comes, within the limits of one request and of all together.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use serve::Problem;
use tokio::time::timeout;
use zstd::stream::raw::{DParameter, Decoder as Zstd, InBuffer, Operation, OutBuffer};

use super::spec::HttpLimits;

/// Bytes of bodies that are in hand at a time, for all clients.
const BUDGET_BYTES: usize = 256 << 20;
/// Largest window of a zstd stream, as a power of two: 8 MiB, which all levels up to 19 keep to.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes that are decompressed at a time.
const STEP_BYTES: usize = 64 << 10;

/// How long, and how much, of a body is read on that was refused.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// What all bodies in hand may take.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(Arc::new(AtomicUsize::new(BUDGET_BYTES)))
    }

    fn claim(&self) -> Claim {
        Claim { budget: self.clone(), bytes: 0 }
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    budget: Budget,
    bytes: usize,
}

impl Claim {
    /// Takes more; false if that much is not left.
    fn take(&mut self, bytes: usize) -> bool {
        let left = &self.budget.0;
        let taken = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes));
        self.bytes += if taken.is_ok() { bytes } else { 0 };
        taken.is_ok()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

/// Why no more of a body is taken.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("larger than {0} bytes once it is decompressed")]
    TooLarge(usize),
    #[error("too much is in hand; come again later")]
    NoBudget,
}

/// What a body has come to so far.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    claim: Claim,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::Error::other(Stop::TooLarge(self.bytes_max)));
        }
        // Once as it is, and once as the lines that are made of it.
        if !self.claim.take(2 * bytes.len()) {
            return Err(io::Error::other(Stop::NoBudget));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a body is compressed.
enum Inflate {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    /// With whether it is at the end of a frame.
    Zstd(Zstd<'static>, Bounded, bool),
}

impl Inflate {
    fn of(headers: &HeaderMap, mut bounded: Bounded) -> Result<Inflate, Problem> {
        let named = headers.get(CONTENT_ENCODING).map(|name| name.to_str().unwrap_or("?").trim());
        match named.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "identity") => Ok(Inflate::Plain(bounded)),
            Some("gzip" | "x-gzip") => Ok(Inflate::Gzip(Box::new(MultiGzDecoder::new(bounded)))),
            Some("zstd") => {
                if !bounded.claim.take(1 << ZSTD_WINDOW_LOG) {
                    return Err(problem(&io::Error::other(Stop::NoBudget)));
                }
                let mut zstd = Zstd::new().map_err(|error| problem(&error))?;
                let window = DParameter::WindowLogMax(ZSTD_WINDOW_LOG);
                zstd.set_parameter(window).map_err(|error| problem(&error))?;
                Ok(Inflate::Zstd(zstd, bounded, true))
            }
            Some(other) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("the encoding `{other}` is not known; it is gzip, zstd or none"),
            )),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Inflate::Plain(bounded) => bounded.write_all(bytes),
            Inflate::Gzip(gzip) => gzip.write_all(bytes),
            Inflate::Zstd(zstd, bounded, is_whole) => {
                let mut input = InBuffer::around(bytes);
                let mut step = vec![0; STEP_BYTES];
                let mut is_full = false;
                while input.pos() < bytes.len() || is_full {
                    let mut output = OutBuffer::around(&mut step[..]);
                    *is_whole = zstd.run(&mut input, &mut output)? == 0;
                    bounded.write_all(output.as_slice())?;
                    // Then there may be more of what was put in, unless the frame is over.
                    is_full = output.pos() == STEP_BYTES && !*is_whole;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> io::Result<Bounded> {
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle");
        match self {
            Inflate::Plain(bounded) => Ok(bounded),
            Inflate::Gzip(gzip) => gzip.finish(),
            Inflate::Zstd(_, bounded, true) => Ok(bounded),
            Inflate::Zstd(_, _, false) => Err(cut()),
        }
    }
}

fn problem(error: &io::Error) -> Problem {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
        Some(stop @ Stop::TooLarge(_)) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is {stop}"))
        }
        Some(stop @ Stop::NoBudget) => Problem::new(StatusCode::TOO_MANY_REQUESTS, stop.to_string()),
        None => Problem::bad(format!("the body cannot be decompressed: {error}")),
    }
}

/// Reads on for a moment without looking: a client that is in the middle of sending would not hear a refusal, if what it
/// has sent were left unread.
pub(super) async fn linger(body: &mut Body) {
    let rest = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let count = frame.data_ref().map_or(0, |bytes| bytes.len());
            let Some(rest) = left.checked_sub(count) else { return };
            left = rest;
        }
    };
    // Either way it was long enough.
    let _ = timeout(LINGER, rest).await;
}

/// Reads a body to its end. The claim is to be kept as long as anything that is made of it.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    limits: &HttpLimits,
    budget: &Budget,
) -> Result<(Vec<u8>, Claim), Problem> {
    let too_large = || {
        let words = format!("the body is larger than {} bytes", limits.body_bytes);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words)
    };
    let said = headers.get(CONTENT_LENGTH).and_then(|said| said.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > limits.body_bytes as u64) {
        return Err(too_large());
    }
    let bounded = Bounded { bytes: Vec::new(), bytes_max: limits.decompressed_bytes, claim: budget.claim() };
    let mut inflate = Inflate::of(headers, bounded)?;
    let mut sent = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad(format!("the body cannot be read: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        sent += bytes.len();
        if sent > limits.body_bytes {
            return Err(too_large());
        }
        inflate.write(&bytes).map_err(|error| problem(&error))?;
    }
    let Bounded { bytes, claim, .. } = inflate.finish().map_err(|error| problem(&error))?;
    Ok((bytes, claim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_in_hand_share_one_budget_and_give_it_back() {
        let budget = Budget::new();
        let (mut one, mut other) = (budget.claim(), budget.claim());
        assert!(one.take(BUDGET_BYTES - 10) && other.take(10));
        assert!(!other.take(1) && !one.take(1));
        drop(one);
        assert!(other.take(BUDGET_BYTES - 10) && !other.take(1), "what was refused was not taken");
        drop(other);
        assert!(budget.claim().take(BUDGET_BYTES));
    }

    #[test]
    fn a_body_for_which_there_is_no_budget_is_to_come_again_later() {
        let budget = Budget::new();
        let mut all = budget.claim();
        assert!(all.take(BUDGET_BYTES - 7));
        let mut bounded = Bounded { bytes: Vec::new(), bytes_max: 100, claim: budget.claim() };
        assert!(bounded.write_all(b"abc").is_ok());
        let refused = bounded.write_all(b"d").map_err(|error| problem(&error).status);
        assert_eq!(refused, Err(StatusCode::TOO_MANY_REQUESTS));
        drop(all);
        let refused = bounded.write_all(&[b'x'; 200]).map_err(|error| problem(&error).status);
        assert_eq!(refused, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
