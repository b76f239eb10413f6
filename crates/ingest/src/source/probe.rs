//! Whether a source can be read, as far as that is to be seen without reading it.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;

use bucket::Bucket;
use event::Probe;

#[cfg(feature = "s3")]
use super::object;
use super::{SourceKind, SourceSpec, partitions, partitions_now};

/// What there is to be found out about a source before a job reads it. A new kind of source adds its own here.
pub fn probe(spec: &SourceSpec) -> Vec<Probe> {
    match &spec.kind {
        SourceKind::File { paths, .. } => match partitions_now(spec) {
            Ok(_) => paths.iter().map(|path| read_first(path)).collect(),
            Err(error) => {
                vec![Probe::new(format!("files of source `{}`", spec.name), Err(error.to_string()))]
            }
        },
        SourceKind::Objects { bucket, .. } => probe_objects(spec, bucket),
        SourceKind::Kafka { .. } | SourceKind::Kinesis(_) => {
            let found = partitions(spec).map(|found| format!("{} partitions", found.len()));
            vec![Probe::new(
                format!("the stream of source `{}`", spec.name),
                found.map_err(|e| e.to_string()),
            )]
        }
        // Looked at by whoever opens it.
        SourceKind::Archive { .. } => Vec::new(),
        SourceKind::Stdin => vec![Probe::new("standard input", Ok("whatever comes".to_owned()))],
        SourceKind::Http(http) => {
            let listen = http.serve.listen;
            let free = TcpListener::bind(listen).map(|_| "nobody else does".to_owned());
            vec![Probe::new(format!("listen at {listen}"), free.map_err(|error| error.to_string()))]
        }
        SourceKind::Generate(_) => {
            let made = partitions(spec).map_err(|error| error.to_string());
            vec![Probe::new("generate", made.map(|lanes| format!("{} lanes", lanes.len())))]
        }
    }
}

/// Whether the objects of a bucket can be listed, and the first of them read: servers give the two rights apart.
fn probe_objects(spec: &SourceSpec, bucket: &Bucket) -> Vec<Probe> {
    // Held, so that what it says of its time is not forgotten.
    #[cfg(feature = "s3")]
    let server = object::Server::shared(bucket).ok();
    let found = partitions_now(spec);
    let count = found.as_ref().map(|found| format!("{} objects", found.len()));
    let listed = Probe::new(
        format!("list the objects of source `{}` in {bucket}", spec.name),
        count.map_err(ToString::to_string),
    );
    #[cfg(feature = "s3")]
    let listed = Probe { clock: server.as_ref().and_then(|server| server.second()), ..listed };
    #[cfg(feature = "s3")]
    if let Some(first) = found.iter().flatten().next() {
        let read = object::try_first(bucket, first).map_err(|error| error.to_string());
        let read = Probe::new(format!("read {}", first.id), read.map(|()| "its first byte".to_owned()));
        return vec![listed, read];
    }
    vec![listed]
}

/// Whether the first byte of a file can be read, or the names in a directory.
fn read_first(path: &Path) -> Probe {
    let length = if path.is_dir() {
        path.read_dir().map(|names| format!("{} names", names.count()))
    } else if path.exists() {
        let read = File::open(path).and_then(|mut file| file.read(&mut [0]));
        read.and_then(|_| Ok(format!("{} bytes", path.metadata()?.len())))
    } else {
        // A pattern has found files, or a file that is followed is waited for.
        Ok("no such file by now".to_owned())
    };
    Probe::new(format!("read {}", path.display()), length.map_err(|error| error.to_string()))
}
