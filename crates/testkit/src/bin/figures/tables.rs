//! Rows into tables of SQLite and PostgreSQL, beside a bare client that writes the same into a table made alike.
//!
//! The bare clients take the fastest way that there is: of SQLite one statement in one transaction, of PostgreSQL `COPY`,
//! which knows of no rows that are there already. Both tables have the key that the sink's has.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;
use testkit::postgres::database_alone;

use crate::bench::{Bench, Failure, Plan, remove};
use crate::connector::{Rows, Turns, expect, lines, writing};
use crate::figure::Figures;

/// The columns of the reference job, and what tells the rows of a table apart besides.
const COLUMNS: &str = r#"["user_id", "window_start", "window_end", "events", "listen_s", "pauses", "exits",
    "round(score, 4) AS score", "rule"]"#;

/// Both databases.
pub(crate) fn tables(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let rows = Rows::of(bench, if bench.quick { 20_000 } else { 200_000 })?;
    sqlite(bench, figures, &rows)?;
    postgres(bench, figures, &rows)
}

/// The job that fills a table.
fn filling(bench: &Bench, rows: &Rows, sink: &str) -> Result<Plan<'static>, Failure> {
    Ok(writing(bench, &rows.input, sink)?.set("sink.alerts.columns", COLUMNS))
}

/// A row of the file, as it is in a table: with its rule, and written anew, since databases order members as they like.
fn canonical(row: &str) -> Result<String, Failure> {
    let mut row: serde_json::Value = serde_json::from_str(row)?;
    row["rule"] = "low-engagement".into();
    Ok(row.to_string())
}

/// Whether a table has the rows of the file, each once.
fn check(what: &str, found: &[String], rows: &Rows) -> Result<(), Failure> {
    let mut found: Vec<String> = found.iter().map(|row| canonical(row)).collect::<Result<_, _>>()?;
    let wanted = lines(&rows.bytes).into_iter().map(|line| canonical(std::str::from_utf8(line)?));
    let mut wanted: Vec<String> = wanted.collect::<Result<_, _>>()?;
    found.sort_unstable();
    wanted.sort_unstable();
    if found == wanted { Ok(()) } else { Err(format!("{what} has other rows than the file").into()) }
}

fn sqlite(bench: &Bench, figures: &mut Figures, rows: &Rows) -> Result<(), Failure> {
    let (path, bare) = (bench.folder.join("rows.sqlite"), bench.folder.join("bare.sqlite"));
    let sink = format!("type = \"sqlite\"\npath = \"{}\"\ntable = \"alerts\"\n", path.display());
    let plan = filling(bench, rows, &sink)?;
    let mut turns = Turns::default();
    for _ in 0..bench.repeat {
        remove_database(&path)?;
        let usage = bench.run(&plan)?.usage;
        turns.job(usage);
        let (made, filled) = read_sqlite(&path)?;
        let texts = filled.iter().filter_map(|row| match row.last() {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        });
        check("the table of SQLite", &texts.collect::<Vec<_>>(), rows)?;
        remove_database(&bare)?;
        turns.bare(|| fill_sqlite(&bare, &made, &filled))?;
    }
    remove_database(&path)?;
    remove_database(&bare)?;
    rows.report(figures, "into a table of SQLite", &turns);
    Ok(())
}

/// A database, and what lies beside it.
fn remove_database(path: &Path) -> Result<(), Failure> {
    for ending in ["", "-wal", "-shm"] {
        remove(&PathBuf::from(format!("{}{ending}", path.display())))?;
    }
    Ok(())
}

/// How the table was made, and its rows.
fn read_sqlite(path: &Path) -> Result<(String, Vec<Vec<Value>>), Failure> {
    let connection = Connection::open(path)?;
    let made =
        connection.query_row("SELECT sql FROM sqlite_schema WHERE name = 'alerts'", [], |row| row.get(0))?;
    let mut statement = connection.prepare("SELECT * FROM alerts ORDER BY rowid")?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
    Ok((made, rows.collect::<Result<_, _>>()?))
}

/// The same rows in the same order, with the same care.
fn fill_sqlite(path: &Path, made: &str, rows: &[Vec<Value>]) -> Result<(), Failure> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(made)?;
    let transaction = connection.transaction()?;
    {
        let columns = vec!["?"; rows.first().map_or(0, Vec::len)].join(", ");
        let mut statement = transaction.prepare(&format!("INSERT INTO alerts VALUES ({columns})"))?;
        for row in rows {
            statement.execute(rusqlite::params_from_iter(row))?;
        }
    }
    Ok(transaction.commit()?)
}

fn postgres(bench: &Bench, figures: &mut Figures, rows: &Rows) -> Result<(), Failure> {
    let Some(database) = database_alone() else {
        figures.leave_out("tables: there is no PostgreSQL here");
        return Ok(());
    };
    let sink = format!("type = \"postgres\"\nurl = \"{}\"\ntable = \"alerts\"\n", database.url());
    let plan = filling(bench, rows, &sink)?;
    let copied = bench.folder.join("rows.copy");
    let mut turns = Turns::default();
    for _ in 0..bench.repeat {
        database.query("DROP TABLE IF EXISTS alerts, bare, tidewatch_delivered");
        let usage = bench.run(&plan)?.usage;
        turns.job(usage);
        check("the table of PostgreSQL", &database.query("SELECT row FROM alerts"), rows)?;
        database.query("CREATE TABLE bare (LIKE alerts INCLUDING ALL)");
        database.query(&format!("\\copy alerts TO '{}'", copied.display()));
        turns.bare(|| {
            database.query(&format!("\\copy bare FROM '{}'", copied.display()));
            Ok(())
        })?;
        let found = database.query("SELECT count(*) FROM bare").concat().parse::<u64>()?;
        expect("rows that a bare client has written", found, rows.count())?;
    }
    remove(&copied)?;
    rows.report(figures, "into a table of PostgreSQL", &turns);
    Ok(())
}
