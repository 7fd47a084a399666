"""The config file: what it may say, what it is refused for, and what is looked up in it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from auditor.config import Config, load
from auditor.errors import UsageError
from auditor.policy.facts import OfferClass

ONE, TWO = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501", "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e502"
GROUP = f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.Compute"
VM = f"{GROUP}/virtualMachines/app01"

WHOLE = f"""
owner_tags = ["owner", "team"]

[scope]
subscriptions = ["{ONE}"]
exclude = ["{TWO.upper()}"]
management_groups = ["mg-Landing.Zones_(1)"]
tenant_id = "contoso.onmicrosoft.com"
cloud = "AzureChinaCloud"

[collect]
from = "snapshots/monday"
auth = "managed-identity"
source = "graph"
effective = "auto"
max_concurrency = 8
resume = true

[policy]
edition = "2018-11"

[[subscription]]
id = "{ONE.upper()}"
offer_class = "payg"
registered_on = 2016-03-01
note = "invoice of March 2016"

[[subscription]]
id = "{TWO}"
agreement = "EnterpriseAgreement"

[[exemption]]
subscription_id = "{ONE}"
status = "pending"
date = 2019-08-20

[[exemption]]
subscription_id = "{ONE.upper()}"
status = "Granted"
date = "2019-09-02T23:30:00-02:00"
case = "2403010050001234"

[intent]
tag = "smtp-sender"
senders = ["{VM}", "*/virtualMachines/mail-*"]

[[suppress]]
vm = "{VM}"
why = "migration"
owner = "ops"
until = 2026-01-31

[risk]
open = {{ not-sender = "medium" }}
blocked-by-platform = {{ unknown = "low" }}

[report]
formats = ["csv", "json"]
output_dir = "out"
lang = "zh-CN"
fail_on = "high"

