//! The limits of other windows than those of `limit.rs`: each a single-thread loop that is written for one job
//! and knows the exact shape of its input. They read and look up keys as `limit.rs` does, so that their
//! distances from tidewatch differ by the windows alone. They have no recovery and no second thread.
//!
//! Without dependencies, built by `rustc -O -C target-cpu=native main.rs`; shares no code with
//! tidewatch.
//!
//! `limit_windows session GAP_S|count|sliding|features FILE --alerts OUT`
//!
//! - `session`: a row of each session. Events are at most five seconds out of order, so that with a longer gap
//!   no key has more than two sessions open. Rows come when nothing can change them, or up to a second later.
//! - `count`: a row after every 100 events of a key.
//! - `sliding`: a row after every 10 events of a key, over its last 100.
//! - `features`: 16 features of a window of ten minutes that slides by one; a row where its score is low.

mod count;
mod features;
mod input;
mod row;
mod session;

use std::fs::File;
use std::io::{BufWriter, Write};

pub type Out = BufWriter<File>;
pub type Done = std::io::Result<()>;

fn main() -> Done {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
    let (job, file, alerts) = match arguments[..] {
        ["session", gap, file, "--alerts", alerts] => (["session", gap], file, alerts),
        [job, file, "--alerts", alerts] => ([job, ""], file, alerts),
        _ => return Err(std::io::Error::other("see the head of the source for its arguments")),
    };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(alerts)?);
    match job {
        ["session", gap] => {
            let gap: i64 = gap.parse().map_err(std::io::Error::other)?;
            assert!(gap * 1000 > input::BOUND + 1000, "more than two sessions of a key could be open");
            session::sessions(file, gap * 1000, &mut out)?;
        }
        ["count", _] => count::counts(file, &mut out)?,
        ["sliding", _] => count::sliding_counts(file, &mut out)?,
        ["features", _] => features::features(file, &mut out)?,
        [other, _] => return Err(std::io::Error::other(format!("no job {other}"))),
    }
    out.flush()
}
