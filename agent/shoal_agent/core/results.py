"""How a run ended, from what the spawner tells (pure)."""

from __future__ import annotations

from datetime import UTC, datetime

from shoal_agent.core.failures import exit_code_failure, wall_clock_failure
from shoal_agent.core.launches import launch_failure
from shoal_agent.core.spawning import Exited, Failed
from shoal_protocol.specs import ExitInfo


def exit_info(event: Exited) -> ExitInfo:
    """Return a process's end; one that ran out of time failed, whatever its code."""
    if event.timed_out:
        reason = wall_clock_failure()
    elif event.exit_code != 0:
        reason = exit_code_failure()
    else:
        reason = None
    return ExitInfo(
        ended_at=utc(event.ended_at),
        started_at=utc(event.started_at),
        exit_code=event.exit_code if not event.timed_out else -9,
        failure=reason,
        user_cpu_s=event.user_cpu_s,
        system_cpu_s=event.system_cpu_s,
        rss_bytes_max=event.rss_bytes_max,
    )


def launch_exit(event: Failed, command_line: str, now: datetime) -> ExitInfo:
    """Return the end of a run that never had a process."""
    return ExitInfo(ended_at=now, failure=launch_failure(event, command_line))


def utc(seconds: float) -> datetime:
    """Return seconds since the epoch as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)
