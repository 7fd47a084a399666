"""The endpoint on a port of 127.0.0.1, in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditor.model.finding import Gap
from auditor.snapshot import Snapshot
from tests.cloud import certificates
from tests.cloud.endpoint import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TENANT_ID, Endpoint
from tests.cloud.lists import Lists
from tests.loopback import open_site, serving, tls


class Server:
    """A cloud that answers. `environment` is all a collector needs to find it and sign in."""

    def __init__(self, endpoint: Endpoint, url: str, authority: Path) -> None:
        self.endpoint = endpoint
        self.url = url
        self.environment = {
            "AZURE_AUTHORITY_HOST": url,
            "AZURE_RESOURCE_MANAGER_ENDPOINT": url,
            "AZURE_RESOURCE_MANAGER_AUDIENCE": AUDIENCE,
            "AZURE_TENANT_ID": TENANT_ID,
            "AZURE_CLIENT_ID": CLIENT_ID,
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            "SSL_CERT_FILE": str(authority),
        }

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method, path and query of what Resource Manager was asked, in order."""
        return self.endpoint.requests


@contextmanager
def serve(documents: Iterable[bytes], gaps: Iterable[Gap] = (), **options: Any) -> Iterator[Server]:
    """A cloud that holds these documents and refuses what the gaps name. `options` are those of `Endpoint`."""
    endpoint = Endpoint(Lists(documents, gaps), **options)
    with TemporaryDirectory() as folder:
        authority, chain = certificates.make(Path(folder))
        with serving(partial(open_site, application=endpoint.application(), context=tls(chain))) as port:
            yield Server(endpoint, f"https://127.0.0.1:{port}", authority)


@contextmanager
def serve_snapshot(path: str | Path, **options: Any) -> Iterator[Server]:
    """A cloud that holds what a snapshot directory holds."""
    snapshot = Snapshot.open(path)
    with serve((document for _, _, document in snapshot.documents()), snapshot.gaps(), **options) as server:
        yield server
