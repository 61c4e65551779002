"""Tasks in rows. The statements of the hot path (insert, place, start, end) name few columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from shoal_controller.core.changes import Ready, Standing
from shoal_controller.core.task import Task, TaskDefinition, TaskResult, TaskState
from shoal_controller.store.columns import (
    decoder,
    duration,
    encode,
    span,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx
from shoal_protocol.specs import FailureInfo, RunId

GET: Final = "SELECT * FROM tasks WHERE job_serial = ? AND id = ?"
BY_SERIAL: Final = "SELECT * FROM tasks WHERE serial = ?"
READY: Final = (
    "SELECT serial, slots, attempt, affinity_id FROM tasks INDEXED BY tasks_active"
    " WHERE job_serial = ? AND serial > ? AND state = 'active' AND is_placed = 0"
    " ORDER BY serial LIMIT ?"
)
PLACED_ON: Final = "SELECT * FROM tasks WHERE node_id = ? AND is_placed = 1"
_UNFINISHED: Final = (
    "SELECT EXISTS (SELECT 1 FROM tasks INDEXED BY tasks_active"
    " WHERE job_serial = ?1 AND state = 'active') OR EXISTS (SELECT 1 FROM tasks"
    " INDEXED BY tasks_placed WHERE is_placed = 1 AND job_serial = ?1)"
)
ENDED_ON: Final = "SELECT * FROM tasks WHERE node_id = ? AND state = 'completed'"
PLACED: Final = (
    "SELECT serial, job_serial, slots, attempt, state, node_id, started_at FROM tasks"
    " WHERE is_placed = 1"
)
PLACED_OF_JOB: Final = (
    "SELECT * FROM tasks INDEXED BY tasks_placed WHERE is_placed = 1 AND job_serial = ?"
)
_HAS_PLACED: Final = (
    "SELECT 1 FROM tasks INDEXED BY tasks_placed WHERE is_placed = 1 AND job_serial = ? LIMIT 1"
)
OF_JOB: Final = (
    "SELECT * FROM tasks INDEXED BY tasks_by_creation WHERE job_serial = ?"
    " ORDER BY created_at, serial LIMIT ?"
)
RECENT_OF_NODE: Final = "SELECT * FROM tasks WHERE serial IN ({})"
COUNTS: Final = (
    "SELECT job_serial, state, result, count(*) AS tasks, sum(slots) AS slots FROM tasks"
    " GROUP BY job_serial, state, result"
)
_INSERT: Final = (
    "INSERT INTO tasks (job_serial, id, definition, slots, affinity_id, created_at, modified_at,"
    " state, state_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?)"
)
_PLACE: Final = (
    "UPDATE tasks SET attempt = attempt + 1, is_placed = 1, node_id = ?, pool_id = ?"
    " WHERE serial = ? AND attempt = ? AND state = 'active' AND is_placed = 0"
    " RETURNING id, definition, retry_count"
)
_START: Final = (
    "UPDATE tasks SET state = 'running', state_at = ?1, previous_state = state,"
    " previous_state_at = state_at, started_at = ?1"
    " WHERE serial = ?2 AND attempt = ?3 AND is_placed = 1 AND state = 'active'"
)
_PLACED_STATE: Final = "SELECT state FROM tasks WHERE serial = ? AND attempt = ? AND is_placed = 1"
_SUCCEED: Final = (
    "UPDATE tasks SET state = 'completed', state_at = ?1, previous_state = 'running',"
    " previous_state_at = ?2, started_at = ?2, ended_at = ?1, exit_code = 0, result = 'success',"
    " is_placed = 0, user_cpu = user_cpu + ?5, system_cpu = system_cpu + ?6,"
    " wall_clock = wall_clock + max(0, ?1 - ?2)"
    " WHERE serial = ?3 AND attempt = ?4 AND is_placed = 1"
)
_UPDATE: Final = (
    "UPDATE tasks SET (definition, slots, modified_at, state, state_at, previous_state,"
    " previous_state_at, attempt, is_placed, node_id, pool_id, started_at, ended_at, exit_code,"
    " failure, result, retry_count, last_retry_at, requeue_count, last_requeue_at, lost_count,"
    f" user_cpu, system_cpu, wall_clock) = ({', '.join('?' * 24)}) WHERE serial = ?"
)
_GONE: Final = (
    "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE serial = value)"
)
DELETE: Final = "DELETE FROM tasks WHERE serial = ?"
JOB_OF_RUN: Final = (
    "SELECT jobs.id FROM tasks JOIN jobs ON jobs.serial = tasks.job_serial WHERE tasks.serial = ?"
    " AND tasks.attempt = ? AND tasks.is_placed = 1 AND jobs.state NOT IN ('completed', 'deleting')"
)

_STATES: Final = {str(state): state for state in TaskState}
decode_definition = decoder(TaskDefinition)
_failure = decoder(FailureInfo)


def task(row: Row) -> Task:
    """Return the task of a row."""
    previous, failure, result = row["previous_state"], row["failure"], row["result"]
    return Task(
        serial=row["serial"],
        job_serial=row["job_serial"],
        id=row["id"],
        definition=decode_definition(row["definition"]),
        created_at=time(row["created_at"]),
        modified_at=time(row["modified_at"]),
        state=_STATES[row["state"]],
        state_at=time(row["state_at"]),
        previous_state=None if previous is None else _STATES[previous],
        previous_state_at=time_or_none(row["previous_state_at"]),
        attempt=row["attempt"],
        is_placed=bool(row["is_placed"]),
        node_id=row["node_id"],
        pool_id=row["pool_id"],
        started_at=time_or_none(row["started_at"]),
        ended_at=time_or_none(row["ended_at"]),
        exit_code=row["exit_code"],
        failure=None if failure is None else _failure(failure),
        result=None if result is None else TaskResult(result),
        retry_count=row["retry_count"],
        last_retry_at=time_or_none(row["last_retry_at"]),
        requeue_count=row["requeue_count"],
        last_requeue_at=time_or_none(row["last_requeue_at"]),
        lost_count=row["lost_count"],
        user_cpu=duration(row["user_cpu"]),
        system_cpu=duration(row["system_cpu"]),
        wall_clock=duration(row["wall_clock"]),
    )


def get(tx: Tx, job_serial: int, task_id: str) -> Task | None:
    """Return the task of that id, whatever its case, or None."""
    row = tx.row(GET, (job_serial, task_id))
    return None if row is None else task(row)


def by_serial(tx: Tx, serial: int) -> Task | None:
    row = tx.row(BY_SERIAL, (serial,))
    return None if row is None else task(row)


def insert(tx: Tx, job_serial: int, task_id: str, definition: TaskDefinition, created: int) -> int:
    """Store a new active task and return its serial; raise sqlite3.IntegrityError for a namesake.

    created   microseconds since 1970: one clock reading serves a whole collection
    """
    cursor = tx.connection.execute(
        _INSERT,
        (
            job_serial,
            task_id,
            encode(definition),
            definition.required_slots,
            definition.affinity_id,
            created,
            created,
            created,
        ),
    )
    return cursor.lastrowid or 0


def place(tx: Tx, serial: int, attempt: int, node_id: str, pool_id: str) -> Row | None:
    """Give a waiting task to a node; return its id, definition and retry count, or None.

    None: it does not wait any more, or another attempt of it came in between.
    """
    return tx.connection.execute(_PLACE, (node_id, pool_id, serial, attempt)).fetchone()


def start(tx: Tx, run: RunId, at: int) -> bool:
    """Note that a run took its slots; return False when it is not the task's current run."""
    return tx.connection.execute(_START, (at, run.serial, run.attempt)).rowcount == 1


