"""Render a deep zoom into the Mandelbrot set on a pool, a task per tile, and stitch the picture.

The classic render farm: each task brings its program along as a resource file, writes the rows it
was asked for, and its agent uploads them; the client puts them together into a PNG.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from azure.batch import models
from azure.storage.blob import BlobServiceClient

from examples import storage
from examples.progress import wait_for_nodes, watch
from examples.render import png
from examples.settings import fresh_name, from_environment
from examples.tutorial import v15

SCRIPT = Path(__file__).with_name("mandelbrot.py")
TILES_PER_NODE = 15
"""Enough that a node which is done early finds another tile, few enough to be worth a process."""


def main() -> None:
    """Render, stitch, delete whatever was made, however it ends."""
    arguments = parse_arguments()
    settings = from_environment()
    blobs = BlobServiceClient.from_connection_string(settings.storage_connection_string)
    batch = v15.connect(settings)
    width, height = arguments.width, arguments.width * 9 // 16
    tiles = cut(height, TILES_PER_NODE * arguments.nodes)
    name = fresh_name("render")
    with ExitStack() as clean_up:
        container = storage.make_container(blobs, name)
        clean_up.callback(container.delete_container)
        script_url = storage.upload(container, SCRIPT, SCRIPT.name)

        v15.create_pool(batch, name, arguments.nodes)  # plain nodes: the tasks bring all they need
        clean_up.callback(v15.delete_pool, batch, name)
        wait_for_nodes(arguments.nodes, lambda: v15.node_states(batch, name))
        batch.create_job(
            models.BatchJobCreateOptions(id=name, pool_info=models.BatchPoolInfo(pool_id=name))
        )
        clean_up.callback(v15.delete_job, batch, name)

        output_url = storage.writable_url(container)
        batch.create_tasks(
            name, [tile_task(rows, width, height, script_url, output_url) for rows in tiles]
        )
        tally = watch("tiles", len(tiles), lambda: v15.count_tasks(batch, name))
        if tally.failed:
            v15.explain_failures(batch, name)
            raise SystemExit(f"{tally.failed} of {len(tiles)} tiles failed")

        pixels = b"".join(container.download_blob(blob_name(rows)).readall() for rows in tiles)
        arguments.output.write_bytes(png.encode(width, height, pixels))
    print(f"the picture, {width}x{height}: {arguments.output.resolve()}")


def parse_arguments() -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Render a Mandelbrot zoom, a task per tile.")
    parser.add_argument("--output", type=Path, default=Path("render.png"))
    parser.add_argument("--width", type=int, default=1600, help="pixels; height follows as 16:9")
    parser.add_argument("--nodes", type=int, default=2, help="size of the pool")
    return parser.parse_args()


def cut(height: int, tile_count: int) -> list[range]:
    """Cut `height` rows into at most `tile_count` tiles whose heights differ by at most one."""
    tile_count = min(tile_count, height)
    edges = [height * number // tile_count for number in range(tile_count + 1)]
    return [range(first, end) for first, end in pairwise(edges)]


def blob_name(rows: range) -> str:
    """Return the name under which a tile's pixels are uploaded."""
    return f"tiles/{rows.start:05d}.rgb"


def tile_task(
    rows: range, width: int, height: int, script_url: str, output_url: str
) -> models.BatchTaskCreateOptions:
    """Return a task that renders `rows` of the picture and uploads them when it succeeds."""
    return models.BatchTaskCreateOptions(
        id=f"rows-{rows.start:05d}",
        command_line=f"python3 {SCRIPT.name} {width} {height} {rows.start} {rows.stop} tile.rgb",
        resource_files=[models.ResourceFile(http_url=script_url, file_path=SCRIPT.name)],
        output_files=[v15.upload_of("tile.rgb", output_url, blob_name(rows))],
    )


if __name__ == "__main__":
    main()
