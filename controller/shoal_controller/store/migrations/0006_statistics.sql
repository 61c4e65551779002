-- What tasks used, in microseconds over all their ended runs; what remains of deleted tasks and of
-- nodes that left.

ALTER TABLE tasks ADD COLUMN user_cpu INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN system_cpu INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN wall_clock INTEGER NOT NULL DEFAULT 0;

CREATE TABLE past_tasks (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  since INTEGER,
  user_cpu INTEGER NOT NULL,
  system_cpu INTEGER NOT NULL,
  wall_clock INTEGER NOT NULL,
  wait INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL
) STRICT;
INSERT INTO past_tasks VALUES (1, NULL, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE past_nodes (
  serial INTEGER PRIMARY KEY,
  pool_id TEXT NOT NULL COLLATE NOCASE,
  vm_size TEXT NOT NULL,
  is_dedicated INTEGER NOT NULL,
  allocated_at INTEGER NOT NULL,
  gone_at INTEGER NOT NULL
) STRICT;
CREATE INDEX past_nodes_by_end ON past_nodes (gone_at);
CREATE INDEX past_nodes_by_pool ON past_nodes (pool_id, gone_at);
