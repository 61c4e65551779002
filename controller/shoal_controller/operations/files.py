"""Files of tasks and nodes, read where they are: on the node, through its agent's link."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import count
from typing import Final

from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.core.ids import fold, job_directory
from shoal_controller.core.node import check_reachable
from shoal_controller.core.task import TaskState
from shoal_controller.operations.context import Context
from shoal_controller.operations.nodes import get_node
from shoal_controller.operations.tasks import get_task
from shoal_protocol.messages import (
    READ_BYTES_MAX,
    FileAction,
    FileEntry,
    FileReply,
    FileRequest,
)

_request_ids: Final = count(1)


@dataclass(frozen=True, slots=True)
class TaskRoot:
    """Paths relative to a task's directory."""

    job_id: str
    task_id: str


@dataclass(frozen=True, slots=True)
class NodeRoot:
    """Paths relative to a node's root directory."""

    pool_id: str
    node_id: str


FileRoot = TaskRoot | NodeRoot


async def list_files(
    ctx: Context, root: FileRoot, *, recursive: bool, after: str, limit: int, prefix: str
) -> tuple[list[FileEntry], bool]:
    """Return files and directories in order of name, and whether there are more.

    after   names greater than this one; prefix: only names that begin with it
    """
    node, base = await _place(ctx, root)
    entries: list[FileEntry] = []
    more = True
    while more and len(entries) < limit:
        wanted = limit - len(entries)
        request = FileRequest(
            next(_request_ids),
            FileAction.LIST,
            base,
            recursive=recursive,
            after=after,
            entries_max=1000 if prefix else wanted,
        )
        reply = await _ask(ctx, root, node, request)
        more = reply.more and bool(reply.entries)  # an agent that has more shows some of it
        if reply.entries:
            after = reply.entries[-1].name
        fitting = [entry for entry in reply.entries if entry.name.startswith(prefix)]
        if len(fitting) > wanted:
            fitting, more = fitting[:wanted], True
        entries += fitting
    return entries, more


async def stat_file(ctx: Context, root: FileRoot, path: str) -> FileEntry:
    """Return what is known of a file or directory."""
    node, base = await _place(ctx, root)
    request = FileRequest(next(_request_ids), FileAction.STAT, _join(base, path))
    return (await _ask(ctx, root, node, request)).entries[0]


async def read_file(
    ctx: Context, root: FileRoot, path: str, first: int, last: int | None
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes `first` to `last` (inclusive; None: to the end) in pieces of at most 1 MiB.

    The reader sets the pace: a piece is asked for when the one before it was taken.
    """
    node, base = await _place(ctx, root)
    offset = first
    while last is None or offset <= last:
        length = READ_BYTES_MAX if last is None else min(READ_BYTES_MAX, last - offset + 1)
        request = FileRequest(
            next(_request_ids), FileAction.READ, _join(base, path), offset=offset, length=length
        )
        data = (await _ask(ctx, root, node, request)).data
        if not data:
            return
        yield data
        offset += len(data)


async def delete_file(ctx: Context, root: FileRoot, path: str, recursive: bool) -> None:
    """Delete a file, or a directory: one that is not empty needs `recursive`."""
    node, base = await _place(ctx, root)
    request = FileRequest(
        next(_request_ids), FileAction.DELETE, _join(base, path), recursive=recursive
    )
    await _ask(ctx, root, node, request)


async def _place(ctx: Context, root: FileRoot) -> tuple[int, str]:
    """Return the node's serial and the directory that paths are relative to."""
    if isinstance(root, NodeRoot):
        view = await get_node(ctx, root.pool_id, root.node_id)
        check_reachable(view.node)
        return view.node.serial, ""
    job, task = await get_task(ctx, root.job_id, root.task_id)
    if task.node_id is None or (task.is_placed and task.state == TaskState.ACTIVE):
        raise Refused("TaskFilesUnavailable", Reason="The task has not run on any node yet.")
    node = ctx.index.node_by_id.get(fold(task.node_id))
    if node is None:
        raise Refused(
            "TaskFilesUnavailable", Reason=f"Its node '{task.node_id}' has left the pool."
        )
    return node.serial, f"{job_directory(job.id)}/{task.id}"


async def _ask(ctx: Context, root: FileRoot, node: int, request: FileRequest) -> FileReply:
    try:
        reply = await ctx.links.request(node, request)
    except Unavailable as err:
        code = "TaskFilesUnavailable" if isinstance(root, TaskRoot) else "NodeStateUnusable"
        raise Refused(code, Reason=str(err)) from err
    match reply.error:
        case "":
            if request.action == FileAction.STAT and not reply.entries:
                raise Refused("FileNotFound")
            return reply
        case "not_found":
            if isinstance(root, TaskRoot) and request.action == FileAction.LIST:
                raise Refused("TaskFilesCleanedup")
            raise Refused("FileNotFound")
        case "is_directory":
            raise Refused(
                "OperationInvalidForCurrentState", Reason="It is a directory, not a file."
            )
        case "not_empty":
            raise Refused(
                "OperationInvalidForCurrentState",
                Reason="The directory is not empty; ask with recursive=true.",
            )
        case "too_deep":
            raise Refused(
                "OperationInvalidForCurrentState",
                Reason=f"The list cannot go on: {reply.reason}. List with recursive=false, or"
                " delete that directory.",
            )
        case "refused":
            raise Refused("FileNotFound", Reason=reply.reason or "The node refuses the path.")
        case _:
            raise Refused("InternalError", Reason=reply.reason)


def _join(base: str, path: str) -> str:
    """Return the path below the node's root, or raise Refused for one that leads elsewhere.

    The agent checks too, against links and races; but only here is known which task was asked for.
    """
    parts = path.strip("/").split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Refused("FileNotFound", Reason="The path is not that of a file below the directory.")
    return "/".join([base, *parts] if base else parts)
