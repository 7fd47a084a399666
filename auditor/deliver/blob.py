"""Runs in Azure Blob Storage, by the identity of the scan. The only place that writes to Azure: what was asked for.

    address = Address.parse("https://contoso.blob.core.windows.net/reports/port25")
    with Blobs(address, options, os.environ) as blobs:
        blobs.send(Path("reports/outbox/2026-11-25T02-00-00Z"), run_id)

Under the prefix lie a run's blobs by the run's name, `latest.json` that names the last run, and `history.jsonl`. A run
is there once its `run.json` is, which is uploaded after all its other blobs; `latest.json` and the history come after
that, so a reader never finds half a run. What fails on the way is taken back.

A run's blobs carry metadata that say which run wrote them: nothing else is ever deleted, and by its id a run knows what
it wrote itself, in this attempt or an earlier one, whatever answer was lost.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient, ExponentialRetry
from msgspec import Struct

from auditor.collect.arm import signed_in, token
from auditor.collect.clouds import resolve
from auditor.collect.options import CollectOptions, Patience
from auditor.deliver.address import Address
from auditor.deliver.folder import RECORD
from auditor.deliver.retention import Keep, began
from auditor.errors import AuditorError

logger = logging.getLogger(__name__)

T = TypeVar("T")

HISTORY, LATEST = "history.jsonl", "latest.json"
_MARK = "auditor_run"
"""The metadata of every blob: the name of the run that wrote it."""
_ID = "auditor_run_id"
"""And of those that came with the report: the run's id, which no other run has."""

_AUDIENCE = "https://storage.azure.com/.default"  # in every cloud
_TRIES = 5
_ABANDONED = timedelta(days=1)
_OCCUPIED = {"BlobAlreadyExists", "LeaseIdMissing", "BlobImmutableDueToPolicy"}
"""Why nothing can be written under a name."""

_TYPES = {".jsonl": "application/x-ndjson", ".parquet": "application/vnd.apache.parquet"}


class Latest(Struct, frozen=True):
    """`latest.json`."""

    run: str


class _Taken(Exception):
    """Under this name lies what another run wrote, or nobody may write over."""


class Retry(ExponentialRetry):
    """The SDK's retry policy with the waits of a collection: the SDK's own begin at 15 seconds."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(retry_total=patience.statuses, random_jitter_range=0)
        self._patience = patience

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Seconds, longer each time."""
        return float(min(self._patience.backoff * 2 ** settings["count"], self._patience.backoff_max))


