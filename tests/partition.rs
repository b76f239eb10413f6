//! A network that swallows packets in silence: two processes in network namespaces of their own, joined by
//! a pair of virtual devices, whose neighbour entries then point nowhere. Nothing is refused and nothing is
//! closed; only the mesh's own heartbeat can notice.
//!
//! Needs the right to make namespaces. Without it the suite fails where `CI=true`, and says elsewhere that
//! this was left out.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use testkit::job::Job;
use testkit::process::{Invocation, Running, eventually};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const SOON: Duration = Duration::from_secs(30);

fn ip(arguments: &[&str]) -> Result<(), String> {
    match Command::new("ip").args(arguments).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => {
            Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&stderr)))
        }
        Err(error) => Err(format!("ip: {error}")),
    }
}

/// Two namespaces that reach each other as 10.77.X.1 and 10.77.X.2; gone when this is dropped.
struct Network {
    names: [String; 2],
    hosts: [String; 2],
}

impl Network {
    fn new() -> Result<Network, String> {
        // What is missing then says the next command.
        let _ = Command::new(repository().join("scripts/packages.sh")).args(["ip", "iproute2"]).output();
        let own = std::process::id();
        let names = [0, 1].map(|side| format!("tw{own}s{side}"));
        let subnet = own % 250 + 1;
        let hosts = [1, 2].map(|host| format!("10.77.{subnet}.{host}"));
        let network = Network { names, hosts };
        network.make()?;
        Ok(network)
    }

    fn make(&self) -> Result<(), String> {
        for name in &self.names {
            ip(&["netns", "add", name])?;
        }
        let [first, second] = &self.names;
        ip(&["-n", first, "link", "add", "mesh0", "type", "veth", "peer", "name", "mesh0", "netns", second])?;
        for (name, host) in self.names.iter().zip(&self.hosts) {
            ip(&["-n", name, "addr", "add", &format!("{host}/24"), "dev", "mesh0"])?;
            ip(&["-n", name, "link", "set", "mesh0", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    /// From now on packets go to a device that is not there.
    fn cut(&self) {
        for (name, other) in [(&self.names[0], &self.hosts[1]), (&self.names[1], &self.hosts[0])] {
            let nowhere = ["lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "mesh0"];
            let to = ["-n", name, "neigh", "replace", other];
            ip(&to.into_iter().chain(nowhere).collect::<Vec<_>>()).expect("cut the network");
        }
    }

    fn heal(&self) {
        for (name, other) in [(&self.names[0], &self.hosts[1]), (&self.names[1], &self.hosts[0])] {
            ip(&["-n", name, "neigh", "del", other, "dev", "mesh0"]).expect("heal the network");
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// The namespaces, or nothing if this user may not make any.
fn network() -> Option<Network> {
    match Network::new() {
        Ok(network) => Some(network),
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("cannot make a network: {why}")
        }
        Err(why) => {
            testkit::left_out::announce(&format!("a network that is cut off; it needs namespaces: {why}"));
            None
        }
    }
}

/// A process of the job in a namespace.
fn start(network: &Network, folder: &Path, input: &Path, process: usize, more: &[&str]) -> Running {
    let hosts = folder.join("hosts");
    std::fs::write(&hosts, network.hosts.each_ref().map(|host| format!("{host}:7400\n")).concat())
        .expect("hosts");
    Invocation::new("ip")
        .args(["netns", "exec", &network.names[process], PROGRAM, "run"])
        .arg(repository().join("configs/podcast-reference.toml"))
        .arg("--hosts")
        .arg(&hosts)
        .args(["--process", &process.to_string()])
        .args(more)
        .set("source.events.path", input)
        .set("source.events.rate", "10000")
        .set("sink.alerts.path", folder.join("alerts.ndjson"))
        .set("state.dir", folder.join("state"))
        .set("state.checkpoint_every", "\"200ms\"")
        .set("mesh.insecure", "true")
        .set("mesh.timeout", "\"2s\"")
        .start()
}

fn first_delivery(folder: &Path) {
    let has_some = || std::fs::metadata(folder.join("alerts.ndjson")).is_ok_and(|file| file.len() > 0);
    eventually("a first delivery", SOON, || has_some().then_some(()));
}

#[test]
fn a_network_that_is_cut_in_silence_ends_both_sides_and_heals_into_the_same_output() {
    let Some(network) = network() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    generate(60_000, 500, 23, &["--low-frac", "0.1"], &input);
    let undisturbed = Job::reference(PROGRAM, folder.path().join("undisturbed"), &input);
    undisturbed.run();

    let folder = folder.path();
    let alone = ["--no-supervise"];
    let processes = [0, 1].map(|process| start(&network, folder, &input, process, &alone));
    first_delivery(folder);
    network.cut();
    let cut = Instant::now();
    for (process, running) in processes.into_iter().enumerate() {
        let finished = running.wait(SOON).expect_code(1);
        let words = &finished.stderr;
        assert!(words.contains(&format!("lost process {}", 1 - process)), "process {process} says: {words}");
    }
    assert!(cut.elapsed() < Duration::from_secs(10), "it took {:?}", cut.elapsed());

    network.heal();
    let processes = [0, 1].map(|process| start(&network, folder, &input, process, &[]));
    std::thread::sleep(Duration::from_millis(1500));
    network.cut();
    std::thread::sleep(Duration::from_secs(4));
    network.heal();
    for running in processes {
        running.wait(Duration::from_secs(90)).expect_code(0);
    }
    let alerts = std::fs::read(folder.join("alerts.ndjson")).expect("alerts");
    assert!(alerts == undisturbed.alerts(), "the supervised processes met again and ended with other alerts");
}
