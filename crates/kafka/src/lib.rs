//! How topics of Apache Kafka are reached: the settings of the client library, and what its errors mean.
//!
//! What the source in `ingest` and the sink in `alert` share; they are built with it where the feature `kafka` is on.
//! Pure but for the files of secrets: nothing here connects.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::{Secret, Topic};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Settings that are ours, with what the config has in their place.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "set `brokers`"),
    ("metadata.broker.list", "set `brokers`"),
    ("isolation.level", "set `isolation`"),
    ("transactional.id", "set `transactional_id`"),
    ("group.id", "offsets are in the checkpoints, there is no group"),
    ("group.instance.id", "offsets are in the checkpoints, there is no group"),
    ("enable.auto.commit", "offsets are in the checkpoints"),
    ("enable.auto.offset.store", "offsets are in the checkpoints"),
    ("auto.offset.reset", "set `start`; a position that is lost ends the run"),
    ("enable.partition.eof", "how the end of a partition is known is not to be chosen"),
    ("enable.idempotence", "it is always on"),
    ("statistics.interval.ms", "how far there is to go is always asked for"),
    ("opaque", "it is no setting of a config"),
];

/// Why the settings cannot be used.
#[derive(Debug)]
pub enum SettingsError {
    /// The file of a secret cannot be read.
    File(String),
    /// The library does not take them.
    Refused(String),
}

/// The settings of a client of that topic: those of the config over `defaults`, `fixed` over all.
///
/// # Errors
/// If the file of a secret cannot be read, or the library knows no such setting or value.
pub fn settings(
    topic: &Topic,
    defaults: &[(&str, &str)],
    fixed: &[(&str, &str)],
) -> Result<ClientConfig, SettingsError> {
    let mut config = ClientConfig::new();
    defaults.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    for (name, secret) in &topic.options {
        let value =
            reveal(secret).map_err(|error| SettingsError::File(format!("the option `{name}`: {error}")))?;
        config.set(name, value);
    }
    fixed.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config.set("bootstrap.servers", &topic.brokers);
    match config.create_native_config() {
        Ok(_) => Ok(config),
        Err(error) => Err(SettingsError::Refused(words_of_setting(&error))),
    }
}

fn reveal(secret: &Secret) -> io::Result<String> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => Ok(std::fs::read_to_string(path)?.trim().to_owned()),
    }
}

/// Why the config may not have that option.
///
/// # Errors
/// If it is one of ours.
pub fn check_option(name: &str) -> Result<(), &'static str> {
    OURS.iter().find(|(ours, _)| *ours == name).map_or(Ok(()), |(_, instead)| Err(instead))
}

/// The words of a setting that is refused, without its value, which may be a secret.
fn words_of_setting(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, name, _) => format!("the option `{name}` has no such name or value"),
        other => other.to_string(),
    }
}

/// What an error of the library means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Brokers are away, busy or changing places: it goes well some time.
    Passing,
    /// A person has to settle it: the name, the credentials, the permissions.
    Refused,
    /// The position is not there any more.
    Lost,
    /// Somebody else has taken over.
    Fenced,
    /// Something else.
    Other,
}

/// What an error means.
pub fn meaning(error: &KafkaError) -> Meaning {
    use RDKafkaErrorCode as Code;
    let Some(code) = code(error) else { return Meaning::Other };
    match code {
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism => Meaning::Refused,
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Meaning::Lost,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Meaning::Fenced,
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::SSL
        | Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::WaitingForCoordinator
        | Code::QueueFull
        | Code::PurgeQueue
        | Code::PurgeInflight
        | Code::RequestTimedOut
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::ConcurrentTransactions
        | Code::UnstableOffsetCommit
        | Code::KafkaStorageError
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable => Meaning::Passing,
        _ => Meaning::Other,
    }
}

/// The code of an error, if it has one.
pub fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        other => other.rdkafka_error_code(),
    }
}

/// The words of an error, without the names that the library gives to kinds of errors.
pub fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        other => code(other).map_or_else(|| other.to_string(), |code| code.to_string()),
    }
}

/// How often it is said that brokers are away.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Says on standard error that brokers are away, once in a while, and that they are back.
#[derive(Debug)]
pub struct Alarm {
    /// Who waits, and for what.
    who: String,
    said: Mutex<Option<Instant>>,
}

impl Alarm {
    /// `who` begins each sentence: "source `events`: the topic .. of ..".
    pub fn new(who: String) -> Self {
        Alarm { who, said: Mutex::default() }
    }

    /// Brokers are away.
    pub fn away(&self, words: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            say(&format!("warning: {} is waited for: {words}", self.who));
        }
    }

    /// They are back.
    pub fn back(&self) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
        if said.is_some() {
            say(&format!("{} is there again", self.who));
        }
    }
}

/// A job that stands still must not be silent about it. When nobody listens there is nobody to tell.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(options: &[(&str, &str)]) -> Topic {
        let options =
            options.iter().map(|(name, value)| ((*name).to_owned(), Secret::Text((*value).to_owned())));
        Topic { brokers: "127.0.0.1:1".to_owned(), name: "t".to_owned(), options: options.collect() }
    }

    #[test]
    fn options_stand_over_defaults_and_under_what_is_fixed() {
        let topic = topic(&[("linger.ms", "7"), ("acks", "1")]);
        let found = settings(&topic, &[("linger.ms", "5")], &[("acks", "all")]).unwrap();
        assert_eq!((found.get("linger.ms"), found.get("acks")), (Some("7"), Some("all")));
    }

    #[test]
    fn what_the_library_does_not_know_is_refused_without_its_value() {
        for (name, value) in [("no.such.option", "hunter2"), ("security.protocol", "hunter2")] {
            let Err(SettingsError::Refused(words)) = settings(&topic(&[(name, value)]), &[], &[]) else {
                panic!("{name} was taken");
            };
            assert!(words.contains(name) && !words.contains("hunter2"), "{words}");
        }
    }

    #[test]
    fn sasl_with_scram_over_tls_is_built_in() {
        let options = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
        ];
        let config = settings(&topic(&options), &[], &[]).unwrap();
        config.create::<rdkafka::producer::BaseProducer>().unwrap();
    }
}
