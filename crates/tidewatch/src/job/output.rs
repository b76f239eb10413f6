//! The sinks of a job: the columns of plain rows compiled, what they need to be rows of a table checked,
//! outputs that would collide refused.

use std::borrow::Cow;
use std::path::Path;

use alert::{Format, KinesisTarget, Secret, Shape, SinkKind, SinkSpec, Table, plain_schema};
use checkpoint::{Bucket, Location};
use event::{Field, MICROS_PER_MILLI, RowSchema, Schema, Topic};
use ingest::KinesisSpec;
use transform::compile_column;

use super::expressions::Compiler;
use super::micros;
use crate::config::sink::{self, Mode, Quarantine, Sink, TableOptions, Target};
use crate::config::{Branch, Code, Config, Diagnostic, Sql, Window, WindowShape, source};
use crate::same::{
    is_among, is_archive_among, is_below, is_device_or_pipe, is_same_archive, is_same_file, is_same_stream,
};

impl Compiler<'_> {
    /// What a row of a branch looks like in each sink.
    pub(super) fn formats(&mut self, config: &Config, branch: &Branch, row: &RowSchema) -> Vec<Format> {
        let schema = plain_schema(row.schema());
        let mut formats = Vec::new();
        for sink in &config.sinks {
            formats.push(match &sink.format {
                sink::Format::Alert { explain, muted } => {
                    if branch.rules.is_empty() {
                        let whose = branch
                            .name
                            .as_ref()
                            .map_or("the job".to_owned(), |name| format!("branch `{name}`"));
                        let message = format!("sink `{}` writes alerts, but {whose} has no rules", sink.name);
                        let help = "add `[rules.ID]`, or set `format = \"plain\"` for every row of features";
                        let diagnostic = Diagnostic::new(Code::Conflict, sink.place.clone(), message);
                        self.report(diagnostic.with_help(help));
                    }
                    Format::Alert { explain: *explain, muted: *muted }
                }
                sink::Format::Plain { columns } => match columns.as_ref().or(branch.columns.as_ref()) {
                    Some(columns) => self.plain(columns, &schema),
                    None => {
                        let message =
                            format!("sink `{}` has no `columns`, and neither has this branch", sink.name);
                        let place = branch.place.clone().unwrap_or_else(|| sink.place.clone());
                        self.report(Diagnostic::new(Code::MissingKey, place, message));
                        Format::Plain { columns: Vec::new() }
                    }
                },
            });
        }
        formats
    }

    /// The sinks, in the order of the config.
    pub(super) fn sinks(&mut self, config: &Config, key: &[Field]) -> Vec<SinkSpec> {
        let mut sinks = Vec::new();
        for sink in &config.sinks {
            let shape = match &sink.format {
                sink::Format::Alert { .. } => Shape::Alerts,
                sink::Format::Plain { columns } => {
                    self.shape_of_rows(config, sink, columns.as_deref().unwrap_or_default(), key)
                }
            };
            sinks.push(sink_spec(&sink.name, &sink.target, sink.mode, shape));
        }
        sinks
    }

    /// The key of a message is that of its row, which must be in it.
    fn check_message_key(&mut self, config: &Config, sink: &Sink, columns: &[Sql], key: &[String]) {
        for branch in &config.branches {
            let columns =
                if columns.is_empty() { branch.columns.as_deref().unwrap_or_default() } else { columns };
            for name in key.iter().filter(|name| !columns.iter().any(|column| is_bare(column, name))) {
                let message = format!("the messages of a topic need the column `{name}` as it is");
                let help = format!("add `\"{name}\"` to `columns`; it is the key of the message");
                self.report(Diagnostic::new(Code::Conflict, sink.place.clone(), message).with_help(help));
            }
        }
    }

    fn plain(&mut self, columns: &[Sql], schema: &Schema) -> Format {
        let mut compiled: Vec<(String, _)> = Vec::new();
        for column in columns {
            match compile_column(&bare_name_quoted(&column.text, schema), schema) {
                Ok((name, _)) if compiled.iter().any(|(other, _)| *other == name) => {
                    let message = format!("there are two columns `{name}`");
                    let place = column.within(0..column.text.len());
                    self.report(Diagnostic::new(Code::NameTaken, place, message));
                }
                Ok(column) => compiled.push(column),
                Err(error) => self.expression_error(column, error),
            }
        }
        Format::Plain { columns: compiled }
    }

    /// What tells the plain rows of a job apart; in a table every row needs it.
    fn shape_of_rows(&mut self, config: &Config, sink: &Sink, columns: &[Sql], key: &[Field]) -> Shape {
        let key: Vec<String> = key.iter().map(|field| field.name.clone()).collect();
        let rule = config.branches.iter().all(|branch| !branch.rules.is_empty());
        match sink.target {
            Target::Sqlite { .. } | Target::Postgres { .. } => {}
            Target::Kafka { .. } => {
                self.check_message_key(config, sink, columns, &key);
                return Shape::Rows { key, rule };
            }
            Target::Stdout
            | Target::File(_)
            | Target::Webhook(_)
            | Target::Kinesis(_)
            | Target::Archive { .. } => {
                return Shape::Rows { key, rule };
            }
        }
        let [branch] = config.branches.as_slice() else {
            let message =
                "plain rows of a table are told apart by key and window, and branches have the same";
            let diagnostic = Diagnostic::new(Code::Conflict, sink.place.clone(), message);
            self.report(diagnostic.with_help("set `format = \"alert\"`"));
            return Shape::Rows { key, rule };
        };
        let columns =
            if columns.is_empty() { branch.columns.as_deref().unwrap_or_default() } else { columns };
        let edges = [RowSchema::WINDOW_START, RowSchema::WINDOW_END];
        let names = key.iter().map(String::as_str).chain(edges).chain(rule.then_some("rule"));
        for name in names.filter(|name| !columns.iter().any(|column| is_bare(column, name))) {
            let message = format!("the rows of a table need the column `{name}` as it is");
            let help = format!("add `\"{name}\"` to `columns`; it tells the rows apart");
            self.report(Diagnostic::new(Code::Conflict, sink.place.clone(), message).with_help(help));
        }
        if branch.rules.iter().any(|rule| rule.alerts.is_some()) {
            let message = "what is said of an episode is about the same windows again and again, which plain rows of a table \
                           are told apart by";
            let diagnostic = Diagnostic::new(Code::Conflict, sink.place.clone(), message);
            self.report(diagnostic.with_help("set `format = \"alert\"`, or `alerts.group_windows = false`"));
        }
        if let Some((window, place)) = &branch.window
            && let Some(message) = no_rows_of_a_table(window)
        {
            self.report(Diagnostic::new(Code::Conflict, place.clone(), message));
        }
        Shape::Rows { key, rule }
    }
}

