"""shoal file: list, get, show, delete, for the files of a task or of a node."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import click

from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.commands.node import whole_ids
from shoal_cli.faults import Failed, UsageFault
from shoal_cli.options import ID, NODE_ID, limit_option, yes_option


@click.group()
def file() -> None:
    """Files of tasks (JOB/TASK:PATH) and, with --node, of nodes (POOL/NODE:PATH)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where files are: the ids of a job and task, or of a pool and node; and a path inside."""

    owner: str
    member: str
    inner: str
    is_node: bool

    def url(self, inner: str | None = None) -> str:
        """Return the URL path of the collection, or of one file in it."""
        from shoal_cli.client import path_of

        nouns = ("pools", "nodes") if self.is_node else ("jobs", "tasks")
        base = path_of(nouns[0], self.owner, nouns[1], self.member, "files")
        return base + path_of(inner) if inner else base


def parse_target(text: str, *, is_node: bool, needs_path: bool = False) -> Target:
    """Return the parts of `a/b[:path]`, or raise UsageFault that shows the form."""
    form = "POOL/NODE" if is_node else "JOB/TASK"
    # A path begins at the last place it can: jobs of schedules have a colon in their id.
    owner, slash, rest = text.partition("/")
    member, _, inner = rest.partition(":")
    inner = inner.strip("/")
    if not slash or not owner or not member or (needs_path and not inner):
        path = ":PATH" if needs_path else "[:PATH]"
        raise UsageFault(f"'{text}' is not {form}{path}")
    ID.convert(owner, None, None)
    member = (NODE_ID if is_node else ID).convert(member, None, None)
    return Target(owner, member, inner, is_node)


async def _where(session: Session, text: str, *, is_node: bool, needs_path: bool = False) -> Target:
    """Return the target with the whole id of its node."""
    found = parse_target(text, is_node=is_node, needs_path=needs_path)
    if not is_node:
        return found
    (node_id,) = await whole_ids(session.client, found.owner, [found.member])
    return replace(found, member=node_id)


_target = click.argument("target", metavar="JOB/TASK[:PATH]")
_node = click.option("--node", "is_node", is_flag=True, help="The target is POOL/NODE[:PATH].")


@api_command(file, "list", doing="list the files of '{target}'")
@_target
@_node
@click.option("-r", "--recursive", is_flag=True, help="Folders with all they hold.")
@limit_option
async def list_(
    session: Session, target: str, is_node: bool, recursive: bool, limit: int | None
) -> None:
    """List files and folders."""
    from shoal_cli.views import FILE

    where = await _where(session, target, is_node=is_node)
    await session.out.list(_files(session, where, recursive=recursive, limit=limit), FILE)


async def _files(
    session: Session, where: Target, *, recursive: bool, limit: int | None = None
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield pages of what lies at the target's path. The API lists from the root only."""
    query: dict[str, str] = {"recursive": "true"} if recursive or where.inner else {}
    prefix = f"{where.inner}/" if where.inner else ""
    if prefix:
        query["$filter"] = "startswith(name,'{}')".format(prefix.replace("'", "''"))
    left = limit
    async for page in session.client.pages(where.url(), limit=None if prefix else limit, **query):
        kept = [f for f in page if str(f.get("name", "")).startswith(prefix)]
        if not recursive:
            kept = [f for f in kept if "/" not in str(f["name"])[len(prefix) :]]
        yield kept if left is None else kept[:left]
        if left is not None:
            left -= len(kept)
            if left <= 0:
                return


@api_command(file, "show", doing="show file '{target}'")
@click.argument("target", metavar="JOB/TASK:PATH")
@_node
async def show(session: Session, target: str, is_node: bool) -> None:
    """Show the facts of one file."""
    from shoal_cli.views import FILE

    where = await _where(session, target, is_node=is_node, needs_path=True)
    facts = await session.client.file_facts(where.url(where.inner))
    headers = facts.headers
    properties = {
        "creationTime": headers.get("ocp-creation-time"),
        "lastModified": _iso(headers.get("Last-Modified")),
        "contentLength": str(facts.length),
        "contentType": headers.get("Content-Type"),
        "fileMode": headers.get("ocp-batch-file-mode"),
    }
    session.out.show(
        {
            "name": where.inner,
            "isDirectory": headers.get("ocp-batch-file-isdirectory", "").lower() == "true",
            "properties": {name: value for name, value in properties.items() if value},
        },
        FILE,
    )


