//! Tables of a PostgreSQL server as sinks.
//!
//! The client is asynchronous; a runtime of its own drives it while the sink is called. A connection that
//! breaks is forgotten, and made again at the next call: `database` says how often.

mod connection;
mod nul;
mod tls;

use std::path::Path;

use event::Probe;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::{Database, Failure, Judge, Place};
use super::ledger::Delivered;
use super::rows::{Chunk, Values, chunks};
use super::secret::reveal;
use super::table::{Column, Kind, LEDGER, quoted_list};
use super::{Quarantined, Secret, SinkError, Wanted};
pub use connection::check_url;
use connection::{Connection, parse, within};

pub(super) struct Postgres {
    place: Place,
    runtime: Runtime,
    config: Config,
    tls: MakeRustlsConnect,
    description: String,
    /// Open from the first use on, unless it broke.
    connection: Option<Connection>,
}

impl Postgres {
    pub(super) fn new(place: Place, url: &Secret, ca: Option<&Path>) -> Result<Self, SinkError> {
        let refused = |words| {
            let database = "the PostgreSQL server".to_owned();
            SinkError::Refused { sink: place.sink.clone(), database, words }
        };
        let config = parse(&reveal(url, &place.sink)?).map_err(refused)?;
        let tls = tls::connector(config.get_ssl_mode(), ca).map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| refused(error.to_string()))?;
        let description = connection::describe(&config);
        Ok(Postgres { place, runtime, config, tls, description, connection: None })
    }

    /// Does something on the connection, which is made if need be and forgotten if it broke.
    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection, &Place) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Postgres { place, runtime, config, tls, connection, .. } = self;
        runtime.block_on(async {
            let mut open = match connection.take() {
                Some(open) if !open.is_closed() => open,
                _ => Connection::open(config, tls).await?,
            };
            let done = work(&mut open, place).await;
            if !matches!(done, Err(Failure::Away(_))) {
                *connection = Some(open);
            }
            done
        })
    }
}

impl Database for Postgres {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let description = self.describe();
        self.run(async |connection, place| {
            let (table, shape) = (&place.table.name, &place.table.shape);
            let ledger = format!(
                "CREATE TABLE IF NOT EXISTS {LEDGER} (job text NOT NULL, sink text NOT NULL, \
                 \"table\" text NOT NULL, number bigint NOT NULL, generation bigint NOT NULL, \
                 bytes bigint NOT NULL, digest bigint NOT NULL, PRIMARY KEY (job, sink, \"table\"))"
            );
            connection.create(LEDGER, &ledger).await?;
            connection.create(table, &shape.create(table, type_of)).await?;
            match shape.difference(&connection.columns(table).await?, type_of) {
                Some(difference) => Err(place.shape_error(description, difference).into()),
                None => Ok(()),
            }
        })
    }

    fn has_rows(&mut self) -> Result<bool, Failure> {
        self.run(async |connection, Place { job, table, .. }| {
            let of_job = if table.shape.is_shared() { "job = $1" } else { "$1::text IS NOT NULL" };
            let query = format!("SELECT EXISTS (SELECT 1 FROM \"{}\" WHERE {of_job})", table.name);
            Ok(within(connection.client.query_one(&query, &[job])).await?.get(0))
        })
    }

    fn not_empty(&self) -> SinkError {
        self.place.not_empty_error(self.describe())
    }

    fn transact(&mut self, judge: Option<Judge<'_>>, lines: &[u8]) -> Result<(), Failure> {
        self.run(async |connection, place| {
            let transaction = within(connection.client.transaction()).await?;
            match fill(&transaction, place, judge, lines).await {
                Ok(true) => within(transaction.commit()).await,
                // Not left to be done when it is dropped: nobody drives the connection then, and the record
                // would stay locked.
                Ok(false) => within(transaction.rollback()).await,
                Err(Failure::Away(words)) => Err(Failure::Away(words)),
                Err(failure) => {
                    within(transaction.rollback()).await?;
                    Err(failure)
                }
            }
        })
    }
}