[log]
level = "debug"
format = "json"
progress = false
"""


@pytest.fixture
def read(tmp_path):
    """Loads a text as `auditor.toml`."""

    def load_text(text: str | bytes) -> Config:
        path = tmp_path / "auditor.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path)

    return load_text


def test_every_key_is_read(read):
    """What the file says is what the config holds."""
    config = read(WHOLE)
    assert config.scope.subscriptions == (ONE,)
    assert config.scope.tenant_ids == ("contoso.onmicrosoft.com",)
    assert (config.collect.snapshot, config.collect.max_concurrency, config.collect.resume) == (
        "snapshots/monday",
        8,
        True,
    )
    assert config.policy.edition == "2018-11"
    assert config.report.formats == ("csv", "json")
    assert (config.report.lang, config.report.fail_on, config.log.progress) == ("zh-CN", "high", False)
    assert config.risk.overrides == {("open", "not-sender"): "medium", ("blocked-by-platform", "unknown"): "low"}


def test_an_empty_file_is_the_defaults(read):
    """Nothing said, nothing changed; a byte order mark is no text."""
    assert read("") == read(b"\xef\xbb\xbf") == Config()
    assert Config().policy.edition == "2025-07"
    assert Config().report.formats == ("xlsx", "csv")


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ('[policy]\nedtion = "2018-11"', "policy.edtion", "edition"),
        ('[polcy]\nedition = "2018-11"', "polcy is an unknown table", "policy"),
        ('[[subscriptions]]\nid = "x"', "subscriptions is an unknown table", "subscription"),
        ('editon = "2018-11"', "editon is an unknown key", "owner_tags"),
        ('[policy]\nedition = "2019"', 'policy.edition is "2019"', "2018-11, 2025-07"),
        (
            f'[[subscription]]\nid = "{ONE}"\nregistered_on = "15.11.2017"',
            'subscription[0].registered_on is "15.11.2017"',
            "2019-06-01",
        ),
        (f'[[subscription]]\nid = "{ONE}"\nregistered_on = 2017', "subscription[0].registered_on is 2017", "a date"),
        (
            f'[[subscription]]\nid = "{ONE}"\nregistered_on = "2017-02-30T00:00:00Z"',
            "subscription[0].registered_on",
            "a date",
        ),
        (f'[[subscription]]\nid = "{ONE}-1"', "subscription[0].id", "a GUID"),
        ('[[subscription]]\noffer_class = "payg"', "subscription[0].id is missing", "a GUID"),
        (f'[[subscription]]\nid = "{ONE}"\noffer_class = "gold"', "subscription[0].offer_class", "partner-network"),
        (
            f'[[subscription]]\nid = "{ONE}"\noffer_class = "payg"\nagreement = "ea"',
            "subscription[0]: offer_class and agreement",
            "one of them",
        ),
        (
            f'[[subscription]]\nid = "{ONE}"\n[[subscription]]\nid = "{ONE.upper()}"',
            f"subscription: {ONE} is given twice",
            "once",
        ),
        (
            '[[exemption]]\nsubscription_id = "6f1c2a01-3b5d"\nstatus = "granted"\ndate = 2024-01-10',
            "exemption[0].subscription_id",
            "a GUID",
        ),
        (f'[[exemption]]\nsubscription_id = "{ONE}"\nstatus = "granted"', "exemption[0].date is missing", "a date"),
        (
            f'[[exemption]]\nsubscription_id = "{ONE}"\nstatus = "maybe"\ndate = 2024-01-10',
            "exemption[0].status",
            "revoked",
        ),
        (
            f'[[exemption]]\nsubscription_id = "{ONE}"\nstatus = "granted"\ndate = 2024-01-10\n'
            f'[[exemption]]\nsubscription_id = "{ONE.upper()}"\nstatus = "revoked"\ndate = 2024-01-10',
            f"exemption: {ONE} of 2024-01-10 is given twice",
            "once",
        ),
        ('[scope]\nsubscriptions = ["6f1c2a01-3b5d"]', "scope.subscriptions[0]", "a GUID"),
        ('[scope]\nsubscriptions = "x"', 'scope.subscriptions is "x"', "a list, each a subscription's id"),
        ('[scope]\ncloud = "AzureCloudy"', "scope.cloud", "AzureChinaCloud"),
        ('[scope]\ntenant_id = "contoso"', "scope.tenant_ids[0]", "domains"),
        ("scope = 1", "scope is 1", "a table of subscriptions"),
        ('[intent]\nsenders = ["app01"]', "intent.senders[0]", "pattern"),
        ('[intent]\nsenders = ["/subscriptions/6f1c/virtualMachines/app01"]', "intent.senders[0]", "the id of a VM"),
        ('[[suppress]]\nwhy = "known"', "suppress[0]: neither vm nor reason", "one or both"),
        ('[[suppress]]\nreason = "no-nsg"\nwhy = ""', "suppress[0].why", "not empty"),
        ('[[suppress]]\nreason = "no-nsg"\nwhy = "x"\nuntil = "soon"', "suppress[0].until", "a date"),
        ('[risk]\nopen = { not-sender = "extreme" }', "risk.open.not-sender", "high, low, medium, none"),
        ('[risk]\nopened = { sender = "low" }', "risk.opened", "open"),
        ("[collect]\nmax_concurrency = 0", "collect.max_concurrency is 0", "at least 1"),
        ('[collect]\nresume = "yes"', "collect.resume", "true or false"),
        ('[report]\nformats = ["pdf"]', "report.formats[0]", "parquet"),
        ("[policy\n", "line 1", "TOML"),
    ],
)
def test_an_error_names_file_key_and_what_was_expected(read, text, key, expected):
    """What cannot be meant ends with exit code 2 and tells where and what instead."""
    with pytest.raises(UsageError) as caught:
        read(text)
    message = str(caught.value)
    assert "auditor.toml" in message
    assert key in message
    assert expected in message.replace(key, "", 1)
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """No file, a folder, bytes that are no text: all exit code 2."""
    for path in (tmp_path / "not-there.toml", tmp_path):
        with pytest.raises(UsageError, match=path.name):
            load(path)
    bad = tmp_path / "latin.toml"
    bad.write_bytes(b'owner_tags = ["\xe9"]')
    with pytest.raises(UsageError, match=r"latin\.toml: is not UTF-8"):
        load(bad)


def test_a_scope_names_subscriptions_by_id_name_or_pattern(read):
    """What holds another letter than an id's is a name or a pattern of names."""
    names = ("contoso-prod", "sandbox-*", "中国", ONE.upper())
    assert read(f"[scope]\nexclude = {list(names)}".replace("'", '"')).scope.exclude == names


def test_ids_are_looked_up_in_any_case(read):
    """Azure compares ids without regard to case, and so does the config."""
    config = read(WHOLE)
    facts = config.facts_for(ONE)
    assert facts is not None
    assert facts is config.facts_for(ONE.upper())
    assert facts.registered_on == date(2016, 3, 1)
    assert config.facts_for("00000000-0000-0000-0000-000000000000") is None
    assert config.exemption_for("00000000-0000-0000-0000-000000000000") is None


