"""Azurite, Microsoft's emulator of Blob Storage, on loopback over HTTPS: what the real SDK is pointed at."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import BlobServiceClient, ContainerClient

from tests.cloud import certificates

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Every Azurite has this key; it is in Microsoft's documentation."""

PROGRAM = shutil.which("azurite-blob")
ABSENT = "azurite-blob is not on the PATH: npm install -g azurite"


class Azurite:
    """An emulator that answers. `authority` is the CA of its certificate."""

    def __init__(self, url: str, authority: Path) -> None:
        self.url = f"{url}/{ACCOUNT}"
        self.authority = authority

    @contextmanager
    def container(self, name: str) -> Iterator[ContainerClient]:
        """A new container, by the account's key: the test's own way in."""
        credential = AzureNamedKeyCredential(ACCOUNT, KEY)
        with BlobServiceClient(self.url, credential, connection_verify=str(self.authority)) as service:
            with service.create_container(name) as container:
                yield container
            service.delete_container(name)


@contextmanager
def azurite() -> Iterator[Azurite]:
    """The emulator while the context lasts; it takes tokens of Entra ID."""
    assert PROGRAM
    with TemporaryDirectory() as folder:
        authority, chain = certificates.make(Path(folder))
        options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]
        safe = ["--oauth", "basic", "--cert", str(chain), "--key", str(chain)]
        line = [PROGRAM, *options, *safe, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield Azurite(_listening(process), authority)
            finally:
                process.terminate()


def _listening(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"successfully listen\w* on (https://\S+)", line):
            return found[1]
    raise AssertionError(f"Azurite did not start: {''.join(said)}")
