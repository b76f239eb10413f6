//! How topics of Apache Kafka are reached: the settings of the client library, and what its errors mean.
//!
//! What the source in `ingest` and the sink in `alert` share; they are built with it where the feature `kafka` is on.
//! Nothing here connects.
//!
//! ```
//! use event::{Secret, Topic};
//! use kafka::{Meaning, check_option, meaning, settings};
//! use rdkafka::error::{KafkaError, RDKafkaErrorCode};
//!
//! let options = vec![("linger.ms".to_owned(), Secret::Text("7".to_owned()))];
//! let topic = Topic { brokers: "127.0.0.1:9092".to_owned(), name: "alerts".to_owned(), options };
//! let config = settings(&topic, &[("linger.ms", "5")], &[("enable.idempotence", "true")]).unwrap();
//! assert_eq!(config.get("linger.ms"), Some("7"));
//! assert_eq!(check_option("group.id"), Err("offsets are in the checkpoints, there is no group"));
//!
//! let error = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
//! assert_eq!(meaning(&error), Meaning::Passing);
//! ```

mod alarm;
mod meaning;
mod settings;

pub use alarm::Alarm;
pub use meaning::{Meaning, code, meaning, words};
pub use settings::{SettingsError, check_option, settings};