def test_the_latest_exemption_counts(read):
    """A grant of after the request beats it, wherever it stands; a date-time counts by its day in UTC."""
    latest = read(WHOLE).exemption_for(ONE)
    assert latest is not None
    assert (latest.status, latest.date, latest.case) == ("granted", date(2019, 9, 3), "2403010050001234")


def test_dates_may_be_text(read):
    """A TOML date and its ISO text are the same day."""
    entries = [
        read(f'[[subscription]]\nid = "{ONE}"\nregistered_on = {day}').facts_for(ONE)
        for day in ("2019-06-01", '"2019-06-01"', "2019-06-01T10:00:00Z", '"2019-06-01 10:00"', "2019-06-01T10:00:00")
    ]
    assert {entry.registered_on for entry in entries} == {date(2019, 6, 1)}


def test_every_offer_class_may_be_stated(read):
    """The operator may name any class of the contract."""
    for offer in get_args(OfferClass):
        assert read(f'[[subscription]]\nid = "{ONE}"\noffer_class = "{offer}"').facts_for(ONE).offer_class == offer


@pytest.mark.parametrize(
    ("vm_id", "tags", "intent"),
    [
        (VM, None, "sender"),
        (VM.upper(), {}, "sender"),
        (VM, {"smtp-sender": "false"}, "sender"),  # the id is the more exact word
        (f"{GROUP}/virtualMachines/MAIL-02", None, "sender"),
        (f"{GROUP}/virtualMachines/mail-02", {"smtp-sender": "false"}, "not-sender"),  # the tag is, before a pattern
        (f"{GROUP}/virtualMachines/web", {"SMTP-Sender": " True "}, "sender"),
        (f"{GROUP}/virtualMachines/web", {"smtp-sender": "FALSE"}, "not-sender"),
        (f"{GROUP}/virtualMachines/web", {"smtp-sender": "maybe"}, "unknown"),
        (f"{GROUP}/virtualMachines/web", {"env": "prod"}, "unknown"),
        (f"{GROUP}/virtualMachines/app011", None, "unknown"),
    ],
)
def test_intent(read, vm_id, tags, intent):
    """Named by id, else tagged, else matched by a pattern; nothing said is unknown."""
    assert read(WHOLE).intent(vm_id, tags) == intent


def test_no_config_knows_no_intent():
    """Without a tag name, a tag of any name says nothing."""
    assert Config().intent(VM, {"": "true", "smtp-sender": "true"}) == "unknown"


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        ({"owner": "a", "team": "b"}, "a"),
        ({"Team": "b"}, "b"),
        ({"owner": "", "team": "b"}, "b"),
        ({"env": "prod"}, ""),
        (None, ""),
    ],
)
def test_owner(read, tags, owner):
    """The first tag of the list that the VM has."""
    assert read(WHOLE).owner(tags) == owner


def test_a_suppression_ends(read):
    """`until` is the last day; after it the entry is listed as expired."""
    config = read(WHOLE)
    entry = config.suppressions[0]
    assert config.suppression(VM.upper(), ("no-nsg",), date(2026, 1, 31)) is entry
    assert config.suppression(VM, ("no-nsg",), date(2026, 2, 1)) is None
    assert config.expired(date(2026, 1, 31)) == ()
    assert config.expired(date(2026, 2, 1)) == (entry,)


def test_suppressions_by_reason_and_pattern(read):
    """A reason alone covers every VM with it; with a VM or a pattern, both must fit."""
    config = read(
        '[[suppress]]\nreason = "no-nsg"\nvm = "*/virtualMachines/lab-*"\nwhy = "lab"\n\n'
        '[[suppress]]\nreason = "default-outbound"\nwhy = "until the NAT gateway comes"\n'
    )
    lab, today = f"{GROUP}/virtualMachines/Lab-7", date(2026, 1, 1)
    assert config.suppression(lab, ("no-nsg",), today) is config.suppressions[0]
    assert config.suppression(lab, ("public-ip",), today) is None
    assert config.suppression(VM, ("no-nsg",), today) is None
    assert config.suppression(VM, ("no-nsg", "default-outbound"), today) is config.suppressions[1]


def test_a_path_is_shown_as_it_was_given(tmp_path, monkeypatch):
    """The message names the file by the words the operator used."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^conf/auditor\.toml: "):
        load(Path("conf/auditor.toml"))
