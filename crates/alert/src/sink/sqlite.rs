//! SQLite databases as sinks: the embedded default for alerts that are to be kept.
//!
//! In write-ahead mode, so that others can read meanwhile; every transaction is synced.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, Transaction, TransactionBehavior};

use super::database::{Database, Failure, Judge, Place};
use super::ledger::Delivered;
use super::rows::{Chunk, Values, chunks};
use super::table::{Found, Kind, LEDGER, quoted_list};
use super::{Quarantined, SinkError, TakeAlert, Wanted};

/// How long SQLite itself waits for another writer before it says so.
const BUSY: Duration = Duration::from_secs(2);

pub(super) struct Sqlite {
    place: Place,
    path: PathBuf,
    /// Open from the first use on.
    connection: Option<Connection>,
    insert: String,
}

impl Sqlite {
    pub(super) fn new(place: Place, path: &Path) -> Self {
        let columns = place.table.shape.columns();
        let values: Vec<String> = (1..=columns.len()).map(|number| format!("?{number}")).collect();
        let insert = format!(
            "INSERT INTO \"{}\" ({}) VALUES ({}) ON CONFLICT DO NOTHING",
            place.table.name,
            quoted_list(columns),
            values.join(", "),
        );
        Sqlite { place, path: path.to_owned(), connection: None, insert }
    }

    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn connect(&self) -> Result<Connection, Failure> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let (sink, path) = (self.place.sink.clone(), self.path.clone());
            return Err(SinkError::NoFolder { sink, path }.into());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // Names such as `:memory:` are names of files here.
        let path = Path::new(".").join(&self.path);
        let connection = Connection::open_with_flags(path, flags).map_err(failure)?;
        connection.busy_timeout(BUSY).map_err(failure)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failure)?;
        connection.pragma_update(None, "synchronous", "full").map_err(failure)?;
        Ok(connection)
    }
}

impl Database for Sqlite {
    fn describe(&self) -> String {
        format!("`{}`", self.path.display())
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let place = self.place.clone();
        let (table, shape) = (&place.table.name, &place.table.shape);
        let connection = self.connection()?;
        let ledger = format!(
            "CREATE TABLE IF NOT EXISTS {LEDGER} (job TEXT NOT NULL, sink TEXT NOT NULL, \
             \"table\" TEXT NOT NULL, number INTEGER NOT NULL, generation INTEGER NOT NULL, \
             bytes INTEGER NOT NULL, digest INTEGER NOT NULL, PRIMARY KEY (job, sink, \"table\"))"
        );
        connection.execute_batch(&ledger).map_err(failure)?;
        connection.execute_batch(&shape.create(table, type_of)).map_err(failure)?;
        let found = columns_of(connection, table).map_err(failure)?;
        match shape.difference(&found, type_of) {
            Some(difference) => Err(place.shape_error(self.describe(), difference).into()),
            None => Ok(()),
        }
    }

    fn has_rows(&mut self) -> Result<bool, Failure> {
        let Place { job, table, .. } = self.place.clone();
        let of_job = if table.shape.is_shared() { " WHERE job = ?1" } else { " WHERE ?1 IS NOT NULL" };
        let query = format!("SELECT EXISTS (SELECT 1 FROM \"{}\"{of_job})", table.name);
        self.connection()?.query_row(&query, [job], |row| row.get(0)).map_err(failure)
    }

    fn not_empty(&self) -> SinkError {
        self.place.not_empty_error(self.describe())
    }

    fn transact(&mut self, judge: Option<Judge<'_>>, lines: &[u8]) -> Result<(), Failure> {
        let (place, insert) = (self.place.clone(), self.insert.clone());
        let transaction =
            self.connection()?.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure)?;
        if let Some(judge) = judge {
            let found = read_record(&transaction, &place).map_err(failure)?;
            let Some(record) = judge(found)? else { return Ok(()) };
            write_record(&transaction, &place, record).map_err(failure)?;
        }
        for chunk in chunks(&place.table.shape, lines) {
            let chunk = chunk.map_err(|error| place.row_error(&error))?;
            insert_chunk(&transaction, &insert, &chunk).map_err(failure)?;
        }
        transaction.commit().map_err(failure)
    }
}

/// All quarantine rows of a table, in the order in which they came.
pub(super) fn quarantine(path: &Path, table: &str) -> Result<Vec<Quarantined>, Failure> {
    // Not to be made: what was never written is not there. Whoever reads such a log also writes beside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(Path::new(".").join(path), flags).map_err(failure)?;
    connection.busy_timeout(BUSY).map_err(failure)?;
    let query =
        format!("SELECT reason, detail, \"partition\", \"offset\", raw FROM \"{table}\" ORDER BY rowid");
    let mut statement = connection.prepare(&query).map_err(failure)?;
    let rows = statement.query_map([], |row| {
        Ok(Quarantined {
            reason: row.get(0)?,
            detail: row.get(1)?,
            partition: row.get(2)?,
            offset: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
            raw: row.get(4)?,
        })
    });
    rows.map_err(failure)?.collect::<Result<_, _>>().map_err(failure)
}

