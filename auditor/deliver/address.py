"""The address of a place in Blob Storage, told from the name of a folder."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from auditor.errors import UsageError

_SHAPE = "https://<account>.blob.core.windows.net/<container>/<prefix>"


def is_address(place: str) -> bool:
    """Whether a place is an address and not the name of a folder."""
    return "://" in place


class Address(Struct, frozen=True):
    """A container and a prefix in it, without a slash at its end; the prefix may be ""."""

    account_url: str
    container: str
    prefix: str = ""

    @staticmethod
    def parse(text: str) -> Address:
        """The address of a container or of something below it.

        Any cloud's suffix, a private endpoint, and an emulator (`https://127.0.0.1:10000/<account>/<container>`), where
        the account is the first part of the path. Raises UsageError; a key or a signature in it is not repeated.
        """
        parts = urlsplit(text)
        if parts.query or parts.fragment or parts.username or parts.password:
            raise UsageError(
                f"{parts.scheme}://{parts.hostname or ''}{parts.path}: expected an address without a signature or key. "
                "The identity of the scan writes there: give it the role Storage Blob Data Contributor on the container"
            )
        if parts.scheme != "https" or not parts.hostname:
            raise UsageError(f"{text}: expected {_SHAPE}")
        steps = [unquote(step) for step in parts.path.split("/") if step]
        account = f"https://{parts.netloc}"
        if _by_path(parts.hostname) and steps:
            account = f"{account}/{quote(steps.pop(0))}"
        if not steps:
            raise UsageError(f"{text}: names no container; expected {_SHAPE}")
        if ".." in steps or "." in steps:
            raise UsageError(f"{text}: expected {_SHAPE} without . and ..")
        return Address(account, steps[0], "/".join(steps[1:]))

    def path(self, name: str) -> str:
        """The name in the container of what is called so below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def of(self, name: str) -> str:
        """The whole address of what is called so below the prefix."""
        return f"{self.account_url}/{quote(f'{self.container}/{self.path(name)}')}".rstrip("/")

    def parent(self) -> tuple[Address, str]:
        """The address above, and the last part of this one's prefix."""
        above, _, name = self.prefix.rpartition("/")
        return Address(self.account_url, self.container, above), name

    def __str__(self) -> str:
        return self.of("")


def _by_path(host: str) -> bool:
    """Whether the account stands in the path: an emulator's address holds no account's name."""
    try:
        ip_address(host)
    except ValueError:
        return "." not in host
    return True
