//! Where a sink writes: `type`, and the keys that belong to it.

use std::path::PathBuf;
use std::time::Duration;

use alert::{KinesisTarget, Receiver, Secret, Table};
use event::Topic;

use super::archive::read_address;
use super::diagnostic::{Code, Diagnostic};
use super::kafka::read_topic;
use super::kinesis;
use super::place::Place;
use super::secret::secret;
use super::section::{Reader, Section};
use super::value::{bad_value, duration, filled_string, one_of};
use super::webhook::read_receiver;

/// `type` of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `"stdout"`: standard output.
    Stdout,
    /// `"file"`: a file, which must be empty or missing when the job is first started. Relative paths are
    /// relative to the working directory.
    File(PathBuf),
    /// `"sqlite"`: a table of an SQLite database in a file, which is made if it is missing.
    Sqlite {
        /// `path` of the database; relative paths are relative to the working directory.
        path: PathBuf,
        /// The table.
        table: TableOptions,
    },
    /// `"postgres"`: a table of a PostgreSQL server.
    Postgres {
        /// `url = { env = "VARIABLE" }`, `{ file = "FILE" }`, or a string:
        /// `postgres://user:password@host:port/database`. Without `sslmode` a server that is not on this
        /// machine must speak TLS and have a certificate that is believed.
        url: Secret,
        /// `ca`: a file with the certificates of those who may sign the server's. Default: the system's.
        ca: Option<PathBuf>,
        /// The table.
        table: TableOptions,
    },
    /// `"archive"`: Parquet files by date, in a directory or a bucket; several sinks, and `[archive]`, may share it. Needs
    /// `[state]`: only `mode = "exactly_once"`.
    Archive {
        /// `dir`: the directory, or `"s3://BUCKET/PREFIX"`.
        address: String,
    },
    /// `"webhook"`: an HTTP endpoint that rows are posted to.
    Webhook(Box<Receiver>),
    /// `"kafka"`: a topic of Apache Kafka, which must be there. The key of a message is that of its row.
    Kafka {
        /// `brokers`, `topic` and `options`: where it is, and how to get in.
        topic: Topic,
        /// `transactional_id`: the id of its transactions, and of the group that keeps what was delivered. No other
        /// producer may have it. Default: `tidewatch-JOB-SINK`.
        transactional_id: Option<String>,
        /// `retry_for`: how long brokers that are away are waited for before the run fails. Default: `60s`.
        /// Range: `0s` to `1d`.
        retry_for: Duration,
    },
    /// `"kinesis"`: a stream of Amazon Kinesis, which gets a record for each row.
    Kinesis(KinesisTarget),
}

/// What all databases have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// `table`: its name; it is made if it is missing. Default: the name of the sink.
    pub name: String,
    /// `retry_for`: how long a database that is away is waited for before the run fails. Default: `60s`.
    /// Range: `0s` to `1d`.
    pub retry_for: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Stdout,
    Sqlite,
    Postgres,
    Archive,
    Kafka,
    Kinesis,
    Webhook,
}

const KINDS: &[(&str, Kind)] = &[
    ("file", Kind::File),
    ("stdout", Kind::Stdout),
    ("sqlite", Kind::Sqlite),
    ("postgres", Kind::Postgres),
    ("archive", Kind::Archive),
    ("kafka", Kind::Kafka),
    ("kinesis", Kind::Kinesis),
    ("webhook", Kind::Webhook),
];

const URL_HELP: &str = "write `url = { env = \"DATABASE_URL\" }`, a `postgres://user@host/database`";

