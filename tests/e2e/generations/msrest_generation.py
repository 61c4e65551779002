"""Drive a service with azure-batch 1 to 14, the generations on msrest, as a user of theirs would.

Runs in an environment with nothing but the client; prints what a test wants to know as JSON. The
branches are what users of the client had to change from one release to the next.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from azure.batch import BatchServiceClient, models
from azure.batch.batch_auth import SharedKeyCredentials

WAIT_S_MAX = 60
MAJOR = int(sys.argv[1].partition(".")[0])
NAME = f"client-{sys.argv[1].replace('.', '-')}"


def main() -> None:
    batch = connect()
    seen: dict[str, Any] = {}
    create_pool(batch)
    seen["api_version"] = version_sent(batch)
    seen["pool"] = str(batch.pool.exists(NAME))
    wait("nodes", lambda: states(batch.compute_node.list(NAME)) == ["idle"])

    batch.job.add(models.JobAddParameter(id=NAME, pool_info=models.PoolInformation(pool_id=NAME)))
    batch.job.patch(NAME, models.JobPatchParameter(priority=7))
    seen["priority"] = batch.job.get(NAME).priority
    add_tasks(batch, seen)
    wait("tasks", lambda: states(batch.task.list(NAME)) == ["completed"] * 3)
    list_tasks(batch, seen)
    count_tasks(batch, seen)
    read_files(batch, seen)
    if hasattr(batch.task, "reactivate"):
        batch.task.reactivate(NAME, "c")
        wait("task", lambda: batch.task.get(NAME, "c").state.value == "completed")

    refused(lambda: batch.pool.get("nowhere"), seen)
    batch.job.terminate(NAME, terminate_reason="enough")
    wait("job", lambda: batch.job.get(NAME).state.value == "completed")
    seen["reason"] = batch.job.get(NAME).execution_info.terminate_reason
    batch.job.delete(NAME)
    wait("deleted job", lambda: NAME not in [job.id for job in batch.job.list()])
    batch.pool.delete(NAME)
    wait("deleted pool", lambda: not batch.pool.exists(NAME))
    print(json.dumps(seen))


def connect() -> BatchServiceClient:
    credentials = SharedKeyCredentials(
        os.environ["AZURE_BATCH_ACCOUNT"], os.environ["AZURE_BATCH_ACCESS_KEY"]
    )
    word = "batch_url" if MAJOR >= 6 else "base_url"
    return BatchServiceClient(credentials, **{word: os.environ["AZURE_BATCH_ENDPOINT"]})


def create_pool(batch: BatchServiceClient) -> None:
    """Make a pool of one node; the words for how many nodes and tasks changed over the years."""
    words: dict[str, Any] = {}
    words["target_dedicated_nodes" if MAJOR >= 3 else "target_dedicated"] = 1
    words["task_slots_per_node" if MAJOR >= 10 else "max_tasks_per_node"] = 2
    agent, image = an_image(batch)
    batch.pool.add(
        models.PoolAddParameter(
            id=NAME,
            vm_size="standard_d2_v2",
            virtual_machine_configuration=models.VirtualMachineConfiguration(
                image_reference=image, node_agent_sku_id=agent
            ),
            start_task=models.StartTask(
                command_line="/bin/sh -c 'echo started > $AZ_BATCH_NODE_SHARED_DIR/started'",
                wait_for_success=True,
                **as_admin(),
            ),
            metadata=[models.MetadataItem(name="made by", value=sys.argv[1])],
            **words,
        )
    )


def an_image(batch: BatchServiceClient) -> tuple[str, models.ImageReference]:
    if MAJOR < 7:
        image = models.ImageReference(
            publisher="canonical", offer="0001-com-ubuntu-server-jammy", sku="22_04-lts"
        )
        return "batch.node.ubuntu 22.04", image
    verified = models.AccountListSupportedImagesOptions(filter="verificationType eq 'verified'")
    for found in batch.account.list_supported_images(verified):
        if found.image_reference.sku == "22_04-lts":
            return found.node_agent_sku_id, found.image_reference
    raise SystemExit("the image is not among those that the service supports")


def as_admin() -> dict[str, Any]:
    if MAJOR < 2:
        return {"run_elevated": True}
    user = models.AutoUserSpecification(
        scope=models.AutoUserScope.pool, elevation_level=models.ElevationLevel.admin
    )
    return {"user_identity": models.UserIdentity(auto_user=user)}


def version_sent(batch: BatchServiceClient) -> str:
    """Return the api-version of a request as it went out."""
    query = batch.pool.get(NAME, raw=True).response.request.url.partition("?")[2]
    return dict(pair.split("=") for pair in query.split("&"))["api-version"]


def add_tasks(batch: BatchServiceClient, seen: dict[str, Any]) -> None:
    """Add three tasks at once, and one of them again."""
    commands = {"a": "echo hello", "b": "cat $AZ_BATCH_NODE_SHARED_DIR/started", "c": "exit 3"}
    tasks = [
        models.TaskAddParameter(id=name, command_line=f"/bin/sh -c '{command}'")
        for name, command in commands.items()
    ]
    added = batch.task.add_collection(NAME, tasks).value
    seen["added"] = [item.status.value for item in added]
    (again,) = batch.task.add_collection(NAME, tasks[:1]).value
    seen["again"] = [again.status.value.lower(), again.error.code]


def list_tasks(batch: BatchServiceClient, seen: dict[str, Any]) -> None:
    options = models.TaskListOptions(
        filter="state eq 'completed' and startswith(id, 'a')", select="id,executionInfo"
    )
    (task,) = batch.task.list(NAME, options)
    seen["filtered"] = [task.id, task.execution_info.exit_code, task.command_line]
    one_a_page = models.TaskListOptions(max_results=1)
    seen["pages"] = sorted(task.id for task in batch.task.list(NAME, one_a_page))
    failed = batch.task.get(NAME, "c")
    seen["exit_code"] = failed.execution_info.exit_code
    seen["retention"] = str(failed.constraints.retention_time)
    if MAJOR >= 3:
        seen["failure"] = failed.execution_info.failure_info.code
        seen["result"] = failed.execution_info.result.value
    if MAJOR >= 2:
        seen["user"] = failed.user_identity.auto_user.elevation_level.value
    else:
        seen["user"] = "admin" if failed.run_elevated else "nonadmin"


def count_tasks(batch: BatchServiceClient, seen: dict[str, Any]) -> None:
    """Count tasks, since 3.1.0; the counts of slots came later, and with them another shape."""
    if not hasattr(batch.job, "get_task_counts"):
        return
    counts = batch.job.get_task_counts(NAME)
    counts = counts.task_counts if MAJOR >= 10 else counts
    seen["counts"] = [counts.completed, counts.succeeded, counts.failed]


def read_files(batch: BatchServiceClient, seen: dict[str, Any]) -> None:
    seen["files"] = sorted(
        file.name for file in batch.file.list_from_task(NAME, "a") if not file.is_directory
    )
    words = ("get_node_file_properties_from_task", "get_properties_from_task")
    properties = getattr(batch.file, words[MAJOR >= 2])(NAME, "a", "stdout.txt", raw=True)
    seen["length"] = properties.response.headers["Content-Length"]
    seen["output"] = content(batch.file.get_from_task(NAME, "a", "stdout.txt"))
    seen["started"] = content(batch.file.get_from_task(NAME, "b", "stdout.txt"))
    options = models.FileGetFromTaskOptions(ocp_range="bytes=1-3")
    seen["range"] = content(batch.file.get_from_task(NAME, "a", "stdout.txt", options))


def refused(call: Any, seen: dict[str, Any]) -> None:
    try:
        call()
    except models.BatchErrorException as error:
        seen["refused"] = [error.error.code, error.error.message.value.partition("\n")[0]]


def content(chunks: Any) -> str:
    return b"".join(chunks).decode()


def states(entities: Any) -> list[str]:
    return [entity.state.value for entity in entities]


def wait(what: str, is_done: Any) -> None:
    end = time.monotonic() + WAIT_S_MAX
    while not is_done():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {WAIT_S_MAX} s")
        time.sleep(0.2)


main()