impl Postgres {
    /// What there is to be found out before a job writes to it.
    pub(super) fn probe(&mut self) -> Vec<Probe> {
        let table = self.place.table.name.clone();
        let connected = self.run(async |connection, _| {
            let query = "SELECT current_database()::text || ' as ' || current_user::text";
            Ok(within(connection.client.query_one(query, &[])).await?.get::<_, String>(0))
        });
        let connected = Probe::new(format!("connect to {}", self.description), connected.map_err(words_of));
        if connected.outcome.is_err() {
            return vec![connected];
        }
        let mut rights = |table: &str, wanted: &str| {
            let found = self.run(async |connection, _| {
                let query = "SELECT to_regclass(quote_ident($1)) IS NOT NULL, coalesce((SELECT \
                     bool_and(has_table_privilege(to_regclass(quote_ident($1)), wanted)) FROM \
                     unnest(string_to_array($2, ',')) AS wanted), false), \
                     has_schema_privilege(current_schema(), 'CREATE')";
                let row = within(connection.client.query_one(query, &[&table, &wanted])).await?;
                Ok((row.get(0), row.get(1), row.get(2)))
            });
            let outcome = match found.map_err(words_of) {
                Ok((true, true, _)) => Ok("it is there".to_owned()),
                Ok((true, false, _)) => Err(format!("this user lacks the rights {wanted}")),
                Ok((false, _, Some(true))) => Ok("it is not there yet, and can be made".to_owned()),
                Ok((false, ..)) => Err("it is not there, and this user cannot make it".to_owned()),
                Err(words) => Err(words),
            };
            Probe::new(format!("write to the table `{table}`"), outcome)
        };
        let rights = [rights(&table, "SELECT,INSERT"), rights(LEDGER, "SELECT,INSERT,UPDATE")];
        [vec![connected], rights.into()].concat()
    }

    /// All quarantine rows of the table, in the order of partition and offset: a table has none of its own.
    pub(super) fn quarantine(&mut self) -> Result<Vec<Quarantined>, Failure> {
        self.run(async |connection, place| {
            let query = format!(
                "SELECT reason, detail, \"partition\", \"offset\", raw FROM \"{}\" \
                 ORDER BY \"partition\" COLLATE \"C\", \"offset\"",
                place.table.name
            );
            let rows = within(connection.client.query(&query, &[])).await?;
            let row = |row: &tokio_postgres::Row| Quarantined {
                reason: row.get(0),
                detail: row.get(1),
                partition: row.get(2),
                offset: row.get::<_, Option<i64>>(3).map(i64::cast_unsigned),
                raw: row.get(4),
            };
            Ok(rows.iter().map(row).collect())
        })
    }

    /// The alerts of the job that are wanted, by the end of their windows: a table has no order of its own.
    pub(super) fn alerts(&mut self, wanted: Wanted<'_>) -> Result<Vec<String>, Failure> {
        let (which, prefix) = match wanted {
            Wanted::Named(prefix) => (
                "(starts_with(id, $2) OR starts_with(alert->'data'->>'episode', $2)) ORDER BY window_end",
                prefix.to_owned(),
            ),
            Wanted::Last => ("$2::text = '' ORDER BY window_end DESC, id DESC LIMIT 1", String::new()),
        };
        self.run(async |connection, Place { job, table, .. }| {
            let query = format!(
                "SELECT alert::text FROM \"{}\" WHERE job = $1 AND alert->>'type' = 'tidewatch.alert' AND {which}",
                table.name
            );
            let rows = within(connection.client.query(&query, &[job, &prefix])).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })
    }
}

/// A failure in words.
fn words_of(failure: Failure) -> String {
    match failure {
        Failure::Away(words) | Failure::Refused(words) | Failure::Failed(words) => words,
        Failure::Sink(error) => error.to_string(),
    }
}

/// What stands between the begin and the end of a transaction. Returns whether to commit it.
async fn fill(
    transaction: &Transaction<'_>,
    place: &Place,
    judge: Option<Judge<'_>>,
    lines: &[u8],
) -> Result<bool, Failure> {
    if let Some(judge) = judge {
        let found = read_record(transaction, place).await?;
        let Some(record) = judge(found)? else { return Ok(false) };
        write_record(transaction, place, record).await?;
    }
    if !lines.is_empty() {
        let insert = within(transaction.prepare(&insert_statement(place))).await?;
        for chunk in chunks(&place.table.shape, lines) {
            let chunk = chunk.map_err(|error| place.row_error(&error))?;
            let columns = fitting(chunk, place.table.shape.columns());
            let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(array).collect();
            within(transaction.execute(&insert, &columns)).await?;
        }
    }
    Ok(true)
}

