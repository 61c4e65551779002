"""Drive a service with azure-batch 15's asynchronous client, as a user of its would.

Runs in an environment with nothing but the client; prints what a test wants to know as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from azure.batch import models
from azure.batch.aio import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError

T = TypeVar("T")

WAIT_S_MAX = 60
NAME = "client-aio"
COMMANDS = {"a": "echo hello", "b": "cat $AZ_BATCH_NODE_SHARED_DIR/started", "c": "exit 3"}


async def main() -> None:
    credential = AzureNamedKeyCredential(
        os.environ["AZURE_BATCH_ACCOUNT"], os.environ["AZURE_BATCH_ACCESS_KEY"]
    )
    client = BatchClient(endpoint=os.environ["AZURE_BATCH_ENDPOINT"], credential=credential)
    seen: dict[str, Any] = {}
    async with client as batch, asyncio.timeout(WAIT_S_MAX):
        await create_pool(batch, seen)
        info = models.BatchPoolInfo(pool_id=NAME)
        await batch.create_job(models.BatchJobCreateOptions(id=NAME, pool_info=info))
        await batch.update_job(NAME, models.BatchJobUpdateOptions(priority=7))
        seen["priority"] = (await batch.get_job(NAME)).priority
        await run_tasks(batch, seen)
        await look(batch, seen)
        await read_files(batch, seen)
        try:
            await batch.get_pool("nowhere")
        except HttpResponseError as error:
            document = json.loads(error.response.text())
            seen["refused"] = [document["code"], document["message"]["value"].partition("\n")[0]]
        await end(batch, seen)
    print(json.dumps(seen))


async def create_pool(batch: BatchClient, seen: dict[str, Any]) -> None:
    """Make a pool of one node and wait for it."""
    verified = batch.list_supported_images(filter="verificationType eq 'verified'")
    (image,) = [image async for image in verified if image.image_reference.sku == "22_04-lts"]
    user = models.AutoUserSpecification(scope="pool", elevation_level="admin")
    pool = models.BatchPoolCreateOptions(
        id=NAME,
        vm_size="standard_d2_v2",
        target_dedicated_nodes=1,
        task_slots_per_node=2,
        virtual_machine_configuration=models.VirtualMachineConfiguration(
            image_reference=image.image_reference, node_agent_sku_id=image.node_agent_sku_id
        ),
        start_task=models.BatchStartTask(
            command_line="/bin/sh -c 'echo started > $AZ_BATCH_NODE_SHARED_DIR/started'",
            wait_for_success=True,
            user_identity=models.UserIdentity(auto_user=user),
        ),
    )
    await batch.create_pool(pool)
    sent: list[str] = []
    made = await batch.get_pool(
        NAME, raw_request_hook=lambda call: sent.append(call.http_request.url)
    )
    seen["api_version"] = sent[0].partition("api-version=")[2]
    seen["pool"] = str(await batch.pool_exists(NAME))
    seen["slots"] = made.task_slots_per_node
    while [node.state async for node in batch.list_nodes(NAME)] != ["idle"]:
        await asyncio.sleep(0.2)


async def run_tasks(batch: BatchClient, seen: dict[str, Any]) -> None:
    """Add three tasks at once, one of them again, and one that cannot be; wait for their ends."""
    tasks = [
        models.BatchTaskCreateOptions(id=name, command_line=f"/bin/sh -c '{command}'")
        for name, command in COMMANDS.items()
    ]
    added = await batch.create_tasks(NAME, tasks)
    seen["added"] = [item.status for item in added.result_values]
    (again,) = (await batch.create_tasks(NAME, tasks[:1])).result_values
    seen["again"] = [again.status, again.error.code]
    wrong = models.BatchTaskCreateOptions(id="a/b", command_line="x")
    try:
        await batch.create_tasks(NAME, [wrong])
    except models.CreateTasksError as error:
        seen["not added"] = [(item.status, item.error.code) for item in error.failure_tasks]
    while {task.state async for task in batch.list_tasks(NAME)} != {"completed"}:
        await asyncio.sleep(0.2)


async def look(batch: BatchClient, seen: dict[str, Any]) -> None:
    wanted = "state eq 'completed' and startswith(id, 'a')"
    (task,) = await all_of(batch.list_tasks(NAME, filter=wanted, select=["id", "executionInfo"]))
    seen["filtered"] = [task.id, task.execution_info.exit_code, task.command_line]
    pages = await all_of(batch.list_tasks(NAME, max_results=1))
    seen["pages"] = sorted(task.id for task in pages)
    failed = await batch.get_task(NAME, "c")
    seen["exit_code"] = failed.execution_info.exit_code
    seen["retention"] = str(failed.constraints.retention_time)
    seen["failure"] = failed.execution_info.failure_info.code
    seen["result"] = failed.execution_info.result
    seen["user"] = failed.user_identity.auto_user.elevation_level
    counts = (await batch.get_job_task_counts(NAME)).task_counts
    seen["counts"] = [counts.completed, counts.succeeded, counts.failed]


async def read_files(batch: BatchClient, seen: dict[str, Any]) -> None:
    files = await all_of(batch.list_task_files(NAME, "a"))
    seen["files"] = sorted(file.name for file in files if not file.is_directory)
    properties = await batch.get_task_file_properties(NAME, "a", "stdout.txt")
    seen["length"] = str(properties.content_length)
    seen["output"] = await content(batch, "a")
    seen["started"] = await content(batch, "b")
    seen["range"] = await content(batch, "a", ocp_range="bytes=1-3")


async def end(batch: BatchClient, seen: dict[str, Any]) -> None:
    reason: Any = {"terminateReason": "enough"}  # its model is not among the public ones
    await (await batch.begin_terminate_job(NAME, reason)).result()
    seen["reason"] = (await batch.get_job(NAME)).execution_info.termination_reason
    await (await batch.begin_delete_job(NAME)).result()
    await (await batch.begin_delete_pool(NAME)).result()
    assert NAME not in [pool.id async for pool in batch.list_pools()]


async def content(batch: BatchClient, task: str, **more: Any) -> str:
    chunks = await batch.download_task_file(NAME, task, "stdout.txt", **more)
    return b"".join(await all_of(chunks)).decode()


async def all_of(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


asyncio.run(main())
