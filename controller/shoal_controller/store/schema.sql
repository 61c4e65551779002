-- One account's state, as its first version was; migrations/ has what came later.
-- Times and durations are integers: microseconds (since 1970 UTC for times).
-- `serial` numbers are never used again (AUTOINCREMENT), so a late message can not meet a namesake.

CREATE TABLE pools (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL COLLATE NOCASE UNIQUE,
  definition BLOB NOT NULL,
  vm_size TEXT NOT NULL,
  inter_node_communication INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  allocation_state TEXT NOT NULL,
  allocation_state_at INTEGER NOT NULL,
  target_dedicated INTEGER NOT NULL,
  target_low_priority INTEGER NOT NULL,
  resize_timeout INTEGER NOT NULL,
  resize_started_at INTEGER,
  deallocation_option TEXT NOT NULL,
  resize_errors BLOB NOT NULL
) STRICT;

CREATE TABLE nodes (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL COLLATE NOCASE UNIQUE,
  pool_id TEXT NOT NULL COLLATE NOCASE,
  state TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  allocated_at INTEGER NOT NULL,
  slots INTEGER NOT NULL,
  vm_size TEXT NOT NULL,
  is_dedicated INTEGER NOT NULL,
  scheduling_state TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  booted_at INTEGER,
  ip_address TEXT NOT NULL,
  agent_version TEXT NOT NULL,
  agent_updated_at INTEGER,
  join_token_hash BLOB NOT NULL,
  key_hash BLOB NOT NULL,
  provider_state BLOB NOT NULL,
  pending TEXT,
  start_task BLOB NOT NULL,
  start_task_info BLOB NOT NULL,
  errors BLOB NOT NULL,
  total_tasks_run INTEGER NOT NULL,
  total_tasks_succeeded INTEGER NOT NULL
) STRICT;
CREATE INDEX nodes_by_pool ON nodes (pool_id, serial);

CREATE TABLE jobs (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL COLLATE NOCASE UNIQUE,
  pool_id TEXT NOT NULL COLLATE NOCASE,
  definition BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  previous_state TEXT,
  previous_state_at INTEGER,
  started_at INTEGER,
  ended_at INTEGER,
  terminate_reason TEXT,
  disable_option TEXT
) STRICT;

CREATE TABLE tasks (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  job_serial INTEGER NOT NULL,
  id TEXT NOT NULL COLLATE NOCASE,
  definition BLOB NOT NULL,
  slots INTEGER NOT NULL,
  affinity_id TEXT,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  previous_state TEXT,
  previous_state_at INTEGER,
  attempt INTEGER NOT NULL DEFAULT 0,
  is_placed INTEGER NOT NULL DEFAULT 0,
  node_id TEXT,
  pool_id TEXT,
  started_at INTEGER,
  ended_at INTEGER,
  exit_code INTEGER,
  failure BLOB,
  result TEXT,
  retry_count INTEGER NOT NULL DEFAULT 0,
  last_retry_at INTEGER,
  requeue_count INTEGER NOT NULL DEFAULT 0,
  last_requeue_at INTEGER,
  lost_count INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX tasks_by_id ON tasks (job_serial, id);
CREATE INDEX tasks_by_job ON tasks (job_serial, serial);
-- What waits, in order of submission: the scheduler's window is refilled from here.
CREATE INDEX tasks_ready ON tasks (job_serial, serial) WHERE state = 'active' AND is_placed = 0;
-- What nodes hold: small, whatever the length of the queue.
CREATE INDEX tasks_placed ON tasks (node_id) WHERE is_placed = 1;
