//! DuckDB, through `scripts/duckdb.sh`: another program that reads what tidewatch writes.

use serde_json::Value;

use crate::process::Invocation;
use crate::workload::repository;

/// Exit code of the script where DuckDB cannot be had.
const MISSING: i32 = 3;

/// DuckDB, which is there.
#[derive(Debug)]
pub struct DuckDb(());

/// DuckDB; `None`, with words, where it cannot be had.
///
/// # Panics
/// If it does not run; with `CI=true` also if it cannot be installed.
pub fn duckdb() -> Option<DuckDb> {
    let installed = Invocation::new(repository().join("scripts/duckdb.sh")).arg("install").run();
    let must_be = std::env::var("CI").is_ok_and(|value| value == "true");
    if installed.code() == Some(MISSING) && !must_be {
        crate::left_out::announce("tests with DuckDB, which cannot be had here");
        return None;
    }
    installed.expect_code(0);
    Some(DuckDb(()))
}

impl DuckDb {
    /// The rows that a query gives, as objects.
    ///
    /// # Panics
    /// If DuckDB refuses it.
    pub fn ask(&self, sql: &str) -> Vec<Value> {
        let asked = Invocation::new(repository().join("scripts/duckdb.sh")).input(sql).run().expect_code(0);
        crate::job::json_lines(&asked.stdout)
    }
}
