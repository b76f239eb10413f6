//! What a job says about its mesh: the token, the certificates, how long silence may last.
//!
//! Built by `tidewatch` from `[mesh]`. Secrets are named here, not held: they are read when the mesh is
//! opened, and never shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::job::RunError;

/// How the processes of a job know and hear one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshSpec {
    /// What all processes of the cluster know and nobody else. Without one, whoever knows the job's config
    /// is taken for one of its processes.
    pub token: Option<TokenSpec>,
    /// Certificates. With them every connection is encrypted, and both ends are checked.
    pub tls: Option<TlsSpec>,
    /// Whether hosts that are not loopback may be joined without certificates.
    pub insecure: bool,
    /// How long nothing may be heard of a process until it counts as lost.
    pub timeout: Duration,
    /// How long nobody may be at the place of a process that was there before, until it counts as gone.
    pub rejoin_within: Duration,
    /// Whether the processes have run together before, since the command was given.
    pub have_met: bool,
}

impl MeshSpec {
    /// The bound on silence of a job that does not say one.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// How long a job that does not say so waits for a process that is gone.
    pub const REJOIN_WITHIN: Duration = Duration::from_secs(30);
}

impl Default for MeshSpec {
    fn default() -> Self {
        MeshSpec {
            token: None,
            tls: None,
            insecure: false,
            timeout: MeshSpec::TIMEOUT,
            rejoin_within: MeshSpec::REJOIN_WITHIN,
            have_met: false,
        }
    }
}

/// Where the token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSpec {
    /// In that variable of the environment.
    Env(String),
    /// In that file; white space around it is none of it.
    File(PathBuf),
}

impl TokenSpec {
    /// The token's bytes.
    pub(super) fn reveal(&self) -> Result<Vec<u8>, RunError> {
        let (text, place) = match self {
            TokenSpec::Env(name) => {
                let text = std::env::var(name).map_err(|_| {
                    RunError::MeshRefused(format!(
                        "`mesh.token` is in the variable {name} of the environment, which is not set"
                    ))
                })?;
                (text, format!("the variable {name}"))
            }
            TokenSpec::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| unreadable("token", path, &error))?;
                (text, path.display().to_string())
            }
        };
        match text.trim() {
            "" => Err(RunError::MeshRefused(format!("`mesh.token` is empty: there is nothing in {place}"))),
            token => Ok(token.as_bytes().to_vec()),
        }
    }
}

/// Certificates, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSpec {
    /// This process's certificate, followed by those between it and the authority, if there are any. It must
    /// be good for both ends of a connection.
    pub cert: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// The authority that has signed the certificates of all processes.
    pub ca: PathBuf,
    /// The name that every certificate has; `None` for the host of the process as in the host file.
    pub name: Option<String>,
}

/// A file of `[mesh]` that cannot be used.
pub(super) fn unreadable(setting: &str, path: &Path, error: &dyn std::fmt::Display) -> RunError {
    RunError::MeshRefused(format!("`mesh.{setting}` cannot be read from {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_without_the_white_space_around_it_and_an_empty_or_missing_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = TokenSpec::File(path.clone());
        assert!(token.reveal().unwrap_err().to_string().contains("token"));
        std::fs::write(&path, " \n").unwrap();
        assert!(token.reveal().unwrap_err().to_string().contains("empty"));
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(token.reveal().unwrap(), b"hunter2");
        let unset = TokenSpec::Env("TIDEWATCH_TEST_NOBODY_SETS_THIS".to_owned()).reveal().unwrap_err();
        assert!(unset.is_refusal() && unset.to_string().contains("not set"));
    }
}
