//! The tables.

use sqlx::{Connection, Row, SqliteConnection};

/// Each is applied once, in order; a change of the tables is a new one at the end.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        spec TEXT NOT NULL,
        idempotency_key TEXT UNIQUE,
        -- Rises with every claim and fences every write.
        attempt INTEGER NOT NULL DEFAULT 0,
        -- Attempts that ended because the server was told to stop; they do not count against the job.
        forgiven INTEGER NOT NULL DEFAULT 0,
        -- Whether the last claim took the job from a server that had gone.
        reclaimed INTEGER NOT NULL DEFAULT 0,
        worker TEXT,
        lease_until INTEGER,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        finished_at INTEGER,
        progress TEXT,
        error TEXT,
        result TEXT
    )",
    "CREATE INDEX jobs_by_state ON jobs (state, id)",
    "CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL REFERENCES jobs (id),
        attempt INTEGER NOT NULL,
        at INTEGER NOT NULL,
        data TEXT NOT NULL
    )",
    "CREATE INDEX events_by_job ON events (job_id, seq)",
    // When a job that failed may begin again.
    "ALTER TABLE jobs ADD COLUMN not_before INTEGER",
    // How long earlier attempts ran.
    "ALTER TABLE jobs ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0",
    // Events that happened; those above the limit are not stored.
    "ALTER TABLE jobs ADD COLUMN events INTEGER NOT NULL DEFAULT 0",
    // The name of the API key that asked for the job.
    "ALTER TABLE jobs ADD COLUMN owner TEXT",
];

/// The database's clock in milliseconds since 1970, never the worker's.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

/// The jobs that a server may take: those that wait and whose time has come, and those whose server has gone.
macro_rules! claimable {
    () => {
        concat!(
            "(state = 'queued' AND COALESCE(not_before, 0) <= ",
            now!(),
            ") OR (state = 'running' AND lease_until < ",
            now!(),
            ")"
        )
    };
}

pub(super) use {claimable, now};

/// Brings the tables up to date. Two servers that start at once do not collide: the second waits for the first.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let table = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)";
    sqlx::query(table).execute(&mut *transaction).await?;
    let row = sqlx::query("SELECT COUNT(*) AS applied FROM migrations").fetch_one(&mut *transaction).await?;
    let applied = row.try_get::<i64, _>("applied")?.unsigned_abs() as usize;
    for (number, &sql) in MIGRATIONS.iter().enumerate().skip(applied) {
        sqlx::query(sql).execute(&mut *transaction).await?;
        sqlx::query(concat!("INSERT INTO migrations (number, applied_at) VALUES ($1, ", now!(), ")"))
            .bind(number as i64)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
