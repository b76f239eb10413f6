//! Topics of Apache Kafka: how fast a job reads one and writes one, beside a bare consumer and a bare producer.
//!
//! Against a broker of its own on this machine. One on a disk of its own would take more; this is about what stands
//! before it.

use testkit::kafka::{Broker, broker_alone};

use crate::bench::{Bench, Failure};
use crate::connector::{Rows, Turns, events, expect, expect_all, lines, reading, writing};
use crate::figure::Figures;

/// Partitions of the topic that is read.
const PARTITIONS: usize = 4;

/// The source and the sink.
pub(crate) fn kafka(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let Some(broker) = broker_alone() else {
        figures.leave_out("kafka: there is no broker here");
        return Ok(());
    };
    source(bench, figures, &broker)?;
    sink(bench, figures, &broker)
}

/// Reads all events of a topic.
fn source(bench: &Bench, figures: &mut Figures, broker: &Broker) -> Result<(), Failure> {
    let (count, input) = events(bench)?;
    let limit = bench.limit(&input)?;
    let bytes = std::fs::read(&input)?;
    let lines = lines(&bytes);
    broker.create("events", PARTITIONS);
    for partition in 0..PARTITIONS {
        let own = lines.iter().skip(partition).step_by(PARTITIONS).map(|line| Some(*line));
        broker.write("events", partition, own);
    }
    let plan = reading(bench, &format!("{}end = \"latest\"\n", topic(broker, "events")))?;
    let mut turns = Turns::default();
    for _ in 0..bench.repeat {
        let found = turns.bare(|| Ok(broker.count("events")))?;
        expect("messages that a bare consumer reads", found as u64, count)?;
        let run = bench.run(&plan)?;
        expect_all(&run, &limit.alerts, count)?;
        turns.job(run.usage);
    }
    turns.report(figures, "from a topic of Kafka", "messages", count);
    Ok(())
}

fn topic(broker: &Broker, name: &str) -> String {
    format!("type = \"kafka\"\nbrokers = \"{}\"\ntopic = \"{name}\"\n", broker.address())
}

/// Writes a row for each window that closes.
fn sink(bench: &Bench, figures: &mut Figures, broker: &Broker) -> Result<(), Failure> {
    let rows = Rows::of(bench, if bench.quick { 40_000 } else { 400_000 })?;
    let mut turns = Turns::default();
    for repeat in 0..bench.repeat {
        let (bare, written) = (format!("bare-{repeat}"), format!("rows-{repeat}"));
        broker.create(&bare, 1);
        broker.create(&written, 1);
        let lines = lines(&rows.bytes);
        turns.bare(|| {
            broker.write(&bare, 0, lines.iter().map(|line| Some(*line)));
            Ok(())
        })?;
        // A group of its own: the state is a fresh one each time.
        let to = format!("{}transactional_id = \"{written}\"\n", topic(broker, &written));
        turns.job(bench.run(&writing(bench, &rows.input, &to)?)?.usage);
        let found = broker.read(&written, true).into_iter().flatten().filter_map(|message| message.value);
        // One partition: in the order in which they were put out.
        if !found.eq(lines.iter().map(|line| line.to_vec())) {
            return Err(format!("the topic {written} has not the rows of the file").into());
        }
    }
    rows.report(figures, "into a topic of Kafka", &turns);
    Ok(())
}
