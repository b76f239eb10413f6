//! A sink that is a topic of a real broker of Apache Kafka: opened, resumed, fenced, cut off in the middle of a commit.

use std::time::Duration;

use alert::{
    Deliverer, Delivery, Mode, Shape, Sink, SinkError, SinkKind, SinkSpec, open_fresh, resume_after_at_once,
    resume_at_once, resume_exactly_once,
};
use event::Topic;
use testkit::kafka::{Broker, broker, broker_alone};

fn spec(broker: &Broker, topic: &str, mode: Mode) -> SinkSpec {
    let shape = Shape::Rows { key: vec!["k".to_owned()], rule: false };
    let topic = Topic { brokers: broker.address().to_owned(), name: topic.to_owned(), options: Vec::new() };
    // One group for each topic.
    let transactional_id = Some(topic.name.clone());
    let kind = SinkKind::Kafka { topic, transactional_id, shape, retry_for: Duration::from_secs(60) };
    SinkSpec { name: "out".to_owned(), kind, mode }
}

fn exactly_once(broker: &Broker, topic: &str) -> SinkSpec {
    broker.create(topic, 1);
    spec(broker, topic, Mode::ExactlyOnce)
}

fn run(generation: u64) -> Deliverer {
    Deliverer { job: "job".to_owned(), generation }
}

/// Deliveries of one line each, numbered from 1.
fn deliveries(count: u32) -> Vec<Delivery> {
    let mut start = 0;
    let delivery = |number: u32| {
        let bytes = format!("{{\"k\":\"a\",\"n\":{number}}}\n").into_bytes();
        start += bytes.len() as u64;
        Delivery { number, start: start - bytes.len() as u64, bytes }
    };
    (1..=count).map(delivery).collect()
}

/// What readers of committed messages see.
fn seen(broker: &Broker, topic: &str) -> Vec<String> {
    let messages = broker.read(topic, true).concat();
    messages
        .into_iter()
        .map(|message| String::from_utf8(message.value.expect("a value")).expect("UTF-8"))
        .collect()
}

fn lines(deliveries: &[Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|d| String::from_utf8(d.bytes.clone()).expect("UTF-8").trim_end().to_owned())
        .collect()
}

#[test]
fn a_topic_gets_each_delivery_once_wherever_a_run_ended() {
    let Some(broker) = broker() else { return };
    let all = deliveries(4);
    for delivered in 0..=4 {
        let topic = format!("once-{delivered}");
        let spec = exactly_once(&broker, &topic);
        let mut sink = open_fresh(&spec, &run(1)).unwrap();
        for delivery in &all[..delivered] {
            sink.deliver(delivery.number, &delivery.bytes).unwrap();
            // What it has already it does not take again.
            sink.deliver(delivery.number, &delivery.bytes).unwrap();
        }
        drop(sink);
        let kept = &all[delivered.saturating_sub(1)..];
        let sink = resume_exactly_once(&spec, &run(2), kept).unwrap();
        assert_eq!(sink.length(), all[3].start + all[3].bytes.len() as u64);
        assert_eq!(seen(&broker, &topic), lines(&all), "{delivered} delivered before");
    }
}

#[test]
fn a_topic_that_is_behind_ahead_or_of_another_state_is_refused() {
    let Some(broker) = broker() else { return };
    let all = deliveries(4);
    let spec = exactly_once(&broker, "mismatch");
    let mut sink = open_fresh(&spec, &run(1)).unwrap();
    all[..2].iter().for_each(|delivery| sink.deliver(delivery.number, &delivery.bytes).unwrap());
    drop(sink);
    let refused = |result: Result<Box<dyn Sink>, SinkError>| result.err().expect("a refusal");
    assert!(matches!(refused(open_fresh(&spec, &run(2))), SinkError::TopicNotEmpty { .. }));
    let resume = |kept: &[Delivery]| refused(resume_exactly_once(&spec, &run(2), kept));
    assert!(matches!(resume(&all[3..]), SinkError::Behind { has: 2, .. }));
    assert!(matches!(resume(&all[..1]), SinkError::Ahead { has: 2, last: 1, .. }));
    let mut other = all[..2].to_vec();
    other[1].bytes = other[1].bytes.iter().map(|b| if *b == b'2' { b'7' } else { *b }).collect();
    assert!(matches!(resume(&other), SinkError::Foreign { .. }));
    assert_eq!(seen(&broker, "mismatch"), lines(&all[..2]), "a refusal changes nothing");
}

