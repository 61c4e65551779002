"""Who may do what: three roles in an account, and callers that are confined to one job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shoal_controller.core.errors import Refused
from shoal_controller.core.ids import fold


class Role(StrEnum):
    """What a caller may do in an account; each may do what those before it may."""

    READER = "reader"
    CONTRIBUTOR = "contributor"
    OWNER = "owner"


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Grant:
    """What the caller of a request may do.

    job_id  the one job it may reach; None: all of the account
    """

    role: Role
    job_id: str | None = None

    def check(self, needed: Role, job_id: str | None) -> None:
        """Raise Refused("InsufficientAccountPermissions") for what is not granted.

        job_id  of the job that the operation is about; None: it is about something else
        Another job is refused whether it exists or not.
        """
        if _RANKS[self.role] < _RANKS[needed]:
            raise Refused(
                "InsufficientAccountPermissions",
                Reason=f"The caller is {self.role} of the account; this needs {needed}.",
            )
        if self.job_id is not None and (job_id is None or fold(job_id) != fold(self.job_id)):
            raise Refused(
                "InsufficientAccountPermissions",
                Reason=f"The token of a task is good for operations on its own job, "
                f"'{self.job_id}', and its tasks alone.",
            )


def highest(roles: list[Role]) -> Role:
    """Return the role that may do most."""
    return max(roles, key=_RANKS.__getitem__)
