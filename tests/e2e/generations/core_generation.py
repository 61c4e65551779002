"""Drive a service with azure-batch 15, the generation on azure-core, as a user of its would.

Runs in an environment with nothing but the client; prints what a test wants to know as JSON. The
first beta's words and the final ones are both here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

WAIT_S_MAX = 60
IS_BETA = sys.argv[1].startswith("15.0.0b")
NAME = f"client-{sys.argv[1].replace('.', '-')}"
COMMANDS = {"a": "echo hello", "b": "cat $AZ_BATCH_NODE_SHARED_DIR/started", "c": "exit 3"}


def main() -> None:
    batch = BatchClient(
        endpoint=os.environ["AZURE_BATCH_ENDPOINT"],
        credential=AzureNamedKeyCredential(
            os.environ["AZURE_BATCH_ACCOUNT"], os.environ["AZURE_BATCH_ACCESS_KEY"]
        ),
    )
    seen: dict[str, Any] = {}
    batch.create_pool(a_pool(batch))
    sent: list[str] = []
    pool = batch.get_pool(NAME, raw_request_hook=lambda call: sent.append(call.http_request.url))
    seen["api_version"] = sent[0].partition("api-version=")[2]
    seen["pool"] = str(batch.pool_exists(NAME))
    seen["slots"] = pool.task_slots_per_node
    wait("nodes", lambda: [node.state for node in batch.list_nodes(NAME)] == ["idle"])

    info = models.BatchPoolInfo(pool_id=NAME)
    batch.create_job(word("Job")(id=NAME, pool_info=info))
    update = models.BatchJobUpdateContent if IS_BETA else models.BatchJobUpdateOptions
    batch.update_job(NAME, update(priority=7))
    seen["priority"] = batch.get_job(NAME).priority
    add_tasks(batch, seen)
    done = ["completed"] * len(COMMANDS)
    wait("tasks", lambda: [task.state for task in batch.list_tasks(NAME)] == done)
    list_tasks(batch, seen)
    counts = batch.get_job_task_counts(NAME).task_counts
    seen["counts"] = [counts.completed, counts.succeeded, counts.failed]
    read_files(batch, seen)

    try:
        batch.get_pool("nowhere")
    except HttpResponseError as error:
        seen["refused"] = refusal(error)
    end(batch, seen)
    print(json.dumps(seen))


def word(noun: str) -> Any:
    """Return the model of something to create, as this release of the client names it."""
    return getattr(models, f"Batch{noun}Create{'Content' if IS_BETA else 'Options'}")


def a_pool(batch: BatchClient) -> Any:
    image = next(
        image
        for image in batch.list_supported_images(filter="verificationType eq 'verified'")
        if image.image_reference.offer == "0001-com-ubuntu-server-jammy"
    )
    user = models.AutoUserSpecification(scope="pool", elevation_level="admin")
    return word("Pool")(
        id=NAME,
        vm_size="standard_d2_v2",
        target_dedicated_nodes=1,
        task_slots_per_node=2,
        virtual_machine_configuration=models.VirtualMachineConfiguration(
            image_reference=image.image_reference,
            node_agent_sku_id=image.node_agent_sku_id,
        ),
        start_task=models.BatchStartTask(
            command_line="/bin/sh -c 'echo started > $AZ_BATCH_NODE_SHARED_DIR/started'",
            wait_for_success=True,
            user_identity=models.UserIdentity(auto_user=user),
        ),
    )


def add_tasks(batch: BatchClient, seen: dict[str, Any]) -> None:
    """Add three tasks at once, one of them again, and one that cannot be."""
    add = batch.create_task_collection if IS_BETA else batch.create_tasks
    tasks = [
        word("Task")(id=name, command_line=f"/bin/sh -c '{command}'")
        for name, command in COMMANDS.items()
    ]
    seen["added"] = [item.status for item in results(add(NAME, tasks))]
    (again,) = results(add(NAME, tasks[:1]))
    seen["again"] = [again.status, again.error.code]
    try:
        add(NAME, [word("Task")(id="a/b", command_line="x")])
    except models.CreateTasksError as error:
        seen["not added"] = [(item.status, item.error.code) for item in error.failure_tasks]


def results(added: Any) -> Any:
    return added.value if IS_BETA else added.result_values


def list_tasks(batch: BatchClient, seen: dict[str, Any]) -> None:
    chosen = batch.list_tasks(
        NAME,
        filter="state eq 'completed' and startswith(id, 'a')",
        select=["id", "executionInfo"],
    )
    (task,) = chosen
    seen["filtered"] = [task.id, task.execution_info.exit_code, task.command_line]
    one_a_page: dict[str, Any] = {"maxresults" if IS_BETA else "max_results": 1}
    seen["pages"] = sorted(task.id for task in batch.list_tasks(NAME, **one_a_page))
    failed = batch.get_task(NAME, "c")
    seen["exit_code"] = failed.execution_info.exit_code
    seen["retention"] = str(failed.constraints.retention_time)
    seen["failure"] = failed.execution_info.failure_info.code
    seen["result"] = failed.execution_info.result
    seen["user"] = failed.user_identity.auto_user.elevation_level


def read_files(batch: BatchClient, seen: dict[str, Any]) -> None:
    read = batch.get_task_file if IS_BETA else batch.download_task_file
    files = batch.list_task_files(NAME, "a")
    seen["files"] = sorted(file.name for file in files if not file.is_directory)
    properties = batch.get_task_file_properties(NAME, "a", "stdout.txt")
    length = properties.headers["Content-Length"] if IS_BETA else properties.content_length
    seen["length"] = str(length)
    seen["output"] = content(read(NAME, "a", "stdout.txt"))
    seen["started"] = content(read(NAME, "b", "stdout.txt"))
    seen["range"] = content(read(NAME, "a", "stdout.txt", ocp_range="bytes=1-3"))


def end(batch: BatchClient, seen: dict[str, Any]) -> None:
    """End and delete the job, then the pool; the final client waits by itself."""
    if IS_BETA:
        batch.terminate_job(NAME, "enough")
        wait("job", lambda: batch.get_job(NAME).state == "completed")
    else:
        reason: Any = {"terminateReason": "enough"}  # its model is not among the public ones
        batch.begin_terminate_job(NAME, reason).result()
    seen["reason"] = batch.get_job(NAME).execution_info.termination_reason
    if IS_BETA:
        batch.delete_job(NAME)
        wait("deleted job", lambda: NAME not in [job.id for job in batch.list_jobs()])
        batch.delete_pool(NAME)
        wait("deleted pool", lambda: not exists(batch))
    else:
        batch.begin_delete_job(NAME).result()
        batch.begin_delete_pool(NAME).result()
        assert not exists(batch)


def exists(batch: BatchClient) -> bool:
    try:
        return batch.pool_exists(NAME)
    except ResourceNotFoundError:  # how these releases say no
        return False


def refusal(error: HttpResponseError) -> list[str]:
    document = json.loads(error.response.text())
    return [document["code"], document["message"]["value"].partition("\n")[0]]


def content(chunks: Iterable[bytes]) -> str:
    return b"".join(chunks).decode()


def wait(what: str, is_done: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S_MAX
    while not is_done():
        if time.monotonic() > limit:
            raise SystemExit(f"{what}: not within {WAIT_S_MAX} s")
        time.sleep(0.2)


main()
