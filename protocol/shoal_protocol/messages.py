"""One frozen dataclass per message between the controller and an agent, both directions.

A message is named by its class name on the wire, so renaming a class is a new protocol. `RELIABLE`
ones carry a sequence number and are repeated until acknowledged (link.py); the others may be lost
and are asked for again by who needs them. Every reliable message may arrive twice, and late:
receivers compare the run's name with what they hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shoal_protocol.specs import ExitInfo, FailureInfo, NodeConfig, RunId, TaskSpec

PROTOCOL_VERSION: Final = 1


class RunPhase(StrEnum):
    """Where a run stands on its node."""

    QUEUED = "queued"  # accepted, waiting for slots: it can still be given back
    RUNNING = "running"  # holds its slots: downloading, running or uploading
    ENDED = "ended"  # its end is recorded in the agent's journal and not yet acknowledged


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run that an agent holds when it connects.

    One that was returned, killed or lost is ENDED too, until that is acknowledged: it is not to be
    sent again. It holds no slots.
    """

    run: RunId
    phase: RunPhase
    slots: int


# --- handshake: the first message of each direction on every connection ---------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """Agent to controller: who I am and what I hold.

    boot_id      new at every start of the node (not of the agent): another one means that all its
                 processes are gone
    incarnation  new at every start of the agent process; with received_seq it lets the link resume
    """

    protocol_version: int
    node_id: str
    boot_id: str
    booted_at: datetime
    agent_version: str
    incarnation: str
    peer_incarnation: str
    received_seq: int
    ip_address: str
    core_count: int
    runs: tuple[HeldRun, ...] = ()


@dataclass(frozen=True, slots=True)
class Welcome:
    """Controller to agent: the node's configuration and where the link goes on."""

    protocol_version: int
    incarnation: str
    peer_incarnation: str
    received_seq: int
    config: NodeConfig


# --- controller to agent --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunTask:
    """Run this when its slots are free, after what was assigned before. Known runs are left as they
    are.
    """

    run: RunId
    spec: TaskSpec


@dataclass(frozen=True, slots=True)
class RecallTask:
    """Give the run back if it has not taken its slots yet: answered by RunReturned, or ignored when
    it has.
    """

    run: RunId


@dataclass(frozen=True, slots=True)
class KillTask:
    """The controller has decided this run's outcome: end it and forget its result.

    Answered by RunGone once no process of it is left; unknown runs are answered at once.
    """

    run: RunId


@dataclass(frozen=True, slots=True)
class ChangeLimits:
    """New limits for a run, measured from the same origins as the old ones."""

    run: RunId
    wall_clock_limit_s: float | None
    retention_s: float


@dataclass(frozen=True, slots=True)
class RemoveTaskFiles:
    """Delete the directory of a task, whatever its retention. `serial` names the task, so a
    namesake is spared.
    """

    job_id: str
    task_id: str
    serial: int


@dataclass(frozen=True, slots=True)
class TasksGone:
    """Of the tasks that FilesKept named these are no more: delete their directories."""

    serials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RebootNode:
    """End all tasks, stop the spawner, start again under a new boot id. Task directories and
    `shared` stay, unless the node is to be wiped: then nothing of its tree does.
    """

    boot_id: str  # the boot that is to end: a repeat after the reboot changes nothing
    wipes: bool = False


# --- agent to controller --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run has taken its slots. Left out when the run ended before it was worth telling."""

    run: RunId
    started_at: datetime


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over and this is its one result."""

    run: RunId
    exit: ExitInfo


@dataclass(frozen=True, slots=True)
class RunReturned:
    """The run never took its slots and never will."""

    run: RunId


@dataclass(frozen=True, slots=True)
class RunGone:
    """No process of a killed run is left; its slots are free."""

    run: RunId


@dataclass(frozen=True, slots=True)
class RunLost:
    """The node lost the run without a result: it rebooted, or its spawner died."""

    run: RunId


@dataclass(frozen=True, slots=True)
class StartTaskReport:
    """Where the node's start task stands; sent at each change.

    running  True: it runs since started_at. False: its last run ended with `exit`
    final    no further retry will come
    """

    boot_id: str
    running: bool
    final: bool
    started_at: datetime
    retry_count: int = 0
    last_retry_at: datetime | None = None
    exit: ExitInfo | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The node's own condition; sent after each boot and at each change.

    ready   prepared (start task done, where it is waited for): tasks may be sent
    errors  what makes it unusable, empty when nothing does
    """

    boot_id: str
    ready: bool
    errors: tuple[FailureInfo, ...] = ()


