"""What Resource Manager answers to a POST: the documents of a snapshot that are answers of actions.

An answer the snapshot does not hold was not to be had: 400 where the NIC's VM does not run, else 403.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from auditor.model.ids import key, kind_of, parent_of, subscription_of
from tests.cloud.answers import error, reply
from tests.cloud.lists import Doc, Lists

_NIC = "microsoft.network/networkinterfaces"
_NOT_RUNNING = {
    f"{_NIC}/effectiveroutetable": "NicMustBeAttachedToRunningVmToGetEffectiveRoutes",
    f"{_NIC}/effectivenetworksecuritygroups": "NicMustBeAttachedToRunningVmToGetEffectiveSecurityGroups",
}
_ADMIN = "/listnetworkmanagereffectivesecurityadminrules"
_SLOW = (*_NOT_RUNNING, "microsoft.network/virtualhubs/effectiveroutes",
         "microsoft.network/virtualnetworkgateways/getlearnedroutes")  # fmt: skip
_RESULTS = "/providers/microsoft.network/locations/westeurope/operationresults/"


class Actions:
    """The actions of a cloud. An operation is ready at the look after `looks` others."""

    def __init__(self, lists: Lists, *, looks: int = 1, page_size: int = 0) -> None:
        self.looks = looks
        self._lists = lists
        self._page_size = page_size
        self._operations: dict[str, tuple[Doc, int]] = {}
        self._running: set[str] | None = None

    def post(self, request: web.Request, body: bytes) -> web.Response:
        """The answer, or where it will be."""
        path = key(request.path)
        kind = kind_of(path)
        asked: Doc = msgspec.json.decode(body) if body else {}
        if path.endswith(_ADMIN):
            return self._admin(path, asked)
        if kind not in _SLOW:
            return error(405, "MethodNotAllowed", "This endpoint knows no such action.")
        answer = self._answer(path, asked.get("resourceId", ""))
        if kind in _NOT_RUNNING and parent_of(f"{path}/x") not in self._running_nics():
            return error(400, _NOT_RUNNING[kind], "The network interface is not attached to a running virtual machine.")
        if answer is None:
            return _refused(request.path)
        operation = str(UUID(int=len(self._operations)))
        self._operations[operation] = answer, self.looks
        return self._wait(request, operation)

    def result(self, request: web.Request) -> web.Response | None:
        """What a GET of an operation's result answers; None where the path is none."""
        path = key(request.path)
        _, found, operation = path.partition(_RESULTS)
        if not found:
            return None
        answer, looks = self._operations[operation]
        if looks:
            self._operations[operation] = answer, looks - 1
            return self._wait(request, operation)
        return reply({name: part for name, part in answer.items() if name != "id"})

    def _admin(self, path: str, asked: Doc) -> web.Response:
        answer = self._answer(path.removesuffix(_ADMIN) + "/networkmanagereffectivesecurityadminrules")
        if answer is None:
            return _refused(path)
        start = int(asked.get("skipToken") or 0)
        end = start + self._page_size if self._page_size else len(answer["value"])
        token = str(end) if end < len(answer["value"]) else ""
        return reply({"value": answer["value"][start:end], "skipToken": token})

    def _answer(self, path: str, about: str = "") -> Any:
        for below in (f"/{about}", about) if about else ("",):
            if raw := self._lists.by_id.get(key(path + below)):
                return msgspec.json.decode(raw)
        return None

    def _wait(self, request: web.Request, operation: str) -> web.Response:
        scope = f"/subscriptions/{subscription_of(request.path)}{_RESULTS}{operation}"
        location = f"{request.url.origin()}{scope}?api-version={request.query['api-version']}"
        return web.Response(status=202, headers={"Location": location, "Retry-After": "0"})

    def _running_nics(self) -> set[str]:
        if self._running is None:
            vms = (
                raw for path, raw in self._lists.by_id.items() if kind_of(path) == "microsoft.compute/virtualmachines"
            )
            self._running = {
                key(nic["id"])
                for vm in map(msgspec.json.decode, vms)
                if b"PowerState/running" in msgspec.json.encode(vm["properties"].get("instanceView"))
                for nic in vm["properties"].get("networkProfile", {}).get("networkInterfaces", ())
            }
        return self._running


def _refused(path: str) -> web.Response:
    return error(403, "AuthorizationFailed", f"The client 'auditor' does not have authorization to perform {path}.")