def placed_state(tx: Tx, run: RunId) -> TaskState | None:
    """Return the state of the task whose current run this is, or None when it is superseded."""
    row = tx.row(_PLACED_STATE, (run.serial, run.attempt))
    return None if row is None else TaskState(row[0])


def succeed(tx: Tx, run: RunId, started: int, ended: int, cpu: tuple[int, int]) -> bool:
    """Note that a run ended well; return False when it is not the task's current run.

    cpu   microseconds, of the user and of the system
    """
    cursor = tx.connection.execute(_SUCCEED, (ended, started, run.serial, run.attempt, *cpu))
    return cursor.rowcount == 1


def update(tx: Tx, changed: Task) -> None:
    """Store everything about a task that can change."""
    tx.execute(
        _UPDATE,
        (
            encode(changed.definition),
            changed.definition.required_slots,
            ticks(changed.modified_at),
            changed.state,
            ticks(changed.state_at),
            changed.previous_state,
            ticks_or_none(changed.previous_state_at),
            changed.attempt,
            int(changed.is_placed),
            changed.node_id,
            changed.pool_id,
            ticks_or_none(changed.started_at),
            ticks_or_none(changed.ended_at),
            changed.exit_code,
            None if changed.failure is None else encode(changed.failure),
            changed.result,
            changed.retry_count,
            ticks_or_none(changed.last_retry_at),
            changed.requeue_count,
            ticks_or_none(changed.last_requeue_at),
            changed.lost_count,
            span(changed.user_cpu),
            span(changed.system_cpu),
            span(changed.wall_clock),
            changed.serial,
        ),
    )


def placed_on(tx: Tx, node_id: str) -> list[Task]:
    """Return what a node holds."""
    return [task(row) for row in tx.rows(PLACED_ON, (node_id,))]


def has_unfinished(tx: Tx, job_serial: int) -> bool:
    """Return whether a job has a task that is not completed."""
    return bool(tx.rows(_UNFINISHED, (job_serial,))[0][0])


def has_placed(tx: Tx, job_serial: int) -> bool:
    """Return whether a node holds a task of a job."""
    return tx.row(_HAS_PLACED, (job_serial,)) is not None


def ended_on(tx: Tx, node_id: str) -> list[Task]:
    """Return the completed tasks whose last run was on a node (a scan: for rare questions)."""
    return [task(row) for row in tx.rows(ENDED_ON, (node_id,))]


def gone(tx: Tx, serials: Iterable[int]) -> tuple[int, ...]:
    """Return those of `serials` that no task has."""
    return tuple(row[0] for row in tx.rows(_GONE, (json.dumps(list(serials)),)))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(DELETE, (serial,))


def ready(row: Row) -> Ready:
    """Return a waiting task of a row of READY."""
    return Ready(row["serial"], row["slots"], row["attempt"], row["affinity_id"])


def standing(row: Row) -> Standing:
    """Return where the task of a row of PLACED stands."""
    return Standing(TaskState(row["state"]), None, True)
