"""Servers that a test delivers to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from auditor.collect.options import CollectOptions
from auditor.deliver.address import Address
from auditor.deliver.blob import Blobs
from tests.cloud import Server, serve
from tests.cloud.compose import encoded, many
from tests.collect.conftest import HASTY
from tests.deliver.azurite import Azurite
from tests.deliver.front import Front, front

Opened = Callable[..., AbstractContextManager[Blobs]]


@pytest.fixture(scope="session")
def entra(emulator: Azurite, chain: tuple[Path, Path]) -> Iterator[Server]:
    """A cloud that gives out tokens, for storage too; what speaks to it trusts the emulator's certificate as well."""
    with serve(encoded(many(1, 1))) as server:
        both = Path(server.environment["SSL_CERT_FILE"]).with_name("both.pem")
        trusted = (Path(server.environment["SSL_CERT_FILE"]), emulator.authority, chain[0])
        both.write_bytes(b"".join(path.read_bytes() for path in trusted))
        server.environment["SSL_CERT_FILE"] = str(both)
        yield server


@pytest.fixture
def container(emulator: Azurite) -> Iterator[ContainerClient]:
    """An empty container, by the account's key."""
    with emulator.container("reports") as found:
        yield found


@pytest.fixture
def storage(emulator: Azurite, chain: tuple[Path, Path]) -> Iterator[Front]:
    """The emulator through a network that can be told to lose answers."""
    with front(emulator, chain[1]) as found:
        yield found


@pytest.fixture
def opened(entra: Server, emulator: Azurite, container: ContainerClient, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens the container, or what is called otherwise, as the program does."""
    for name, value in entra.environment.items():
        monkeypatch.setenv(name, value)

    def blobs(
        place: str = "/port25", environ: dict[str, str] | None = None, at: Front | None = None
    ) -> AbstractContextManager[Blobs]:
        address = Address.parse(f"{at.at if at else emulator.url}/{container.container_name}{place}")
        return Blobs(address, CollectOptions(auth="environment", patience=HASTY), environ or entra.environment)

    return blobs
