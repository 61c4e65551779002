"""Users that agents make for single tasks, and which node each belongs to (pure).

Nodes of one machine share its password file, and a node may be killed before its users are removed.
So each says in its comment where its node is: who meets one can tell whether that is still there.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote

_NAME: Final = re.compile(r"_azb[0-9a-f]{8}_")
_COMMENT: Final = "Shoal task of "
_NAME_CHARACTERS_MAX: Final = 32


def node_prefix(node_id: str) -> str:
    """Return how the names of all users of one node's tasks begin."""
    return f"_azb{hashlib.sha256(node_id.encode()).hexdigest()[:8]}_"


def task_user_name(node_id: str, key: str) -> str:
    """Return the name of the user of one run; `key` names the run on its node."""
    # Of a set of characters that dots do not belong to.
    return (node_prefix(node_id) + key.replace(".", "_"))[:_NAME_CHARACTERS_MAX]


def task_user_comment(root: str) -> str:
    """Return the comment of a user of a task; `root` is the root directory of its node."""
    return _COMMENT + quote(root, safe="/", errors="surrogateescape")


def root_of(name: str, comment: str) -> str | None:
    """Return the root directory of the node that made a user for a task, or None for others."""
    if not _NAME.match(name) or not comment.startswith(_COMMENT + "/"):
        return None
    return unquote(comment.removeprefix(_COMMENT), errors="surrogateescape")
