"""shoal dev --tls: every client trusts the private authority by what the environment says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.test_dev import folder, run

__all__ = ["folder"]  # the fixture
SHOAL = "from shoal_cli.main import main; main()"


def test_a_command_and_its_files_go_by_tls_to_a_node_and_back(folder: Path):
    (folder / "words.txt").write_text("some words\n")
    script = (
        f"cd {folder} && {sys.executable} -c '{SHOAL}' run --elevated"
        " --file words.txt -- cat words.txt"
    )
    code, output, errors = run(folder, "--tls", command=("sh", "-c", script))
    assert (code, output) == (0, "some words\n"), errors


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_programs_find_whom_to_trust_in_their_environment(folder: Path, name: str):
    script = (
        "import json, os, ssl, urllib.request as r, urllib.error as e\n"
        f"trusted = ssl.create_default_context(cafile=os.environ['{name}'])\n"
        "for name in ('AZURE_BATCH_ENDPOINT', 'AZURE_STORAGE_BLOB_ENDPOINT'):\n"
        "    try: r.urlopen(os.environ[name] + '/c/b', context=trusted)\n"
        "    except e.HTTPError as err: print(os.environ[name].partition(':')[0], err.code)\n"
        "print('EndpointsProtocol=https' in os.environ['AZURE_STORAGE_CONNECTION_STRING'])\n"
    )
    code, output, _ = run(folder, "--tls", command=(sys.executable, "-c", script))
    assert (code, output) == (0, "https 400\nhttps 401\nTrue\n")


def test_the_connection_file_names_the_authority(folder: Path):
    data = folder / "data"
    script = f"import json; print(json.load(open('{data}/connection.json'))['ca_file'])"
    _, output, _ = run(folder, "--tls", command=(sys.executable, "-c", script))
    assert output == f"{data / 'tls' / 'ca.pem'}\n"
