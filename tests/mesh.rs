//! The mesh of whole processes: strangers, tokens, certificates, and a process that hangs.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::hosts::write_host_file;
use testkit::job::Job;
use testkit::process::{Invocation, Running, eventually};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// "Within seconds", on a machine that is busy with other tests.
const SECONDS: Duration = Duration::from_secs(20);
/// A bound on silence that a busy machine keeps.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A job on a folder of its own, with what it puts out as one process.
struct Case {
    folder: tempfile::TempDir,
    input: PathBuf,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("events.ndjson");
        generate(20_000, 400, 12, &["--low-frac", "0.1"], &input);
        Case { folder, input }
    }

    fn job(&self, name: &str) -> Job {
        Job::reference(PROGRAM, self.folder.path().join(name), &self.input).set("source.events.lanes", 3)
    }

    fn expected(&self) -> Vec<u8> {
        let job = self.job("one process");
        job.run();
        assert!(!job.alerts().is_empty());
        job.alerts()
    }

    fn hosts(&self) -> PathBuf {
        write_host_file(self.folder.path(), 2)
    }
}

/// One process of a job, by itself: nobody starts it again.
fn process(job: &Job, hosts: &Path, process: usize) -> Invocation {
    let number = process.to_string();
    job.invocation().arg("--no-supervise").arg("--hosts").arg(hosts).args(["--process", &number])
}

/// Connects to a process of a host file as soon as it listens.
fn visit(hosts: &Path, process: usize) -> TcpStream {
    let lines = std::fs::read_to_string(hosts).expect("the host file");
    let host = lines.lines().nth(process).expect("a line for each process");
    eventually("somebody listens", SECONDS, || TcpStream::connect(host).ok())
}

/// The certificates of a cluster whose authority is made for it.
fn settings_of_tls(job: Job, folder: &Path) -> Job {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut authority = CertificateParams::new(Vec::new()).expect("no name is wrong");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let files = [("ca", authority.pem()), ("cert", certificate.pem()), ("key", key.serialize_pem())];
    files.into_iter().fold(job, |job, (name, pem)| {
        let path = folder.join(name);
        std::fs::write(&path, pem).expect("write");
        job.set(&format!("mesh.tls.{name}"), path.display())
    })
}

fn is_done(running: Running) {
    running.wait(SECONDS).expect_code(0);
}

#[test]
fn strangers_and_200_silent_connections_neither_delay_a_job_nor_change_what_it_puts_out() {
    let case = Case::new();
    let (expected, hosts) = (case.expected(), case.hosts());
    let job = case.job("two processes");
    let first = process(&job, &hosts, 0).start();
    let mut strangers: Vec<TcpStream> = (0..200).map(|_| visit(&hosts, 0)).collect();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"tidewtch", b"\xff\xff\xff\xff\xff\xff", &[0; 100_000]] {
        let mut stranger = visit(&hosts, 0);
        // It may be turned away while it still talks.
        let _ = stranger.write_all(bytes);
        strangers.push(stranger);
    }
    let asked = Instant::now();
    is_done(process(&job, &hosts, 1).start());
    is_done(first);
    assert!(asked.elapsed() < SECONDS / 2, "{:?}", asked.elapsed());
    assert!(job.alerts() == expected, "other bytes");
}

#[test]
fn a_process_with_another_token_is_refused_and_the_job_goes_on_with_the_right_one() {
    let case = Case::new();
    let (expected, hosts) = (case.expected(), case.hosts());
    let job = case.job("two processes").set("mesh.token.env", "TOKEN_OF_THE_TEST");
    let start =
        |number: usize, token: &str| process(&job, &hosts, number).env("TOKEN_OF_THE_TEST", token).start();
    let first = start(0, "right");
    let refused = start(1, "wrong").wait(SECONDS).expect_code(3);
    assert!(refused.stderr.contains("another `mesh.token`"), "it said:\n{}", refused.stderr);
    assert!(!refused.stderr.contains("right") && !refused.stderr.contains("wrong"), "{}", refused.stderr);
    is_done(start(1, "right"));
    is_done(first);
    assert!(job.alerts() == expected, "other bytes");
}

