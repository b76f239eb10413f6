//! Where a job begins that no checkpoint knows: `start`. Of the two servers kinesis-local is asked, by polling: kinesalite
//! does not answer whoever asks for records since a time at which there are none.

use std::time::SystemTime;

use super::*;

/// So long that what was put before it is stamped in an earlier second than what comes behind it.
const APART: Duration = Duration::from_millis(2_200);

/// Events in two halves, each with its lines.
fn halves(folder: &Path, events: u64) -> [(Vec<Entry>, Vec<u8>); 2] {
    let (entries, bytes) = by_user(folder, events);
    let (first, second) = entries.split_at(entries.len() / 2);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    [(first.to_vec(), lines[..first.len()].concat()), (second.to_vec(), lines[first.len()..].concat())]
}

#[test]
fn a_job_that_starts_with_the_latest_reads_all_that_came_since_its_first_start_also_when_it_was_killed() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let [(before, _), (since, bytes)] = halves(folder.path(), 3_000);
    let expected = expected(&bytes);
    kinesis.create("latest", 2);
    kinesis.put("latest", &before);
    // A shard is closed already, and those that go on from it are empty.
    kinesis.split("latest", &kinesis.shards("latest")[0]);
    std::thread::sleep(APART);
    let job = job(&folder.path().join("out"), kinesis.address(), "latest")
        .set("source.events.start", "latest")
        .set("source.events.end", "never");
    let start = |workers: usize| with_credentials(job.clone().workers(workers).invocation()).start();
    let running = start(1);
    let checkpoints = || std::fs::read_dir(job.state_path().join("checkpoints")).ok()?.nth(2).map(drop);
    eventually("some checkpoints", SOON, checkpoints);
    assert!(job.alerts().is_empty());
    running.kill();
    // While it is down: it has not read a single record, and knows nevertheless where it begins.
    let (down, running_on) = since.split_at(since.len() / 2);
    kinesis.put("latest", down);
    std::thread::sleep(APART);
    let running = start(2);
    eventually("a first delivery", SOON, || (!job.alerts().is_empty()).then_some(()));
    kinesis.put("latest", running_on);
    std::thread::sleep(Duration::from_millis(300));
    running.kill();
    let running = start(3);
    close_windows(&kinesis, "latest", &bytes);
    ends_with(&job, running, &expected);
    let flushed = kinesis.shards("latest").iter().filter(|shard| shard.is_open).count();
    assert_eq!(job.report()["read"], since.len() as u64 + flushed as u64);
}

#[test]
fn a_job_that_starts_at_a_time_reads_what_the_stream_took_in_since() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.fan_out(), tempfile::tempdir().expect("a folder"));
    let [(before, first), (since, second)] = halves(folder.path(), 1_600);
    kinesis.create("since", 3);
    kinesis.put("since", &before);
    std::thread::sleep(APART);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    let now = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{now}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .expect("date");
    let now = String::from_utf8(now.stdout).expect("UTF-8");
    kinesis.put("since", &since);
    let all = [first, second.clone()].concat();
    for (start, bytes) in
        [(now.trim(), &second[..]), ("2000-01-01T00:00:00Z", &all), ("2100-01-01T00:00:00Z", b"")]
    {
        let job = job(&folder.path().join(&start[..4]), kinesis.address(), "since")
            .set("source.events.start", format!("\"{start}\""));
        run(&job).expect_code(0);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(job.report()["read"], lines, "{start}");
        assert!(job.alerts() == expected(bytes).as_bytes(), "{start}: other alerts than the oracle");
    }
}

#[test]
fn a_job_that_starts_with_its_checkpoint_is_refused_without_one_and_goes_on_from_one() {
    let Some(servers) = servers() else { return };
    let (kinesis, folder) = (servers.kinesalite(), tempfile::tempdir().expect("a folder"));
    let input = Input::new(folder.path(), 3_000, 2);
    input.put(&kinesis, "checkpoint");
    let job = job(&folder.path().join("out"), kinesis.address(), "checkpoint");
    let bound = job.clone().set("source.events.start", "checkpoint");
    let refused = run(&bound).expect_code(3);
    assert!(refused.stderr.contains("checkpoint"), "{}", refused.stderr);
    assert!(job.alerts().is_empty());
    trimmed::stopped_half_way(&job.clone().set("source.events.rate", 1_500));
    run(&bound.workers(2)).expect_code(0);
    input.check(&job, "gone on");
}
