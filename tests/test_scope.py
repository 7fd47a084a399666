"""`--tag` and `--offer` narrow a live scan and a snapshot alike, by option or by config."""

from __future__ import annotations

import json

import pytest

from tests.arm import subnet_of
from tests.cloud import serve
from tests.network.world import World
from tests.program import Done, finish, rows, run, start


class Estate(World):
    """A VM in each of three subscriptions that differ in offer and tags."""

    def __init__(self) -> None:
        super().__init__()
        kinds: tuple[tuple[str, str, dict[str, str]], ...] = (("prod", "EnterpriseAgreement_2014-09-01", {"Env": "prod", "owner": "a"}),
                 ("test", "EnterpriseAgreement_2014-09-01", {"env": "test"}),
                 ("shop", "PayAsYouGo_2014-09-01", {}))  # fmt: skip
        for name, quota, tags in kinds:
            held = self.tenant.subscription(name, quota)
            held.documents[0]["tags"] = tags
            group = held.group("rg")
            vnet = group.vnet("vnet", "10.0.0.0/16", {"app": "10.0.0.0/24"})
            group.vm(f"{name}-01", subnet_of(vnet, "app"), "10.0.0.4")


CASES = [
    (("--offer", "PayAsYouGo*"), '[scope]\noffers = ["payasyougo*"]', {"shop-01"}),
    (("--tag", "env=prod"), '[scope]\ntags = ["env=prod"]', {"prod-01"}),
    (("--tag", "ENV"), '[scope]\ntags = ["ENV"]', {"prod-01", "test-01"}),
    (("--tag", "env=*", "--tag", "owner"), '[scope]\ntags = ["env=*", "owner"]', {"prod-01"}),
    (("--tag", "env", "--offer", "Ent*", "--exclude-subscription", "prod"), "", {"test-01"}),
]


def found(done: Done, folder) -> set[str]:
    """The VMs of the report."""
    assert done.code == 0, done.err
    return {row["vm"] for row in rows((folder / "reports" / "latest" / "vms.csv").read_text())}


@pytest.mark.parametrize(("words", "config", "expected"), CASES, ids=lambda each: " ".join(each) if each else None)
def test_tags_and_offers_choose_subscriptions(tmp_path, words, config, expected):
    """All of the tags, any of the offers; names of tags in any case. What is left out is not read at all."""
    estate = Estate()
    lines = [json.dumps(document).encode() for document in estate.tenant.documents()]
    with serve(lines) as server:
        live = finish(start("scan", "--format", "csv", *words, cwd=tmp_path, environment=server.environment))
        assert found(live, tmp_path) == expected
        asked = " ".join(address for _, address in server.requests)
    for held in estate.tenant.subscriptions:
        names = {document["name"] for document in held.documents if "/virtualMachines/" in document["id"]}
        assert (f"{held.guid}/providers" in asked) == bool(names & expected)
    estate.tenant.write(tmp_path / "all")
    assert found(run("scan", "--from", "all", "--format", "csv", *words, cwd=tmp_path), tmp_path) == expected
    if config:
        (tmp_path / "auditor.toml").write_text(config)
        assert found(run("scan", "--from", "all", "--format", "csv", cwd=tmp_path), tmp_path) == expected


def test_a_scope_that_nothing_is_in_is_an_error(tmp_path):
    """A misspelt tag must not give a clean report."""
    Estate().tenant.write(tmp_path / "all")
    done = run("scan", "--from", "all", "--tag", "environment", cwd=tmp_path)
    assert done.code == 2
    assert "none of its 4 subscriptions" in done.err
