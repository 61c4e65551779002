-- The catalogue of one storage account. Names of blobs are UTF-8 bytes, so that they sort bytewise
-- and no name can surprise SQLite's text functions. Times are microseconds since 1970.

CREATE TABLE IF NOT EXISTS counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- A deleted container loses its name at once; its blobs follow in rounds (containers.reap).
CREATE TABLE IF NOT EXISTS containers (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT UNIQUE,
    etag     INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    metadata TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS blobs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    container  INTEGER NOT NULL REFERENCES containers (id),
    name       BLOB NOT NULL,
    etag       INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    modified   INTEGER NOT NULL,
    length     INTEGER NOT NULL,
    properties TEXT NOT NULL,
    UNIQUE (container, name)
);

-- Runs of bytes. data is NULL when they are in the file of that number. Never changed once written.
CREATE TABLE IF NOT EXISTS chunks (
    id   INTEGER PRIMARY KEY,
    data BLOB
);

-- The bytes of a blob, in order: chunk by chunk from offset 0 without gaps.
CREATE TABLE IF NOT EXISTS extents (
    blob     INTEGER NOT NULL REFERENCES blobs (id),
    start    INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    block_id TEXT,
    PRIMARY KEY (blob, start)
) WITHOUT ROWID;

-- Uncommitted blocks.
CREATE TABLE IF NOT EXISTS blocks (
    container INTEGER NOT NULL REFERENCES containers (id),
    name      BLOB NOT NULL,
    block_id  TEXT NOT NULL,
    length    INTEGER NOT NULL,
    chunk     INTEGER NOT NULL,
    staged    INTEGER NOT NULL,
    PRIMARY KEY (container, name, block_id)
) WITHOUT ROWID;

-- Chunks nothing points to any more, in the order in which they were abandoned.
CREATE TABLE IF NOT EXISTS garbage (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk INTEGER NOT NULL
);
