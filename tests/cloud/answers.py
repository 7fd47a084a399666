"""Answers in Resource Manager's shape."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer as JSON."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        headers=CIMultiDict(headers or {}),
        content_type="application/json",
    )


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in ARM's shape of an error."""
    return reply({"error": {"code": code, "message": message}}, status, headers)
