"""Users of tasks: whose they are can be told from their names and comments."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_protocol.users import node_prefix, root_of, task_user_comment, task_user_name

PATHS = st.binary().map(lambda path: os.fsdecode(path.replace(b"\0", b"")))


@given(st.text(), st.text(), PATHS)
def test_whose_a_user_is_can_be_told(node_id: str, key: str, path: str) -> None:
    name, comment = task_user_name(node_id, key), task_user_comment(f"/{path}")
    assert name.startswith(node_prefix(node_id))
    assert len(name) <= 32
    assert re.fullmatch(r"[A-Za-z0-9/%_.~ -]*", comment), "the password file takes it"
    assert root_of(name, comment) == f"/{path}"


@pytest.mark.parametrize(
    ("name", "comment"),
    [
        ("root", "Shoal task of /gone"),
        ("_azbatch", "Shoal task of /gone"),
        ("_azb12345678_1", ""),
        ("_azb12345678_1", "Shoal task of gone"),
        ("_azb12345678_1", "/gone"),
        ("x_azb12345678_1", "Shoal task of /gone"),
    ],
)
def test_users_of_others_are_nobodys(name: str, comment: str) -> None:
    assert root_of(name, comment) is None
