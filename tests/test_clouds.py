"""Each cloud through the whole program: its own edition and confidence; a name nobody knows ends with exit code 2."""

from __future__ import annotations

import json

import pytest

from tests.cloud import serve
from tests.network.world import Lone
from tests.program import finish, rows, run, start

NAMES = ("AzureCloud", "AzureChinaCloud", "AzureUSGovernment")


@pytest.mark.parametrize("cloud", [*NAMES, "FabrikamCloud"])
def test_what_the_policy_s_pages_are_not_about_has_low_confidence(tmp_path, cloud):
    """The editions are the public cloud's: elsewhere a row says so and its confidence is low; a private cloud is named
    by environment."""
    lines = [json.dumps(document).encode() for document in Lone().tenant.documents()]
    with serve(lines) as server:
        named = ("--cloud", cloud) if cloud in NAMES else ()
        environment = {**server.environment, "AZURE_CLOUD": cloud}
        done = finish(start("scan", "--format", "csv", *named, cwd=tmp_path, environment=environment))
    assert done.code == 0, done.err
    (row,) = rows((tmp_path / "reports" / "latest" / "vms.csv").read_text())
    assert json.loads((tmp_path / "reports" / "snapshot" / "manifest.json").read_text())["cloud"] == cloud
    assert ("sovereign-cloud" in row["reasons"]) == (cloud != "AzureCloud")
    assert (row["confidence"] == "low") == (cloud != "AzureCloud")


def test_an_unknown_cloud_is_refused_with_the_names_there_are(tmp_path):
    """By option and by environment, wherever it is asked for: exit code 2, and the names."""
    for words in (("scan",), ("collect", "s"), ("doctor",)):
        done = run(*words, "--cloud", "AzureMoon", cwd=tmp_path)
        assert done.code == 2
        assert all(name in done.err for name in NAMES), done.err
        done = finish(start(*words, cwd=tmp_path, environment={"AZURE_CLOUD": "AzureMoon"}))
        assert done.code == 2
        assert all(name in done.err for name in NAMES), done.err


@pytest.mark.parametrize("variable", ["AZURE_RESOURCE_MANAGER_ENDPOINT", "AZURE_AUTHORITY_HOST"])
@pytest.mark.parametrize(
    "address", ["https://me:pl4nted@127.0.0.1", "https://pl4nted-token@127.0.0.1", "https://[pl4nted"]
)
def test_an_address_with_a_password_is_refused_without_it(tmp_path, variable, address):
    """Names and passwords have no place in an endpoint: exit code 2, the variable, and not what stands in it."""
    environment = {"AZURE_CLOUD": "Hub", "AZURE_RESOURCE_MANAGER_ENDPOINT": "https://127.0.0.1", variable: address}
    done = finish(start("scan", cwd=tmp_path, environment=environment))
    assert done.code == 2, done.err
    assert f"auditor: {variable}: expected an https address" in done.err
    assert "pl4nted" not in done.err
