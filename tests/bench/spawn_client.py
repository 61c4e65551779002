"""The slim process that drives a spawner for `bench spawn`: batches of launches in, ends out.

    python -I -S spawn_client.py SOCKET ROOT COUNT WIDTH PROGRAM      prints the seconds it took

It keeps a window of launches in the spawner's queue, as an agent does, and acknowledges every batch
of ends; the launches are written down before the clock starts, since the C program reads none. Each
asks for what spawn_baseline.c does: two directories, two files, one process.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

WINDOW = 1000
BATCH = 100
LINE = 20


def launch(root: str, number: int, program: str) -> list[object]:
    task = f"{root}/task-{number}"
    what = {
        "argv": [program],
        "base": "bench",
        "cwd": f"{task}/wd",
        "stdout": f"{task}/stdout.txt",
        "stderr": f"{task}/stderr.txt",
        "directories": [[task, 0o755, -1, -1], [f"{task}/wd", 0o755, -1, -1]],
    }
    return ["enqueue", str(number), 1, what]


def encode(commands: list[object]) -> bytes:
    return json.dumps(commands, separators=(",", ":")).encode() + b"\n"


def drive(path: str, root: str, count: int, width: int, program: str) -> float:
    """Run `count` programs, `width` at a time; return the seconds from first request to last end.

    raises  RuntimeError when one of them did not end with 0
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.connect(path)
    lines = link.makefile("rb", buffering=1 << 18)

    def send(commands: list[object]) -> None:
        link.sendall(encode(commands))

    send([["env", "bench", dict(os.environ)], ["capacity", width], ["ping", 0]])
    while b"pong" not in lines.readline():
        pass
    batches = [
        b"".join(
            encode([launch(root, n, program) for n in range(at, min(at + LINE, count))])
            for at in range(first, min(first + BATCH, count), LINE)
        )
        for first in range(0, count, BATCH)
    ]
    from_s = time.monotonic()
    sent = ended = 0
    while ended < count:
        while sent * BATCH < count and sent * BATCH - ended <= WINDOW - BATCH:
            link.sendall(batches[sent])
            sent += 1
        done = []
        for event in json.loads(lines.readline()):
            if event[0] == "exited":
                if event[2] != 0:
                    raise RuntimeError(f"a task failed: {event}")
                done.append(event[1])
            elif event[0] == "failed":
                raise RuntimeError(f"a task could not be started: {event}")
        ended += len(done)
        if done:
            send([["ack", done]])
    took_s = time.monotonic() - from_s
    link.close()
    return took_s


if __name__ == "__main__":
    print(drive(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
