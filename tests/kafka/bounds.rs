//! What a topic may take of a process: memory with many partitions, and time with many messages that are no records.

use testkit::process::memory;

use super::*;

/// Bytes of a message.
const BYTES: usize = 100_000;
const WIDE: usize = 200;
const MIB: u64 = 1 << 20;

/// The most memory that a job takes which is held back by its rate, with so much room for messages.
fn peak(broker: &Broker, name: &str, queue_bytes: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    broker.create(name, 1);
    let job = job(broker, folder.path(), "events-wide", name)
        .set("source.events.end", "never")
        .set("source.events.queue_bytes", queue_bytes)
        .set("source.events.rate", 50);
    let running = job.invocation().arg("--no-supervise").start();
    // To ask where each partition begins takes its time.
    eventually("a first record", SOON, || {
        let listed = job.about(&["checkpoints", "list"]).args(["--format", "json"]).run();
        let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
        (listed.as_array()?.last()?["counts"]["read"].as_u64()? > 0).then_some(())
    });
    let mut before = 0;
    // Until it takes no more.
    let peak = eventually("a steady state", SOON, || {
        std::thread::sleep(Duration::from_secs(4));
        let now = memory(running.id(), "VmHWM")?;
        let is_steady = now < before + 2 * MIB && before > 0;
        before = now;
        is_steady.then_some(now)
    });
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
    peak
}

#[test]
fn what_waits_of_two_hundred_partitions_while_the_job_is_held_back_stays_within_its_bound() {
    let Some(broker) = broker() else { return };
    broker.create("events-wide", WIDE);
    let padding = "x".repeat(BYTES - LINE.len());
    let message = LINE.replace("\"u\"", &format!("\"u\",\"padding\":\"{padding}\""));
    broker.fill("events-wide", WIDE, message.as_bytes(), 12);
    // All of it, 230 MiB; what the bound is, and the rest of the program; and less. Of these 275, 124 and 58 MiB were seen.
    let all = peak(&broker, "alerts-wide-all", "1GiB");
    assert!(all > 230 * MIB, "{} MiB: there is nothing to be held back", all / MIB);
    let usual = peak(&broker, "alerts-wide-usual", "64MiB");
    assert!(usual < 190 * MIB, "{} MiB", usual / MIB);
    let little = peak(&broker, "alerts-wide-little", "8MiB");
    assert!(little < 100 * MIB, "{} MiB", little / MIB);
    broker.remove("events-wide");
}

#[test]
fn a_run_of_messages_without_a_value_is_passed_and_does_not_keep_others_from_their_turn() {
    let Some(broker) = broker() else { return };
    broker.create("events-tombs", 2);
    broker.create("alerts-tombs", 1);
    broker.write("events-tombs", 0, vec![None; 300_000]);
    broker.write("events-tombs", 0, [Some(LINE.as_bytes())]);
    broker.write("events-tombs", 1, vec![Some(LINE.as_bytes()); 1_000]);
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&broker, folder.path(), "events-tombs", "alerts-tombs");
    job.run();
    assert_eq!(job.report()["read"], 1_001);
}
