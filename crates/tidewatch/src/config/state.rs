//! `[state]`: what outlives a crash, and where.

use std::path::PathBuf;
use std::time::Duration;

use checkpoint::{Bucket, Location};

use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Reader, Section};
use super::target::not_built;
use super::value::{bad_value, boolean, duration, filled_string, integer};

/// `[state]`: what a job needs to go on after a crash or a stop. Without it there are no checkpoints.
#[derive(Debug, Clone)]
pub struct State {
    /// Where the section stands.
    pub place: Place,
    /// `dir`: the directory of the checkpoints, or `"s3://BUCKET/PREFIX"`; several processes share it.
    /// Without `dir` there is no state.
    ///
    /// In a bucket each job has a prefix of its own. Credentials come from the environment
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`) or from the machine's role. Then
    /// there are also:
    ///
    /// - `s3_endpoint`: address of the server. Default: `AWS_ENDPOINT_URL`, else Amazon's.
    /// - `s3_region`: default `AWS_REGION`, else `us-east-1`.
    /// - `s3_allow_http`: whether a server that is not on this machine may be talked to without TLS.
    ///   Default: `false`.
    /// - `retry_for`: how long a server that is away is waited for before the run fails. Default: `60s`.
    ///   Range: `0s` to `1d`.
    pub location: Location,
    /// Time between checkpoints. Default: `5s`. Range: `10ms` to `1d`.
    pub checkpoint_every: Duration,
    /// Parts that the key space is cut into; fixed for the life of the state, and the most workers that a job
    /// can have. Default: `1024`. Range: `1` to `65536`.
    pub shards: u32,
}

/// Keys that only a bucket has.
const OF_BUCKETS: [&str; 4] = ["s3_endpoint", "s3_region", "s3_allow_http", "retry_for"];

pub(super) fn read_state(root: &mut Section, reader: &mut Reader) -> Option<State> {
    let mut section = root.section(reader, "state")?;
    let place = section.place().clone();
    let location = section.required(reader, "dir", "add `dir = \"DIR\"`", |sources, node| {
        let text = filled_string(sources, node)?;
        match Bucket::parse(&text) {
            None => Ok(Location::Dir(PathBuf::from(text))),
            Some(bucket) => {
                if !cfg!(feature = "s3") {
                    return Err(not_built("s3", node.place.clone()));
                }
                bucket.map(Location::S3).map_err(|words| {
                    bad_value(node, words).with_help("write `dir = \"s3://BUCKET/NAME-OF-THE-JOB\"`")
                })
            }
        }
    });
    let checkpoint_every = section.or(
        reader,
        "checkpoint_every",
        (Duration::from_secs(5), "\"5s\""),
        duration(Duration::from_millis(10)..=Duration::from_secs(86_400)),
    );
    let shards = section.or(reader, "shards", (1024, "1024"), integer(1..=65_536));
    let location = match location {
        Some(Location::S3(bucket)) => Some(Location::S3(read_bucket(&mut section, reader, bucket))),
        other => {
            refuse_keys_of_buckets(&mut section, reader, other.is_some());
            other
        }
    };
    section.finish(reader);
    Some(State { place, location: location?, checkpoint_every, shards })
}

/// Reads how a bucket is reached.
pub(super) fn read_bucket(section: &mut Section, reader: &mut Reader, bucket: Bucket) -> Bucket {
    let endpoint = section.optional(reader, "s3_endpoint", |sources, node| {
        let text = filled_string(sources, node)?;
        match text.starts_with("https://") || text.starts_with("http://") {
            true => Ok(text),
            false => Err(bad_value(node, "an address begins with `https://` or `http://`")),
        }
    });
    let range = Duration::ZERO..=Duration::from_secs(86_400);
    Bucket {
        endpoint,
        region: section.optional(reader, "s3_region", filled_string),
        allow_http: section.or(reader, "s3_allow_http", (false, "false"), boolean),
        retry_for: section.or(reader, "retry_for", (Bucket::RETRY_FOR, "\"60s\""), duration(range)),
        ..bucket
    }
}

/// Where it is not known what the state is, they are not held against it.
fn refuse_keys_of_buckets(section: &mut Section, reader: &mut Reader, is_known: bool) {
    for key in OF_BUCKETS {
        if let Some(entry) = section.entry(key)
            && is_known
        {
            let message = format!("only a state in a bucket has `{key}`");
            let diagnostic = Diagnostic::new(Code::Conflict, entry.key.clone(), message);
            reader.report(diagnostic.with_help("a bucket is `dir = \"s3://BUCKET/NAME-OF-THE-JOB\"`"));
        }
    }
}
