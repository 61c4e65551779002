"""Copies from servers that are not the gateway."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, ContainerClient

from tests.conformance.blobgateway.server import RunningGateway, code_of

DATA = b"0123456789" * 50_000


class Elsewhere(BaseHTTPRequestHandler):
    """A plain web server: a file, a redirect to it, one that breaks off, one that is private."""

    def do_GET(self) -> None:
        status, body = 200, DATA
        self.path = self.path.partition("?")[0]
        if self.path == "/moved":
            status, body = 302, b""
        elif self.path == "/private":
            status, body = 403, b"no"
        elif self.path != "/file" and self.path != "/broken":
            status, body = 404, b"what?"
        length = len(body)
        wanted = self.headers.get("Range")
        if status == 200 and wanted is not None:
            first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
            status, body = 206, body[first : last + 1]
            length = len(body)
        self.send_response(status)
        self.send_header("Content-Type", "text/elsewhere")
        self.send_header("Content-Length", str(length))
        self.send_header("Location", "/file")
        self.send_header("x-ms-meta-from", "elsewhere")
        self.end_headers()
        self.wfile.write(body[:1000] if self.path == "/broken" else body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_of_any_web_server_becomes_a_blob(
    container: ContainerClient, elsewhere: str
) -> None:
    blob = container.get_blob_client("copied")
    assert blob.start_copy_from_url(elsewhere + "/file?secret=1")["copy_status"] == "success"
    found = blob.get_blob_properties()
    assert blob.download_blob().readall() == DATA
    assert found.content_settings.content_type == "text/elsewhere"
    assert found.metadata == {"from": "elsewhere"}
    # Queries hold signatures, so they are not shown to everyone who may read the copy.
    assert found.copy.source == elsewhere + "/file"
    blob.stage_block_from_url("b", elsewhere + "/file", source_offset=10, source_length=5)
    blob.commit_block_list([BlobBlock("b")])
    assert blob.download_blob().readall() == b"01234"


@pytest.mark.parametrize(
    ("path", "status"), [("/moved", 400), ("/private", 403), ("/none", 404), ("/broken", 400)]
)
def test_a_source_that_cannot_be_had_whole_changes_nothing(
    container: ContainerClient, elsewhere: str, path: str, status: int
) -> None:
    blob = container.upload_blob("kept", b"old")
    for copy in (blob.start_copy_from_url, blob.upload_blob_from_url):
        with pytest.raises(HttpResponseError) as caught:
            copy(elsewhere + path, **({"overwrite": True} if "upload" in copy.__name__ else {}))
        assert code_of(caught) == "CannotVerifyCopySource"
        assert caught.value.status_code == status
    assert blob.download_blob().readall() == b"old"


def test_conditions_on_source_and_target_are_kept(
    gateway: RunningGateway, container: ContainerClient
) -> None:
    source = container.upload_blob("source", b"new")
    target = container.upload_blob("target", b"old")
    same = MatchConditions.IfNotModified
    with pytest.raises(HttpResponseError) as caught:
        target.start_copy_from_url(source.url, source_etag='"0x1"', source_match_condition=same)
    assert code_of(caught) == "SourceConditionNotMet"
    with pytest.raises(HttpResponseError) as caught:
        target.start_copy_from_url(source.url, etag='"0x1"', match_condition=same)
    assert code_of(caught) == "ConditionNotMet"
    assert target.download_blob().readall() == b"old"
