//! `scripts/run-hosts.sh` over a real SSH server: one job on several hosts, with a state that all of them share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::hosts::{free_ports, write_host_file};
use testkit::job::Job;
use testkit::process::{Invocation, Running, eventually, is_alive, send};
use testkit::workload::{generate, repository};
use testkit::{s3, ssh};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(60);
const EVENTS: u64 = 40_000;

/// Two hosts, which are both this machine, and a bucket that they share.
struct Hosts {
    sshd: ssh::Server,
    s3: s3::Server,
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Hosts {
    fn new() -> Option<Self> {
        let (sshd, s3) = (ssh::server()?, s3::server_alone()?);
        let folder = tempfile::tempdir().expect("a folder");
        // Whoever logs in gets nothing of this environment: the secrets come from a file of the host.
        let lines: String =
            s3.environment().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(folder.path().join("environment"), lines).expect("write");
        let file = write_host_file(folder.path(), 2);
        generate(EVENTS, 600, 12, &["--low-frac", "0.1"], &folder.path().join("events.ndjson"));
        Some(Hosts { sshd, s3, folder, file })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `scripts/run-hosts.sh` with a job that writes to that folder.
    fn script(&self, out: &str, state: &str, rate: u64) -> Invocation {
        let out = self.path().join(out);
        std::fs::create_dir_all(&out).expect("create");
        Invocation::new(repository().join("scripts/run-hosts.sh"))
            .env("TIDEWATCH_SSH", format!("ssh -F {}", self.sshd.config().display()))
            .env("TIDEWATCH_BIN", PROGRAM)
            .env("TIDEWATCH_ENV", self.path().join("environment"))
            .arg(&self.file)
            .args(["configs/podcast-reference.toml", "-w", "1", "--report"])
            .arg(out.join("report.json"))
            .set("source.events.path", self.path().join("events.ndjson"))
            .set("source.events.lanes", "3")
            .set("source.events.rate", rate.to_string())
            .set("sink.alerts.path", out.join("alerts.ndjson"))
            .set("state.dir", state)
            .set("state.checkpoint_every", "\"200ms\"")
    }

    /// What was put out so far.
    fn alerts(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.path().join(out).join("alerts.ndjson")).unwrap_or_default()
    }

    /// The alerts of a run in one process that nothing happens to.
    fn undisturbed(&self) -> Vec<u8> {
        let input = self.path().join("events.ndjson");
        let job = Job::reference(PROGRAM, self.path().join("undisturbed"), &input);
        let job = job.set("source.events.lanes", 3);
        job.run();
        assert!(!job.alerts().is_empty());
        job.alerts()
    }

    /// The worker process of each host, once it is there, by the number of the host.
    fn workers(&self) -> Vec<u32> {
        eventually("the worker processes of both hosts", SOON, || {
            let mut found = workers_of(self.path());
            found.sort_unstable();
            (found.len() == 2 && found[0].0 == 0 && found[1].0 == 1)
                .then(|| found.into_iter().map(|(_, id)| id).collect())
        })
    }

    fn first_delivery(&self, out: &str) {
        eventually("a first delivery", SOON, || (!self.alerts(out).is_empty()).then_some(()));
    }
}

/// Worker processes of a job that reads from `folder`, with the index of each.
fn workers_of(folder: &Path) -> Vec<(usize, u32)> {
    let ids = std::fs::read_dir("/proc").expect("/proc");
    let ids = ids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let worker = |id: u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let environment = std::fs::read(format!("/proc/{id}/environ")).ok()?;
        let is_worker = environment.split(|byte| *byte == 0).any(|v| v.starts_with(b"TIDEWATCH_SUPERVISED="));
        let place = folder.to_string_lossy().into_owned();
        let is_ours = words.first()? == PROGRAM && words.iter().any(|word| word.contains(&place));
        let at = words.iter().position(|word| word == "--process")?;
        (is_ours && is_worker && is_alive(id)).then_some((words.get(at + 1)?.parse().ok()?, id))
    };
    ids.filter_map(worker).collect()
}

fn drained(running: Running) -> String {
    running.signal(Signal::SIGTERM);
    running.wait(SOON).expect_code(0).stderr
}

