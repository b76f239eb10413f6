//! A topic of Apache Kafka, as sources and sinks name it.

use std::fmt;

use crate::Secret;

/// A topic, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// `HOST:PORT` of some of its brokers, divided by commas; they name the others.
    pub brokers: String,
    /// Its name.
    pub name: String,
    /// Settings of the client library, by the names that it gives them.
    pub options: Vec<(String, Secret)>,
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the topic `{}` of {}", self.name, self.brokers)
    }
}
