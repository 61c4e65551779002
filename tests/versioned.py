"""Documents to try steps on: whole ones, in the newest shape with what only older versions have."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.api.wire.models import STRUCTURES, Member

Document = dict[str, Any]

# Values that mean something other than their absence, so that none of them is lost on the way.
_VALUES: Final[dict[str, Any]] = {
    "string": "text",
    "integer": 3,
    "int64": "3",
    "number": 0.5,
    "boolean": True,
    "duration": "PT1H",
    "datetime": "2026-05-01T12:00:00Z",
    "any": "anything",
}
_SPOKEN: Final = {
    ("AutoUserSpecification", "elevationLevel"): "admin",
    ("AutoUserSpecification", "scope"): "task",
    ("BatchTaskFailureInfo", "code"): "CommandProgramNotFound",
    ("BatchTaskExecutionInfo", "result"): "failure",
    ("BatchContainerConfiguration", "type"): "dockerCompatible",
}


def whole(structure: str, *, but: frozenset[str] = frozenset()) -> Document:
    """Return a document with all that a structure ever had, at any depth, `but` those named."""
    return {
        name: _SPOKEN.get((structure, name)) or _value(member, but)
        for name, member in STRUCTURES[structure].items()
        if f"{structure}/{name}" not in but
    }


def _value(member: Member, but: frozenset[str]) -> Any:
    inner = member.structure
    value = whole(inner, but=but) if inner in STRUCTURES else _VALUES.get(inner, inner)
    if member.type.startswith("["):
        return [value]
    return {"key": value} if member.type.startswith("{") else value


def strangers(structure: str, document: Any, version: str, path: str = "") -> list[str]:
    """Return the properties of a document that its structure does not have in a version."""
    found: list[str] = []
    for item in document if type(document) is list else [document]:
        if type(item) is not dict or structure not in STRUCTURES:
            continue
        for name, value in item.items():
            if name.startswith("odata.") or "@odata." in name or value is None:
                continue
            member = STRUCTURES[structure].get(name)
            if member is None or not member.is_in(version):
                found.append(f"{path}{structure}/{name}")
            else:
                found += strangers(member.structure, value, version, f"{path}{structure}/")
    return found
