"""How many requests an account may send: a bucket each, filled at a steady rate. Off by default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shoal_controller.clock import Clock
from shoal_controller.core.errors import Refused


class Throttled(Refused):
    """The account sends too much; clients wait for what Retry-After says, and send it again."""

    def __init__(self, account: str, per_s: float, wait_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(
            "ServerBusy",
            Reason=f"Account '{account}' sends more than {per_s:g} requests a second; try again "
            f"in {self.retry_after_s} s.",
        )


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Rates:
    """The buckets of all accounts. Only who has shown credentials takes from one."""

    def __init__(self, clock: Clock, per_s: float, burst: int) -> None:
        """
        per_s  requests of an account in a second, in the long run; 0: no limit
        burst  how many may come at once after a pause
        """
        self._clock = clock
        self._per_s = per_s
        self._burst = float(burst)
        self._buckets: dict[str, _Bucket] = {}

    def take(self, account: str) -> None:
        """Count a request, or raise Throttled; one that is refused costs nothing."""
        if not self._per_s:
            return
        now_s = self._clock.monotonic()
        bucket = self._buckets.setdefault(account, _Bucket(self._burst, now_s))
        bucket.left = min(self._burst, bucket.left + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        if bucket.left < 1.0:
            raise Throttled(account, self._per_s, (1.0 - bucket.left) / self._per_s)
        bucket.left -= 1.0