/// Reads `type` and what belongs to it, of the sink of that name.
pub(super) fn read_target(name: &str, section: &mut Section, reader: &mut Reader) -> Option<Target> {
    let has_path = section.entries().iter().any(|entry| entry.name == "path");
    let kind = match has_path {
        true => section.or(reader, "type", (Kind::File, "\"file\""), one_of(KINDS)),
        false => {
            let help = "add `type = \"stdout\"`, or `type = \"file\"` and `path = \"FILE\"`";
            section.required(reader, "type", help, one_of(KINDS))?
        }
    };
    check_built(kind, section, reader);
    match kind {
        Kind::Stdout => Some(Target::Stdout),
        Kind::File => section
            .required(reader, "path", "add `path = \"FILE\"`", filled_string)
            .map(|path| Target::File(PathBuf::from(path))),
        Kind::Archive => {
            let address = section.required(reader, "dir", "add `dir = \"DIR\"`", |sources, node| {
                read_address(filled_string(sources, node)?, node)
            });
            Some(Target::Archive { address: address? })
        }
        Kind::Sqlite => {
            let path = section.required(reader, "path", "add `path = \"FILE\"`", filled_string);
            let table = read_table(name, section, reader);
            Some(Target::Sqlite { path: PathBuf::from(path?), table: table? })
        }
        Kind::Postgres => {
            let url = secret(section, reader, "url", URL_HELP, check_url);
            let ca = section.optional(reader, "ca", filled_string).map(PathBuf::from);
            let table = read_table(name, section, reader);
            Some(Target::Postgres { url: url?, ca, table: table? })
        }
        Kind::Webhook => read_receiver(section, reader).map(|receiver| Target::Webhook(Box::new(receiver))),
        Kind::Kafka => {
            let topic = read_topic(section, reader);
            let transactional_id = section.optional(reader, "transactional_id", filled_string);
            let retry_for = read_retry_for(section, reader);
            Some(Target::Kafka { topic: topic?, transactional_id, retry_for })
        }
        Kind::Kinesis => kinesis::read_target(section, reader).map(Target::Kinesis),
    }
}

fn read_table(name: &str, section: &mut Section, reader: &mut Reader) -> Option<TableOptions> {
    let shown = toml_edit::Value::from(name).to_string();
    let is_named = section.entries().iter().any(|entry| entry.name == "table");
    let table = section.or(reader, "table", (name.to_owned(), &shown), |sources, node| {
        let name = filled_string(sources, node)?;
        Table::check_name(&name).map_err(|words| bad_value(node, words))?;
        Ok(name)
    });
    let retry_for = read_retry_for(section, reader);
    if !is_named && let Err(words) = Table::check_name(name) {
        let message = format!("`{name}` cannot be the name of a table: {words}");
        let place = section.place().clone();
        reader.report(Diagnostic::new(Code::BadValue, place, message).with_help("add `table = \"NAME\"`"));
        return None;
    }
    Some(TableOptions { name: table, retry_for })
}

fn read_retry_for(section: &mut Section, reader: &mut Reader) -> Duration {
    section.or(
        reader,
        "retry_for",
        (Duration::from_secs(60), "\"60s\""),
        duration(Duration::ZERO..=Duration::from_secs(86_400)),
    )
}

/// A connector that is heavy to build is a feature of cargo.
fn check_built(kind: Kind, section: &mut Section, reader: &mut Reader) {
    let feature = match kind {
        Kind::Sqlite if !cfg!(feature = "sqlite") => "sqlite",
        Kind::Postgres if !cfg!(feature = "postgres") => "postgres",
        Kind::Webhook if !cfg!(feature = "webhook") => "webhook",
        Kind::Kafka if !cfg!(feature = "kafka") => "kafka",
        Kind::Kinesis if !cfg!(feature = "kinesis") => "kinesis",
        _ => return,
    };
    if let Some(entry) = section.entry("type") {
        reader.report(not_built(feature, entry.node.place.clone()));
    }
}

/// What a config asks for that this program was built without.
pub(super) fn not_built(feature: &str, place: Place) -> Diagnostic {
    let message = format!("this program was built without `{feature}`");
    let help =
        format!("build it with `--features {feature}`, or with `--features full` for all that there is");
    Diagnostic::new(Code::BadValue, place, message).with_help(help)
}

#[cfg(feature = "postgres")]
fn check_url(url: &str) -> Result<(), String> {
    alert::check_url(url)
}

/// Whether it is a good one is not known here, and does not matter.
#[cfg(not(feature = "postgres"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one does not")]
fn check_url(_url: &str) -> Result<(), String> {
    Ok(())
}