/// Why plain rows of such windows cannot be told apart in a table, if they cannot.
fn no_rows_of_a_table(window: &Window) -> Option<&'static str> {
    let firing = &window.firing;
    if !firing.allowed_lateness.is_zero() {
        return Some("plain rows of a table cannot be corrected after late events; set `format = \"alert\"`");
    }
    let differ = "plain rows of a table need windows that differ in time; set `format = \"alert\"`";
    if firing.early.is_some() {
        return Some(differ);
    }
    let times = match &window.shape {
        // Staggered windows start at any time.
        WindowShape::Shared(shared) if shared.stagger => vec![1],
        WindowShape::Shared(shared) => vec![micros(shared.size), micros(shared.slide), shared.offset],
        WindowShape::Session { gap } => vec![micros(*gap)],
        WindowShape::SessionBy { .. } => vec![1],
        WindowShape::Count { .. } | WindowShape::Each | WindowShape::Global { .. } => return Some(differ),
    };
    let whole = times.iter().all(|time| time % MICROS_PER_MILLI == 0);
    (!whole).then_some("plain rows of a table need windows of whole milliseconds")
}

/// Whether a column is no more than that name.
fn is_bare(column: &Sql, name: &str) -> bool {
    let text = column.text.trim();
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    [Some(text), quoted('"'), quoted('`')].contains(&Some(name))
}

/// A column that is no more than a name is that column, even if SQL would read the name as something else,
/// as it does with `user` or `payload.user`.
fn bare_name_quoted<'a>(text: &'a str, schema: &Schema) -> Cow<'a, str> {
    match schema.index_of(text.trim()) {
        Some(_) => Cow::Owned(format!("\"{}\"", text.trim().replace('"', "\"\""))),
        None => Cow::Borrowed(text),
    }
}

