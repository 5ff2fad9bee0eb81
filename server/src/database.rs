//! The databases, as the jobs and the data sets use it.
//!
//! Every write is a transaction of its own, because only its commit tells of a full disk: a statement that returns rows
//! has returned them before they are written.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};

/// The database's clock in milliseconds since 1970, never the worker's.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

pub(crate) use now;

/// `SQLite`'s codes for a disk that takes no more: full, and failures to write, sync, truncate or map a file.
const NO_SPACE: [&str; 6] = ["13", "778", "1034", "1546", "4874", "5386"];

/// How a database is opened, made if it is not there; the folder of its file must exist. A statement waits so long for
/// another process's write.
pub(crate) fn connection(path: &Path, patience: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that has returned survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(patience)
        .foreign_keys(true)
}

/// Opens a database and brings its tables up to date: each of the migrations is applied once, in order.
pub(crate) async fn connect(
    connection: SqliteConnectOptions,
    migrations: &[&'static str],
) -> Result<SqlitePool, sqlx::Error> {
    // SQLite rolls back by itself when a write fails. The pool's connection takes itself to be in that transaction for
    // ever, and refuses the next one.
    let pool = SqlitePoolOptions::new().max_connections(4).after_release(|connection, _| {
        Box::pin(async move {
            // Behind the rollback that a dropped transaction has asked for.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    });
    let pool = pool.connect_with(connection).await?;
    migrate(&mut *pool.acquire().await?, migrations).await?;
    Ok(pool)
}

/// A transaction that may write. Its writes are on the disk when its commit has succeeded.
pub(crate) async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    pool.begin_with("BEGIN IMMEDIATE").await
}

/// Whether the database itself fails: its file is damaged, missing or locked, or may not be written.
pub(crate) fn is_failing(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_) | sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)
}

/// Whether the disk of the database has no room, so that nothing was written.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| NO_SPACE.contains(&&*code))
}

/// A column that holds a number that is not negative.
pub(crate) fn number<N: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Result<N, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    N::try_from(number).map_err(|_| damaged(column, &number.to_string()))
}

/// A duration as the database counts: in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A column that holds a time, in milliseconds since 1970.
pub(crate) fn time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let millis: Option<i64> = row.try_get(column)?;
    millis
        .map(|millis| Timestamp::from_millisecond(millis).map_err(|_| damaged(column, &millis.to_string())))
        .transpose()
}

/// A value that this program did not write.
pub(crate) fn damaged(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column `{column}` of the database holds {value}").into())
}

/// Brings the tables up to date. Two servers that start at once do not collide: the second waits for the first.
async fn migrate(connection: &mut SqliteConnection, migrations: &[&'static str]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let table = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)";
    sqlx::query(table).execute(&mut *transaction).await?;
    let row = sqlx::query("SELECT COUNT(*) AS applied FROM migrations").fetch_one(&mut *transaction).await?;
    let applied = row.try_get::<i64, _>("applied")?.unsigned_abs() as usize;
    for (number, &sql) in migrations.iter().enumerate().skip(applied) {
        sqlx::query(sql).execute(&mut *transaction).await?;
        sqlx::query(concat!("INSERT INTO migrations (number, applied_at) VALUES ($1, ", now!(), ")"))
            .bind(number as i64)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
