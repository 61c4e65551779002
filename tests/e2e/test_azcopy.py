"""AzCopy, unmodified, against the blob gateway: upload, list, download, sync, copy, remove.

Needs the binary: on PATH as azcopy, or named by SHOAL_AZCOPY. npm has it as
@azure-tools/azcopy-linux (under dist/bin; it needs libsecret-1).
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from shoal_controller.blobgateway import sign_container_sas
from tests.conformance.blobgateway.server import ACCOUNT, KEY, RunningGateway

AZCOPY = os.environ.get("SHOAL_AZCOPY") or shutil.which("azcopy")
pytestmark = pytest.mark.skipif(
    AZCOPY is None, reason="no azcopy: put it on PATH or name it in SHOAL_AZCOPY"
)
CONTENT = {
    "a.txt": b"one",
    "empty": b"",
    "sub/deep er/b+c.txt": b"two" * 1000,
    "big.bin": os.urandom(17 * 1024 * 1024),
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path / "store") as running:
        yield running


def url(gateway: RunningGateway, container: str, path: str = "") -> str:
    expiry = datetime.now(UTC) + timedelta(hours=1)
    token = sign_container_sas(ACCOUNT, KEY, container, "racwdl", expiry)
    return gateway.url(f"/{ACCOUNT}/{container}{path}?{token}")


def azcopy(home: Path, *words: str) -> str:
    """Run azcopy to its end and return what it printed."""
    assert AZCOPY is not None
    environment = os.environ | {
        "HOME": str(home),
        "AZCOPY_LOG_LOCATION": str(home / "log"),
        "AZCOPY_JOB_PLAN_LOCATION": str(home / "plan"),
        "AZCOPY_DISABLE_SYSLOG": "true",
    }
    done = subprocess.run(
        [AZCOPY, *words, "--skip-version-check"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_goes_up_comes_down_is_synced_copied_and_removed(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for name, data in CONTENT.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with (
        ContainerClient.from_connection_string(gateway.connection_string, "input") as container,
        ContainerClient.from_connection_string(gateway.connection_string, "backup") as backup,
    ):
        container.create_container()
        backup.create_container()

        azcopy(tmp_path, "copy", str(source), url(gateway, "input"), "--recursive",
               "--from-to=LocalBlob", "--put-md5")  # fmt: skip
        assert sorted(container.list_blob_names()) == sorted(f"source/{name}" for name in CONTENT)

        listed = azcopy(tmp_path, "list", url(gateway, "input"), "--location=Blob")
        assert all(f"source/{name}" in listed for name in CONTENT)

        azcopy(tmp_path, "copy", url(gateway, "input", "/source"), str(tmp_path / "down"),
               "--recursive", "--from-to=BlobLocal", "--check-md5=FailIfDifferent")  # fmt: skip
        assert tree(tmp_path / "down" / "source") == CONTENT

        (source / "a.txt").unlink()
        (source / "new.txt").write_bytes(b"new")
        azcopy(tmp_path, "sync", str(source), url(gateway, "input", "/source"),
               "--from-to=LocalBlob", "--delete-destination=true")  # fmt: skip
        expected = {name: data for name, data in CONTENT.items() if name != "a.txt"}
        expected["new.txt"] = b"new"
        azcopy(tmp_path, "sync", url(gateway, "input", "/source"),
               str(tmp_path / "down" / "source"),
               "--from-to=BlobLocal", "--delete-destination=true")  # fmt: skip
        assert tree(tmp_path / "down" / "source") == expected

        azcopy(tmp_path, "copy", url(gateway, "input"), url(gateway, "backup"), "--recursive",
               "--from-to=BlobBlob")  # fmt: skip
        copied = {name: backup.download_blob(name).readall() for name in backup.list_blob_names()}
        prefix = "input/source/" if any(n.startswith("input/") for n in copied) else "source/"
        assert copied == {prefix + name: data for name, data in expected.items()}

        azcopy(tmp_path, "remove", url(gateway, "input", "/source"), "--recursive",
               "--from-to=BlobTrash")  # fmt: skip
        assert list(container.list_blob_names()) == []
