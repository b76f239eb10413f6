//! Several processes as one job: one answer, one end, and nobody left behind.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::hosts::{free_ports, write_host_file};
use testkit::job::Job;
use testkit::process::{Invocation, Running, children, eventually, is_alive, send};
use testkit::workload::{generate, reference, repository, sorted_lines};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// "Within seconds", on a machine that is busy with other tests.
const SECONDS: Duration = Duration::from_secs(20);

/// A job of two processes that takes half a minute unless somebody ends it.
fn long_job(folder: &Path) -> Job {
    let input = folder.join("events.ndjson");
    generate(60_000, 800, 12, &["--low-frac", "0.1"], &input);
    Job::reference(PROGRAM, folder.join("out"), &input)
        // Few lanes, so that the watermark goes on while a file of some MiB is read.
        .set("source.events.lanes", 3)
        .set("source.events.rate", 2_000)
        .set("state.checkpoint_every", "\"200ms\"")
}

/// The processes of a job that the script has started, once all are there.
fn processes_of(script: &Running, count: usize) -> Vec<u32> {
    eventually("the processes have started", SECONDS, || {
        let programs: Vec<u32> = children(script.id()).into_iter().filter(|id| is_program(*id)).collect();
        (programs.len() == count).then_some(programs)
    })
}

fn is_program(id: u32) -> bool {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    line.starts_with(PROGRAM.as_bytes())
}

/// Waits until the job makes progress, which it only does with all of its processes.
fn first_delivery(job: &Job) {
    eventually("a first delivery", SECONDS, || (!job.alerts().is_empty()).then_some(()));
}

#[test]
fn the_script_runs_two_processes_of_two_workers_to_the_answer_of_the_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, expected) = (folder.path().join("events.ndjson"), folder.path().join("expected.ndjson"));
    generate(30_000, 500, 3, &[], &input);
    reference(&input, &expected);
    let job = Job::reference(PROGRAM, folder.path().join("out"), &input).processes(2).workers(2);
    job.run();
    let expected = std::fs::read(expected).expect("the expected alerts");
    assert!(sorted_lines(&job.alerts()) == sorted_lines(&expected));
    assert_eq!(job.report()["read"], 30_000, "one report for the whole job");
}

#[test]
fn alerts_to_standard_output_come_from_one_process_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |processes: usize| {
        let job = Job::new(PROGRAM, "tests/jobs/engagement.toml", folder.path().join(processes.to_string()));
        let job =
            job.processes(processes).set("source.events.events", 30_000).set("source.events.rate", 1_000_000);
        job.run().stdout
    };
    let one = run(1);
    assert!(!one.is_empty());
    assert!(one == run(2), "other bytes from two processes");
}

#[test]
fn if_one_process_is_killed_the_script_ends_with_a_failure_and_leaves_nobody_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = long_job(folder.path()).processes(2).workers(2);
    let script = job.invocation().start();
    let processes = processes_of(&script, 2);
    first_delivery(&job);
    let killed = Instant::now();
    send(processes[1], Signal::SIGKILL);
    let finished = script.wait(SECONDS);
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    assert_ne!(finished.code(), Some(0));
    assert!(!processes.iter().any(|id| is_alive(*id)), "somebody is left");
}

#[test]
fn if_a_process_that_nobody_supervises_dies_the_others_end_by_themselves_and_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    for victim in [0, 1] {
        let folder = folder.path().join(victim.to_string());
        std::fs::create_dir_all(&folder).expect("create");
        let job = long_job(&folder);
        let hosts = write_host_file(&folder, 2);
        let start = |process: usize| {
            job.clone()
                .invocation()
                .arg("--hosts")
                .arg(&hosts)
                .args(["--process", &process.to_string(), "--no-supervise"])
                .start()
        };
        let mut processes = vec![start(0), start(1)];
        first_delivery(&job);
        processes.remove(victim).kill();
        let survivor = processes.remove(0).wait(SECONDS);
        assert_eq!(survivor.code(), Some(1), "it said:\n{}", survivor.stderr);
        assert!(survivor.stderr.contains("process"), "it said:\n{}", survivor.stderr);
        assert!(!survivor.stderr.contains("panicked at"), "it said:\n{}", survivor.stderr);
    }
}

#[test]
fn a_signal_to_the_script_drains_all_processes_and_the_same_command_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = folder.path().join(signal.as_str());
        std::fs::create_dir_all(&folder).expect("create");
        let job = long_job(&folder).processes(2).workers(1);
        let script = job.invocation().start();
        let processes = processes_of(&script, 2);
        first_delivery(&job);
        script.signal(signal);
        script.wait(SECONDS).expect_code(0);
        assert!(!processes.iter().any(|id| is_alive(*id)), "somebody is left");
        let half = job.alerts();
        job.clone().set("source.events.rate", 1_000_000).run();
        assert!(job.alerts().starts_with(&half) && job.alerts().len() > half.len());
        assert_eq!(job.report()["read"], 60_000);
    }
}

#[test]
fn a_peer_that_never_comes_or_a_port_that_is_taken_is_an_error_and_not_a_silence() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = long_job(folder.path());
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let hosts = folder.path().join("hosts.txt");
    let taken = held.local_addr().expect("an address").port();
    let other = free_ports(1)[0];
    std::fs::write(&hosts, format!("127.0.0.1:{taken}\n127.0.0.1:{other}\n")).expect("write");
    let finished = job.invocation().arg("--hosts").arg(&hosts).args(["--process", "0"]).start().wait(SECONDS);
    assert!(matches!(finished.code(), Some(1 | 3)), "{:?}: {}", finished.code(), finished.stderr);
    assert!(finished.stderr.contains(&taken.to_string()), "the address is named: {}", finished.stderr);
}

