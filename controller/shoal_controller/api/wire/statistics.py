"""Statistics on the wire. What is not measured (I/O, memory, disk, network) is told as zero.

64-bit numbers are texts, as recorded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from shoal_controller.api.wire.table import Document
from shoal_controller.api.wire.values import timespan, timestamp
from shoal_controller.core.statistics import PoolUsage, Usage, usage
from shoal_controller.core.task import Task
from shoal_controller.operations.statistics import NodeStatistics, TaskStatistics

_NO_IO: Final = {"readIOps": "0", "writeIOps": "0", "readIOGiB": 0.0, "writeIOGiB": 0.0}
_NO_RESOURCES: Final = {
    "diskReadIOps": "0",
    "diskWriteIOps": "0",
    **dict.fromkeys(
        (
            *("avgCPUPercentage", "avgMemoryGiB", "peakMemoryGiB", "avgDiskGiB", "peakDiskGiB"),
            *("diskReadGiB", "diskWriteGiB", "networkReadGiB", "networkWriteGiB"),
        ),
        0.0,
    ),
}


def expanded_url(url: str) -> str:
    """Return where the statistics of an entity are found."""
    return f"{url}?$expand=stats"


def write_task_stats(task: Task, now: datetime, url: str) -> Document:
    """Return what one task used until now."""
    used = usage(task, now)
    document = _write_times(url, task.created_at, now) | _write_usage(used)
    return document | {"waitTime": timespan(used.wait)}


def write_task_totals(stats: TaskStatistics, url: str) -> Document:
    """Return what the tasks of a job, of a schedule or of the account used."""
    used = stats.usage
    return {
        **_write_times(url, stats.since, stats.now),
        **_write_usage(used),
        "numTaskRetries": str(used.retries),
        "numSucceededTasks": str(used.succeeded),
        "numFailedTasks": str(used.failed),
        "waitTime": timespan(used.wait),
    }


def write_pool_stats(stats: NodeStatistics, url: str) -> Document:
    """Return what the nodes of a pool used; their resources are not measured and so absent."""
    times = _write_times(url, stats.since, stats.now)
    return times | {"usageStats": _write_usage_stats(stats)}


def write_pool_totals(stats: NodeStatistics, url: str) -> Document:
    """Return what the nodes of all pools used, in the form that was recorded."""
    times = {"startTime": timestamp(stats.since), "lastUpdateTime": timestamp(stats.now)}
    return {
        "url": url,
        "usageStats": _write_usage_stats(stats),
        "resourceStats": times | _NO_RESOURCES,
    }


def write_pool_usage(usage: PoolUsage) -> Document:
    """Return what a pool used during an interval."""
    return {
        "poolId": usage.pool_id,
        "startTime": timestamp(usage.begin),
        "endTime": timestamp(usage.end),
        "vmSize": usage.vm_size,
        "totalCoreHours": usage.core_time.total_seconds() / 3600,
    }


def _write_times(url: str, since: datetime, now: datetime) -> Document:
    return {"url": url, "startTime": timestamp(since), "lastUpdateTime": timestamp(now)}


def _write_usage(used: Usage) -> Document:
    return {
        "userCPUTime": timespan(used.user_cpu),
        "kernelCPUTime": timespan(used.system_cpu),
        "wallClockTime": timespan(used.wall_clock),
        **_NO_IO,
    }


def _write_usage_stats(stats: NodeStatistics) -> Document:
    return {
        "startTime": timestamp(stats.since),
        "lastUpdateTime": timestamp(stats.now),
        "dedicatedCoreTime": timespan(stats.core_time),
    }
