//! The tables.

/// Each is applied once, in order; a change of the tables is a new one at the end.
pub(super) const MIGRATIONS: &[&str] = &[
    "CREATE TABLE datasets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL,
        -- Rises with every change of the images; a snapshot of the same revision is the same.
        revision INTEGER NOT NULL DEFAULT 0,
        -- How many images there are, and their bytes.
        images INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        -- Whether it is being deleted, which whoever comes next finishes.
        deleted INTEGER NOT NULL DEFAULT 0
    )",
    "CREATE TABLE images (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL,
        -- Nothing once the image is removed while a snapshot has it.
        label TEXT,
        file_name TEXT,
        subset TEXT,
        bytes INTEGER NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        -- Whether a snapshot has it, so that its file stays.
        pinned INTEGER NOT NULL DEFAULT 0,
        added_at INTEGER NOT NULL,
        UNIQUE (dataset, sha256)
    )",
    "CREATE INDEX images_by_label ON images (dataset, label)",
    "CREATE TABLE snapshots (
        dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        images INTEGER NOT NULL,
        classes TEXT NOT NULL,
        PRIMARY KEY (dataset, number)
    )",
    // Classified images that wait for feedback.
    "CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id TEXT NOT NULL,
        image INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        file_name TEXT,
        model TEXT NOT NULL,
        version INTEGER NOT NULL,
        label TEXT NOT NULL,
        score REAL NOT NULL,
        bytes INTEGER NOT NULL,
        kept_at INTEGER NOT NULL,
        UNIQUE (request_id, image)
    )",
    "CREATE INDEX inbox_by_sha256 ON inbox (sha256)",
];