/// A process of a job, which is supervised.
fn supervised(job: &Job, hosts: &Path, process: usize) -> Running {
    job.invocation().arg("--hosts").arg(hosts).args(["--process", &process.to_string()]).start()
}

#[test]
fn a_process_that_is_gone_with_its_supervisor_is_waited_for_and_then_the_others_end_and_name_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = long_job(folder.path()).set("mesh.rejoin_within", "\"3s\"");
    let hosts = write_host_file(folder.path(), 2);
    for victim in [1, 0] {
        let before = job.alerts().len();
        let mut processes = vec![supervised(&job, &hosts, 0), supervised(&job, &hosts, 1)];
        eventually("a delivery", SECONDS, || (job.alerts().len() > before).then_some(()));
        processes.remove(victim).kill();
        let killed = Instant::now();
        let survivor = processes.remove(0).wait(SECONDS).expect_code(1);
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
        for words in [&format!("process {victim} at 127.0.0.1:"), "is gone", "start all processes again"] {
            assert!(survivor.stderr.contains(words), "it said:\n{}", survivor.stderr);
        }
    }
    let fast = job.clone().set("source.events.rate", 1_000_000);
    for process in [supervised(&fast, &hosts, 0), supervised(&fast, &hosts, 1)] {
        process.wait(SECONDS).expect_code(0);
    }
    assert_eq!(job.report()["read"], 60_000);
}

#[test]
fn a_job_that_is_told_to_stop_while_it_waits_for_its_others_reports_the_totals_of_its_last_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = long_job(folder.path());
    let running = job.invocation().start();
    first_delivery(&job);
    running.signal(Signal::SIGTERM);
    running.wait(SECONDS).expect_code(0);
    let report = job.report();
    assert!(report["read"].as_u64() > Some(0) && report["finished"] == false, "{report}");
    std::fs::remove_file(job.report_path()).expect("remove the report");
    let hosts = write_host_file(folder.path(), 2);
    let waiting = supervised(&job, &hosts, 0);
    let generations = || job.ask(&["checkpoints", "show"])["generation"].as_u64();
    eventually("it has fenced the state", SECONDS, || (generations() > Some(1)).then_some(()));
    waiting.signal(Signal::SIGTERM);
    waiting.wait(SECONDS).expect_code(0);
    assert_eq!(job.report(), report);
}

#[test]
fn a_process_number_that_no_line_of_the_host_file_has_is_wrong_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = write_host_file(folder.path(), 2);
    for arguments in [["--process", "2"], ["--process", "x"]] {
        let finished = Invocation::new(PROGRAM)
            .args(["run", "configs/podcast.toml", "--hosts"])
            .arg(&hosts)
            .args(arguments)
            .run();
        finished.expect_code(2);
    }
}

/// Stands in for ssh: runs the command here.
const LOCAL_SHELL: &str = "#!/usr/bin/env bash\nshift\nexec bash -c \"$*\"\n";

#[test]
fn the_script_for_several_hosts_starts_a_process_per_line_and_passes_signals_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let shell = folder.path().join("shell");
    std::fs::write(&shell, LOCAL_SHELL).expect("write");
    make_executable(&shell);
    let hosts = folder.path().join("hosts.txt");
    let ports = free_ports(2);
    std::fs::write(&hosts, format!("# two\n127.0.0.1:{}\nme@127.0.0.1:{}\n", ports[0], ports[1]))
        .expect("write");
    let job = long_job(folder.path());
    let script = |rate: u64| {
        Invocation::new(repository().join("scripts/run-hosts.sh"))
            .env("TIDEWATCH_SSH", &shell)
            .env("TIDEWATCH_BIN", PROGRAM)
            .arg(&hosts)
            .args(["configs/podcast-reference.toml", "-w", "1", "--report"])
            .arg(job.report_path())
            .set("source.events.path", folder.path().join("events.ndjson"))
            .set("sink.alerts.path", job.alerts_path())
            .set("state.dir", job.state_path())
            .set("state.checkpoint_every", "\"200ms\"")
            .set("source.events.lanes", "3")
            .set("source.events.rate", rate.to_string())
    };
    let running = script(2_000).start();
    first_delivery(&job);
    running.signal(Signal::SIGTERM);
    running.wait(SECONDS).expect_code(0);
    script(1_000_000).run().expect_code(0);
    assert_eq!(job.report()["read"], 60_000);
}

#[test]
fn the_script_for_several_hosts_runs_a_job_without_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let shell = folder.path().join("shell");
    std::fs::write(&shell, LOCAL_SHELL).expect("write");
    make_executable(&shell);
    let hosts = folder.path().join("hosts.txt");
    let ports = free_ports(2);
    std::fs::write(&hosts, format!("127.0.0.1:{}\n127.0.0.1:{}\n", ports[0], ports[1])).expect("write");
    let settings = |invocation: Invocation| {
        invocation.set("source.events.events", "30000").set("source.events.rate", "1000000")
    };
    let alone =
        settings(Invocation::new(PROGRAM).args(["run", "tests/jobs/engagement.toml"])).run().expect_code(0);
    let script = Invocation::new(repository().join("scripts/run-hosts.sh"))
        .env("TIDEWATCH_SSH", &shell)
        .env("TIDEWATCH_BIN", PROGRAM)
        .arg(&hosts)
        .arg("tests/jobs/engagement.toml")
        // As the script has it where not all hosts are this machine.
        .arg("--require-shared-state");
    let together = settings(script).run().expect_code(0);
    assert!(!alone.stdout.is_empty() && together.stdout == alone.stdout, "other alerts than one process");
}

fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}
