"""Count the words of every Markdown file, one task each: azure-batch 14 and azure-storage-blob.

The workflow of v15.py in the words of the client's earlier generations. Run it with
`python -m examples.tutorial.v14` where azure-batch 14 is installed.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from azure.batch import BatchServiceClient, models
from azure.batch.batch_auth import SharedKeyCredentials
from azure.storage.blob import BlobServiceClient

from examples import storage
from examples.progress import Tally, wait_for_nodes, watch
from examples.settings import Settings, fresh_name, from_environment
from examples.tutorial import texts

TASK_COMMAND = '/bin/sh -c "python3 $AZ_BATCH_NODE_SHARED_DIR/words.py input.md words.json"'
START_COMMAND = '/bin/sh -c "cp words.py $AZ_BATCH_NODE_SHARED_DIR"'
DELETE_PERIOD_S = 0.5


def main() -> None:
    """Run the whole workflow; whatever was made is deleted, however it ends."""
    arguments = texts.parse_arguments()
    settings = from_environment()
    blobs = BlobServiceClient.from_connection_string(settings.storage_connection_string)
    batch = connect(settings)
    name = fresh_name("words")
    with ExitStack() as clean_up:
        inputs = storage.make_container(blobs, f"{name}-in")
        clean_up.callback(inputs.delete_container)
        outputs = storage.make_container(blobs, f"{name}-out")
        clean_up.callback(outputs.delete_container)

        script_url, file_urls = texts.upload(inputs, arguments.folder)

        create_pool(batch, name, arguments.nodes, install(script_url))
        clean_up.callback(delete_pool, batch, name)
        wait_for_nodes(arguments.nodes, lambda: node_states(batch, name))

        batch.job.add(
            models.JobAddParameter(id=name, pool_info=models.PoolInformation(pool_id=name))
        )
        clean_up.callback(delete_job, batch, name)
        add_tasks(batch, name, file_urls, storage.writable_url(outputs))

        tally = watch("words", len(file_urls), lambda: count_tasks(batch, name))
        if tally.failed:
            explain_failures(batch, name)
            raise SystemExit(f"{tally.failed} of {len(file_urls)} tasks failed")
        texts.print_table(storage.download_all(outputs), arguments.top)
    print("job, pool and containers are deleted")


def connect(settings: Settings) -> BatchServiceClient:
    """Return a client that signs with the account's key."""
    return BatchServiceClient(
        SharedKeyCredentials(settings.batch_account, settings.batch_key),
        batch_url=settings.batch_endpoint,
    )


def install(script_url: str) -> models.StartTask:
    """Return a start task that puts the script where every task of its node finds it.

    Resource files land in the start task's own working directory; the shared directory is for all.
    """
    return models.StartTask(
        command_line=START_COMMAND,
        resource_files=[models.ResourceFile(http_url=script_url, file_path="words.py")],
        wait_for_success=True,
    )


def create_pool(
    batch: BatchServiceClient, pool_id: str, node_count: int, start_task: models.StartTask
) -> None:
    """Make a pool of plain Linux nodes; each runs the start task before it takes tasks."""
    batch.pool.add(
        models.PoolAddParameter(
            id=pool_id,
            vm_size="standard_d2s_v3",
            target_dedicated_nodes=node_count,
            virtual_machine_configuration=models.VirtualMachineConfiguration(
                image_reference=models.ImageReference(
                    publisher="canonical", offer="0001-com-ubuntu-server-jammy", sku="22_04-lts"
                ),
                node_agent_sku_id="batch.node.ubuntu 22.04",
            ),
            start_task=start_task,
        )
    )


def node_states(batch: BatchServiceClient, pool_id: str) -> list[str]:
    """Return the states of the pool's nodes: `starting`, `waitingforstarttask`, `idle`..."""
    return [node.state.value for node in batch.compute_node.list(pool_id)]


def add_tasks(
    batch: BatchServiceClient, job_id: str, file_urls: dict[str, str], output_url: str
) -> None:
    """Add a task per file, all in one call: the client cuts it into requests of a hundred."""
    tasks = [
        models.TaskAddParameter(
            id=task_id,
            command_line=TASK_COMMAND,
            resource_files=[models.ResourceFile(http_url=url, file_path="input.md")],
            output_files=[upload_of("words.json", output_url, f"{task_id}.json")],
        )
        for task_id, url in file_urls.items()
    ]
    batch.task.add_collection(job_id, tasks)


def upload_of(file: str, container_url: str, blob_name: str) -> models.OutputFile:
    """Return the order to upload a task's `file` once the task has succeeded."""
    return models.OutputFile(
        file_pattern=file,
        destination=models.OutputFileDestination(
            container=models.OutputFileBlobContainerDestination(
                container_url=container_url, path=blob_name
            )
        ),
        upload_options=models.OutputFileUploadOptions(
            upload_condition=models.OutputFileUploadCondition.task_success
        ),
    )


def count_tasks(batch: BatchServiceClient, job_id: str) -> Tally:
    """Return how the job's tasks stand."""
    counts = batch.job.get_task_counts(job_id).task_counts
    return Tally(counts.active, counts.running, counts.succeeded, counts.failed)


def explain_failures(batch: BatchServiceClient, job_id: str) -> None:
    """Print why tasks failed, and what they wrote to standard error."""
    for task in batch.task.list(job_id):
        ended = task.execution_info
        if ended is None or ended.failure_info is None:
            continue
        failure = ended.failure_info
        print(f"task {task.id}: {failure.code}: {failure.message}")
        if ended.exit_code is not None:  # it did run, and may have said more
            content = batch.file.get_from_task(job_id, task.id, "stderr.txt")
            print(b"".join(content).decode(errors="replace"))


def delete_job(batch: BatchServiceClient, job_id: str) -> None:
    """Delete the job with its tasks and their files on nodes; return when it is gone."""
    batch.job.delete(job_id)
    while any(job.id == job_id for job in batch.job.list()):
        time.sleep(DELETE_PERIOD_S)


def delete_pool(batch: BatchServiceClient, pool_id: str) -> None:
    """Delete the pool with its nodes; return when it is gone."""
    batch.pool.delete(pool_id)
    while batch.pool.exists(pool_id):
        time.sleep(DELETE_PERIOD_S)


if __name__ == "__main__":
    main()
