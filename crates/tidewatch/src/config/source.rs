//! `[source.NAME]`: where the events come from.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use checkpoint::Bucket;
use event::Topic;
use ingest::{Compression, End, Format, Isolation, KinesisSpec, Scenario, Start};

use super::archive::read_address;
use super::bounds::read_bounds;
use super::diagnostic::{Code, Diagnostic};
use super::duration::parse_instant;
use super::http::{Http, check_shared, read_http};
use super::kafka::read_topic;
use super::kinesis;
use super::objects::{Named, named, read_server};
use super::place::Place;
use super::section::{Reader, Section};
use super::target::not_built;
use super::tree::Value;
use super::value::{bad_value, bytes, duration, filled_string, integer, number, one_of, string};

/// A source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Where the section stands.
    pub place: Place,
    /// What it reads.
    pub kind: SourceKind,
    /// `"json"`: newline-delimited JSON. `"csv"`: CSV by RFC 4180, with a header. `"parquet"`: rows of Parquet, from files
    /// and objects. Default: `"csv"` for paths that end in `.csv`, `"parquet"` for `.parquet`, else `"json"`.
    pub format: Format,
    /// Events a second that the whole job reads of it at most, to pace it. `0`: as fast as it goes. Free to
    /// change between runs. Default: `0`; `20000` for `generate`. Range: `0` to `1e9`.
    pub rate: f64,
    /// Where it begins that no checkpoint knows: `"earliest"`, `"latest"`, with what comes after the first start,
    /// `"checkpoint"` (a job without one is refused), or a time, from which on the source took a record in or a file was last
    /// written. Default: `"earliest"`.
    pub start: Start,
    /// Where it ends: `"latest"`, where each partition ended when the job was first started, or `"never"`. Default:
    /// `"latest"` for files, `"never"` for a stream.
    pub end: End,
}

/// `type` of a source.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// `"file"`: files, read to their end.
    File {
        /// A path or a list of them: of a file, of a directory, whose files are meant, or a pattern with `*`, `?` or
        /// `[..]`. Relative ones are relative to the working directory.
        paths: Vec<PathBuf>,
        /// Partitions that a single, plain file of newline-delimited JSON is cut into, so that any number of workers
        /// can share it; any other is one partition. The answer, in what is late, may depend on it. Default: `16`.
        /// Range: `1` to `1024`.
        lanes: u32,
        /// How files are packed: `"none"`, `"gzip"`, `"zstd"`, or `"auto"`, as their names say (`.gz`, `.zst`).
        /// Default: `"auto"`.
        compression: Compression,
    },
    /// `"file"` with a `path` that begins with `s3://`: objects of an S3-compatible store.
    Objects {
        /// The bucket, and its server: `s3_endpoint`, `s3_region`, `s3_allow_http`, `retry_for`, and credentials from the
        /// environment, as `[state]` has them.
        bucket: Bucket,
        /// `path`: addresses `s3://BUCKET/KEY` of objects, of folders (`s3://BUCKET/FOLDER/`, all objects below it are
        /// meant) or patterns in the last part of a key; all in one bucket.
        keys: Vec<String>,
        /// How they are packed, as of files.
        compression: Compression,
    },
    /// `"stdin"`: standard input. It cannot be read again, so not with `[state]`.
    Stdin,
    /// `"generate"`: events that are made up, always the same ones.
    Generate(Generator),
    /// `"archive"`: the records that a job has kept with `[archive]`, as that job read them: with the same partitions,
    /// offsets and watermarks, and so with the same alerts. Read to what is visible when the job is first started.
    Archive {
        /// `dir`: the archive's directory, or `"s3://BUCKET/PREFIX"`, as that job has it.
        address: String,
        /// Name of the source in that job. Needed if it had several; each is then replayed by a source of its own, in the
        /// same order.
        of: Option<String>,
    },
    /// `"kafka"`: a topic of Apache Kafka, each message one record of JSON.
    Kafka {
        /// `brokers`, `topic` and `options`: where it is, and how to get in.
        topic: Topic,
        /// `isolation`: `"read_committed"` reads only what transactions have committed and what was written without
        /// one, `"read_uncommitted"` everything. Default: `"read_committed"`.
        isolation: Isolation,
        /// `queue_bytes`: bytes of messages that wait in a process to be read, about; its partitions share them. Each
        /// message takes about half a KiB more. Default: `"64MiB"`. Range: `"1MiB"` to `"4GiB"`.
        queue_bytes: u64,
    },
    /// `"http"`: events that clients post.
    Http(Box<Http>),
    /// `"kinesis"`: a stream of Amazon Kinesis, a partition for each shard.
    Kinesis(KinesisSpec),
}