#[test]
fn an_older_generation_delivers_nothing_once_a_later_one_has_the_topic() {
    let Some(broker) = broker() else { return };
    let all = deliveries(3);
    let spec = exactly_once(&broker, "zombie");
    let mut zombie = open_fresh(&spec, &run(1)).unwrap();
    zombie.deliver(1, &all[0].bytes).unwrap();
    let mut latest = resume_exactly_once(&spec, &run(2), &all[..1]).unwrap();
    let error = zombie.deliver(2, &all[1].bytes).unwrap_err();
    assert!(matches!(error, SinkError::Fenced { latest: 2, generation: 1, .. }), "{error}");
    assert!(error.is_refusal());
    latest.deliver(2, &all[1].bytes).unwrap();
    zombie.deliver(3, &all[2].bytes).unwrap_err();
    // Nor does one of its generation that is started again.
    let error = resume_exactly_once(&spec, &run(1), &all[..2]).err().expect("a refusal");
    assert!(matches!(error, SinkError::Fenced { latest: 2, generation: 1, .. }), "{error}");
    latest.deliver(3, &all[2].bytes).unwrap();
    assert_eq!(seen(&broker, "zombie"), lines(&all));
}

#[test]
fn a_broker_that_is_killed_between_and_during_deliveries_gets_each_once() {
    let Some(broker) = broker_alone() else { return };
    let all = deliveries(60);
    let spec = exactly_once(&broker, "killed");
    let (mut sink, mut generation) = (open_fresh(&spec, &run(1)).unwrap(), 1);
    sink.deliver(1, &all[0].bytes).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for wait in [150, 400] {
                std::thread::sleep(Duration::from_millis(wait));
                broker.pause();
                std::thread::sleep(Duration::from_secs(2));
                broker.resume();
            }
        });
        for (place, delivery) in all.iter().enumerate().skip(1) {
            // A broker that goes away in the middle of a commit may end the producer for good, and with it the run: its successor
            // takes over with what the checkpoints have kept.
            if let Err(error) = sink.deliver(delivery.number, &delivery.bytes) {
                assert!(!error.is_refusal(), "{error}");
                generation += 1;
                sink = resume_exactly_once(&spec, &run(generation), &all[place - 1..=place]).unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(seen(&broker, "killed"), lines(&all));
}

#[test]
fn lines_that_come_at_once_are_all_there_and_exactly_once_goes_on_behind_them() {
    let Some(broker) = broker() else { return };
    broker.create("at-once", 1);
    let all = deliveries(3);
    let at_once = spec(&broker, "at-once", Mode::AtOnce);
    open_fresh(&at_once, &run(1)).unwrap().write(&all[0].bytes).unwrap();
    resume_at_once(&at_once, &run(2)).unwrap().write(&all[1].bytes).unwrap();
    let spec = spec(&broker, "at-once", Mode::ExactlyOnce);
    let mut sink = resume_after_at_once(&spec, &run(3), 2).unwrap();
    sink.deliver(3, &all[2].bytes).unwrap();
    assert_eq!(seen(&broker, "at-once"), lines(&all));
}

#[test]
fn a_group_that_holds_something_else_is_not_written_over() {
    let Some(broker) = broker() else { return };
    let spec = exactly_once(&broker, "foreign-group");
    broker.commit("foreign-group", "foreign-group", 7);
    let error = open_fresh(&spec, &run(1)).err().expect("a refusal");
    assert!(error.is_refusal() && error.to_string().contains("transactional_id"), "{error}");
}
