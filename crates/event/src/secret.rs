//! A value that must not be shown: a password, the address of a database with one.
//!
//! Given by the config as text or as the name of a file, which is read by whoever uses it, then. Nothing that is printed, `Debug`
//! included, has it.

use std::fmt;
use std::path::PathBuf;

/// A secret of the config.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Text(String),
    /// A file that holds it; white space around it is none of it.
    File(PathBuf),
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