class Blobs:
    """The runs at one address, while the context lasts. Every method raises AuditorError, saying what to do."""

    def __init__(self, address: Address, options: CollectOptions, environ: Mapping[str, str]) -> None:
        self.address = address
        self._options = options
        self._environ = environ
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._client: ContainerClient

    def __enter__(self) -> Self:
        try:
            self._run(self._open())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def last(self) -> str:
        """The name of the last run, "" where there is none yet."""
        text = self.read(LATEST)
        if text is None:
            return ""
        try:
            return msgspec.json.decode(text, type=Latest).run
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("%s is not what this tool writes, and names no run: %s", self.address.of(LATEST), error)
            return ""

    def read(self, name: str) -> bytes | None:
        """A blob below the prefix, None where there is none."""
        return self._run(self._read(name))

    def send(self, folder: Path, run_id: str) -> str:
        """Uploads a run's folder, whole or not at all, and lets `latest.json` name it; the name it has there.

        The name is the folder's, with a number behind it where another run took it. What is left there of an earlier
        attempt of the same run is written over.
        """
        return self._run(self._send(folder, run_id))

    def note(self, line: bytes) -> None:
        """Adds a line to the history. Runs that end at the same time do not lose each other's line."""
        self._run(self._note(line))

    def replace(self, run: str, name: str, data: bytes) -> None:
        """Writes one small blob of a run, `""` for the prefix itself, again."""
        self._run(self._put(f"{run}/{name}" if run else name, data, run, overwrite=True))

    def tidy(self, keep: Keep, now: datetime, pinned: Collection[str] = ()) -> tuple[str, ...]:
        """Deletes the runs that `keep` lets go, and what killed runs left behind; the names of the runs that went. What
        cannot be removed is a warning."""
        return self._run(self._tidy(keep, now, {*pinned, self.last()}))

    # ---- inside the loop

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except KeyboardInterrupt:
            self._runner.run(_cancelled())  # raised amid the loop, it left the work as it stood: that has to clean up
            raise
        except AzureError as error:
            raise AuditorError(f"{self.address}: {_told(error)}") from error

    async def _open(self) -> None:
        cloud = resolve(self._options.cloud, self._environ)
        identity, transport = await self._stack.enter_async_context(signed_in(self._options, cloud, self._environ))
        # Asked for here, as the SDK's retry policy would ask for it again and again.
        await token(identity, _AUDIENCE)
        self._client = await self._stack.enter_async_context(
            ContainerClient(
                self.address.account_url,
                self.address.container,
                credential=identity,
                transport=transport,
                retry_policy=Retry(self._options.patience),
                permit_redirects=False,
            )
        )

    async def _read(self, name: str) -> bytes | None:
        try:
            stream = await self._client.download_blob(self.address.path(name))
            return await stream.readall()
        except ResourceNotFoundError as error:
            if _code(error) == "BlobNotFound":
                return None
            raise

    async def _send(self, folder: Path, run_id: str) -> str:
        files = sorted(folder.iterdir(), key=lambda path: (path.name == RECORD, path.name))
        number = 1
        while True:
            run = folder.name if number == 1 else f"{folder.name}-{number}"
            try:
                await self._send_as(run, files, run_id)
            except _Taken:
                number += 1
            else:
                return run

    async def _send_as(self, run: str, files: Sequence[Path], run_id: str) -> None:
        """Uploads the files under this name. Where that fails nothing of them stays there; raises _Taken, too."""
        before = await self._read(LATEST)
        tried: list[str] = []
        try:
            for path in files:
                tried.append(f"{run}/{path.name}")
                await self._upload(tried[-1], path, run, run_id)
            tried.append(LATEST)
            await self._put(LATEST, _latest(run), run, overwrite=True)
        except BaseException:
            await self._take_back(tried, run, run_id, before)
            raise

    async def _upload(self, name: str, path: Path, run: str, run_id: str) -> None:
        """One file of a run. A blob of this run that is there already is written over: the answer to the first try was
        lost, or an earlier attempt left it. Raises _Taken for any other blob."""
        for overwrite in (False, True):
            try:
                with path.open("rb") as file:
                    await self._put(name, file, run, run_id, overwrite=overwrite)
            except HttpResponseError as error:
                if _code(error) not in _OCCUPIED:
                    raise
                if overwrite or not await self._is_own(name, run_id):
                    raise _Taken from error
            else:
                return

    async def _is_own(self, name: str, run_id: str) -> bool:
        """Whether a blob came with the report of this run; False where there is none."""
        try:
            found = await self._client.get_blob_client(self.address.path(name)).get_blob_properties()
        except ResourceNotFoundError:
            return False
        return (found.metadata or {}).get(_ID) == run_id

    async def _put(
        self, name: str, data: Any, run: str, run_id: str = "", *, overwrite: bool, **conditions: Any
    ) -> None:
        suffix = Path(name).suffix
        kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        marks = {_MARK: run, _ID: run_id}
        await self._client.upload_blob(
            self.address.path(name),
            data,
            overwrite=overwrite,
            metadata={key: value for key, value in marks.items() if value} or None,
            content_settings=ContentSettings(content_type=kind, cache_control="no-cache"),
            **conditions,
        )

    async def _take_back(self, tried: Sequence[str], run: str, run_id: str, before: bytes | None) -> None:
        """Deletes what is there of a run that failed, `run.json` first; what cannot be is told, and the next attempt
        writes over it. `latest.json` names again what it named `before`."""
        for name in reversed(tried):
            try:
                if name == LATEST:
                    await self._point_back(run, before)
                elif await self._is_own(name, run_id):
                    await self._delete(name)
            except AzureError as error:
                logger.warning("%s could not be taken back: %s", self.address.of(name), _told(error))

    async def _point_back(self, run: str, before: bytes | None) -> None:
        if await self._read(LATEST) != _latest(run):
            return
        if before is None:
            await self._delete(LATEST)
        else:
            await self._put(LATEST, before, "", overwrite=True)

    async def _note(self, line: bytes) -> None:
        for last in range(_TRIES):
            condition: dict[str, Any] = {"overwrite": False}
            before = b""
            try:
                stream = await self._client.download_blob(self.address.path(HISTORY))
                before = await stream.readall()
                condition = {
                    "overwrite": True,
                    "etag": stream.properties.etag,
                    "match_condition": MatchConditions.IfNotModified,
                }
            except ResourceNotFoundError:
                pass
            if line.strip() in before.splitlines():  # the answer to an earlier try was lost
                return
            try:
                await self._put(HISTORY, _ended(before) + line, "", **condition)
            except (ResourceExistsError, ResourceModifiedError):
                if last == _TRIES - 1:
                    raise
            else:
                return

    async def _tidy(self, keep: Keep, now: datetime, pinned: Collection[str]) -> tuple[str, ...]:
        blobs, touched = defaultdict[str, list[str]](list), dict[str, datetime]()
        async for run, name, time in self._own():
            blobs[run].append(name)
            touched[run] = max(time, touched.get(run, time))
        complete = [run for run in blobs if f"{run}/{RECORD}" in blobs[run]]
        gone = tuple(keep.expired(complete, now, pinned))
        abandoned = [run for run in blobs.keys() - {*complete, *pinned} if now - touched[run] > _ABANDONED]
        left = [run for run in (*gone, *abandoned) if not await self._remove(run, blobs[run])]
        return tuple(run for run in gone if run not in left)

    async def _remove(self, run: str, names: Collection[str]) -> bool:
        """Deletes the blobs of a run, `run.json` first: what is left of a deletion that was cut short is no run, and
        goes another time. Where storage keeps one, by a lease or a legal hold, that is a warning and False."""
        try:
            for name in sorted(names, key=lambda name: not name.endswith(f"/{RECORD}")):
                await self._delete(name)
        except AzureError as error:
            logger.warning("%s could not be removed: %s", self.address.of(run), _told(error))
            return False
        return True

    async def _delete(self, name: str) -> None:
        """Deletes a blob, which may be gone already: somebody was first, or the answer to the first try was lost."""
        try:
            await self._client.delete_blob(self.address.path(name))
        except ResourceNotFoundError as error:
            if _code(error) != "BlobNotFound":
                raise

    async def _own(self) -> AsyncIterator[tuple[str, str, datetime]]:
        """Blobs that runs wrote and nobody replaced: the run, the name below the prefix, and when."""
        start = self.address.path("")
        async for blob in self._client.list_blobs(name_starts_with=start, include=["metadata"]):
            name = blob.name.removeprefix(start)
            run = name.partition("/")[0]
            if began(run) and (blob.metadata or {}).get(_MARK) == run:
                yield run, name, blob.last_modified


def _latest(run: str) -> bytes:
    return msgspec.json.encode(Latest(run))


async def _cancelled() -> None:
    """Cancels what is under way in this loop, and waits until it has cleaned up."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _told(error: AzureError) -> str:
    """What storage said, and what to do about it."""
    if not isinstance(error, HttpResponseError):
        return error.message
    code = _code(error)
    advice = {
        "AuthorizationPermissionMismatch": "give the identity the role Storage Blob Data Contributor on the container",
        "AuthorizationFailure": "let this network through the storage account's firewall, or check its role",
        "ContainerNotFound": "make the container first",
        "AccountIsDisabled": "the storage account is disabled",
    }.get(code, (error.message or "").partition("\n")[0].strip())
    return f"{code}: {advice}"


def _code(error: HttpResponseError) -> str:
    """Storage's own word for an error, else the status."""
    code = getattr(error, "error_code", None)  # the storage SDK adds it, as one of its own words where it knows it
    return str(getattr(code, "value", code) or error.status_code or "no answer")
