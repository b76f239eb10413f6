//! Whether a source can be read, as far as that is to be seen without reading it.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;

use event::Probe;

use super::{SourceKind, SourceSpec, partitions};

/// What there is to be found out about a source before a job reads it. A new kind of source adds its own here.
pub fn probe(spec: &SourceSpec) -> Vec<Probe> {
    match &spec.kind {
        SourceKind::File { path, .. } => {
            let read = partitions(spec).map_err(|error| error.to_string()).and_then(|_| {
                let mut byte = [0];
                let read = File::open(path).and_then(|mut file| file.read(&mut byte));
                let length = read.and_then(|_| Ok(path.metadata()?.len()));
                length.map(|length| format!("{length} bytes")).map_err(|error| error.to_string())
            });
            vec![Probe::new(format!("read {}", path.display()), read)]
        }
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
