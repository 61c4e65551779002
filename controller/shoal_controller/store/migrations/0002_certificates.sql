-- Certificates of the account; pools name them by thumbprint, in their definitions.

CREATE TABLE certificates (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  algorithm TEXT NOT NULL COLLATE NOCASE,
  thumbprint TEXT NOT NULL COLLATE NOCASE,
  data BLOB NOT NULL,
  format TEXT NOT NULL,
  password TEXT,
  state TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  previous_state TEXT,
  previous_state_at INTEGER,
  used_by BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX certificates_by_thumbprint ON certificates (algorithm, thumbprint);
