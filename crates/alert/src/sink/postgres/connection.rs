//! One connection to a PostgreSQL server: how it is made, bounded in time, and what its errors mean.

use std::error::Error as _;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::sink::database::Failure;
use crate::sink::table::Found;

/// How long one statement may take. Behind it the server counts as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The same for a connection, unless the address says otherwise.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What the server is told of us: a client that is cut off must not keep the record locked for hours, nor a
/// lock of others keep us waiting without a word; what is committed has to be durable.
const SETTINGS: &str = "
    SET idle_in_transaction_session_timeout = '60s';
    SET lock_timeout = '30s';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

pub(super) struct Connection {
    pub(super) client: Client,
    /// What moves the bytes, while the runtime is used.
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It would wait for a server that no longer answers.
        self.driver.abort();
    }
}

impl Connection {
    /// Connects.
    pub(super) async fn open(config: &Config, tls: &MakeRustlsConnect) -> Result<Self, Failure> {
        let (client, driver) = within(config.connect(tls.clone())).await?;
        // Its error comes back from whatever is asked next.
        let connection = Connection { client, driver: tokio::spawn(driver) };
        within(connection.client.batch_execute(SETTINGS)).await?;
        Ok(connection)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Makes a table, unless it is there: who may only insert is not asked to make one.
    pub(super) async fn create(&self, table: &str, statement: &str) -> Result<(), Failure> {
        let query = "SELECT to_regclass(quote_ident($1)) IS NOT NULL";
        if within(self.client.query_one(query, &[&table])).await?.get(0) {
            return Ok(());
        }
        match within(self.client.batch_execute(statement)).await {
            // Two that make it at the same moment get in each other's way, in spite of IF NOT EXISTS.
            Err(_) if within(self.client.query_one(query, &[&table])).await?.get(0) => Ok(()),
            done => done,
        }
    }

    /// The columns of a table.
    pub(super) async fn columns(&self, table: &str) -> Result<Found, Failure> {
        let query = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
             coalesce(a.attnum = ANY (i.indkey::int2[]), false) \
             FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary \
             WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped";
        let rows = within(self.client.query(query, &[&table])).await?;
        let primary = rows.iter().filter(|row| row.get(2)).map(|row| row.get(0)).collect();
        Ok(Found { columns: rows.iter().map(|row| (row.get(0), row.get(1))).collect(), primary })
    }
}

/// Waits for an answer, not for ever.
pub(super) async fn within<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(done) => done.map_err(|error| failure(&error)),
        Err(_) => Err(Failure::Away(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))),
    }
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    let words = words_of(error);
    let Some(state) = error.code() else {
        return match error.is_closed() || has_io_cause(error) {
            true => Failure::Away(words),
            false => Failure::Refused(words),
        };
    };
    let again = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        // A standby that is to become the primary.
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    match &state.code()[..2] {
        // Connection, transaction rolled back, resources (a full disk, too many connections).
        "08" | "40" | "53" => Failure::Away(words),
        _ if again.contains(state) => Failure::Away(words),
        // Who we are, which database, what we may do, what is missing.
        "28" | "3D" | "42" => Failure::Refused(words),
        _ => Failure::Failed(words),
    }
}

fn has_io_cause(error: &tokio_postgres::Error) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| {
            // What TLS refuses comes as an error of the connection too.
            !matches!(io.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput)
        })
    }) || error.to_string().contains("timed out")
}

fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}

/// What the server said, else the error with its causes.
fn words_of(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    let mut words = error.to_string();
    for cause in causes(error) {
        let cause = cause.to_string();
        if !words.contains(&cause) {
            let _ = write!(words, ": {cause}");
        }
    }
    words
}

/// Why an address is none. Never says the address itself, which may hold a password.
///
/// # Errors
/// In words.
pub fn check_url(url: &str) -> Result<(), String> {
    parse(url).map(|_| ())
}

/// Reads an address. Without `sslmode` it asks for TLS, unless the server is on this machine.
pub(super) fn parse(url: &str) -> Result<Config, String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("the address does not begin with `postgres://`".to_owned());
    }
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| words_of(&error))?;
    if config.get_hosts().is_empty() {
        return Err("the address names no host".to_owned());
    }
    if !url.contains("sslmode=") {
        let local = config.get_hosts().iter().all(is_local);
        config.ssl_mode(if local { SslMode::Disable } else { SslMode::Require });
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_WITHIN);
    }
    if config.get_application_name().is_none() {
        config.application_name("tidewatch");
    }
    if config.get_hosts().len() > 1 && !url.contains("target_session_attrs=") {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    // A host that is gone says nothing: ask it.
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(30));
    Ok(config)
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

/// How messages call the database.
pub(super) fn describe(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<String> = (0..)
        .zip(config.get_hosts())
        .map(|(at, host)| match host {
            Host::Unix(path) => path.display().to_string(),
            // One port is for all hosts.
            Host::Tcp(name) => format!("{name}:{}", ports.get(at).or(ports.first()).unwrap_or(&5432)),
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("PostgreSQL database `{database}` at {}", hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_asked_for_tls_unless_the_address_says_otherwise() {
        let mode = |url: &str| parse(url).unwrap().get_ssl_mode();
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@%2Fvar%2Frun/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@db.example/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example,localhost/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://u@localhost/d?sslmode=require"), SslMode::Require);
    }

    #[test]
    fn no_message_has_the_password() {
        let config = parse("postgres://u:hunter2@localhost:1/d").unwrap();
        assert_eq!(describe(&config), "PostgreSQL database `d` at localhost:1");
        for bad in ["postgres://u:hunter2@h:port/d", "postgres://u:hunter2@h/d?sslmode=hunter2", "hunter2"] {
            let words = check_url(bad).unwrap_err();
            assert!(!words.contains("hunter2"), "{words}");
        }
    }
}
