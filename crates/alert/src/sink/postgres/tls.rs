//! TLS to a PostgreSQL server, unless its address says that there is to be none.

use std::path::Path;

use rustls::RootCertStore;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What makes connections secure; without any authority if they are not to be.
pub(super) fn connector(mode: SslMode, ca: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let config = match mode {
        SslMode::Disable => ::tls::client_with(RootCertStore::empty()),
        _ => ::tls::client(ca),
    };
    config.map(MakeRustlsConnect::new)
}