/// Which events `type = "generate"` makes up. All but `rate` make the events what they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// Whose events they are: `"alike"` for podcast listeners who are alike; `"podcast"`, `"iot"`, `"payments"`, `"games"` and
    /// `"ads"` for listeners, sensors, accounts, players and publishers that each have habits of their own. Default: `"alike"`.
    pub scenario: Scenario,
    /// Number of users, or of what else has a key. Default: `1000`. Range: from `1`, to `100000` unless they are alike.
    pub users: u64,
    /// Another seed gives other events. Default: `7`.
    pub seed: u64,
    /// Number of events, after which the source is at its end. Without it they never end. Range: from `0`.
    pub events: Option<u64>,
    /// Events in a second of event time. With `rate` it says how much faster than the clock event time runs:
    /// 20000 / 333 is 60 times. Default: `333`. Range: above `0`.
    pub density: f64,
    /// Partitions to which the events are dealt in turn. Default: `4`. Range: `1` to `1024`.
    pub lanes: u32,
    /// Event time of the first event. Default: `2023-11-14T22:13:20Z`.
    pub start: i64,
    /// How late an event is at most; three in ten are late at all. Default: `4s`. Range: `0s` to `1d`.
    pub out_of_order: Duration,
    /// Share of the users for whom something goes wrong in each 45 minutes of event time; in each 150 minutes after the
    /// first 75 unless they are alike. Default: `0.03`. Range: `0` to `1`.
    pub anomalies: f64,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Stdin,
    Generate,
    Archive,
    Http,
    Kafka,
    Kinesis,
}

const KINDS: &[(&str, Kind)] = &[
    ("file", Kind::File),
    ("stdin", Kind::Stdin),
    ("generate", Kind::Generate),
    ("archive", Kind::Archive),
    ("http", Kind::Http),
    ("kafka", Kind::Kafka),
    ("kinesis", Kind::Kinesis),
];
/// Bytes of messages of Kafka that wait in a process.
const QUEUE_BYTES: u64 = 64 << 20;
const QUEUE_RANGE: RangeInclusive<u64> = 1 << 20..=4 << 30;
const ISOLATIONS: &[(&str, Isolation)] =
    &[("read_committed", Isolation::ReadCommitted), ("read_uncommitted", Isolation::ReadUncommitted)];
const FORMATS: &[(&str, Format)] =
    &[("json", Format::Json), ("csv", Format::Csv), ("parquet", Format::Parquet)];
const COMPRESSIONS: &[(&str, Compression)] = &[
    ("auto", Compression::Auto),
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("zstd", Compression::Zstd),
];
const SCENARIOS: &[(&str, Scenario)] = &[
    ("alike", Scenario::Alike),
    ("podcast", Scenario::Podcast),
    ("iot", Scenario::Iot),
    ("payments", Scenario::Payments),
    ("games", Scenario::Games),
    ("ads", Scenario::Ads),
];
const RATE_MAX: f64 = 1e9;
const LANES_MAX: u32 = 1024;

/// Reads all sources, in the order of the file.
pub(super) fn read_sources(root: &mut Section, reader: &mut Reader) -> Vec<Source> {
    let mut sources = Vec::new();
    for (entry, mut section) in root.sections(reader, "source", "source") {
        let kind = read_kind(&mut section, reader);
        let format = read_format(&kind, &mut section, reader);
        let (start, end) = read_bounds(kind.as_ref(), &mut section, reader);
        let default = match kind {
            Some(SourceKind::Generate(_)) => (20_000.0, "20000"),
            _ => (0.0, "0"),
        };
        let rate = section.or(reader, "rate", default, number(0.0..=RATE_MAX));
        let place = section.place().clone();
        // Of a source without a type nobody knows what it may have.
        match kind {
            Some(kind) => {
                section.finish(reader);
                sources.push(Source { name: entry.name.clone(), place, kind, format, rate, start, end });
            }
            None => section.give_up(reader),
        }
    }
    check_shared(&sources, reader);
    if sources.is_empty() && reader.findings.diagnostics.is_empty() {
        reader.report(Diagnostic {
            code: Code::MissingKey,
            message: "the job has no source".to_owned(),
            place: None,
            help: Some(
                "add `[source.NAME]` with `type = \"file\"`, `\"kafka\"`, `\"kinesis\"`, `\"http\"`, `\"stdin\"` or `\"generate\"`"
                    .to_owned(),
            ),
        });
    }
    sources
}

