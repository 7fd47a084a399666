"""Addresses of places in Blob Storage."""

from __future__ import annotations

import pytest

from auditor.deliver.address import Address, is_address
from auditor.errors import UsageError


@pytest.mark.parametrize(
    ("text", "account", "container", "prefix"),
    [
        ("https://contoso.blob.core.windows.net/reports", "https://contoso.blob.core.windows.net", "reports", ""),
        ("https://contoso.blob.core.windows.net/reports/a/b/", "https://contoso.blob.core.windows.net", "reports", "a/b"),
        ("https://contoso.blob.core.chinacloudapi.cn/r/p", "https://contoso.blob.core.chinacloudapi.cn", "r", "p"),
        ("https://contoso.blob.core.usgovcloudapi.net/r/p", "https://contoso.blob.core.usgovcloudapi.net", "r", "p"),
        ("https://c.z01.blob.storage.azure.net/r", "https://c.z01.blob.storage.azure.net", "r", ""),
        ("https://contoso.privatelink.blob.core.windows.net/r", "https://contoso.privatelink.blob.core.windows.net", "r", ""),
        ("https://contoso.blob.local.azurestack.external/r/p", "https://contoso.blob.local.azurestack.external", "r", "p"),
        ("https://127.0.0.1:10000/devstoreaccount1/r/p", "https://127.0.0.1:10000/devstoreaccount1", "r", "p"),
        ("https://azurite:10000/devstoreaccount1/r", "https://azurite:10000/devstoreaccount1", "r", ""),
        ("https://[::1]:10000/devstoreaccount1/r", "https://[::1]:10000/devstoreaccount1", "r", ""),
        ("https://contoso.blob.core.windows.net/$web/a%20b", "https://contoso.blob.core.windows.net", "$web", "a b"),
    ],
)  # fmt: skip
def test_an_address_of_any_cloud(text, account, container, prefix):
    """The account stands in the host, or in the path where the host is an emulator's."""
    assert is_address(text)
    assert Address.parse(text) == Address(account, container, prefix)


@pytest.mark.parametrize(
    "text",
    [
        "http://contoso.blob.core.windows.net/reports",
        "https://contoso.blob.core.windows.net",
        "https://127.0.0.1:10000/devstoreaccount1",
        "https:///reports",
        "wasbs://reports@contoso.blob.core.windows.net/a",
        "https://contoso.blob.core.windows.net/reports/../other",
    ],
)
def test_what_is_no_address(text):
    """What names no container, or is not HTTPS, is refused."""
    with pytest.raises(UsageError, match="expected"):
        Address.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://contoso.blob.core.windows.net/reports?sv=2024-11-04&sig=pl4nted%2Bsignature",
        "https://user:pl4nted@contoso.blob.core.windows.net/reports",
        "https://contoso.blob.core.windows.net/reports#pl4nted",
    ],
)
def test_a_signature_is_refused_and_not_repeated(text):
    """A signature or password in the address is an error that says what to do and does not say the secret."""
    with pytest.raises(UsageError, match="Storage Blob Data Contributor") as raised:
        Address.parse(text)
    assert "pl4nted" not in str(raised.value)


@pytest.mark.parametrize("place", ["reports", "/var/reports", "C:\\reports", "./a:b"])
def test_a_folder_is_no_address(place):
    """A folder is told from an address, on Windows too."""
    assert not is_address(place)


def test_below_and_above():
    """Names below the prefix and the address above it; what has to be quoted in an address is."""
    address = Address.parse("https://contoso.blob.core.windows.net/reports/port25/2026-11-25T02-00-00Z")
    assert address.parent() == (
        Address("https://contoso.blob.core.windows.net", "reports", "port25"),
        "2026-11-25T02-00-00Z",
    )
    assert Address("https://a", "c").of("a b.csv") == "https://a/c/a%20b.csv"
    assert str(Address("https://a", "c", "p")) == "https://a/c/p"
    assert Address("https://a", "c").path("latest.json") == "latest.json"
