"""Files on the wire: elements of lists and headers."""

from __future__ import annotations

import mimetypes
from typing import Final
from urllib.parse import quote

from shoal_controller.api.call import http_date, printable
from shoal_controller.api.wire.table import Document
from shoal_controller.api.wire.values import timestamp
from shoal_protocol.messages import FileEntry

# The types of the standard library alone: those of the machine would differ from place to place.
_TYPES: Final = mimetypes.MimeTypes(filenames=())
_ANYTHING: Final = "application/octet-stream"


def content_type(name: str) -> str:
    """Return the media type that a file's name suggests."""
    return _TYPES.guess_type(name)[0] or _ANYTHING


def write_file(entry: FileEntry, url: str) -> Document:
    """Return an element of a list; directories have no properties."""
    document: Document = {
        "name": printable(entry.name),
        "url": url,
        "isDirectory": entry.is_directory,
    }
    if not entry.is_directory:
        document["properties"] = {
            "lastModified": timestamp(entry.modified_at),
            "contentLength": str(entry.bytes),
            "contentType": content_type(entry.name),
            "fileMode": f"0o{entry.mode:o}",
        }
    return document


def file_headers(entry: FileEntry, path: str, url: str) -> dict[str, str]:
    """Return the headers that describe a file, its length aside."""
    headers = {
        "Last-Modified": http_date(entry.modified_at),
        "ocp-batch-file-isdirectory": str(entry.is_directory),
        "ocp-batch-file-url": quote(url, safe=""),
        "ocp-batch-file-mode": f"0o{entry.mode:o}",
    }
    if not entry.is_directory:
        headers["Content-Type"] = content_type(path)
    return headers
