"""A gateway killed in the middle of its work, and one that carries more than fits in memory."""

import http.client
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobServiceClient, ContainerClient

from tests.conformance.blobgateway.server import connection_string, signed

REPOSITORY = Path(__file__).parents[3]
SIZES = [1, 1_000, 16 * 1024, 50_000, 300_000, 2_000_000]


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A gateway as a process of its own; gone, one way or the other, at the end."""
    command = [sys.executable, "-m", "tests.conformance.blobgateway.server", str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


class Writer:
    """Writes version after version of one blob until the server dies.

    A version's bytes all tell its number, so a mixture of two cannot go unnoticed.
    """

    def __init__(self, port: int, name: str, first: int, seed: int) -> None:
        self.name = name
        self.acknowledged = first
        self.attempted = first
        self._port = port
        self._random = random.Random(seed)

    def run(self, told: threading.Semaphore) -> None:
        with ContainerClient.from_connection_string(
            connection_string(self._port), "crash", retry_total=0, connection_timeout=5
        ) as container:
            blob = container.get_blob_client(self.name)
            try:
                while True:
                    self.attempted += 1
                    data = version_bytes(self.attempted, self._random.choice(SIZES))
                    if self._random.random() < 0.5:
                        blob.upload_blob(data, overwrite=True)
                    else:
                        middle = len(data) // 16 * 8
                        parts = [part for part in (data[:middle], data[middle:]) if part]
                        for number, part in enumerate(parts):
                            blob.stage_block(str(number), part)
                        blob.commit_block_list([BlobBlock(str(n)) for n in range(len(parts))])
                    self.acknowledged = self.attempted
                    told.release()
            except AzureError:
                return


def version_bytes(version: int, size: int) -> bytes:
    return b"%08d" % version * (size // 8 + 1)


def test_a_kill_in_the_middle_of_uploads_loses_and_mixes_nothing(tmp_path: Path) -> None:
    choice = random.Random(7)
    names = ["a", "a/b", "c", "d"]
    acknowledged, attempted = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for turn in range(4):
        with server(tmp_path) as (process, port):
            check(port, tmp_path, acknowledged, attempted, first=turn == 0)
            told = threading.Semaphore(0)
            writers = [
                Writer(port, name, attempted[name], turn * 10 + n) for n, name in enumerate(names)
            ]
            threads = [threading.Thread(target=w.run, args=(told,)) for w in writers]
            for thread in threads:
                thread.start()
            for _ in range(choice.randint(15, 40)):
                assert told.acquire(timeout=30)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join(30)
        for writer in writers:
            assert writer.attempted > attempted[writer.name]
            acknowledged[writer.name] = writer.acknowledged
            attempted[writer.name] = writer.attempted
    with server(tmp_path) as (_, port):
        check(port, tmp_path, acknowledged, attempted, first=False)


def check(
    port: int, folder: Path, acknowledged: dict[str, int], attempted: dict[str, int], *, first: bool
) -> None:
    """Every blob is whole and at least as new as acknowledged; every file has a row."""
    with BlobServiceClient.from_connection_string(
        connection_string(port), retry_total=0
    ) as service:
        container = service.get_container_client("crash")
        if first:
            container.create_container()
            return
        for name, least in acknowledged.items():
            try:
                data = container.download_blob(name, validate_content=True).readall()
            except ResourceNotFoundError:
                assert least == 0
                continue
            version = int(data[:8])
            assert data == version_bytes(version, 0) * (len(data) // 8)
            assert least <= version <= attempted[name]
            listed = {blob.name: blob.size for blob in container.list_blobs()}
            assert listed[name] == len(data)
    connection = sqlite3.connect(folder / "catalogue.sqlite")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute("SELECT id FROM chunks WHERE data IS NULL").fetchall()
    finally:
        connection.close()
    named = {row[0] for row in rows}
    there = {int(path.name, 16) for path in (folder / "data").glob("*/*")}
    assert there <= named, "a file that no row names was left behind"


def test_an_unanswered_upload_that_was_cut_off_leaves_no_file(tmp_path: Path) -> None:
    with server(tmp_path) as (process, port):
        send_half(port, "PUT", "/dev/crash?restype=container", 0, 0)
        connection = send_half(port, "PUT", "/dev/crash/half", 50_000_000, 3_000_000)
        # The half is on its way to disk once the gateway has made a file of it.
        while not any((tmp_path / "data").glob("*/*")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        connection.close()
    with server(tmp_path) as (_, port):
        assert list((tmp_path / "data").glob("*/*")) == []


def test_memory_does_not_grow_with_the_blob(tmp_path: Path) -> None:
    size, piece = 150 * 1024 * 1024, b"m" * (256 * 1024)
    with server(tmp_path) as (process, port):
        send_half(port, "PUT", "/dev/crash?restype=container", 0, 0)
        before_kib = peak_kib(process.pid)
        connection = send_half(port, "PUT", "/dev/crash/huge", size, size, piece)
        with connection.getresponse() as answer:
            assert answer.status == 201
            answer.read()
        connection.request("GET", "/dev/crash/huge", headers=signed("GET", "/dev/crash/huge"))
        response = connection.getresponse()
        got = 0
        while data := response.read(len(piece)):
            got += len(data)
        connection.close()
        assert got == size
        assert peak_kib(process.pid) - before_kib < 16 * 1024


def send_half(
    port: int, method: str, path: str, size: int, sent: int, piece: bytes = b"x" * 1000
) -> http.client.HTTPConnection:
    """Announce a body of `size` bytes and send `sent` of them; an empty one is answered."""
    headers = signed(method, path, {"content-length": str(size), "x-ms-blob-type": "BlockBlob"})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    for _ in range(sent // len(piece)):
        connection.send(piece)
    if size == 0:
        assert connection.getresponse().status == 201
        connection.close()
    return connection


def peak_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0])
