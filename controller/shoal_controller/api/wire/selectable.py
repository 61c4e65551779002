"""What $select may name: the properties of every api-version, with those of their structures.

selectable.json has for each list the structure of its entities, and for each structure its
properties, `name:Structure` where one has a structure of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from shoal_controller.core.odata.select import Structures


def _load() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    source = files("shoal_controller.api.wire").joinpath("selectable.json")
    document = json.loads(source.read_text("utf-8"))
    structures = {
        structure: {
            name: inner for name, _, inner in (item.partition(":") for item in text.split())
        }
        for structure, text in document["structures"].items()
    }
    return document["lists"], structures


SELECTABLE: Final[Mapping[str, str]]
STRUCTURES: Final[Structures]
SELECTABLE, STRUCTURES = _load()
