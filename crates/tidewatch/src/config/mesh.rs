//! `[mesh]`: how the processes of a job know one another, and when one counts as lost.

use std::path::PathBuf;
use std::time::Duration;

use dataflow::{MeshSpec, TlsSpec, TokenSpec};

use super::diagnostic::{Code, Diagnostic};
use super::section::{Reader, Section};
use super::tree::Table;
use super::value::{boolean, duration, filled_string};

/// `[mesh]`: how the processes of a job know one another. A job of one process has no use for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// `{ env = "VARIABLE" }` or `{ file = "FILE" }`: what all processes know and nobody else. It is never sent.
    /// Default: none; then whoever knows the job's config is taken for one of its processes.
    pub token: Option<TokenSpec>,
    /// `{ cert = "FILE", key = "FILE", ca = "FILE", name = "NAME" }`, PEM: connections are encrypted, and both
    /// ends show a certificate that `ca` has signed. It must be good for servers and clients, and for the
    /// host as in the host file, or for `name` if that is given. Default: none.
    pub tls: Option<TlsSpec>,
    /// Lets processes on hosts that are not loopback join without `tls`. Default: `false`.
    pub insecure: bool,
    /// How long nothing may be heard of another process until it counts as lost, which ends this one.
    /// Default: `10s`. Range: `500ms` to `1h`.
    pub timeout: Duration,
    /// How long a process that was there before may be gone, nobody listening at its place, until this one
    /// gives up and ends with 1. Its supervisor, if that lives, starts it again within about 12 s.
    /// Default: `30s`. Range: `1s` to `1d`.
    pub rejoin_within: Duration,
}

impl Mesh {
    /// The same for `dataflow`.
    pub(crate) fn spec(&self) -> MeshSpec {
        let Mesh { token, tls, insecure, timeout, rejoin_within } = self.clone();
        MeshSpec { token, tls, insecure, timeout, rejoin_within, have_met: false }
    }
}

pub(super) fn read_mesh(root: &mut Section, reader: &mut Reader) -> Mesh {
    let empty = Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "mesh");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "mesh", "`[mesh]`", place));
    let range = Duration::from_millis(500)..=Duration::from_secs(3600);
    let mesh = Mesh {
        token: read_token(&mut section, reader),
        tls: read_tls(&mut section, reader),
        insecure: section.or(reader, "insecure", (false, "false"), boolean),
        timeout: section.or(reader, "timeout", (MeshSpec::TIMEOUT, "\"10s\""), duration(range)),
        rejoin_within: section.or(
            reader,
            "rejoin_within",
            (MeshSpec::REJOIN_WITHIN, "\"30s\""),
            duration(Duration::from_secs(1)..=Duration::from_secs(86_400)),
        ),
    };
    let insecure = section.entries().iter().find(|entry| entry.name == "insecure");
    if let Some(insecure) = insecure.filter(|_| mesh.insecure && mesh.tls.is_some()) {
        let message = "`insecure` says to go without `tls`, which is there";
        let help = "take one of the two out";
        reader.report(Diagnostic::new(Code::Conflict, insecure.key.clone(), message).with_help(help));
    }
    section.finish(reader);
    mesh
}

/// Where the token is. Its value is left there: nothing here can show it.
fn read_token(section: &mut Section, reader: &mut Reader) -> Option<TokenSpec> {
    let mut from = section.section(reader, "token")?;
    let place = from.place().clone();
    let environment = reader.environment;
    let variable = from.optional(reader, "env", |sources, node| {
        let name = filled_string(sources, node)?;
        if environment.iter().any(|(found, _)| *found == name) {
            return Ok(TokenSpec::Env(name));
        }
        let message = format!("the environment variable `{name}` is not set");
        Err(Diagnostic::new(Code::UnsetVariable, node.place.clone(), message))
    });
    let file = from.optional(reader, "file", filled_string);
    let named = from.entries().iter().filter(|entry| entry.name == "env" || entry.name == "file").count();
    from.finish(reader);
    if named != 1 {
        let diagnostic = Diagnostic::new(Code::Conflict, place, "`token` needs one of `env` and `file`");
        reader
            .report(diagnostic.with_help("write `token = { env = \"VARIABLE\" }` or `{ file = \"FILE\" }`"));
        return None;
    }
    variable.or(file.map(|path| TokenSpec::File(PathBuf::from(path))))
}

fn read_tls(section: &mut Section, reader: &mut Reader) -> Option<TlsSpec> {
    let mut tls = section.section(reader, "tls")?;
    let help = "write `tls = { cert = \"FILE\", key = \"FILE\", ca = \"FILE\" }`";
    let cert = tls.required(reader, "cert", help, filled_string);
    let key = tls.required(reader, "key", help, filled_string);
    let ca = tls.required(reader, "ca", help, filled_string);
    let name = tls.optional(reader, "name", filled_string);
    tls.finish(reader);
    Some(TlsSpec { cert: cert?.into(), key: key?.into(), ca: ca?.into(), name })
}
