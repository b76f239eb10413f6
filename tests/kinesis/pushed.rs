//! Enhanced fan-out: a shard sends what it has to a consumer, also while shards come and go, the job is killed, and the
//! service fails in the middle of what it sends.

use super::*;

/// A job to which the shards of a stream send what they have.
fn pushed(folder: &Path, address: &str, stream: &str) -> Job {
    reading(folder, address, stream)
        .set("source.events.mode", "fan_out")
        .set("source.events.consumer", "tidewatch")
}

#[test]
fn enhanced_fan_out_gives_the_alerts_of_the_oracle_also_when_the_job_is_killed() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 1_500, 2);
    input.put(&kinesis, "pushed");
    let job = pushed(&folder.path().join("out"), kinesis.address(), "pushed");
    let paced = job.clone().set("source.events.rate", 500);
    for kill in 0..3 {
        let running = with_credentials(paced.clone().workers(1 + kill % 2).invocation()).start();
        std::thread::sleep(Duration::from_millis(1_200));
        running.kill();
        assert!(input.expected.alerts.as_bytes().starts_with(&job.alerts()), "kill {kill}: not a prefix");
    }
    run(&job).expect_code(0);
    input.check(&job, "at last");
}

#[test]
fn shards_that_are_split_and_merged_send_on_after_those_that_they_go_on_from_however_the_job_is_killed() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let (entries, bytes) = by_user(folder.path(), 1_800);
    let expected = expected(&bytes);
    kinesis.create("pushed-live", 2);
    let job = pushed(&folder.path().join("out"), kinesis.address(), "pushed-live")
        .set("source.events.end", "never");
    let start = |workers: usize| with_credentials(job.clone().workers(workers).invocation()).start();
    let mut random = Random::new(seed(81));
    let mut running = Some(start(1));
    let mut seen = 0;
    put_and_reshard(&kinesis, "pushed-live", &entries, |third| {
        if running.is_none() {
            running = Some(start(2));
        }
        for kill in 0..3 {
            if kill == 1 {
                // Left alone once, it comes as far as the stream does.
                eventually("more alerts", SOON, || (job.alerts().len() > seen).then_some(()));
                seen = job.alerts().len();
            }
            std::thread::sleep(Duration::from_millis(random.below(900)));
            running.take().expect("it runs").kill();
            assert!(expected.as_bytes().starts_with(&job.alerts()), "third {third}, kill {kill}: no prefix");
            running = Some(start(1 + (third + kill) % 3));
        }
        if third == 2 {
            // It is down while shards are merged.
            running.take().expect("it runs").kill();
            running = None;
        }
    });
    assert_eq!(kinesis.shards("pushed-live").len(), 7);
    close_windows(&kinesis, "pushed-live", &bytes);
    ends_with(&job, running.expect("it runs"), &expected);
}

#[test]
fn a_service_that_throttles_fails_and_breaks_off_while_it_sends_loses_no_record_and_doubles_none() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let (entries, bytes) = by_user(folder.path(), 1_800);
    let expected = expected(&bytes);
    kinesis.create("pushed-faults", 2);
    let proxy = Proxy::start(kinesis.address(), Fault::Any, seed(53));
    let job = pushed(&folder.path().join("out"), proxy.address(), "pushed-faults")
        .workers(2)
        .set("source.events.end", "never");
    let running = with_credentials(job.invocation()).start();
    // Bit by bit, so that subscriptions break off between records and within them.
    let (first, last) = entries.split_at(1_500);
    for part in first.chunks(40) {
        kinesis.put("pushed-faults", part);
        std::thread::sleep(Duration::from_millis(150));
    }
    eventually("subscriptions that broke off", SOON, || (proxy.broken_off() > 5).then_some(()));
    kinesis.put("pushed-faults", last);
    close_windows(&kinesis, "pushed-faults", &bytes);
    ends_with(&job, running, &expected);
}

#[test]
fn a_consumer_that_somebody_deregisters_is_registered_again_and_no_record_is_lost() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 1_500, 2);
    input.put(&kinesis, "pushed-deregistered");
    let proxy = Proxy::start(kinesis.address(), Fault::Deregistered { times: 2 }, 1);
    let job = pushed(&folder.path().join("out"), proxy.address(), "pushed-deregistered");
    run(&job).expect_code(0);
    input.check(&job, "registered again");
    assert_eq!(proxy.faults(), 2, "the consumer was there to be deregistered");
}

#[test]
fn a_position_that_a_shard_no_longer_sends_from_stops_the_job_with_words() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 800, 1);
    input.put(&kinesis, "pushed-trimmed");
    let job = pushed(folder.path(), kinesis.address(), "pushed-trimmed");
    trimmed::stopped_half_way(&job.clone().set("source.events.rate", 400));
    let proxy = Proxy::start(kinesis.address(), Fault::Trimmed { hours: 0 }, 1);
    let refused = run(&pushed(folder.path(), proxy.address(), "pushed-trimmed")).expect_code(3);
    assert!(refused.stderr.contains("does not hold record 4"), "{}", refused.stderr);
    // The stream still has it: the same state goes on.
    run(&job).expect_code(0);
    input.check(&job, "gone on");
}