/// The alerts of a job that are wanted, in the order in which they came.
pub(super) fn alerts(
    path: &Path,
    table: &str,
    job: &str,
    wanted: Wanted<'_>,
    take: &mut TakeAlert<'_>,
) -> Result<(), Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(Path::new(".").join(path), flags).map_err(failure)?;
    connection.busy_timeout(BUSY).map_err(failure)?;
    let (which, prefix) = match wanted {
        Wanted::Named(prefix) => (
            "(substr(id, 1, length(?2)) = ?2 OR \
             substr(json_extract(alert, '$.data.episode'), 1, length(?2)) = ?2) ORDER BY rowid",
            prefix,
        ),
        Wanted::Last => ("?2 = '' ORDER BY rowid DESC LIMIT 1", ""),
    };
    let query = format!(
        "SELECT alert FROM \"{table}\" WHERE job = ?1 AND json_extract(alert, '$.type') = 'tidewatch.alert' AND {which}"
    );
    let mut statement = connection.prepare(&query).map_err(failure)?;
    let mut rows = statement.query([job, prefix]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        take(&row.get::<_, String>(0).map_err(failure)?);
    }
    Ok(())
}

/// Whether the file is a database, and has the table.
pub(super) fn probe(path: &Path, table: &str) -> Result<String, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = Connection::open_with_flags(Path::new(".").join(path), flags);
    let found = open.and_then(|connection| columns_of(&connection, table));
    found.map_err(|error| error.to_string()).map(|found| match found.columns.is_empty() {
        true => format!("the table `{table}` is not there yet"),
        false => format!("the table `{table}` is there"),
    })
}

fn columns_of(connection: &Connection, table: &str) -> Result<Found, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let mut found = Found::default();
    let mut rows = statement.query([table])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if row.get::<_, i64>(2)? > 0 {
            found.primary.push(name.clone());
        }
        found.columns.push((name, row.get(1)?));
    }
    Ok(found)
}

fn read_record(transaction: &Transaction<'_>, place: &Place) -> Result<Delivered, rusqlite::Error> {
    let query = format!(
        "SELECT number, generation, bytes, digest FROM {LEDGER} \
         WHERE job = ?1 AND sink = ?2 AND \"table\" = ?3"
    );
    let names = [&place.job, &place.sink, &place.table.name];
    let mut statement = transaction.prepare(&query)?;
    let mut rows = statement.query(names)?;
    let Some(row) = rows.next()? else { return Ok(Delivered::default()) };
    Ok(Delivered {
        number: row.get(0)?,
        generation: row.get::<_, i64>(1)?.cast_unsigned(),
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        digest: row.get::<_, i64>(3)?.cast_unsigned(),
    })
}

fn write_record(
    transaction: &Transaction<'_>,
    place: &Place,
    record: Delivered,
) -> Result<(), rusqlite::Error> {
    let statement = format!("INSERT OR REPLACE INTO {LEDGER} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    let Delivered { number, generation, bytes, digest } = record;
    let signed = [generation, bytes, digest].map(u64::cast_signed);
    let (job, sink, table) = (&place.job, &place.sink, &place.table.name);
    transaction.execute(&statement, (job, sink, table, number, signed[0], signed[1], signed[2]))?;
    Ok(())
}

fn insert_chunk(
    transaction: &Transaction<'_>,
    insert: &str,
    chunk: &Chunk<'_>,
) -> Result<(), rusqlite::Error> {
    let mut statement = transaction.prepare(insert)?;
    for row in 0..chunk.rows {
        for (column, values) in chunk.columns.iter().enumerate() {
            statement.raw_bind_parameter(column + 1, Value { values, row })?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// A value of a chunk, on its way into a statement.
struct Value<'a> {
    values: &'a Values<'a>,
    row: usize,
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.values {
            Values::Text(values) => values[self.row].as_ref().map(|text| ValueRef::Text(text.as_bytes())),
            Values::Integer(values) => values[self.row].map(ValueRef::Integer),
            // SQLite has no NaN: it is NULL.
            Values::Number(values) => values[self.row].map(ValueRef::Real),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// Instants are RFC 3339, which SQLite's functions read.
fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Instant | Kind::Json => "TEXT",
        Kind::Integer => "INTEGER",
        Kind::Number => "REAL",
    }
}

fn failure(error: rusqlite::Error) -> Failure {
    let words = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
            Failure::Away(words)
        }
        Some(
            ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseCorrupt,
        ) => Failure::Refused(words),
        _ => Failure::Failed(words),
    }
}
