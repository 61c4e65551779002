"""Handlers of files, of tasks and of nodes alike."""

from __future__ import annotations

import logging
import re
from typing import Final
from urllib.parse import quote

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.conditions import read_conditions
from shoal_controller.api.lists import read_filter
from shoal_controller.api.paging import (
    boolean_parameter,
    invalid_parameter,
    next_link,
    page_size,
    position,
)
from shoal_controller.api.wire.file import file_headers, write_file
from shoal_controller.core.errors import Refused, Unavailable, invalid_header
from shoal_controller.core.odata import fields
from shoal_controller.core.odata.parse import StartsWith
from shoal_controller.operations import files
from shoal_protocol.messages import FileEntry

log = logging.getLogger(__name__)

_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})\Z|bytes=-(\d{1,18})\Z")


async def list_files(call: Call) -> web.Response:
    size, after = page_size(call), position(call) or ""
    recursive, prefix = boolean_parameter(call, "recursive"), _prefix(call)
    entries, more = await files.list_files(
        call.ctx, _root(call), recursive=recursive, after=after, limit=size, prefix=prefix
    )
    items = [write_file(entry, f"{_root_url(call)}/{_quoted(entry.name)}") for entry in entries]
    return call.listing(
        "files", items, next_link(call, entries[-1].name if more and entries else None)
    )


async def stat_file(call: Call) -> web.Response:
    entry = await _stat(call)
    headers = file_headers(entry, call.arguments["filePath"], _url(call))
    headers["Content-Length"] = str(0 if entry.is_directory else entry.bytes)
    return web.Response(headers=headers)


async def read_file(call: Call) -> web.StreamResponse:
    entry = await _stat(call)
    path = call.arguments["filePath"]
    if entry.is_directory:
        raise Refused("OperationInvalidForCurrentState", Reason="It is a directory, not a file.")
    first, last = _range(call, entry.bytes)
    # A range is answered 200 too: every generation of clients takes 206 for an error.
    response = web.StreamResponse(headers=file_headers(entry, path, _url(call)))
    pieces = files.read_file(call.ctx, _root(call), path, first, last)
    try:
        # Nothing is answered before the first piece came: until then a refusal can still be told.
        piece = await anext(pieces, b"") if first <= last else b""
        await response.prepare(call.request)
        left = last - first + 1
        while piece:
            await response.write(piece[:left])
            left -= len(piece)
            piece = await anext(pieces, b"") if left > 0 else b""
        await response.write_eof()
    except (Refused, Unavailable) as error:
        if not response.prepared:
            raise
        # The length is not promised, so only a broken connection says that this was not all.
        log.warning("file %s broke off: %s", path, error)
        if call.request.transport is not None:
            call.request.transport.abort()
    finally:
        await pieces.aclose()
    return response


async def delete_file(call: Call) -> web.Response:
    recursive = boolean_parameter(call, "recursive")
    await files.delete_file(call.ctx, _root(call), call.arguments["filePath"], recursive)
    return call.done(200, with_id=False)


async def _stat(call: Call) -> FileEntry:
    conditions = read_conditions(call.request.headers, call.route.conditional)
    entry = await files.stat_file(call.ctx, _root(call), call.arguments["filePath"])
    conditions.check(entry.modified_at, is_read=True)
    return entry


def _root(call: Call) -> files.FileRoot:
    if "taskId" in call.arguments:
        return files.TaskRoot(call.arguments["jobId"], call.arguments["taskId"])
    return files.NodeRoot(call.arguments["poolId"], call.arguments["nodeId"])


def _root_url(call: Call) -> str:
    if "taskId" in call.arguments:
        ids = ("jobs", call.arguments["jobId"], "tasks", call.arguments["taskId"])
    else:
        ids = ("pools", call.arguments["poolId"], "nodes", call.arguments["nodeId"])
    return call.url(*ids, "files")


def _url(call: Call) -> str:
    return f"{_root_url(call)}/{_quoted(call.arguments['filePath'])}"


def _quoted(path: str) -> str:
    return quote(path, safe="/", errors="surrogateescape")


def _prefix(call: Call) -> str:
    where = read_filter(call, fields.FILES)
    if where is None:
        return ""
    if not isinstance(where, StartsWith):
        raise invalid_parameter(
            "$filter", call.query["$filter"], "Only one startswith(name,'...') can be asked for."
        )
    return where.prefix


def _range(call: Call, length: int) -> tuple[int, int]:
    """Return the first and the last byte to send; the last is before the first for none."""
    value = call.request.headers.get("ocp-range")
    if value is None:
        return 0, length - 1
    match = _RANGE.match(value.strip())
    if match is None:
        raise invalid_header("ocp-range", value, "It must be one range, such as bytes=0-1023.")
    if match[3] is not None:
        first, last = max(0, length - int(match[3])), length - 1
    else:
        first, last = int(match[1]), min(int(match[2] or length - 1), length - 1)
    if first > last:
        raise Refused("InvalidRange")
    return first, last
