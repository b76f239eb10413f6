//! Whether a sink can be written to, as far as that is to be seen without writing a row.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use event::Probe;

use super::{SinkKind, SinkSpec};

/// What there is to be found out about a sink before a job writes to it. Makes neither a file nor a table that
/// stays, and sends no row. A new kind of sink adds its own here.
pub fn probe(spec: &SinkSpec) -> Vec<Probe> {
    match &spec.kind {
        SinkKind::Stdout => vec![Probe::new("standard output", Ok("whoever reads".to_owned()))],
        SinkKind::File { path } => vec![file(path)],
        #[cfg(feature = "sqlite")]
        SinkKind::Sqlite { path, table } => {
            let mut probes = vec![file(path)];
            if path.exists() {
                probes.push(Probe::new("read the database", super::sqlite::probe(path, &table.name)));
            }
            probes
        }
        #[cfg(feature = "postgres")]
        SinkKind::Postgres { url, ca, table } => {
            let nobody = super::Deliverer { job: String::new(), generation: 0 };
            let place = super::database::Place::new(spec, &nobody, table);
            match super::postgres::Postgres::new(place, url, ca.as_deref()) {
                Ok(mut database) => database.probe(),
                Err(error) => vec![Probe::new("read the config", Err(error.to_string()))],
            }
        }
        // Looked at by whoever opens it.
        SinkKind::Archive { .. } => Vec::new(),
        #[cfg(feature = "webhook")]
        SinkKind::Webhook { receiver, .. } => {
            let mut probes = super::webhook::probe(&spec.name, receiver);
            probes.extend(receiver.undelivered.as_deref().map(file));
            probes
        }
        #[cfg(feature = "kafka")]
        SinkKind::Kafka { topic, .. } => {
            let found = super::kafka::find(topic).map(|()| "it is there".to_owned());
            vec![Probe::new(format!("the topic {}", topic.name), found)]
        }
        #[cfg(feature = "kinesis")]
        SinkKind::Kinesis { target, shape } => {
            let found = super::kinesis::open(&spec.name, target, shape).map(|_| "it is there".to_owned());
            vec![Probe::new(
                format!("the stream {}", target.stream),
                found.map_err(|error| error.to_string()),
            )]
        }
        #[cfg(not(all(
            feature = "sqlite",
            feature = "postgres",
            feature = "webhook",
            feature = "kafka",
            feature = "kinesis"
        )))]
        _ => vec![Probe::new("open", Err("this program was built without it".to_owned()))],
    }
}

/// Whether a file can be written, or made where there is none.
fn file(path: &Path) -> Probe {
    let what = format!("write {}", path.display());
    let outcome = match path.metadata() {
        Ok(found) if found.is_dir() => Err("it is a folder".to_owned()),
        // To open a pipe would wait for its reader.
        Ok(found) if !found.is_file() => Ok("a pipe or device".to_owned()),
        Ok(found) => {
            let open = OpenOptions::new().append(true).open(path);
            open.map(|_| format!("{} bytes", found.len())).map_err(|error| error.to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => made_beside(path),
        Err(error) => Err(error.to_string()),
    };
    Probe::new(what, outcome)
}

/// Whether a file could be made there: one of another name is, and taken away again.
fn made_beside(path: &Path) -> Result<String, String> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".probe-{}", std::process::id()));
    let probe = PathBuf::from(name);
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    made.and_then(|_| std::fs::remove_file(&probe))
        .map(|()| "it is not there yet, and can be made".to_owned())
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no folder for it".to_owned(),
            _ => error.to_string(),
        })
}
