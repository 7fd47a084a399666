"""A cloud on loopback: Resource Manager and Entra ID over HTTPS, serving documents to the real SDK clients."""

from __future__ import annotations

from tests.cloud.faults import Fault
from tests.cloud.server import Server, serve

__all__ = ["Fault", "Server", "serve"]
