"""Nothing that writes leaves; clouds and credentials are the ones that were meant."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest

from auditor.collect import listings
from auditor.collect.arm import READING_ACTIONS, ReadOnly, failure
from auditor.collect.clouds import resolve
from auditor.errors import AuditorError, UsageError

RG = "https://management.azure.com/subscriptions/s/resourceGroups/g/providers"
READS = [
    ("GET", f"{RG}/Microsoft.Network/networkInterfaces/n?api-version=1"),
    ("POST", "https://management.azure.com/providers/Microsoft.ResourceGraph/resources?api-version=1"),
    ("POST", f"{RG}/Microsoft.Network/networkInterfaces/n/effectiveRouteTable?api-version=1"),
    ("POST", f"{RG}/microsoft.network/networkinterfaces/n/effectivenetworksecuritygroups"),
    ("POST", f"{RG}/Microsoft.Network/virtualNetworks/v/listNetworkManagerEffectiveSecurityAdminRules"),
    ("POST", f"{RG}/Microsoft.Network/virtualHubs/h/effectiveRoutes"),
    ("POST", f"{RG}/Microsoft.Network/virtualNetworkGateways/g/getLearnedRoutes"),
    ("POST", f"{RG}/Microsoft.Network/networkWatchers/w/ipFlowVerify"),
    ("POST", f"{RG}/Microsoft.Network/networkWatchers/w/nextHop"),
    ("POST", "https://api.loganalytics.io/v1/workspaces/w/query"),
]
WRITES = [
    *[(method, READS[0][1]) for method in ("PUT", "PATCH", "DELETE", "POST", "HEAD", "OPTIONS")],
    ("POST", "https://management.azure.com/subscriptions/s/providers/Microsoft.Network/register?api-version=1"),
    ("POST", f"{RG}/Microsoft.Network/networkWatchers/w/connectivityCheck"),
    ("POST", f"{RG}/Microsoft.Compute/virtualMachines/effectiveRouteTable/start"),
    ("POST", f"{RG}/Microsoft.Compute/virtualMachines/v/restart?x=/providers/Microsoft.ResourceGraph/resources"),
    ("PUT", "https://management.azure.com/providers/Microsoft.ResourceGraph/resources"),
]


def sent(method: str, url: str) -> None:
    ReadOnly().on_request(PipelineRequest(HttpRequest(method, url), PipelineContext(None)))


@pytest.mark.parametrize(("method", "url"), READS)
def test_reads_pass(method, url):
    """GET and the reading actions, in any case of letters."""
    sent(method, url)


@pytest.mark.parametrize(("method", "url"), WRITES)
def test_writes_do_not_leave(method, url):
    """Every other verb and action is refused before it is sent, registration and connectivity checks among them."""
    with pytest.raises(AuditorError, match="only reads"):
        sent(method, url)


def test_each_reading_action_is_one_the_readme_can_name():
    """The allowed actions are those of the contract: no alternative of the pattern is untested."""
    assert len(READING_ACTIONS.pattern.split("\n    | ")) == 7
    assert all(READING_ACTIONS.search(url.partition("?")[0]) for method, url in READS if method == "POST")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"code":"A","message":"m"}}', ("A", "m")),
        (b'{"code":"A","message":"m"}', ("A", "m")),
        (b'{"Code":"A","Message":"m"}', ("A", "m")),
        (b'"{\\"error\\":{\\"code\\":\\"A\\",\\"message\\":\\"m\\"}}"', ("A", "m")),
        (b'{"error":"invalid_client"}', ("", "")),
        (b"<html>\n <h1>429 Too\tMany</h1></html>", ("", "<html> <h1>429 Too Many</h1></html>")),
        (b"\xff\xfe", ("", "\ufffd\ufffd")),
        (b"[1]", ("", "[1]")),
        (b"null", ("", "None")),
        (b"", ("", "")),
    ],
)
def test_errors_of_every_shape_are_read(body, expected):
    """Code and message are found wherever a service puts them; anything else is shown as it is."""
    assert failure(body) == expected


@pytest.mark.parametrize(
    ("name", "environ", "expected"),
    [
        ("", {}, ("AzureCloud", "https://management.azure.com", "https://management.azure.com/.default")),
        ("azurechinacloud", {}, ("AzureChinaCloud", "https://management.chinacloudapi.cn", None)),
        ("", {"AZURE_CLOUD": "AzureUSGovernment"}, ("AzureUSGovernment", "https://management.usgovcloudapi.net", None)),
        ("AzureCloud", {"AZURE_CLOUD": "AzureChinaCloud"}, ("AzureCloud", "https://management.azure.com", None)),
        (
            "Stack",
            {"AZURE_RESOURCE_MANAGER_ENDPOINT": "https://arm.local/", "AZURE_RESOURCE_MANAGER_AUDIENCE": "https://a/"},
            ("Stack", "https://arm.local", "https://a/.default"),
        ),
        (
            "",
            {"AZURE_RESOURCE_MANAGER_ENDPOINT": "https://arm.local"},
            ("AzureCloud", "https://arm.local", "https://arm.local/.default"),
        ),
    ],
)
def test_the_cloud_is_the_one_that_was_meant(name, environ, expected):
    """Option beats environment beats the public cloud; an endpoint of one's own beats the table's."""
    cloud = resolve(name, environ)
    assert (cloud.name, cloud.endpoint) == expected[:2]
    assert expected[2] in (None, cloud.scope)


def test_an_authority_of_ones_own_is_not_looked_up_in_public():
    """Only public authorities are looked up in Entra's instance list."""
    assert resolve("", {}).discovery
    assert resolve("", {"AZURE_AUTHORITY_HOST": "login.chinacloudapi.cn"}).discovery
    private = resolve("", {"AZURE_AUTHORITY_HOST": "https://127.0.0.1:8443/"})
    assert (private.authority, private.discovery) == ("127.0.0.1:8443", False)


@pytest.mark.parametrize(
    ("name", "environ", "told"),
    [
        ("AzureGermanCloud", {}, "AzureChinaCloud"),
        ("", {"AZURE_CLOUD": "Mars"}, "Mars"),
        ("", {"AZURE_RESOURCE_MANAGER_ENDPOINT": "http://arm.local"}, "AZURE_RESOURCE_MANAGER_ENDPOINT"),
        ("", {"AZURE_AUTHORITY_HOST": "http://login.local"}, "AZURE_AUTHORITY_HOST"),
    ],
)
def test_a_cloud_that_cannot_be_meant_is_a_usage_error(name, environ, told):
    """An unknown name or an address without TLS is refused, not guessed at."""
    with pytest.raises(UsageError, match=told):
        resolve(name, environ)


def test_listings_are_what_they_say():
    """Each list's address ends in its kind's last part and carries an api-version; no list stands twice."""
    every = [*listings.OF_SUBSCRIPTION, *listings.OF_UNIFORM_SCALE_SET, *listings.OF_POLICY, *listings.OF_HUB,
             *listings.OF_WAN_HUB, *listings.OF_RESOURCE_GROUP.values(), listings.VMS]  # fmt: skip
    for listing in every:
        last = listing.kind.rpartition("/")[2]
        assert re.search(rf"/{last}\?api-version=\d{{4}}-\d\d-\d\d", listing.address(""))
    assert len({listing.address("") for listing in every}) == len(every)


def test_the_sdk_is_imported_only_to_collect():
    """Help and offline commands do not wait for the SDK: the package's face imports without it."""
    code = "import sys, auditor.collect, auditor.collect.progress; print([m for m in sys.modules if 'azure' in m])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
