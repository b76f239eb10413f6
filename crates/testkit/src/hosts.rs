//! Free ports on this machine, and the host file of a cluster that uses them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// `count` ports of 127.0.0.1 that were free a moment ago.
///
/// # Panics
/// If the machine has no free port.
pub fn free_ports(count: usize) -> Vec<u16> {
    // All are held before any is let go, so that no port comes twice.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("a bound port").port()).collect()
}

/// Writes the host file of `count` processes on this machine into `folder`.
///
/// # Panics
/// If it cannot be written.
pub fn write_host_file(folder: &Path, count: usize) -> PathBuf {
    let path = folder.join("hosts.txt");
    let lines: String = free_ports(count).iter().map(|port| format!("127.0.0.1:{port}\n")).collect();
    std::fs::write(&path, lines).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    path
}
