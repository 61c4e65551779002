"""Task directories on the node's disk and how long they are kept (pure).

A directory carries the name of job and task, so a later task of the same name, or a later attempt,
meets what an earlier one left; who made it is remembered by the task's serial number.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from shoal_agent.core.records import Directory

Key = tuple[str, str]


class Directories:
    """All task directories, and when each is due for removal.

    machine   names the machine's present boot; monotonic readings of another one mean nothing
    """

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._all: dict[Key, Directory] = {}
        self._by_serial: dict[int, Key] = {}
        self._due: list[tuple[float, Key]] = []  # may hold outdated entries
        self._job_counts: Counter[str] = Counter()

    def __contains__(self, key: Key) -> bool:
        return key in self._all

    def get(self, key: Key) -> Directory | None:
        """Return what is known of a directory."""
        return self._all.get(key)

    def serials(self) -> list[int]:
        """Return the tasks that directories are known to be of."""
        return list(self._by_serial)

    def records(self) -> list[Directory]:
        """Return everything, for a snapshot."""
        return list(self._all.values())

    def has_job(self, job_id: str) -> bool:
        """Whether any task of that job has a directory."""
        return self._job_counts[job_id] > 0

    def restore(self, directory: Directory) -> None:
        """Take in a record from before this agent's start."""
        self._put(directory)

    def translate(self, now: datetime, now_s: float) -> None:
        """Measure by this machine boot's clock what an earlier boot's clock measured."""
        for found in list(self._all.values()):
            if found.since is not None and found.machine != self._machine:
                # Only the wall clock spans the machine's restart.
                passed_s = max(0.0, (now - found.since).total_seconds())
                self._put(replace(found, since_s=now_s - passed_s, machine=self._machine))

    def occupy(self, key: Key, serial: int, retention_s: float) -> None:
        """A run of that task will use the directory."""
        self._put(Directory(*key, serial, retention_s))

    def keep(
        self, directory: Directory, since: datetime, since_s: float, machine: str = ""
    ) -> None:
        """The run that used it ended, retention begins.

        directory   used when nothing is known of it yet, as while the journal is replayed
        machine     whose clock since_s is; "" the present one
        """
        found = self._all.get((directory.job_id, directory.task_id))
        if found is None or found.serial != directory.serial:
            found = directory
        self._put(
            Directory(
                found.job_id, found.task_id, found.serial, found.retention_s,
                since, since_s, machine or self._machine,
            )
        )  # fmt: skip

    def change_retention(self, key: Key, retention_s: float) -> None:
        """Another retention, from the same origin."""
        found = self._all.get(key)
        if found is not None:
            self._put(replace(found, retention_s=retention_s))

    def find(self, serial: int) -> Key | None:
        """Return the directory that a task made."""
        return self._by_serial.get(serial)

    def forget(self, key: Key) -> bool:
        """It is gone from the tree; False when it was not known."""
        found = self._all.pop(key, None)
        if found is None:
            return False
        self._by_serial.pop(found.serial, None)
        self._job_counts[key[0]] -= 1
        if not self._job_counts[key[0]]:
            del self._job_counts[key[0]]
        return True

    def clear(self) -> None:
        """All are gone with the tree."""
        self._all.clear()
        self._by_serial.clear()
        self._due.clear()
        self._job_counts.clear()

    def next_due_s(self) -> float | None:
        """When the next directory's retention ends."""
        while self._due:
            due_s, key = self._due[0]
            if self._due_s(self._all.get(key)) == due_s:
                return due_s
            heapq.heappop(self._due)
        return None

    def due(self, now_s: float, limit: int) -> list[Key]:
        """Return at most `limit` directories whose retention has ended, the oldest first."""
        keys: list[Key] = []
        entries: list[tuple[float, Key]] = []
        while len(keys) < limit and (due_s := self.next_due_s()) is not None and due_s <= now_s:
            entries.append(heapq.heappop(self._due))
            keys.append(entries[-1][1])
        for entry in entries:
            heapq.heappush(self._due, entry)
        return list(dict.fromkeys(keys))

    def unknown(self, found: Iterable[Key]) -> list[Key]:
        """Return those of `found` that are not known here."""
        return [key for key in found if key not in self._all]

    def _put(self, directory: Directory) -> None:
        key = (directory.job_id, directory.task_id)
        before = self._all.get(key)
        if before is None:
            self._job_counts[key[0]] += 1
        elif before.serial != directory.serial:
            self._by_serial.pop(before.serial, None)
        self._all[key] = directory
        if directory.serial:
            self._by_serial[directory.serial] = key
        if (due_s := self._due_s(directory)) is not None:
            heapq.heappush(self._due, (due_s, key))

    @staticmethod
    def _due_s(directory: Directory | None) -> float | None:
        if directory is None or directory.since is None:
            return None
        return directory.since_s + directory.retention_s
