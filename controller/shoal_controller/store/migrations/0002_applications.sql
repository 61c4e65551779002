-- Applications and their packages; the packages' bytes are in the account's storage.

CREATE TABLE applications (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL COLLATE NOCASE UNIQUE,
  container TEXT NOT NULL,
  display_name TEXT,
  allow_updates INTEGER NOT NULL,
  default_version TEXT,
  tags BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL
) STRICT;

CREATE TABLE packages (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  application_serial INTEGER NOT NULL,
  version TEXT NOT NULL COLLATE NOCASE,
  blob TEXT NOT NULL,
  state TEXT NOT NULL,
  format TEXT,
  activated_at INTEGER,
  tags BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX packages_by_version ON packages (application_serial, version);

-- What no row names any more and is still to be removed from the storage; no blob: all of it.
CREATE TABLE doomed_blobs (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  container TEXT NOT NULL,
  blob TEXT
) STRICT;