pub(super) fn quarantine_spec(name: &str, quarantine: &Quarantine) -> SinkSpec {
    sink_spec(name, &quarantine.target, quarantine.mode, Shape::Quarantine)
}

/// `shape` is that of its rows.
fn sink_spec(name: &str, target: &Target, mode: Mode, shape: Shape) -> SinkSpec {
    let table = |TableOptions { name, retry_for }: &TableOptions| Table {
        name: name.clone(),
        shape: shape.clone(),
        retry_for: *retry_for,
    };
    let kind = match target {
        Target::Stdout => SinkKind::Stdout,
        Target::File(path) => SinkKind::File { path: path.clone() },
        Target::Sqlite { path, table: options } => {
            SinkKind::Sqlite { path: path.clone(), table: table(options) }
        }
        Target::Postgres { url, ca, table: options } => {
            SinkKind::Postgres { url: url.clone(), ca: ca.clone(), table: table(options) }
        }
        Target::Archive { address } => SinkKind::Archive { address: address.clone() },
        Target::Webhook(receiver) => SinkKind::Webhook { receiver: receiver.clone(), shape },
        Target::Kafka { topic, transactional_id, retry_for } => SinkKind::Kafka {
            topic: topic.clone(),
            transactional_id: transactional_id.clone(),
            shape,
            retry_for: *retry_for,
        },
        Target::Kinesis(target) => SinkKind::Kinesis { target: target.clone(), shape },
    };
    let mode = match mode {
        Mode::ExactlyOnce => alert::Mode::ExactlyOnce,
        Mode::AtOnce => alert::Mode::AtOnce,
    };
    SinkSpec { name: name.to_owned(), kind, mode }
}

