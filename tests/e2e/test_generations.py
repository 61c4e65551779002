"""Every generation of the client, unmodified, in an environment of its own, against one service.

`make e2e` sets the environments up before it runs this; docs/compatibility.md has the table.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shoal_controller.providers import local
from tests.e2e.processes import processes_naming
from tests.e2e.test_dev import first_line, settings, start

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(__file__).with_name("generations")
LIMIT_S = 180
AT_ONCE = 3


class Client(NamedTuple):
    """A published client and the api-version it sends."""

    package: str
    release: str
    api_version: str
    script: str

    @property
    def is_for_node(self) -> bool:
        return self.script.endswith(".js")

    @property
    def environment(self) -> Path:
        name = "node" if self.is_for_node else self.release
        return REPOSITORY / f".venv-batch-{name}"

    @property
    def command(self) -> list[str]:
        script = str(SCRIPTS / self.script)
        if self.is_for_node:
            return ["node", "--no-deprecation", script, self.package]
        return [str(self.environment / "bin" / "python"), script, self.release]


OLD, NEW, AIO = "msrest_generation.py", "core_generation.py", "core_generation_aio.py"
NODE = "node_generation.js"

CLIENTS = (
    Client("azure-batch", "15.1.0", "2025-06-01", NEW),
    Client("azure-batch", "15.1.0", "2025-06-01", AIO),
    Client("azure-batch", "15.0.0b1", "2024-02-01.19.0", NEW),
    Client("azure-batch", "14.2.0", "2024-02-01.19.0", OLD),
    Client("azure-batch", "13.0.0", "2022-10-01.16.0", OLD),
    Client("azure-batch", "12.0.0", "2022-01-01.15.0", OLD),
    Client("azure-batch", "10.0.0", "2020-09-01.12.0", OLD),
    Client("azure-batch", "8.0.0", "2019-08-01.10.0", OLD),
    Client("azure-batch", "6.0.1", "2018-12-01.8.0", OLD),
    Client("azure-batch", "5.1.1", "2018-08-01.7.0", OLD),
    Client("azure-batch", "4.1.3", "2018-03-01.6.1", OLD),
    Client("azure-batch", "3.1.0", "2017-06-01.5.1", OLD),
    Client("azure-batch", "2.0.1", "2017-01-01.4.0", OLD),
    Client("azure-batch", "1.1.0", "2016-07-01.3.1", OLD),
    Client("azure-batch", "0.30.0rc5", "2016-02-01.3.0", OLD),
    Client("@azure/batch", "10.2.0", "2022-10-01.16.0", NODE),
    Client("azure-batch", "9.0.0", "2020-03-01.11.0", NODE),
)

SEEN: dict[str, Any] = {
    "priority": 7,
    "added": ["success"] * 3,
    "again": ["clienterror", "TaskExists"],
    "filtered": ["a", 0, None],
    "pages": ["a", "b", "c"],
    "exit_code": 3,
    "files": ["stderr.txt", "stdout.txt"],
    "output": "hello\n",
    "started": "started\n",
    "range": "ell",
    "reason": "enough",
}
"""What every client has seen when it is done."""


def _run(client: Client, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        client.command,
        env=environment | {"NODE_PATH": str(client.environment / "node_modules")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


Ended = Callable[[Client], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """Return how a client ended; all that are set up run on one service, some at once."""
    folder = tmp_path_factory.mktemp("service")
    with start(folder) as process, ThreadPoolExecutor(AT_ONCE) as pool:
        first_line(process)
        environment = dict(os.environ) | settings(folder)
        runs: dict[Client, Future[subprocess.CompletedProcess[str]]] = {
            client: pool.submit(_run, client, environment)
            for client in CLIENTS
            if client.environment.exists()
        }
        yield lambda client: runs[client].result()
        pool.shutdown(cancel_futures=True)
        process.terminate()
        process.communicate(timeout=LIMIT_S)
    local.end_all(folder)
    assert processes_naming(folder) == []


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: "-".join(client[:2] + client[3:]))
def test_a_client_of_every_generation_does_its_work(client: Client, request: Any) -> None:
    if client.is_for_node and not shutil.which("node"):
        pytest.skip("there is no node here")
    if not client.environment.exists():
        pytest.skip("make e2e sets up the clients' environments")
    done = request.getfixturevalue("ended")(client)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen.items() >= SEEN.items()
    assert seen["api_version"] == client.api_version
    assert seen["refused"][0] == "PoolNotFound"
    assert seen["user"].lower() == "nonadmin"
    if client.script == NODE:
        return
    assert seen["length"] == "6"
    assert seen["refused"][1] == "The specified pool does not exist."
    lasts = "10675199 days, 2:48:05.477581" if client.api_version < "2018-12" else "7 days, 0:00:00"
    assert seen["retention"] == lasts
    if client.api_version >= "2017-05":
        assert (seen["failure"], seen["result"]) == ("FailureExitCode", "failure")
        assert seen["counts"] == [3, 2, 1]
    if client.script in (NEW, AIO):
        assert seen["not added"] == [["clienterror", "InvalidPropertyValue"]]