def _iso(http_date: str | None) -> str | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(http_date or "").strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError):
        return None


@api_command(file, "delete", doing="delete file '{target}'")
@click.argument("target", metavar="JOB/TASK:PATH")
@_node
@click.option("-r", "--recursive", is_flag=True, help="A folder with all it holds.")
@yes_option
async def delete(session: Session, target: str, is_node: bool, recursive: bool) -> None:
    """Delete a file, or with --recursive a folder."""
    where = await _where(session, target, is_node=is_node, needs_path=True)
    session.confirm(f"Delete {target}?")
    query = {"recursive": "true"} if recursive else {}
    await session.client.delete(where.url(where.inner), **query)
    session.out.done(f"'{target}' has been deleted")


@api_command(file, "get", doing="fetch file '{target}'", patience_s=FOLLOW_PATIENCE_S)
@click.argument("target", metavar="JOB/TASK:PATH")
@_node
@click.option("--to", metavar="PATH", help="Where to put it; - writes it out. [its name, here]")
@click.option("-r", "--recursive", is_flag=True, help="A folder with all it holds.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
async def get(
    session: Session, target: str, is_node: bool, to: str | None, recursive: bool, overwrite: bool
) -> None:
    """Fetch a file, or with --recursive a folder."""
    where = await _where(session, target, is_node=is_node, needs_path=not recursive)
    if recursive:
        await _get_folder(session, where, to, overwrite=overwrite)
        return
    url = where.url(where.inner)
    if to == "-":
        async for chunk in session.client.read_file(url):
            sys.stdout.buffer.write(chunk)
        return
    place = _place(to, PurePosixPath(where.inner).name)
    written = await _save(session, url, place, overwrite=overwrite)
    session.out.done(f"{place} ({written} bytes)")


def _place(to: str | None, name: str) -> Path:
    """Return where one file goes: into a folder that exists, or under the name given."""
    place = Path(to or name)
    return place / name if place.is_dir() else place


async def _get_folder(session: Session, where: Target, to: str | None, *, overwrite: bool) -> None:
    root = Path(to or PurePosixPath(where.inner).name or where.member)
    count = 0
    async for page in _files(session, where, recursive=True):
        for found in page:
            if found.get("isDirectory"):
                continue
            name = str(found["name"])
            place = root / safe_relative(name[len(where.inner) :].lstrip("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            await _save(session, where.url(name), place, overwrite=overwrite)
            count += 1
    if count == 0:
        raise Failed("there are no files", mend="`shoal file list` shows what there is")
    session.out.done(f"{count} files in {root}")


def safe_relative(name: str) -> Path:
    """Return a listed file's name as a path below its folder, or raise Failed.

    Names come from a node; none may lead out of the folder that the user chose.
    """
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Failed(f"the name '{name}' would lead out of the folder; it is not fetched")
    return Path(*parts)


def _partial(place: Path, *, overwrite: bool) -> Path:
    """Return where a file grows until it is whole; raise Failed where it may not go."""
    if place.exists() and not overwrite:
        raise Failed(f"{place} exists already", mend="give --overwrite or another --to")
    return place.with_name(f".{place.name}.{os.getpid()}.part")


async def _save(session: Session, url: str, place: Path, *, overwrite: bool) -> int:
    """Write a file whole or not at all; returns its size in bytes."""
    partial = _partial(place, overwrite=overwrite)
    count = 0
    try:
        with partial.open("xb") as out:
            async for chunk in session.client.read_file(url):
                out.write(chunk)
                count += len(chunk)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return count
