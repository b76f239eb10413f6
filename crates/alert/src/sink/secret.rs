//! Secrets of sinks, whose files are read when a sink is opened.

use event::Secret;

use super::SinkError;

/// The value, for the sink of that name.
pub(super) fn reveal(secret: &Secret, sink: &str) -> Result<String, SinkError> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => {
                let (sink, path) = (sink.to_owned(), path.clone());
                Err(SinkError::SecretFile { sink, path, source })
            }
        },
    }
}
