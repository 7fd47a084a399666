"""What to collect, from where and how patiently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from auditor.config import Config
from auditor.model.finding import Gap
from auditor.snapshot import Snapshot

Auth = Literal["default", "cli", "environment", "managed-identity", "workload-identity", "device-code", "browser"]

Source = Literal["arm", "graph", "auto"]
"""Lists of Resource Manager, queries of Resource Graph, or for each kind what takes less time."""


class Patience(Struct, frozen=True, kw_only=True):
    """How often one request is tried again, and how long is waited in between.

    The SDK gives up on a status after 3 tries, which a tenant's scan needs more often than that. 429 is counted apart:
    Azure asks to wait there, nothing has failed. `Retry-After` beats `backoff`.
    """

    statuses: int = 6  # 408 and 5xx, and answers that are no whole JSON
    connections: int = 5  # not connected, or cut while the answer came
    throttles: int = 1000  # 429
    backoff: float = 0.8  # seconds before the second repeat; doubles from there
    backoff_max: float = 60  # seconds
    connect_timeout: float = 30  # seconds
    read_timeout: float = 90  # seconds without a byte
    operation: float = 600  # seconds until an answer that Azure has to work out is there


class CollectOptions(Struct, frozen=True, kw_only=True):
    """The scope of a collection and the way to it.

    `subscriptions` and `exclude` hold ids, names or globs of names; with neither them nor `management_groups` (ids,
    whole subtrees) the scope is every subscription the identity sees. Of these, `tags` (`name` or `name=value`, the
    value a glob) leave those that have all of them, and `offers` (globs of quotaId) those of any. `cloud` "" is
    `AZURE_CLOUD` or AzureCloud.
    """

    subscriptions: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    management_groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    tenant_id: str = ""
    cloud: str = ""
    auth: Auth = "default"
    source: Source = "arm"
    max_concurrency: int = 32
    patience: Patience = Patience()

    @property
    def whole(self) -> bool:
        """Whether the scope is every subscription the identity sees."""
        return not any((self.subscriptions, self.exclude, self.management_groups, self.tags, self.offers))

    @classmethod
    def each(cls, config: Config) -> tuple[CollectOptions, ...]:
        """What the config says of a collection, once for each tenant it names."""
        made = cls.of(config)
        return tuple(replace(made, tenant_id=tenant) for tenant in config.scope.tenant_ids) or (made,)

    @classmethod
    def of(cls, config: Config) -> CollectOptions:
        """What the config says of a collection of the first tenant."""
        scope, way = config.scope, config.collect
        return cls(
            subscriptions=scope.subscriptions,
            exclude=scope.exclude,
            management_groups=scope.management_groups,
            tags=scope.tags,
            offers=scope.offers,
            tenant_id=next(iter(scope.tenant_ids), ""),
            cloud=scope.cloud or "",
            auth=way.auth,
            source=way.source,
            max_concurrency=way.max_concurrency or cls().max_concurrency,
        )


class CollectResult(Struct, frozen=True, kw_only=True):
    """A finished collection: the snapshot and what it cost.

    `requests` counts by (method, status), 0 for no answer; repeats included.
    """

    snapshot: Snapshot
    documents: int
    gaps: tuple[Gap, ...]
    requests: dict[tuple[str, int], int]


class Progress(Protocol):
    """Told how a collection goes on; called from the collection's own thread, so it must return at once."""

    def begin(self, subscriptions: int) -> None:
        """The scope is known."""

    def page(self, kind: str, documents: int) -> None:
        """A page of documents of this ARM type was kept."""

    def gap(self, gap: Gap) -> None:
        """Something could not be read."""

    def finished(self, subscription_id: str) -> None:
        """All that could be read of a subscription was."""

    def asked(self, requests: Mapping[tuple[str, int], int], repeats: int) -> None:
        """What Azure was asked in a collection, or in a part of one that has ended: by (method, status), 0 for no
        answer. So many of these were not the first try."""


class Silent:
    """The progress nobody watches."""

    def begin(self, subscriptions: int) -> None:
        """Nothing."""

    def page(self, kind: str, documents: int) -> None:
        """Nothing."""

    def gap(self, gap: Gap) -> None:
        """Nothing."""

    def finished(self, subscription_id: str) -> None:
        """Nothing."""

    def asked(self, requests: Mapping[tuple[str, int], int], repeats: int) -> None:
        """Nothing."""
