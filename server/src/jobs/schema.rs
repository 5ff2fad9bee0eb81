//! The tables.

/// Each is applied once, in order; a change of the tables is a new one at the end.
pub(super) const MIGRATIONS: &[&str] = &[
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

/// The jobs that a server may take: those that wait and whose time has come, and those whose server has gone.
macro_rules! claimable {
    () => {
        concat!(
            "(state = 'queued' AND COALESCE(not_before, 0) <= ",
            $crate::database::now!(),
            ") OR (state = 'running' AND lease_until < ",
            $crate::database::now!(),
            ")"
        )
    };
}

pub(super) use claimable;
