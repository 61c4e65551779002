"""What is sent: request bodies and queries from what was typed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from shoal_cli.faults import UsageFault


def read_body(file: Any, *, what: str) -> Any:
    """Return the JSON of --body, or `{}` without one; raise UsageFault where it is not JSON."""
    if file is None:
        return {}
    try:
        return json.loads(file.read())
    except ValueError as err:
        raise UsageFault(
            f"--body is not JSON: {err}", mend=f"give the {what} as the API's JSON"
        ) from err


def put(body: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Set those properties that were given; None and an empty list of options were not."""
    for name, value in properties.items():
        if value is not None and value != () and value != {}:
            body[name] = list(value) if isinstance(value, tuple) else value
    return body


def odata(filter_: str | None, state: str | None) -> dict[str, str]:
    """Return the query for --filter and --state, both of which must hold."""
    parts: list[str] = []
    if filter_:
        both = state and re.search(r"\bor\b", filter_)
        parts.append(f"({filter_})" if both else filter_)
    if state:
        parts.append("state eq '{}'".format(state.lower().replace("'", "''")))
    return {"$filter": " and ".join(parts)} if parts else {}


def command_line(words: Sequence[str], given: str | None) -> str | None:
    """Return the API's command line from words after `--` or from --command-line.

    The service splits it as a POSIX shell would, so quoting each word gives the same words back.
    """
    if words and given:
        raise UsageFault("the command is given twice: after -- and by --command-line")
    return shlex.join(words) if words else given