/// What a source reads, or a sink writes that others may not.
#[derive(Clone, Copy)]
enum Output<'a> {
    File(&'a Path),
    /// A file that is read, or a directory or a pattern of such files.
    FilesRead(&'a Path),
    Sqlite(&'a Path, &'a str),
    Postgres(&'a Secret, &'a str),
    /// A topic that is read.
    TopicRead(&'a Topic),
    /// One that is written, and the id of its transactions if it has one of its own.
    TopicWritten(&'a Topic, Option<&'a str>),
    StreamRead(&'a KinesisSpec),
    StreamWritten(&'a KinesisTarget),
    ArchiveRead(&'a str),
    ArchiveWritten(&'a str),
    /// Objects that are read: a key, a folder or a pattern in a bucket.
    ObjectsRead(&'a Bucket, &'a str),
    /// Where the state is kept in a bucket.
    StateKept(&'a Bucket),
}

impl<'a> Output<'a> {
    /// `None` for what several can write, and nothing reads.
    fn of(target: &'a Target) -> Option<Self> {
        match target {
            Target::Stdout => None,
            Target::Archive { address } => Some(Output::ArchiveWritten(address)),
            Target::Kinesis(target) => Some(Output::StreamWritten(target)),
            // Lines of several writers may mix in it.
            Target::File(path) if is_device_or_pipe(path) => None,
            Target::File(path) => Some(Output::File(path)),
            Target::Sqlite { path, table } => Some(Output::Sqlite(path, &table.name)),
            Target::Postgres { url, table, .. } => Some(Output::Postgres(url, &table.name)),
            Target::Webhook(receiver) => receiver.undelivered.as_deref().map(Output::File),
            Target::Kafka { topic, transactional_id, .. } => {
                Some(Output::TopicWritten(topic, transactional_id.as_deref()))
            }
        }
    }

    /// What a source reads.
    fn read_by(source: &'a source::Source) -> Vec<Self> {
        match &source.kind {
            source::SourceKind::File { paths, .. } => {
                paths.iter().map(|path| Output::FilesRead(path)).collect()
            }
            source::SourceKind::Kafka { topic, .. } => vec![Output::TopicRead(topic)],
            source::SourceKind::Kinesis(kinesis) => vec![Output::StreamRead(kinesis)],
            source::SourceKind::Archive { address, .. } => vec![Output::ArchiveRead(address)],
            source::SourceKind::Objects { bucket, keys, .. } => {
                keys.iter().map(|key| Output::ObjectsRead(bucket, key)).collect()
            }
            source::SourceKind::Stdin | source::SourceKind::Generate(_) | source::SourceKind::Http(_) => {
                Vec::new()
            }
        }
    }

    /// What the two would share, and the setting that takes them apart.
    fn shared_with(self, other: Output) -> Option<(&'static str, &'static str)> {
        let (file, table, objects) = (("the file", "path"), ("the table", "table"), ("objects", "dir"));
        match (self, other) {
            (Output::File(a), Output::File(b) | Output::Sqlite(b, _)) if is_same_file(a, b) => Some(file),
            (Output::Sqlite(a, _), Output::File(b)) if is_same_file(a, b) => Some(file),
            (Output::File(a) | Output::Sqlite(a, _), Output::FilesRead(b)) if is_same_file(a, b) => {
                Some(file)
            }
            (Output::File(a) | Output::Sqlite(a, _), Output::FilesRead(b)) if is_among(a, b) => {
                Some(("a file", "path"))
            }
            (Output::Sqlite(a, x), Output::Sqlite(b, y))
                if x.eq_ignore_ascii_case(y) && is_same_file(a, b) =>
            {
                Some(table)
            }
            (Output::Postgres(a, x), Output::Postgres(b, y)) if a == b && x == y => Some(table),
            (Output::TopicWritten(a, _), Output::TopicRead(b))
                if a.name == b.name && a.brokers == b.brokers =>
            {
                Some(("the topic", "topic"))
            }
            // Several may write to a topic, but not with one id: each would fence the other.
            (Output::TopicWritten(a, Some(x)), Output::TopicWritten(b, Some(y)))
                if x == y && a.brokers == b.brokers =>
            {
                Some(("the transactional id", "transactional_id"))
            }
            // Records of several writers may mix in a stream, and sinks of one archive have folders of their own.
            (Output::StreamWritten(a), Output::StreamRead(b)) if is_same_stream(a, b) => {
                Some(("the stream", "stream"))
            }
            (Output::ArchiveWritten(a), Output::ArchiveRead(b)) if is_same_archive(a, b) => {
                Some(("the archive", "dir"))
            }
            (Output::ArchiveWritten(a), Output::ObjectsRead(bucket, key))
                if is_archive_among(a, bucket, key) =>
            {
                Some(objects)
            }
            (Output::StateKept(state), Output::ObjectsRead(bucket, key)) if is_below(state, bucket, key) => {
                Some(objects)
            }
            _ => None,
        }
    }
}

/// A file or a table can be written by one sink only, and nothing is written that is read: a job would feed on what it
/// puts out.
pub(super) fn check_outputs(config: &Config, compiler: &mut Compiler) {
    let mut taken: Vec<(Output, String)> = Vec::new();
    for source in &config.sources {
        let whose = format!("the source `{}`", source.name);
        taken.extend(Output::read_by(source).into_iter().map(|output| (output, whose.clone())));
    }
    let sinks = config.sinks.iter().map(|sink| (sink.name.as_str(), &sink.target, &sink.place));
    let quarantine = config.rejects.all().map(|(name, sink)| (name, &sink.target, &sink.place));
    let archive = config
        .archive
        .iter()
        .map(|archive| ("`[archive]`".to_owned(), Output::ArchiveWritten(&archive.address), &archive.place));
    let state = config.state.iter().filter_map(|state| match &state.location {
        Location::S3(bucket) => Some(("`[state]`".to_owned(), Output::StateKept(bucket), &state.place)),
        Location::Dir(_) => None,
    });
    let written = sinks
        .chain(quarantine)
        .filter_map(|(name, target, place)| Some((format!("sink `{name}`"), Output::of(target)?, place)));
    for (who, output, place) in written.chain(archive).chain(state) {
        let shared = taken.iter().find_map(|(other, whose)| Some((output.shared_with(*other)?, whose)));
        if let Some(((what, key), whose)) = shared {
            let message = format!("{who} has {what} of {whose}");
            let help = format!("give each its own `{key}`");
            compiler.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
        }
        taken.push((output, who));
    }
}
