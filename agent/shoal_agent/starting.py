"""The spawner's way from a run whose turn has come to its process, most of it gone ahead of time.

What a launch needs beside the start itself (directories, files, arguments) is made for the next
runs in the queue while the slots are still busy with others.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Any, Final

from shoal_agent import launching, processtree
from shoal_agent.core.slots import Run
from shoal_agent.launching import Launch, Launcher, LaunchFailed, Prepared
from shoal_agent.sweeping import Process

_RUN_MARK: Final = f"{processtree.RUN_MARK}=".encode()

Event = list[Any]
NodeRun = Run[Launch, Event]


class Starter:
    """Starts runs, in the environments that were registered in `bases`."""

    def __init__(self, node: str) -> None:
        """node  what all processes are marked with"""
        self.bases: dict[str, launching.Environment] = {"": {}}
        self._launcher = Launcher()
        self._node_mark = launching.entry(processtree.NODE_MARK, node)
        self._prepared: dict[str, Prepared | None] = {}  # None: it failed, and will in its turn

    def prepare_ahead(self, run: NodeRun) -> bool:
        """Make what a queued run needs; return False when there was nothing to do.

        With short tasks this is a good part of what keeps a slot waiting between two of them. What
        fails is tried again in its turn, and told.
        """
        if run.launch is None or run.key in self._prepared:
            return False
        self._prepared[run.key] = None
        with contextlib.suppress(LaunchFailed):
            self._prepared[run.key] = self._prepare(run, run.launch)
        return True

    def forget(self, key: str) -> None:
        """Let go of what was prepared for a run that was dropped."""
        prepared = self._prepared.pop(key, None)
        if prepared is not None:
            self._launcher.discard(prepared)

    def start(self, run: NodeRun, launch: Launch) -> Process:
        """Start a run's process; its report_fd is not -1 where exec may still fail.

        raises  LaunchFailed
        """
        prepared = self._prepared.pop(run.key, None) or self._prepare(run, launch)
        try:
            process = Process(run.key)
            process.pid, process.report_fd = self._launcher.spawn(prepared)
        finally:
            self._launcher.discard(prepared)
        return process

    def _prepare(self, run: NodeRun, launch: Launch) -> Prepared:
        base = self.bases.get(launch.base)
        if base is None:
            raise LaunchFailed(errno.EINVAL, "environment")
        merged = {**base, **launch.env} if launch.env else base
        env = [*merged.values(), self._node_mark, _RUN_MARK + run.key.encode()]
        return self._launcher.prepare(launch, env, merged.get("PATH", launching.DEFAULT_PATH))
