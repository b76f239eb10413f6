//! The receiver of `type = "webhook"`: where rows are posted to, what signs them, whom they may reach, and
//! how much patience there is.

use std::path::PathBuf;
use std::time::Duration;

use alert::{CircuitSpec, Reach, Receiver};

use super::secret::{optional_secret, whole_secret};
use super::section::{Reader, Section};
use super::value::{bad_value, boolean, duration, filled_string, integer, strings};

const URL_HELP: &str = "write `url = \"https://host/path\"`, or `{ env = \"VARIABLE\" }` if it is a secret";
const SECRET_HELP: &str = "write `{ env = \"VARIABLE\" }` or `{ file = \"FILE\" }`";

const DAY: Duration = Duration::from_secs(86_400);

/// Reads what a receiver is. `None` only if a mistake was noted.
pub(super) fn read_receiver(section: &mut Section, reader: &mut Reader) -> Option<Receiver> {
    let url = whole_secret(section, reader, "url", URL_HELP, check_url);
    let ca = section.optional(reader, "ca", filled_string).map(PathBuf::from);
    let secret = optional_secret(section, reader, "secret", SECRET_HELP, check_signing_secret);
    let token = optional_secret(section, reader, "token", SECRET_HELP, |_| Ok(()));
    let batch = section.or(reader, "batch", (1, "1"), integer(1..=1000));
    let timeout = (Duration::from_secs(10), "\"10s\"");
    let timeout = section.or(
        reader,
        "timeout",
        timeout,
        duration(Duration::from_millis(10)..=Duration::from_secs(600)),
    );
    let reach = read_reach(section, reader);
    let redirects = section.or(reader, "redirects", (0, "0"), integer(0..=5));
    let failures = section.or(reader, "circuit_failures", (5, "5"), integer(1..=1000));
    let pause = (Duration::from_secs(30), "\"30s\"");
    let pause = duration_of(section, reader, "circuit_pause", pause, Duration::from_secs(3600));
    let give_up_after = (Duration::from_secs(300), "\"5m\"");
    let give_up_after = duration_of(section, reader, "give_up_after", give_up_after, 7 * DAY);
    let undelivered = section.optional(reader, "undelivered", filled_string).map(PathBuf::from);
    Some(Receiver {
        url: url?,
        ca,
        secret,
        token,
        batch,
        timeout,
        reach,
        redirects,
        circuit: CircuitSpec { failures, pause },
        give_up_after,
        undelivered,
    })
}

fn read_reach(section: &mut Section, reader: &mut Reader) -> Reach {
    let hosts = section.optional(reader, "allow_hosts", |sources, node| {
        let hosts = strings(sources, node)?;
        match hosts.iter().find(|host| !is_pattern(host)) {
            Some(bad) => Err(bad_value(node, format!("`{bad}` is not the name of a host"))
                .with_help("write `hooks.example.com` or `*.example.com`")),
            None => Ok(hosts),
        }
    });
    Reach {
        hosts: hosts.unwrap_or_default(),
        private: section.or(reader, "allow_private", (false, "false"), boolean),
        http: section.or(reader, "allow_http", (false, "false"), boolean),
    }
}

fn duration_of(
    section: &mut Section,
    reader: &mut Reader,
    key: &'static str,
    default: (Duration, &str),
    longest: Duration,
) -> Duration {
    section.or(reader, key, default, duration(Duration::ZERO..=longest))
}

/// Whether it is a host, or `*.` and what hosts end with: neither a URL nor a port.
fn is_pattern(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    !name.is_empty() && !name.contains(['*', '/', '@', ' ']) && (name.matches(':').count() != 1)
}

#[cfg(feature = "webhook")]
use alert::{check_receiver as check_url, check_signing_secret};

/// Whether it is a good one is not known here, and does not matter.
#[cfg(not(feature = "webhook"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one does not")]
fn check_url(_url: &str) -> Result<(), String> {
    Ok(())
}

#[cfg(not(feature = "webhook"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one does not")]
fn check_signing_secret(_secret: &str) -> Result<(), String> {
    Ok(())
}