FILES_KEPT_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class FilesKept:
    """Tasks whose directories the node keeps; answered by TasksGone where some are no more.

    An agent names all of them, a page after the other was acknowledged, to every life of the
    controller that it meets: what was still to be deleted is not stored there. At most
    FILES_KEPT_MAX serials.
    """

    serials: tuple[int, ...]


# --- requests and replies: unreliable, matched by request_id --------------------------------------


class FileAction(StrEnum):
    """What to do with a path below the node's root."""

    LIST = "list"
    STAT = "stat"
    READ = "read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class FileRequest:
    """Controller to agent: list, stat, read a piece of, or delete a file.

    path       relative to the node's root, `/`-separated; the agent refuses what leads outside of
               it
    recursive  list: descendants too; delete: directories that are not empty
    offset, length   read: bytes wanted; one reply holds at most READ_BYTES_MAX
    after, entries_max   list: continue behind this name (order: names as text)
    """

    request_id: int
    action: FileAction
    path: str
    recursive: bool = False
    offset: int = 0
    length: int = 0
    after: str = ""
    entries_max: int = 1000


READ_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file or directory; `name` is relative to what was listed. `mode` includes the file type
    bits.
    """

    name: str
    is_directory: bool
    bytes: int
    modified_at: datetime
    mode: int


@dataclass(frozen=True, slots=True)
class FileReply:
    """Agent to controller: the answer to the FileRequest of the same request_id.

    error  "" or one of: not_found, is_directory, not_empty, refused, failed; list: too_deep, where
           the next entries have paths too long to be asked for
    more   list: there are names behind the last entry, and then there is one
    """

    request_id: int
    error: str = ""
    reason: str = ""
    entries: tuple[FileEntry, ...] = ()
    more: bool = False
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class LogsRequest:
    """Controller to agent: upload your log, as far as it was written between two instants.

    container_url  with a signature that permits writing
    directory      names of blobs begin with it and a slash
    end            None: until now
    """

    request_id: int
    container_url: str
    directory: str
    begin: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogsReply:
    """Agent to controller: the answer to the LogsRequest of the same request_id.

    error  "" or one of: no_log, failed, or a FileUpload… code
    """

    request_id: int
    error: str = ""
    reason: str = ""
    file_count: int = 0


Request = FileRequest | LogsRequest
Reply = FileReply | LogsReply


@dataclass(frozen=True, slots=True)
class Ping:
    """Either direction, when nothing else was sent for a heartbeat interval."""


ToAgent = (
    RunTask
    | RecallTask
    | KillTask
    | ChangeLimits
    | RemoveTaskFiles
    | TasksGone
    | RebootNode
    | Welcome
    | FileRequest
    | LogsRequest
    | Ping
)
ToController = (
    RunStarted
    | RunEnded
    | RunReturned
    | RunGone
    | RunLost
    | StartTaskReport
    | NodeReport
    | FilesKept
    | Hello
    | FileReply
    | LogsReply
    | Ping
)
Message = ToAgent | ToController

RELIABLE: Final[frozenset[type]] = frozenset(
    {
        RunTask,
        RecallTask,
        KillTask,
        ChangeLimits,
        RemoveTaskFiles,
        TasksGone,
        RebootNode,
        RunStarted,
        RunEnded,
        RunReturned,
        RunGone,
        RunLost,
        StartTaskReport,
        NodeReport,
        FilesKept,
    }
)