/// The record, which is locked until the transaction ends.
async fn read_record(transaction: &Transaction<'_>, place: &Place) -> Result<Delivered, Failure> {
    let names: [&(dyn ToSql + Sync); 3] = [&place.job, &place.sink, &place.table.name];
    // What is not there cannot be locked.
    let make = format!("INSERT INTO {LEDGER} VALUES ($1, $2, $3, 0, 0, 0, 0) ON CONFLICT DO NOTHING");
    within(transaction.execute(&make, &names)).await?;
    let query = format!(
        "SELECT number, generation, bytes, digest FROM {LEDGER} \
         WHERE job = $1 AND sink = $2 AND \"table\" = $3 FOR UPDATE"
    );
    let row = within(transaction.query_one(&query, &names)).await?;
    Ok(Delivered {
        // Only what fits was ever written.
        number: row.get::<_, i64>(0) as u32,
        generation: row.get::<_, i64>(1).cast_unsigned(),
        bytes: row.get::<_, i64>(2).cast_unsigned(),
        digest: row.get::<_, i64>(3).cast_unsigned(),
    })
}

async fn write_record(
    transaction: &Transaction<'_>,
    place: &Place,
    record: Delivered,
) -> Result<(), Failure> {
    let update = format!(
        "UPDATE {LEDGER} SET number = $4, generation = $5, bytes = $6, digest = $7 \
         WHERE job = $1 AND sink = $2 AND \"table\" = $3"
    );
    let Delivered { number, generation, bytes, digest } = record;
    let number = i64::from(number);
    let [generation, bytes, digest] = [generation, bytes, digest].map(u64::cast_signed);
    let (job, sink, table) = (&place.job, &place.sink, &place.table.name);
    let values: [&(dyn ToSql + Sync); 7] = [job, sink, table, &number, &generation, &bytes, &digest];
    within(transaction.execute(&update, &values)).await?;
    Ok(())
}

/// All rows of a chunk in one statement: an array for each column.
fn insert_statement(place: &Place) -> String {
    let columns = place.table.shape.columns();
    let arrays: Vec<String> =
        (1..).zip(columns).map(|(at, c)| format!("${at}::{}[]", sent_as(c.kind))).collect();
    let names: Vec<String> = (1..=columns.len()).map(|at| format!("c{at}")).collect();
    let values: Vec<String> =
        names.iter().zip(columns).map(|(name, c)| format!("{name}::{}", type_of(c.kind))).collect();
    format!(
        "INSERT INTO \"{}\" ({}) SELECT {} FROM unnest({}) AS rows({}) ON CONFLICT DO NOTHING",
        place.table.name,
        quoted_list(columns),
        values.join(", "),
        arrays.join(", "),
        names.join(", "),
    )
}

/// The values as PostgreSQL takes them.
fn fitting<'a>(chunk: Chunk<'a>, columns: &[Column]) -> Vec<Values<'a>> {
    let fit = |(values, column): (Values<'a>, &Column)| match values {
        Values::Text(texts) if column.kind == Kind::Json => {
            Values::Text(texts.into_iter().map(|text| text.map(nul::replaced)).collect())
        }
        other => other,
    };
    chunk.columns.into_iter().zip(columns).map(fit).collect()
}

fn array<'a>(values: &'a Values<'_>) -> &'a (dyn ToSql + Sync) {
    match values {
        Values::Text(values) => values,
        Values::Integer(values) => values,
        Values::Number(values) => values,
    }
}

/// The types of columns, as `format_type` names them.
fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "bigint",
        Kind::Number => "double precision",
        Kind::Instant => "timestamp with time zone",
        Kind::Json => "jsonb",
    }
}

/// The types of arrays: instants and JSON are read by the server.
fn sent_as(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Instant | Kind::Json => "text",
        Kind::Integer => "bigint",
        Kind::Number => "double precision",
    }
}
