-- Indexes for lists, beside those of the schema. They hold nothing of their own: at every start those
-- that are absent, or that read differently here, are made anew. paths.py says which filter is answered
-- from which.

CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_pool ON jobs (pool_id);
CREATE INDEX jobs_by_schedule ON jobs (schedule_serial) WHERE schedule_serial IS NOT NULL;

CREATE INDEX tasks_by_creation ON tasks (job_serial, created_at);
-- What waits, in order of submission: the scheduler's window is refilled from here.
CREATE INDEX tasks_active ON tasks (job_serial) WHERE state = 'active';
CREATE INDEX tasks_started ON tasks (job_serial, started_at) WHERE started_at IS NOT NULL;
-- A completed task's state_at is when it ended.
CREATE INDEX tasks_ended ON tasks (job_serial, result, state_at) WHERE state = 'completed';
-- Rare ones, which cost nothing while there are none.
CREATE INDEX tasks_failed ON tasks (job_serial, exit_code)
  WHERE exit_code <> 0 OR result = 'failure';
CREATE INDEX tasks_requeued ON tasks (job_serial, state_at)
  WHERE state = 'active' AND state_at <> created_at;
CREATE INDEX tasks_modified ON tasks (job_serial, modified_at) WHERE modified_at <> created_at;

-- Of the schema, and of no use beside these.
DROP INDEX IF EXISTS tasks_by_job;
DROP INDEX IF EXISTS tasks_ready;
