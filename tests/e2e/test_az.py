"""The Azure CLI, unmodified and in an environment of its own: `az batch` from pool to deletion.

It is big, so only `make e2e-az` sets it up; without that this is skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal_controller.providers import local
from tests.e2e.test_dev import end, first_line, settings, start

PYTHON = Path(__file__).parents[2] / ".venv-az" / "bin" / "python"
LIMIT_S = 120

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make e2e-az sets the Azure CLI up")

Az = Callable[..., Any]


class AzFailed(Exception):
    """The Azure CLI exited with another code than 0; the text is what it complained of."""


@pytest.fixture
def az(tmp_path: Path) -> Iterator[Az]:
    """Return what runs `az batch ARGUMENTS` against a service and returns the JSON it prints."""
    with start(tmp_path) as process:
        first_line(process)
        environment = os.environ | settings(tmp_path)
        environment |= {
            "AZURE_CONFIG_DIR": str(tmp_path / "az"),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
        }

        def run(*arguments: str) -> Any:
            done = subprocess.run(
                [PYTHON, "-m", "azure.cli", "batch", *arguments, "-o", "json"],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
            if done.returncode:
                raise AzFailed(done.stderr)
            return json.loads(done.stdout) if done.stdout.strip() else None

        yield run
        assert end(process, signal.SIGTERM) == (0, "")
    local.end_all(tmp_path)


def test_a_whole_job_with_nothing_but_the_azure_cli(az: Az, tmp_path: Path) -> None:
    image = az("pool", "supported-images", "list", "--filter", "osType eq 'linux'")[0]
    parts = image["imageReference"]
    az(
        *("pool", "create", "--id", "p", "--vm-size", "standard_a1"),
        *("--target-dedicated-nodes", "1", "--node-agent-sku-id", image["nodeAgentSkuId"]),
        *("--image", f"{parts['publisher']}:{parts['offer']}:{parts['sku']}"),
        *("--start-task-command-line", "sh -c 'echo ready > $AZ_BATCH_NODE_SHARED_DIR/there'"),
        "--start-task-wait-for-success",
    )
    az("job", "create", "--id", "j", "--pool-id", "p", "--metadata", "by=az")
    one = "sh -c 'cat $AZ_BATCH_NODE_SHARED_DIR/there; exit 3'"
    made = az("task", "create", "--job-id", "j", "--task-id", "one", "--command-line", one)
    assert (made["id"], made["state"]) == ("one", "active")
    more = tmp_path / "tasks.json"
    more.write_text(json.dumps([{"id": name, "commandLine": "true"} for name in ("a", "b", "b")]))
    added = az("task", "create", "--job-id", "j", "--json-file", str(more))
    assert sorted(item["status"] for item in added) == ["clienterror", "success", "success"]

    deadline = time.monotonic() + LIMIT_S
    while (counts := az("job", "task-counts", "show", "--job-id", "j")["taskCounts"])[
        "completed"
    ] < 3:
        assert time.monotonic() < deadline, counts
    assert (counts["succeeded"], counts["failed"]) == (2, 1)
    failed = az(
        *("task", "list", "--job-id", "j", "--filter", "executionInfo/exitCode ne 0"),
        *("--select", "id,executionInfo"),
    )
    assert [(task["id"], task["executionInfo"]["exitCode"]) for task in failed] == [("one", 3)]
    files = az("task", "file", "list", "--job-id", "j", "--task-id", "one")
    assert {item["name"] for item in files} == {"stderr.txt", "stdout.txt", "wd"}
    target = tmp_path / "out.txt"
    az(
        *("task", "file", "download", "--job-id", "j", "--task-id", "one"),
        *("--file-path", "stdout.txt", "--destination", str(target)),
    )
    assert target.read_text() == "ready\n"

    (node,) = az("node", "list", "--pool-id", "p")
    az("node", "scheduling", "disable", "--pool-id", "p", "--node-id", node["id"])
    assert az("node", "show", "--pool-id", "p", "--node-id", node["id"])["state"] == "offline"
    az("node", "scheduling", "enable", "--pool-id", "p", "--node-id", node["id"])
    (pool_counts,) = az("pool", "node-counts", "list")
    assert pool_counts["dedicated"]["total"] == 1

    az("job", "set", "--job-id", "j", "--priority", "5")
    az("job", "disable", "--job-id", "j", "--disable-tasks", "requeue")
    az("job", "enable", "--job-id", "j")
    assert az("job", "show", "--job-id", "j")["priority"] == 5
    az("job", "stop", "--job-id", "j", "--terminate-reason", "enough")
    assert az("job", "list", "--query", "[].executionInfo.terminateReason") == ["enough"]
    az("job", "delete", "--job-id", "j", "--yes")
    az("pool", "resize", "--pool-id", "p", "--target-dedicated-nodes", "0")
    az("pool", "delete", "--pool-id", "p", "--yes")
    with pytest.raises(AzFailed, match="PoolNotFound"):
        az("pool", "show", "--pool-id", "nope")