#[test]
fn a_job_over_tls_puts_out_what_one_process_does_and_turns_other_certificates_away() {
    let case = Case::new();
    let (expected, hosts) = (case.expected(), case.hosts());
    let plain = case.job("two processes");
    let job = settings_of_tls(plain.clone(), &case.folder.path().join("ours"));
    let intruder = settings_of_tls(plain, &case.folder.path().join("theirs"));
    let first = process(&job, &hosts, 0).start();
    let refused = process(&intruder, &hosts, 1).start().wait(SECONDS).expect_code(3);
    assert!(refused.stderr.contains("certificate"), "it said:\n{}", refused.stderr);
    is_done(process(&job, &hosts, 1).start());
    is_done(first);
    assert!(job.alerts() == expected, "other bytes");
}

#[test]
fn hosts_that_are_no_loopback_are_refused_without_certificates() {
    let case = Case::new();
    let hosts = case.folder.path().join("hosts.txt");
    std::fs::write(&hosts, "127.0.0.1:0\n192.0.2.1:7000\n").expect("write");
    let refused = process(&case.job("out"), &hosts, 0).run().expect_code(3);
    assert!(refused.stderr.contains("192.0.2.1:7000"), "it said:\n{}", refused.stderr);
    assert!(refused.stderr.contains("mesh.tls"), "it said:\n{}", refused.stderr);
}

#[test]
fn a_stopped_process_ends_the_other_within_the_bound_and_itself_once_it_goes_on() {
    for victim in [0, 1] {
        let case = Case::new();
        let (expected, hosts) = (case.expected(), case.hosts());
        let job = case.job("two processes").set("state.checkpoint_every", "\"200ms\"");
        let slow = job.clone().set("source.events.rate", 1_000).set("mesh.timeout", "\"2s\"");
        let mut processes: Vec<Running> =
            (0..2).map(|number| process(&slow, &hosts, number).start()).collect();
        eventually("a first delivery", SECONDS, || (!job.alerts().is_empty()).then_some(()));
        let stopped = processes.remove(victim);
        stopped.signal(Signal::SIGSTOP);
        let asked = Instant::now();
        let other = processes.remove(0).wait(SECONDS).expect_code(1);
        let lines = std::fs::read_to_string(&hosts).expect("the host file");
        let host = lines.lines().nth(victim).expect("its line");
        let words = format!("lost process {victim} at {host}: nothing heard for 2 s");
        assert!(other.stderr.contains(&words), "it said:\n{}", other.stderr);
        assert!(asked.elapsed() < 3 * TIMEOUT, "{:?}", asked.elapsed());

        stopped.signal(Signal::SIGCONT);
        let stopped = stopped.wait(SECONDS).expect_code(1);
        assert!(stopped.stderr.contains("lost process"), "it said:\n{}", stopped.stderr);
        job.run();
        assert!(job.alerts() == expected, "other bytes");
    }
}

#[test]
fn without_a_state_all_processes_read_the_partitions_that_the_first_one_has_found() {
    let case = Case::new();
    let folder = case.folder.path();
    let config =
        std::fs::read_to_string(repository().join("configs/podcast-reference.toml")).expect("a config");
    let (stateless, _) = config.split_once("[state]").expect("a state");
    let path = folder.join("stateless.toml");
    std::fs::write(&path, stateless).expect("write");
    let events = std::fs::read(&case.input).expect("events");
    let lines: Vec<&[u8]> = events.split_inclusive(|&byte| byte == b'\n').collect();
    // The second process looks a moment later: by then there is one file more.
    for (place, files) in [("first", 3), ("second", 4)] {
        let set = folder.join(place).join("events");
        std::fs::create_dir_all(&set).expect("a folder");
        for (number, part) in
            lines.chunks(lines.len().div_ceil(3)).chain([&lines[..]]).enumerate().take(files)
        {
            std::fs::write(set.join(format!("{number}.ndjson")), part.concat()).expect("write");
        }
    }
    let job = |out: &str| {
        let job = Job::new(PROGRAM, &path, folder.join(out)).with_alerts();
        job.set("source.events.path", "\"events\"")
    };
    let alone = job("alone");
    alone.invocation().in_folder(&folder.join("first")).run().expect_code(0);
    let (both, hosts) = (job("both"), case.hosts());
    let second = process(&both, &hosts, 1).in_folder(&folder.join("second")).start();
    is_done(process(&both, &hosts, 0).in_folder(&folder.join("first")).start());
    is_done(second);
    assert!(!alone.alerts().is_empty() && both.alerts() == alone.alerts(), "other bytes");
    assert_eq!(both.report()["read"], alone.report()["read"]);
}
