//! `type = "http"` of a source: where clients post events, who may, and what they may cost. And `[http]`: where a running
//! job answers questions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use event::Secret;
use ingest::{Dedup, HttpLimits, HttpSpec};
use serve::{Certificate, ServeSpec};

use super::diagnostic::{Code, Diagnostic};
use super::event::parse_path;
use super::place::Place;
use super::section::{Reader, Section};
use super::source::{Source, SourceKind};
use super::target::not_built;
use super::tree::Value;
use super::value::{bad_value, boolean, bytes, duration, filled_string, integer, strings};

/// Shortest token that is taken, in characters.
const TOKEN_CHARS_MIN: usize = 16;
/// How much larger than the largest request the journal has to be: what is trimmed at a time is an eighth of it.
const JOURNAL_REQUESTS: u64 = 8;

/// Events that clients post to `/v1/events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Address and port to listen at, such as `127.0.0.1:8080`. One that is not of this machine alone needs `tls` and
    /// `tokens`, or `insecure`.
    pub listen: SocketAddr,
    /// Directory of the journal, on a disk of the machine that listens. What is in it was acknowledged.
    pub dir: PathBuf,
    /// Bytes of the journal beyond which clients are told to come again later. Default: `1GiB`. Range: `16MiB` to
    /// `1024GiB`, and 8 times `decompressed_bytes` at least.
    pub journal_bytes: u64,
    /// `[{ env = "VARIABLE" }, { file = "FILE" }]`: clients have to show one of these, of 16 characters at least, as
    /// `Authorization: Bearer TOKEN`. Default: none, then nothing has to be shown.
    pub tokens: Vec<Secret>,
    /// `{ cert = "FILE", key = "FILE" }`, PEM: connections are encrypted. Default: none.
    pub tls: Option<Certificate>,
    /// Listens where other machines reach it without `tls` or `tokens`. Default: `false`.
    pub insecure: bool,
    /// `{ field = "event_id", last = 1000000 }`: an event with an id that one of the last so many events of the source
    /// had is a duplicate. Several fields are one id together. Default of `last`: `1000000`, about 60 bytes of memory
    /// for each. Range: `1` to `100000000`. Default: no event is a duplicate.
    pub dedup: Option<Dedup>,
    /// Largest body as it is sent. Default: `8MiB`. Range: `1KiB` to `64MiB`.
    pub body_bytes: u64,
    /// Largest body once it is decompressed. Default: `32MiB`. Range: `1KiB` to `64MiB`.
    pub decompressed_bytes: u64,
    /// Connections at a time; further ones wait to be accepted. Default: `512`. Range: `1` to `100000`.
    pub connections: usize,
    /// Longest time for each of: the handshake, the head of a request or the wait for one, its body, the disk. Default:
    /// `30s`. Range: `100ms` to `1h`.
    pub timeout: Duration,
}

/// `[http]`: where a running job answers questions. Without it nobody is listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the section stands.
    pub place: Place,
    /// `listen`: address and port, such as `127.0.0.1:7717`. One that is not of this machine alone needs `tls` and
    /// `tokens`, or `insecure`. `tokens`, `tls`, `insecure`, `connections`, `timeout`: as for a source of
    /// `type = "http"`.
    pub serve: ServeSpec,
}

impl Http {
    /// The same for `ingest`, in a job that keeps checkpoints, or does not.
    pub(crate) fn spec(&self, has_checkpoints: bool) -> HttpSpec {
        HttpSpec {
            serve: ServeSpec {
                listen: self.listen,
                tls: self.tls.clone(),
                tokens: self.tokens.clone(),
                connections: self.connections,
                timeout: self.timeout,
            },
            dir: self.dir.clone(),
            journal_bytes: self.journal_bytes,
            dedup: self.dedup.clone(),
            limits: HttpLimits {
                body_bytes: self.body_bytes as usize,
                decompressed_bytes: self.decompressed_bytes as usize,
                timeout: self.timeout,
            },
            has_checkpoints,
        }
    }
}

/// `None` if what must be there is not.
pub(super) fn read_http(section: &mut Section, reader: &mut Reader) -> Option<Http> {
    let listen = read_listen(section, reader);
    let dir = section.required(reader, "dir", "add `dir = \"DIRECTORY\"` for the journal", filled_string);
    let (largest, kib) = (64 << 20, 1 << 10);
    let http = Http {
        // What stands in for what is missing is never used.
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        dir: dir.clone().unwrap_or_default().into(),
        journal_bytes: section.or(reader, "journal_bytes", (1 << 30, "\"1GiB\""), bytes(16 << 20..=1 << 40)),
        tokens: read_tokens(section, reader),
        tls: read_tls(section, reader),
        insecure: section.or(reader, "insecure", (false, "false"), boolean),
        dedup: read_dedup(section, reader),
        body_bytes: section.or(reader, "body_bytes", (8 << 20, "\"8MiB\""), bytes(kib..=largest)),
        decompressed_bytes: section.or(
            reader,
            "decompressed_bytes",
            (32 << 20, "\"32MiB\""),
            bytes(kib..=largest),
        ),
        connections: section.or(reader, "connections", (512, "512"), integer(1..=100_000)),
        timeout: read_timeout(section, reader),
    };
    check_trust(listen, http.insecure, section, reader);
    if http.journal_bytes < JOURNAL_REQUESTS * http.decompressed_bytes {
        let message = format!("`journal_bytes` is less than {JOURNAL_REQUESTS} times `decompressed_bytes`");
        let help = "the largest request has to fit, also while older ones are still needed";
        reader.report(Diagnostic::new(Code::Conflict, section.place().clone(), message).with_help(help));
    }
    dir.filter(|_| listen.is_some()).map(|_| http)
}

