"""Tasks as users see them, in states that no test of the whole application brings about."""

from __future__ import annotations

from shoal_controller.api.wire.task import write_node_info
from shoal_controller.core.task import TaskState
from tests.builders import NOON, a_task

BASE = "https://here"


def test_a_preparing_task_tells_its_node_but_no_directory_yet() -> None:
    task = a_task(state=TaskState.PREPARING, started_at=NOON, node_id="n1", pool_id="p1")
    shown = write_node_info(task, f"{BASE}/jobs/j", BASE)
    assert shown == {
        "affinityId": "TVM:n1",
        "nodeUrl": f"{BASE}/pools/p1/nodes/n1",
        "poolId": "p1",
        "nodeId": "n1",
    }
