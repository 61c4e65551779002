"""Applications on the wire of the Batch service: what a reference may name, and no more."""

from __future__ import annotations

from shoal_controller.api.wire.table import Document
from shoal_controller.operations.applications import Usable


def write_usable(usable: Usable) -> Document:
    """Return an application and its active versions; without a display name where it has none."""
    document: Document = {"id": usable.application.id}
    if usable.application.display_name is not None:
        document["displayName"] = usable.application.display_name
    document["versions"] = usable.versions
    return document
