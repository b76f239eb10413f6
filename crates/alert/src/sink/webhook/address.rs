//! Which addresses requests may go to: those of the public internet, unless the config says otherwise.
//!
//! An alert holds what its events hold, and whoever can choose where it is posted, a name's owner or a
//! redirect, must not reach what only this machine can reach: services on it, in its network, and the metadata
//! of clouds (169.254.169.254). Names are resolved here, and the connection goes to an address that was looked
//! at: there is no moment in between at which a name could change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::sink::receiver::Reach;

/// Whether everybody can reach that address, so that reaching it from here gives nothing away.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// What the IANA registry of special-purpose addresses calls globally reachable, and no multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        // This network; shared by carriers; protocols; relays of 6to4; benchmarks; reserved, broadcast.
        || a == 0
        || (a == 100 && b & 0xC0 == 64)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && b & 0xFE == 18)
        || a >= 240;
    !special
}

/// Global unicast alone, and of that nothing which stands for an address of the other kind that is not public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Mapped, and translated by NAT64.
        [0, 0, 0, 0, 0, 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo and the other protocols of 2001::/23; documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xDB8 => false,
        [0x3FFF, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xE000 == 0x2000,
    }
}

/// Why a request must not go to a URL, in words that do not show more of it than its host.
pub(super) fn check(url: &Url, own_host: &str, reach: &Reach) -> Result<(), String> {
    let Some(host) = url.host_str() else { return Err("the address names no host".to_owned()) };
    let is_allowed = if reach.hosts.is_empty() { host == own_host } else { reach.lists(bare(host)) };
    if !is_allowed {
        return Err(match reach.hosts.is_empty() {
            true => format!("`{host}` is another host; `allow_hosts` can list it"),
            false => format!("`{host}` is not in `allow_hosts`"),
        });
    }
    match (url.scheme(), address_of(host)) {
        ("https", _) => {}
        ("http", Some(address)) if address.is_loopback() => {}
        ("http", _) if reach.http => {}
        ("http", _) => {
            return Err(format!("`{host}` would be talked to without TLS; `allow_http = true` allows it"));
        }
        (scheme, _) => return Err(format!("`{scheme}` is neither `https` nor `http`")),
    }
    // A name is looked at when it is resolved; an address never is.
    match address_of(host) {
        Some(address) if !reach.private && !reach.names(bare(host)) && !is_public(address) => {
            Err(not_public(host))
        }
        _ => Ok(()),
    }
}

/// The host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The address that a host is written as.
fn address_of(host: &str) -> Option<IpAddr> {
    bare(host).parse().ok()
}

fn not_public(host: &str) -> String {
    format!(
        "`{host}` has no public address; to reach a private one list the host in `allow_hosts`, or set \
         `allow_private = true`"
    )
}

/// A name that leads only to addresses that must not be reached. Asking again may not help, but names change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotPublic(String);

/// Resolves names, and keeps of their addresses those that may be reached.
pub(super) struct Resolver {
    reach: Arc<Reach>,
}

impl Resolver {
    pub(super) fn new(reach: Arc<Reach>) -> Self {
        Resolver { reach }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = Arc::clone(&self.reach);
        Box::pin(async move {
            let host = name.as_str();
            // The port is that of the URL.
            let found = tokio::net::lookup_host((host, 0)).await?;
            let any = reach.private || reach.names(host);
            let good: Vec<SocketAddr> = found.filter(|found| any || is_public(found.ip())).collect();
            if good.is_empty() {
                return Err(NotPublic(not_public(host)).into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_only_some_can_reach_are_not_public_however_they_are_written() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    fn verdict(url: &str, reach: &Reach) -> Result<(), String> {
        check(&url.parse().unwrap(), "hooks.example.com", reach)
    }

    #[test]
    fn without_a_list_only_the_host_of_the_url_is_talked_to_and_only_with_tls() {
        let reach = Reach::default();
        assert_eq!(verdict("https://hooks.example.com/a", &reach), Ok(()));
        assert!(verdict("https://other.example.com/a", &reach).unwrap_err().contains("another host"));
        assert!(verdict("http://hooks.example.com/a", &reach).unwrap_err().contains("without TLS"));
        assert!(verdict("ftp://hooks.example.com/a", &reach).unwrap_err().contains("neither"));
        let http = Reach { http: true, ..reach };
        assert_eq!(verdict("http://hooks.example.com/a", &http), Ok(()));
    }

    #[test]
    fn an_address_is_private_in_each_way_in_which_a_url_can_write_it() {
        let private = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0251.0376.0251.0376",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
        ];
        for host in private {
            let url: Url = format!("https://{host}/").parse().unwrap();
            let own = url.host_str().unwrap().to_owned();
            let refused = check(&url, &own, &Reach::default()).unwrap_err();
            assert!(refused.contains("no public address"), "{host}: {refused}");
            let private = Reach { private: true, ..Reach::default() };
            assert_eq!(check(&url, &own, &private), Ok(()), "{host}");
            let listed = Reach { hosts: vec![bare(&own).to_owned()], ..Reach::default() };
            assert_eq!(check(&url, &own, &listed), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_refused_when_it_is_resolved() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let resolve = |reach: Reach| {
            let found = Resolver::new(Arc::new(reach)).resolve("localhost".parse().unwrap());
            runtime.block_on(found).map(|found| found.count()).map_err(|error| error.to_string())
        };
        assert!(resolve(Reach::default()).unwrap_err().contains("no public address"));
        let star = Reach { hosts: vec!["*.localhost".into()], ..Reach::default() };
        assert!(resolve(star).is_err());
        assert!(resolve(Reach { private: true, ..Reach::default() }).unwrap() > 0);
        assert!(resolve(Reach { hosts: vec!["localhost".into()], ..Reach::default() }).unwrap() > 0);
    }
}