fn read_kind(section: &mut Section, reader: &mut Reader) -> Option<SourceKind> {
    let has_path = section.entries().iter().any(|entry| entry.name == "path");
    let kind = match has_path {
        true => section.or(reader, "type", (Kind::File, "\"file\""), one_of(KINDS)),
        false => section.required(
            reader,
            "type",
            "add `type = \"file\"`, `\"kafka\"`, `\"kinesis\"`, `\"http\"`, `\"stdin\"` or `\"generate\"`",
            one_of(KINDS),
        )?,
    };
    check_built(kind, section, reader);
    match kind {
        Kind::File => {
            let named = section.required(reader, "path", "add `path = \"FILE\"`", named);
            let named = read_server(section, reader, named.unwrap_or_else(|| Named::Files(Vec::new())));
            // Whatever it says, an object is one partition, as most files are.
            let lanes = section.or(reader, "lanes", (16, "16"), integer(1..=LANES_MAX));
            let default = (Compression::Auto, "\"auto\"");
            let compression = section.or(reader, "compression", default, one_of(COMPRESSIONS));
            Some(match named {
                Named::Files(paths) => SourceKind::File { paths, lanes, compression },
                Named::Objects(bucket, keys) => SourceKind::Objects { bucket, keys, compression },
            })
        }
        Kind::Stdin => Some(SourceKind::Stdin),
        Kind::Archive => {
            let address = section.required(reader, "dir", "add `dir = \"DIR\"`", |sources, node| {
                read_address(filled_string(sources, node)?, node)
            });
            let of = section.optional(reader, "of", filled_string);
            Some(SourceKind::Archive { address: address.unwrap_or_default(), of })
        }
        Kind::Generate => Some(SourceKind::Generate(read_generator(section, reader))),
        Kind::Http => read_http(section, reader).map(|http| SourceKind::Http(Box::new(http))),
        Kind::Kafka => {
            let topic = read_topic(section, reader);
            let default = (Isolation::ReadCommitted, "\"read_committed\"");
            let isolation = section.or(reader, "isolation", default, one_of(ISOLATIONS));
            let default = (QUEUE_BYTES, "\"64MiB\"");
            let queue_bytes = section.or(reader, "queue_bytes", default, bytes(QUEUE_RANGE));
            topic.map(|topic| SourceKind::Kafka { topic, isolation, queue_bytes })
        }
        Kind::Kinesis => kinesis::read_source(section, reader).map(SourceKind::Kinesis),
    }
}

/// A connector that is heavy to build is a feature of cargo.
fn check_built(kind: Kind, section: &mut Section, reader: &mut Reader) {
    let feature = match kind {
        Kind::Http if !cfg!(feature = "http") => "http",
        Kind::Kafka if !cfg!(feature = "kafka") => "kafka",
        Kind::Kinesis if !cfg!(feature = "kinesis") => "kinesis",
        _ => return,
    };
    if let Some(entry) = section.entry("type") {
        reader.report(not_built(feature, entry.node.place.clone()));
    }
}

fn read_format(kind: &Option<SourceKind>, section: &mut Section, reader: &mut Reader) -> Format {
    let default = match kind {
        Some(SourceKind::File { paths, .. }) => format_of(paths.iter().map(PathBuf::as_path)),
        Some(SourceKind::Objects { keys, .. }) => format_of(keys.iter().map(Path::new)),
        Some(SourceKind::Stdin) => (Format::Json, "\"json\""),
        // Made-up events are not written, messages are JSON, and of a source without a type nobody knows what it may
        // have.
        Some(
            SourceKind::Generate(_)
            | SourceKind::Archive { .. }
            | SourceKind::Http(_)
            | SourceKind::Kafka { .. }
            | SourceKind::Kinesis(_),
        )
        | None => return Format::Json,
    };
    let format = section.or(reader, "format", default, one_of(FORMATS));
    if format == Format::Parquet {
        check_parquet(kind, section, reader);
    }
    format
}

