"""The clouds: where their Resource Manager answers, for whom tokens are made out and who makes them.

Source of the addresses: the SDK's own tables (azure.mgmt.core.tools, azure.identity.AzureAuthorityHosts). A private
cloud, or an endpoint on loopback, is named by environment: AZURE_RESOURCE_MANAGER_ENDPOINT, _AUDIENCE and
AZURE_AUTHORITY_HOST. Resource Graph has no endpoint of its own: in each cloud it is asked at Resource Manager's,
`/providers/Microsoft.ResourceGraph/resources`, with the same token; a cloud without it (Azure Stack Hub) refuses, and
lists are asked in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from azure.core import AzureClouds
from azure.identity import AzureAuthorityHosts
from azure.mgmt.core.tools import get_arm_endpoints
from msgspec import Struct

from auditor.errors import UsageError
from auditor.redaction import redact

NAMES = {
    "AzureCloud": (AzureClouds.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_PUBLIC_CLOUD),
    "AzureChinaCloud": (AzureClouds.AZURE_CHINA_CLOUD, AzureAuthorityHosts.AZURE_CHINA),
    "AzureUSGovernment": (AzureClouds.AZURE_US_GOVERNMENT, AzureAuthorityHosts.AZURE_GOVERNMENT),
}
"""Cloud names as `az cloud list` has them."""

_PUBLIC_AUTHORITIES = {host for _, host in NAMES.values()}


class Cloud(Struct, frozen=True):
    """One cloud. `endpoint` has no slash at its end; `authority` is a bare host, perhaps with a port."""

    name: str
    endpoint: str
    scope: str
    authority: str

    @property
    def discovery(self) -> bool:
        """Whether Entra's public instance list knows the authority; a private one is not asked about there."""
        return self.authority in _PUBLIC_AUTHORITIES


def resolve(name: str, environ: Mapping[str, str]) -> Cloud:
    """The cloud that option and environment mean. Raises UsageError for a name or an address that is none."""
    wanted = name or environ.get("AZURE_CLOUD") or "AzureCloud"
    endpoint = environ.get("AZURE_RESOURCE_MANAGER_ENDPOINT", "").rstrip("/")
    audience = environ.get("AZURE_RESOURCE_MANAGER_AUDIENCE", "").rstrip("/")
    known = next((known for known in NAMES if known.lower() == wanted.lower()), None)
    if known is None and not endpoint:
        raise UsageError(
            f"Unknown cloud {wanted!r}: expected one of {', '.join(NAMES)}, "
            "or a private cloud's AZURE_RESOURCE_MANAGER_ENDPOINT in the environment."
        )
    setting, authority = NAMES[known or "AzureCloud"]
    endpoints = get_arm_endpoints(setting)
    scope = f"{audience or endpoint}/.default" if audience or endpoint else endpoints["credential_scopes"][0]
    return Cloud(
        known or wanted,
        _https(endpoint or endpoints["resource_manager"].rstrip("/"), "AZURE_RESOURCE_MANAGER_ENDPOINT"),
        scope,
        urlsplit(_https(environ.get("AZURE_AUTHORITY_HOST", "") or authority, "AZURE_AUTHORITY_HOST")).netloc,
    )


def _https(address: str, variable: str) -> str:
    whole = address if "://" in address else f"https://{address}"
    try:
        parts = urlsplit(whole)
    except ValueError:
        raise UsageError(f"{variable}: expected an https address.") from None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise UsageError(f"{variable}: expected an https address without name and password, found {redact(whole)!r}.")
    return whole
