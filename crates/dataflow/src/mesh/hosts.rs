//! Which hosts a cluster may have: without certificates only this machine.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::job::RunError;

/// Refuses hosts of a cluster without certificates that are, or may be, other machines.
pub(super) fn check(hosts: &[String]) -> Result<(), RunError> {
    match hosts.iter().find(|host| !is_loopback(host)) {
        None => Ok(()),
        Some(host) => Err(RunError::MeshRefused(words(host))),
    }
}

pub(super) fn words(host: &str) -> String {
    format!(
        "{host} is no loopback address, and the job has no certificates: anybody on the network could read its \
         events and take part; set `mesh.tls`, or `mesh.insecure = true` where the network itself is trusted"
    )
}

/// A name that is not known is taken for another machine's.
fn is_loopback(host: &str) -> bool {
    host.to_socket_addrs().is_ok_and(|addresses| {
        let addresses: Vec<SocketAddr> = addresses.collect();
        !addresses.is_empty() && addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
    })
}

/// All addresses of a host, or only those of this machine.
pub(super) fn addresses(host: &str, loopback_only: bool) -> std::io::Result<Vec<SocketAddr>> {
    let all = host.to_socket_addrs()?;
    Ok(all.filter(|address| !loopback_only || address.ip().to_canonical().is_loopback()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &str) -> Result<(), String> {
        check(&["127.0.0.1:1".to_owned(), host.to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn only_loopback_needs_no_certificates() {
        for host in ["127.0.0.1:7000", "127.8.0.1:7000", "[::1]:7000", "[::ffff:127.0.0.1]:1", "localhost:1"]
        {
            assert_eq!(verdict(host), Ok(()), "{host}");
        }
        for host in
            ["10.0.0.1:7000", "0.0.0.0:7000", "[::]:7000", "[fe80::1]:7000", "192.168.1.1:1", "no.invalid:1"]
        {
            let words = verdict(host).unwrap_err();
            assert!(
                words.contains(host) && words.contains("mesh.tls") && words.contains("insecure"),
                "{words}"
            );
        }
    }
}
