"""Removes from the storage what deleted packages left there, when the deletion itself could not."""

from __future__ import annotations

from typing import Final

from shoal_controller.loops.driver import Loop
from shoal_controller.operations.autostorage import sweep

LOOP: Final = Loop("applications", 60.0, sweep)
