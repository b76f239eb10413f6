//! The settings of a client: those of the config between defaults and what exactly once rests on.

use std::io;

use event::{Secret, Topic};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

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
