"""What the agent core asks for, and what it hears back (pure values).

`runner.py` carries instructions out: all `Append`s of a batch are written to the journal first, in
one write, then the others happen in order. A step runs beside everything else and ends in one
`StepEnded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shoal_agent.core.environment import Account
from shoal_agent.core.records import Record
from shoal_agent.core.spawning import Event as SpawnerEvent
from shoal_agent.core.spawning import Launch, Snapshot
from shoal_protocol.messages import Message, ToAgent
from shoal_protocol.specs import FailureInfo, OutputFile, ResourceFile, UserAccount

# --- steps ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrepareUsers:
    """Make the accounts that every task of the node may use; ends with `UsersReady`."""

    users: tuple[UserAccount, ...]
    # Accounts of single tasks that are still needed; others left by a crash are removed.
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrepareFiles:
    """Make a task's directories and fetch its resource files.

    directories   to make, outermost first, with their modes
    fresh         a directory whose content is deleted before; None: nothing is
    account       who the files belong to; None: make the account `task_user` first
    """

    wd: str
    directories: tuple[tuple[str, int], ...]
    resource_files: tuple[ResourceFile, ...]
    account: Account | None
    task_user: str | None = None
    fresh: str | None = None


@dataclass(frozen=True, slots=True)
class UploadOutputs:
    """Upload what the patterns match. directory: the task's; variables expand in patterns."""

    directory: str
    outputs: tuple[OutputFile, ...]
    variables: Mapping[str, str]
    account: Account | None
    task_user: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveUser:
    """Delete the account of a task that is over."""

    name: str


@dataclass(frozen=True, slots=True)
class EmptyTrash:
    """Delete what `MoveToTrash` put aside. Done late and when the node is idle."""


Step = PrepareUsers | PrepareFiles | UploadOutputs | RemoveUser | EmptyTrash


@dataclass(frozen=True, slots=True)
class UsersReady:
    """Accounts by the names that `users.account_key` gives."""

    accounts: Mapping[str, Account]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All files are there; account: who the process runs as."""

    account: Account


@dataclass(frozen=True, slots=True)
class Done:
    """The step did what it should."""


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The step could not be done; for users to read."""

    failure: FailureInfo


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The step was stopped, and does nothing any more."""


StepOutcome = UsersReady | Prepared | Done | StepFailed | Cancelled


# --- instructions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """Write down before anything else of this batch happens."""

    record: Record


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the controller."""

    message: Message


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Spawner: queue for slots."""

    key: str
    slots: int
    launch: Launch | None


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Spawner: launch what was granted."""

    key: str
    launch: Launch


@dataclass(frozen=True, slots=True)
class Release:
    """Spawner: give back held slots; a run without a process is dropped."""

    key: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Spawner: end the run with all its processes."""

    key: str


@dataclass(frozen=True, slots=True)
class Limit:
    """Spawner: another wall clock limit."""

    key: str
    limit_s: float | None


@dataclass(frozen=True, slots=True)
class Ack:
    """Spawner: these runs' ends are in the journal."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegisterEnvironment:
    """Spawner: a base that launches name."""

    name: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SetCapacity:
    """Spawner: the node's slots."""

    slots: int


@dataclass(frozen=True, slots=True)
class BeginStep:
    """Start a step; one at a time for a key."""

    key: str
    step: Step


@dataclass(frozen=True, slots=True)
class CancelStep:
    """Stop the step of that key; its StepEnded still comes."""

    key: str


@dataclass(frozen=True, slots=True)
class MoveToTrash:
    """Rename a directory away at once, so that its name is free; nothing there is fine."""

    path: str


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """Make a directory of the node's own, at once; one that is there is fine."""

    path: str


@dataclass(frozen=True, slots=True)
class RemoveIfEmpty:
    """Remove a directory unless something is in it."""

    path: str


@dataclass(frozen=True, slots=True)
class RestartSpawner:
    """Stop all steps and the spawner with everything it runs, then start one; ends in SpawnerUp."""


@dataclass(frozen=True, slots=True)
class Redial:
    """Open a new connection to the controller: what Hello says has changed."""


Instruction = (
    Append
    | Send
    | Enqueue
    | StartProcess
    | Release
    | Kill
    | Limit
    | Ack
    | RegisterEnvironment
    | SetCapacity
    | BeginStep
    | CancelStep
    | MoveToTrash
    | MakeDirectory
    | RemoveIfEmpty
    | RestartSpawner
    | Redial
)


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpawnerUp:
    """A spawner is reached. life: its name among all spawners of this machine's boots."""

    life: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class SpawnerDown:
    """The connection to the spawner broke; SpawnerUp follows."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The controller acknowledged this message of ours."""

    message: Message


@dataclass(frozen=True, slots=True)
class StepEnded:
    """The one end of a step."""

    key: str
    outcome: StepOutcome


@dataclass(frozen=True, slots=True)
class Found:
    """Task directories on the disk, looked up at start: (job id, task id)."""

    directories: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DiskMeasured:
    """The disk of the node's root: what everybody may fill, and what of that is free."""

    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = (
    SpawnerEvent
    | SpawnerUp
    | SpawnerDown
    | Delivered
    | StepEnded
    | Found
    | DiskMeasured
    | Tick
    | ToAgent
)


@dataclass(frozen=True, slots=True)
class Clock:
    """One reading: aware UTC, and the machine's monotonic seconds."""

    now: datetime
    s: float
