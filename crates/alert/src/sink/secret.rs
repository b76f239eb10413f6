//! A value that must not be shown: the address of a database with its password.
//!
//! Given by the config as text or as the name of a file, which is read when the sink is opened. Nothing that
//! is printed, `Debug` included, has it.

use std::fmt;
use std::path::PathBuf;

use super::SinkError;

/// A secret of the config.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Text(String),
    /// A file that holds it; white space around it is none of it.
    File(PathBuf),
}

impl Secret {
    /// The value, for the sink of that name.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "webhook")),
        expect(dead_code, reason = "no sink has a secret")
    )]
    pub(super) fn reveal(&self, sink: &str) -> Result<String, SinkError> {
        match self {
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
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Text(_) => formatter.write_str("Secret::Text(..)"),
            Secret::File(path) => formatter.debug_tuple("Secret::File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_when_it_is_debugged() {
        assert_eq!(format!("{:?}", Secret::Text("hunter2".into())), "Secret::Text(..)");
    }
}
