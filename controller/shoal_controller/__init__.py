"""The controller: one process that keeps the truth in SQLite and tells agents what to run."""