pub(super) fn read_endpoint(root: &mut Section, reader: &mut Reader) -> Option<Endpoint> {
    let mut section = root.section(reader, "http")?;
    if !cfg!(feature = "http") {
        reader.report(not_built("http", section.place().clone()));
    }
    let listen = read_listen(&mut section, reader);
    let tokens = read_tokens(&mut section, reader);
    let tls = read_tls(&mut section, reader);
    let insecure = section.or(reader, "insecure", (false, "false"), boolean);
    let connections = section.or(reader, "connections", (512, "512"), integer(1..=100_000));
    let timeout = read_timeout(&mut section, reader);
    check_trust(listen, insecure, &section, reader);
    let place = section.place().clone();
    section.finish(reader);
    Some(Endpoint { place, serve: ServeSpec { listen: listen?, tls, tokens, connections, timeout } })
}

/// A port and a journal belong to one source.
pub(super) fn check_shared(sources: &[Source], reader: &mut Reader) {
    let posted = |source: &Source| match &source.kind {
        SourceKind::Http(http) => Some((source.name.clone(), source.place.clone(), http.clone())),
        _ => None,
    };
    let all: Vec<_> = sources.iter().filter_map(posted).collect();
    for (number, (name, place, http)) in all.iter().enumerate() {
        for (other, _, before) in &all[..number] {
            let shared = [("listen", http.listen == before.listen), ("dir", http.dir == before.dir)];
            for (key, _) in shared.iter().filter(|(_, is_shared)| *is_shared) {
                let message = format!("source `{name}` has the `{key}` of source `{other}`");
                let diagnostic = Diagnostic::new(Code::Conflict, place.clone(), message);
                reader.report(diagnostic.with_help(format!("give each its own `{key}`")));
            }
        }
    }
}

fn read_listen(section: &mut Section, reader: &mut Reader) -> Option<SocketAddr> {
    section.required(reader, "listen", "add `listen = \"127.0.0.1:8080\"`", |sources, node| {
        let text = filled_string(sources, node)?;
        text.parse::<SocketAddr>().map_err(|_| {
            bad_value(node, format!("`{text}` is not an address with a port"))
                .with_help("write `\"127.0.0.1:8080\"`, `\"[::1]:8080\"` or `\"0.0.0.0:8080\"`")
        })
    })
}

fn read_tokens(section: &mut Section, reader: &mut Reader) -> Vec<Secret> {
    let help = "write `tokens = [{ env = \"VARIABLE\" }]` or `[{ file = \"FILE\" }]`";
    super::secret::secrets(section, reader, "tokens", help, check_token)
}

fn read_timeout(section: &mut Section, reader: &mut Reader) -> Duration {
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    section.or(reader, "timeout", (Duration::from_secs(30), "\"30s\""), duration(range))
}

/// Whom other machines reach has to know who they are, unless somebody says that this is as it should be.
fn check_trust(listen: Option<SocketAddr>, is_insecure: bool, section: &Section, reader: &mut Reader) {
    let entry = |name: &str| section.entries().iter().find(|entry| entry.name == name);
    // Those with a mistake in them are still there.
    let is_empty = |value: &Value| matches!(value, Value::Array(nodes) if nodes.is_empty());
    let has = |name: &str| entry(name).is_some_and(|entry| !is_empty(&entry.node.value));
    let missing = match (has("tls"), has("tokens")) {
        (true, true) => None,
        (true, false) => Some("`tokens`"),
        (false, true) => Some("`tls`"),
        (false, false) => Some("`tls` and `tokens`"),
    };
    if let Some(insecure) = entry("insecure").filter(|_| is_insecure && missing.is_none()) {
        let message = "`insecure` says to go without `tls` or `tokens`, which are there";
        let diagnostic = Diagnostic::new(Code::Conflict, insecure.key.clone(), message);
        reader.report(diagnostic.with_help("take `insecure` out"));
    }
    let reached = listen.filter(|listen| !listen.ip().is_loopback() && !is_insecure);
    if let (Some(listen), Some(missing)) = (reached, missing) {
        let place = entry("listen").map_or(section.place(), |entry| &entry.node.place);
        let message = format!("other machines reach {listen}, and there is no {missing}");
        let help = "add it, listen at 127.0.0.1, or set `insecure = true`";
        reader.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
    }
}

fn check_token(token: &str) -> Result<(), String> {
    let token = token.trim();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("a token has {TOKEN_CHARS_MIN} characters at least, printable ones of ASCII"));
    }
    Ok(())
}

fn read_tls(section: &mut Section, reader: &mut Reader) -> Option<Certificate> {
    let mut tls = section.section(reader, "tls")?;
    let help = "write `tls = { cert = \"FILE\", key = \"FILE\" }`";
    let cert = tls.required(reader, "cert", help, filled_string);
    let key = tls.required(reader, "key", help, filled_string);
    tls.finish(reader);
    Some(Certificate { cert: cert?.into(), key: key?.into() })
}

fn read_dedup(section: &mut Section, reader: &mut Reader) -> Option<Dedup> {
    let mut dedup = section.section(reader, "dedup")?;
    let help = "write `dedup = { field = \"event_id\" }`";
    let fields = dedup.required(reader, "field", help, |sources, node| {
        let names = strings(sources, node)?.into_iter();
        let path = |name: String| {
            parse_path(&name).ok_or_else(|| bad_value(node, format!("`{name}` is not the path of a field")))
        };
        names.map(path).collect::<Result<Vec<_>, _>>()
    });
    let last = dedup.or(reader, "last", (1_000_000, "1000000"), integer(1..=100_000_000));
    dedup.finish(reader);
    Some(Dedup { fields: fields?, last })
}
