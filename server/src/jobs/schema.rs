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
    // Whether a client asked to pause the job while it ran.
    "ALTER TABLE jobs ADD COLUMN pause_requested INTEGER NOT NULL DEFAULT 0",
    // Messages to the webhooks of jobs that have ended, until they are delivered or given up.
    "CREATE TABLE messages (
        id TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        body TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        not_before INTEGER NOT NULL
    )",
    // How far each job is recorded by a tracking server.
    "CREATE TABLE tracking (
        job_id TEXT PRIMARY KEY REFERENCES jobs (id),
        run TEXT,
        seq INTEGER NOT NULL DEFAULT 0,
        ended INTEGER NOT NULL DEFAULT 0,
        -- The server that records the job, and until when it alone does.
        holder TEXT NOT NULL,
        held_until INTEGER NOT NULL
    )",
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

/// Whether a job waits in the queue of imports. Version 0.1 wrote no kinds.
macro_rules! is_import {
    () => {
        "(COALESCE(json_extract(spec, '$.job'), 'finetune') = 'import')"
    };
}

pub(super) use {claimable, is_import};
