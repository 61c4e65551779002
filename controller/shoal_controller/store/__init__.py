"""SQLite and only SQLite: rows to records and named queries; no rules."""