#[test]
fn a_process_of_any_host_may_be_killed_and_all_of_them_go_on_to_the_same_output() {
    let Some(hosts) = Hosts::new() else { return };
    let expected = hosts.undisturbed();
    let state = format!("s3://{}/killed", s3::BUCKET);
    let running = hosts.script("killed", &state, 8_000).start();
    for victim in [1, 0] {
        let workers = hosts.workers();
        let before = hosts.alerts("killed").len();
        eventually("a delivery", SOON, || (hosts.alerts("killed").len() > before).then_some(()));
        send(workers[victim], Signal::SIGKILL);
        // Both are new: those who are left cannot go on alone.
        eventually("all processes are new", SOON, || {
            let new = workers_of(hosts.path());
            (new.len() == 2 && new.iter().all(|(_, id)| !workers.contains(id))).then_some(())
        });
        assert!(expected.starts_with(&hosts.alerts("killed")), "not a prefix of the answer");
    }
    let finished = running.wait(SOON).expect_code(0);
    assert!(hosts.alerts("killed") == expected, "other alerts than those of a run that nothing happens to");
    assert!(finished.stderr.matches("reading again").count() >= 2, "{}", finished.stderr);
    let generations = generations(&hosts, &state);
    assert!(generations >= 3, "generations come from the store: {generations}");
    assert!(workers_of(hosts.path()).is_empty(), "somebody is left");
}

/// The last generation that has committed.
fn generations(hosts: &Hosts, state: &str) -> u64 {
    let command = Invocation::new(PROGRAM)
        .args(["--format", "json", "checkpoints", "show", "configs/podcast-reference.toml"])
        .set("state.dir", state);
    let shown = hosts.s3.known_to(command).run().expect_code(0).text();
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    shown["generation"].as_u64().expect("a generation")
}

#[test]
fn a_signal_to_the_script_drains_the_processes_of_all_hosts_and_the_same_command_goes_on() {
    let Some(hosts) = Hosts::new() else { return };
    let expected = hosts.undisturbed();
    let state = format!("s3://{}/drained", s3::BUCKET);
    let running = hosts.script("drained", &state, 8_000).start();
    hosts.first_delivery("drained");
    drained(running);
    let half = hosts.alerts("drained");
    assert!(expected.starts_with(&half) && half.len() < expected.len());
    assert!(workers_of(hosts.path()).is_empty(), "somebody is left");
    hosts.script("drained", &state, 1_000_000).run().expect_code(0);
    assert!(hosts.alerts("drained") == expected, "other alerts than those of a run that nothing happens to");
}

/// A host that is not this machine, or so its name says.
const ELSEWHERE: &str = "elsewhere.example";

#[test]
fn hosts_that_do_not_share_their_state_are_refused_with_the_reason() {
    let Some(hosts) = Hosts::new() else { return };
    let ports = free_ports(2);
    // The name of the SSH server is in no name server: its own configuration says where it is.
    std::fs::write(&hosts.file, format!("{ELSEWHERE}:{}\n127.0.0.1:{}\n", ports[0], ports[1]))
        .expect("write");
    let config = std::fs::read_to_string(hosts.sshd.config()).expect("its config");
    let alias = format!("Host {ELSEWHERE}\n  HostName 127.0.0.1\n");
    let renamed = hosts.path().join("ssh_config");
    std::fs::write(&renamed, format!("{alias}{config}")).expect("write");
    let script = |state: &str| {
        let ssh = format!("ssh -F {}", renamed.display());
        hosts.script("refused", state, 1_000_000).env("TIDEWATCH_SSH", ssh)
    };
    let local = hosts.path().join("state").display().to_string();
    let finished = script(&local).run().expect_code(3);
    assert!(finished.stderr.contains("run-hosts.sh --shared-dir"), "{}", finished.stderr);
    assert!(finished.stderr.contains(&local), "{}", finished.stderr);
    assert!(!Path::new(&local).exists(), "a refused job has made its state");
    assert!(hosts.alerts("refused").is_empty(), "a refused job has written");
}

#[test]
fn hosts_that_are_all_this_machine_may_share_a_directory() {
    let Some(hosts) = Hosts::new() else { return };
    let expected = hosts.undisturbed();
    let local = hosts.path().join("state").display().to_string();
    hosts.script("local", &local, 1_000_000).run().expect_code(0);
    assert!(hosts.alerts("local") == expected, "other alerts than those of a run that nothing happens to");
}
