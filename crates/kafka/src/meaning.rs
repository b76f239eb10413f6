//! What errors of the client library mean for whoever asked, and their words.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

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
