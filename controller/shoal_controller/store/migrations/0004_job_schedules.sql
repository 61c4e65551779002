-- Job schedules, and the jobs that they made.

CREATE TABLE job_schedules (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL COLLATE NOCASE UNIQUE,
  definition BLOB NOT NULL,
  do_not_run_until INTEGER,
  do_not_run_after INTEGER,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  previous_state TEXT,
  previous_state_at INTEGER,
  job_count INTEGER NOT NULL,
  passed_at INTEGER,
  ended_at INTEGER
) STRICT;

ALTER TABLE jobs ADD COLUMN schedule_serial INTEGER;
CREATE INDEX jobs_by_schedule ON jobs (schedule_serial, serial) WHERE schedule_serial IS NOT NULL;
