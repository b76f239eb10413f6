//! How much one poll takes, against the mock cluster of the client library.

use std::time::Instant;

use event::Topic;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::*;
use crate::source::{Isolation, Start};
use crate::{DecodeSpec, TimeSpec, TimeUnit};

const TOMBSTONES: usize = 3 * PIECE_MESSAGES;

#[test]
fn a_poll_takes_a_bounded_number_of_messages_although_none_of_them_is_a_record() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("tombs", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    for _ in 0..TOMBSTONES {
        producer.send(BaseRecord::<[u8], [u8]>::to("tombs").partition(0).key(b"k")).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    let topic = Topic { brokers, name: "tombs".to_owned(), options: Vec::new() };
    let reading = Reading::of("events", &topic, Isolation::ReadUncommitted, 64 << 20);
    let info = super::super::partitions(&reading, Start::Earliest).unwrap().remove(0);
    let decoder = Decoder::new(DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis)));
    let mut partition = KafkaPartition::open(&reading, End::Never, &info, None, decoder).unwrap();
    // All of them are in the queue before the first poll: one that took whatever comes would take them at once.
    std::thread::sleep(Duration::from_secs(2));
    let (begun, mut most, mut polls) = (Instant::now(), 0, 0);
    while partition.position().offset < TOMBSTONES as u64 {
        assert!(begun.elapsed() < Duration::from_secs(30), "at {}", partition.position().offset);
        let before = partition.position().offset;
        match partition.poll(usize::MAX).unwrap() {
            Poll::Decoded(decoded) => assert!(decoded.records.times.is_empty()),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
        let taken = partition.position().offset - before;
        polls += u32::from(taken > 0);
        most = most.max(taken);
    }
    assert!(most <= PIECE_MESSAGES as u64 && polls >= 3, "{most} in one poll, {polls} polls");
}
