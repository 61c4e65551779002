"""agent.toml: what is taken, and how mistakes are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shoal_agent.config import BadConfig, load, parse

GOOD: dict[str, Any] = {
    "node_id": "tvmps_1_d",
    "controller_url": "https://controller:8443",
    "root": "root",
    "private_dir": "private",
}


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("".join(f"{name} = '{value}'\n" for name, value in GOOD.items()))
    config = load(path)
    assert config.root == tmp_path.resolve() / "root"
    assert config.key_file.parent == config.private_dir
    assert config.users == "auto"
    assert (config.disk_reserved_percent, config.disk_reserved_bytes_max) == (10, 0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"root": None}, "'root' is missing"),
        ({"node_id": "a b"}, "node_id"),
        ({"node_id": 3}, "node_id"),
        ({"controller_url": "ftp://x"}, "controller_url"),
        ({"controller_url": "http://x/path"}, "controller_url"),
        ({"users": "some"}, "users"),
        ({"transfers_max": 0}, "transfers_max"),
        ({"disk_reserved_percent": 91}, "disk_reserved_percent"),
        ({"disk_reserved_percent": -1}, "disk_reserved_percent"),
        ({"disk_reserved_percent": "10%"}, "disk_reserved_percent"),
        ({"disk_reserved_bytes_max": -1}, "disk_reserved_bytes_max"),
        ({"nodeid": "x"}, "unknown setting 'nodeid'"),
        ({"private_dir": "root/private"}, "inside 'root'"),
        ({"root": "private/root"}, "inside 'private_dir'"),
    ],
)
def test_mistakes_name_the_setting(change: dict[str, Any], text: str, tmp_path: Path) -> None:
    values = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(BadConfig, match=text):
        parse(values, tmp_path)


def test_a_file_that_is_not_there_or_not_toml_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot read"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 1")
    with pytest.raises(BadConfig, match="not TOML"):
        load(tmp_path / "bad.toml")
