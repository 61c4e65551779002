"""Values both the controller and an agent speak of: what to run, for whom, and how it ended.

Plain frozen records, no behaviour beyond small derived names. Durations are seconds as float (they
are measured on the node's monotonic clock), wall times are aware UTC datetimes. Field order is not
part of the protocol; names are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class AutoUserScope(StrEnum):
    """Whose account an auto user is: one per task, or the pool's common one on the node."""

    TASK = "task"
    POOL = "pool"


class ElevationLevel(StrEnum):
    """Whether a task's user may act as administrator of its node."""

    NON_ADMIN = "nonadmin"
    ADMIN = "admin"


class UploadCondition(StrEnum):
    """Which outcomes of the process make an output file be uploaded."""

    TASK_SUCCESS = "tasksuccess"
    TASK_FAILURE = "taskfailure"
    TASK_COMPLETION = "taskcompletion"


class ErrorCategory(StrEnum):
    """Who caused a task's failure: its definition, or the service."""

    USER_ERROR = "UserError"
    SERVER_ERROR = "ServerError"


@dataclass(frozen=True, slots=True)
class RunId:
    """The name of one run of one task on one node.

    serial   the task's number in its account, never used again even after the task was deleted
    attempt  1 for the first placement of the task, one more for each later one
    """

    serial: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.serial}.{self.attempt}"


@dataclass(frozen=True, slots=True)
class ResourceFile:
    """What to fetch into the working directory before the command starts.

    Exactly one source: `http_url` (a single file; `file_path` is its target), or
    `storage_container_url` (all blobs,
    or those that begin with `blob_prefix`; `file_path` is an optional directory). `file_mode` is
    octal text.
    """

    http_url: str | None = None
    storage_container_url: str | None = None
    auto_storage_container_name: str | None = None
    blob_prefix: str | None = None
    file_path: str | None = None
    file_mode: str | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """Which files to upload when the process has ended, and where to.

    file_pattern    relative to the working directory, or absolute inside the node's root; $NAME is
                    expanded
    container_url   with a signature that permits writing
    path            blob name, or a virtual directory when the pattern has a wildcard; None: the
                    container's root
    """

    file_pattern: str
    container_url: str
    path: str | None = None
    upload_headers: tuple[tuple[str, str], ...] = ()
    condition: UploadCondition = UploadCondition.TASK_COMPLETION


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who runs a task: a named user of the pool, or an auto user when `user_name` is None."""

    user_name: str | None = None
    scope: AutoUserScope = AutoUserScope.POOL
    elevation: ElevationLevel = ElevationLevel.NON_ADMIN


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """Everything an agent needs to run a task once, signed URLs included.

    environment          names and values in order; job settings first, the task's own override them
    slots                task slots it holds while it runs; 0 for start tasks
    wall_clock_limit_s   from the moment the run takes its slots (downloads count); None: no limit
    retention_s          how long the task directory is kept after the run ended
    last_try             False: a nonzero exit will be retried, so outputs are not uploaded for it
    token                for its environment, to speak to the Batch API with; "": it gets none
    """

    job_id: str
    task_id: str
    command_line: str
    resource_files: tuple[ResourceFile, ...] = ()
    output_files: tuple[OutputFile, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: UserIdentity = UserIdentity()
    slots: int = 1
    wall_clock_limit_s: float | None = None
    retention_s: float = 7 * 24 * 3600.0
    last_try: bool = True
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StartTaskSpec:
    """A pool's start task: run at every boot of a node, retried on nonzero exit only.

    retry_count_max  -1: without limit
    """

    command_line: str
    resource_files: tuple[ResourceFile, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: UserIdentity = UserIdentity()
    retry_count_max: int = 0
    wait_for_success: bool = True


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A named user that the agent creates on the node (when it may)."""

    name: str
    password: str | None = None
    elevation: ElevationLevel = ElevationLevel.NON_ADMIN
    uid: int | None = None
    gid: int | None = None
    ssh_private_key: str | None = None


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node is told about itself when its agent connects."""

    account_name: str
    account_url: str
    pool_id: str
    node_id: str
    is_dedicated: bool = True
    slots: int = 1
    start_task: StartTaskSpec | None = None
    users: tuple[UserAccount, ...] = ()


@dataclass(frozen=True, slots=True)
class FailureInfo:
    """Why a run failed, in the Batch service's words (reference: task failureInfo codes)."""

    category: ErrorCategory
    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ExitInfo:
    """How a run ended.

    started_at  None when no process was started
    exit_code   the process's code, minus the signal's number when a signal ended it; None without a
                process
    failure     None exactly when the run succeeded
    """

    ended_at: datetime
    started_at: datetime | None = None
    exit_code: int | None = None
    failure: FailureInfo | None = None
    user_cpu_s: float = 0.0
    system_cpu_s: float = 0.0
    rss_bytes_max: int = 0