/// What all names say of the format, if they say the same.
fn format_of<'a>(mut paths: impl Iterator<Item = &'a Path> + Clone) -> (Format, &'static str) {
    let is_parquet = |path: &Path| path.extension().is_some_and(|ending| ending == "parquet");
    match paths.clone().next() {
        Some(_) if paths.clone().all(is_csv) => (Format::Csv, "\"csv\""),
        Some(_) if paths.all(is_parquet) => (Format::Parquet, "\"parquet\""),
        _ => (Format::Json, "\"json\""),
    }
}

/// Parquet is read anywhere in a file, and packs its columns itself.
fn check_parquet(kind: &Option<SourceKind>, section: &mut Section, reader: &mut Reader) {
    let mut place = |key: &'static str| section.entry(key).map(|entry| entry.node.place.clone());
    let (format, path, packed) = (place("format"), place("path"), place("compression"));
    let said = format.or(path);
    if !cfg!(feature = "parquet")
        && let Some(place) = said.clone()
    {
        reader.report(not_built("parquet", place));
    }
    let conflict = |place, message: &str, help: &str| {
        Diagnostic::new(Code::BadValue, place, message).with_help(help.to_owned())
    };
    match kind {
        Some(SourceKind::Stdin) => {
            if let Some(place) = said {
                reader.report(conflict(
                    place,
                    "standard input is no file of Parquet",
                    "write a file, and read that",
                ));
            }
        }
        Some(
            SourceKind::File { compression: Compression::Gzip | Compression::Zstd, .. }
            | SourceKind::Objects { compression: Compression::Gzip | Compression::Zstd, .. },
        ) => {
            if let Some(place) = packed {
                reader.report(conflict(place, "Parquet packs its columns itself", "remove `compression`"));
            }
        }
        _ => {}
    }
}

/// Whether the name of a file, or of what is packed in it, ends in `.csv`.
fn is_csv(path: &Path) -> bool {
    let is_packed =
        path.extension().is_some_and(|ending| ["gz", "gzip", "zst", "zstd"].iter().any(|e| ending == *e));
    let name = if is_packed { path.file_stem() } else { path.file_name() };
    name.is_some_and(|name| Path::new(name).extension().is_some_and(|ending| ending == "csv"))
}

fn read_generator(section: &mut Section, reader: &mut Reader) -> Generator {
    let day = Duration::from_secs(86_400);
    let scenario = section.or(reader, "scenario", (Scenario::Alike, "\"alike\""), one_of(SCENARIOS));
    let users_max = if scenario == Scenario::Alike { 1_000_000_000 } else { 100_000 };
    Generator {
        scenario,
        users: section.or(reader, "users", (1000, "1000"), integer(1..=users_max)),
        seed: section.or(reader, "seed", (7, "7"), integer(0..=u64::MAX)),
        events: section.optional(reader, "events", integer(0..=u64::MAX)),
        density: section.or(reader, "density", (333.0, "333"), number(f64::MIN_POSITIVE..=RATE_MAX)),
        lanes: section.or(reader, "lanes", (4, "4"), integer(1..=LANES_MAX)),
        start: section.or(
            reader,
            "start",
            (1_700_000_000_000_000, "\"2023-11-14T22:13:20Z\""),
            |sources, node| {
                let text = match &node.value {
                    Value::Datetime(text) => text.clone(),
                    _ => string(sources, node)?,
                };
                parse_instant(&text).map_err(|message| bad_value(node, message))
            },
        ),
        out_of_order: section.or(
            reader,
            "out_of_order",
            (Duration::from_secs(4), "\"4s\""),
            duration(Duration::ZERO..=day),
        ),
        anomalies: section.or(reader, "anomalies", (0.03, "0.03"), number(0.0..=1.0)),
    }
}
