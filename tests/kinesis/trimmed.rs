//! Streams that no longer hold what a job has read last: what may be lost stops it, what is not lost does not.

use super::*;

/// Runs a job until it has delivered something, and stops it there.
pub(super) fn stopped_half_way(job: &Job) {
    let running = with_credentials(job.invocation()).start();
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

#[test]
fn a_position_that_the_stream_no_longer_holds_stops_the_job_with_words() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 3_000, 1);
    input.put(&kinesis, "trimmed");
    let paced = job(folder.path(), kinesis.address(), "trimmed").set("source.events.rate", 1_500);
    stopped_half_way(&paced);
    let before = paced.alerts();
    let proxy = Proxy::start(kinesis.address(), Fault::Trimmed { hours: 0 }, 1);
    let refused = run(&job(folder.path(), proxy.address(), "trimmed")).expect_code(3);
    assert!(refused.stderr.contains("does not hold record 4"), "{}", refused.stderr);
    assert!(proxy.faults() > 0 && paced.alerts() == before, "a refused job has written");
    // The stream still has it: the same state goes on.
    let job = job(folder.path(), kinesis.address(), "trimmed");
    run(&job).expect_code(0);
    input.check(&job, "gone on");
}

/// Waits for a checkpoint that has read so many records.
fn committed(job: &Job, records: usize) {
    eventually("a checkpoint behind what was put", SOON, || {
        let listed = job.about(&["checkpoints", "list"]).args(["--format", "json"]).run();
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).ok()?;
        (listed.as_array()?.last()?["counts"]["read"] == records).then_some(())
    });
}

/// Reads the so many records that a stream has by now, as `hours` from now, and stops.
fn read_up_to_now(kinesis: &Kinesis, folder: &Path, stream: &str, hours: i64, records: usize) {
    let proxy = Proxy::start(kinesis.address(), Fault::Later { hours }, 1);
    let job = job(folder, proxy.address(), stream).set("source.events.end", "never");
    let running = with_credentials(job.invocation()).start();
    committed(&job, records);
    // Until it has heard that there is no more.
    std::thread::sleep(Duration::from_secs(2));
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0);
}

#[test]
fn a_last_record_whose_time_was_over_when_all_had_been_read_is_not_missed() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let (entries, bytes) = by_user(folder.path(), 3_000);
    let half = entries.len() / 2;
    let expected = expected(&bytes);
    kinesis.create("harmless", 2);
    kinesis.put("harmless", &entries[..half]);
    // The stream keeps its records for a day. All of them had been read 30 hours after they came.
    read_up_to_now(&kinesis, folder.path(), "harmless", 30, half);
    kinesis.put("harmless", &entries[half..]);
    // Sixty hours after, nobody knows what had come and gone between the 30th and the 36th.
    let proxy = Proxy::start(kinesis.address(), Fault::Trimmed { hours: 60 }, 1);
    let at =
        |proxy: &Proxy| job(folder.path(), proxy.address(), "harmless").set("source.events.end", "never");
    let refused = run(&at(&proxy)).expect_code(3);
    assert!(refused.stderr.contains("does not hold record 4"), "{}", refused.stderr);
    // Forty hours after, what is gone came before the 16th.
    let proxy = Proxy::start(kinesis.address(), Fault::Trimmed { hours: 40 }, 1);
    let job = at(&proxy).workers(2);
    let running = with_credentials(job.invocation()).start();
    close_windows(&kinesis, "harmless", &bytes);
    ends_with(&job, running, &expected);
    assert!(proxy.faults() >= 2, "both shards were asked for a record that is gone");
}

#[test]
fn shards_that_are_read_to_their_end_may_vanish_and_one_that_is_not_stops_the_job() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let (entries, bytes) = by_user(folder.path(), 4_500);
    let expected = expected(&bytes);
    kinesis.create("vanished", 2);
    let out = folder.path().join("out");
    let job_at = |address: &str| job(&out, address, "vanished").set("source.events.end", "never");
    let direct = job_at(kinesis.address());
    let proxy = Proxy::start(kinesis.address(), Fault::Vanished { shards: 2 }, 1);
    let halted = folder.path().join("halted");
    let mut running = Some(with_credentials(direct.invocation()).start());
    let mut seen = 0;
    put_and_reshard(&kinesis, "vanished", &entries, |third| {
        eventually("more alerts", SOON, || (direct.alerts().len() > seen).then_some(()));
        seen = direct.alerts().len();
        if third == 1 {
            // A state that has not come to the end of the first two shards.
            running.take().expect("it runs").kill();
            let copied = std::process::Command::new("cp").arg("-r").args([&out, &halted]).status();
            assert!(copied.is_ok_and(|status| status.success()));
            running = Some(with_credentials(direct.invocation()).start());
        }
        if third == 2 {
            // What goes on from them is read once they are read to their end.
            committed(&direct, 2 * entries.len().div_ceil(3));
            running.take().expect("it runs").kill();
            running = Some(with_credentials(job_at(proxy.address()).workers(2).invocation()).start());
        }
    });
    close_windows(&kinesis, "vanished", &bytes);
    ends_with(&direct, running.expect("it runs"), &expected);

    // The first two shards are gone before all of them was read: a job whose state and output are those of that moment.
    for name in ["state", "alerts.ndjson"] {
        let (kept, used) = (halted.join(name), out.join(name));
        let removed = std::fs::remove_dir_all(&used).or_else(|_| std::fs::remove_file(&used));
        assert!(removed.and_then(|()| std::fs::rename(kept, used)).is_ok());
    }
    let late = job_at(proxy.address());
    let before = late.alerts();
    let refused = run(&late).expect_code(3);
    // Of both the one that is asked first.
    let is_said = |shard| {
        let words = format!(
            "shardId-00000000000{shard} of vanished, of which this job has not read all, is not there"
        );
        refused.stderr.contains(&words)
    };
    assert!(is_said(0) || is_said(1), "{}", refused.stderr);
    assert!(late.alerts() == before, "a refused job has written");
}
