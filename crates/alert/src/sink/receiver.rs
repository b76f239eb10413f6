//! Who a webhook posts to, and how much patience it has: what the config says, whether or not this program
//! was built to do it.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// The receiver of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Where requests go: `https://host/path`. Often it says who we are.
    pub url: Secret,
    /// A file with the certificates of those who may sign that of the receiver; without it the system's.
    pub ca: Option<PathBuf>,
    /// What requests are signed with; without it they are not. `whsec_` and base64, or any text.
    pub secret: Option<Secret>,
    /// What `Authorization: Bearer` says; without it nothing.
    pub token: Option<Secret>,
    /// Rows of one request, at least 1.
    pub batch: usize,
    /// How long one request may take, its answer included.
    pub timeout: Duration,
    /// Who may be talked to.
    pub reach: Reach,
    /// How often a request is sent on to where its answer points.
    pub redirects: u32,
    /// When the circuit opens.
    pub circuit: CircuitSpec,
    /// For how long what the receiver refuses is tried again.
    pub give_up_after: Duration,
    /// The file for what it still refuses then; without it the run fails.
    pub undelivered: Option<PathBuf>,
}

/// Which hosts and addresses requests may go to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Names of hosts, or `*.` and what they end with. Empty: the host of the URL alone.
    pub hosts: Vec<String>,
    /// Whether addresses that are not public are reached too. Those of a host that is named, without a star,
    /// are in any case.
    pub private: bool,
    /// Whether a host elsewhere may be talked to without TLS.
    pub http: bool,
}

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitSpec {
    /// After so many failures in a row, at least 1.
    pub failures: u32,
    /// So long nothing is sent at first; twice as long after each probe that fails, up to ten times.
    pub pause: Duration,
}

impl Reach {
    /// Whether a host of that name is one of those that are listed.
    pub fn lists(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.hosts.iter().any(|pattern| {
            let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
            match pattern.strip_prefix("*.") {
                Some(end) => host.strip_suffix(end).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
                None => host == pattern,
            }
        })
    }

    /// Whether a host is listed by its whole name, so that whatever address it has is wanted.
    pub fn names(&self, host: &str) -> bool {
        let whole = self.hosts.iter().filter(|pattern| !pattern.starts_with("*."));
        Reach { hosts: whole.cloned().collect(), ..Reach::default() }.lists(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_or_more_names_before_a_dot_and_for_nothing_else() {
        let reach =
            Reach { hosts: vec!["Hooks.example.com".into(), "*.example.org".into()], ..Reach::default() };
        for listed in ["hooks.example.com", "HOOKS.example.com.", "a.example.org", "a.b.example.org"] {
            assert!(reach.lists(listed), "{listed}");
        }
        for other in ["example.com", "x.hooks.example.com", "example.org", ".example.org", "evilexample.org"]
        {
            assert!(!reach.lists(other), "{other}");
        }
        assert!(reach.names("hooks.example.com") && !reach.names("a.example.org"));
    }
}
