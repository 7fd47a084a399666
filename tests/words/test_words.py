"""The catalogues: whole, alike in every language, and safe to paste."""

from __future__ import annotations

import re
import shlex
import tomllib
from string import Formatter
from typing import get_args

import msgspec
import pytest

from auditor.config import Config
from auditor.diff import KINDS
from auditor.errors import UsageError
from auditor.policy.actions import action as action_of
from auditor.policy.actions import actions
from auditor.policy.editions import Verdict, editions
from auditor.policy.facts import Intent, OfferClass, RiskLevel, Status
from auditor.words import Words, languages

# The codes of the contract, column by column; where the policy declares them, from there.
CONTRACT = """
kind: vm vmss-instance
power_state: running stopped deallocated unknown
registered: before after unknown
path: public-ip nat-gateway load-balancer default-outbound azure-firewall nva gateway none mixed unknown
via_azure_firewall: yes partly no unknown
rules: allow deny partial unknown
firewall_rules: allow deny partial unknown
platform_observed: allowed blocked
smtp: open restricted conditional blocked unknown
decided_by: admin-rule nic-nsg subnet-nsg route egress firewall platform visibility
ipv6: none open restricted blocked unknown
confidence: high medium low
"""
VERDICTS = tuple(verdict for verdict in get_args(Verdict) if verdict)
COLUMNS: dict[str, tuple[str, ...]] = {
    **{column: tuple(codes.split()) for column, _, codes in (row.partition(":") for row in CONTRACT.split("\n")[1:-1])},
    **dict.fromkeys(("platform", "platform_2018_11", "platform_2025_07"), VERDICTS),
    "intent": get_args(Intent),
    "offer_class": get_args(OfferClass),
    "exemption": (*get_args(Status), "none"),
    "risk": get_args(RiskLevel),
    "action_code": tuple(action.code for action in actions().action),
    "change": KINDS,
}

# What the judges of the network and the audit itself give as reasons.
REASONS = """
no-nic nic-not-seen subnet-not-seen nsg-not-seen rules-allow rules-deny rules-partial rules-unknown no-nsg tag-unknown
tag-excerpt virtualnetwork-tag-holds-default-route source-port-rule admin-rule-denies admin-rule-allows
admin-rules-not-asked public-ip nat-gateway load-balancer default-outbound private-subnet private-subnet-not-in-force
delegated-subnet default-address-shown flexible-scale-set nat-without-address lb-without-outbound
internal-lb internal-lb-by-address
secondary-ip-configuration no-egress inspected-by-gateway-lb route-none route-table-not-seen route-tag-unknown
next-hop-unknown-type next-hop-unresolved next-hop-stale next-hop-unreachable next-hop-outside forwarding-off appliance
appliance-inbound-denied appliance-no-egress appliance-not-running via-azure-firewall firewall-allows firewall-denies
firewall-partial
firewall-rules-not-seen firewalls-not-seen firewall-fqdn firewall-no-snat firewall-forced-tunnel firewall-no-public-ip
firewall-failed threat-intelligence ip-group-not-seen parent-policy-not-seen gateway-route bgp-default-possible
bgp-more-specific-possible learned-default hub-default-route hub-internet-security-off hub-not-seen wan-route-unknown
routing-loop mixed-paths ipv6-bypass ipv6-open secondary-nic-can-send effective-routes-used effective-rules-used
effective-differs vm-not-running observed observed-differs editions-differ exemption-conflict subscription-not-seen
offer-inferred offer-ambiguous moved-resource-caveat unknown-feature malformed-document sovereign-cloud
"""

GUID = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"
NETWORK = f"/subscriptions/{GUID}/resourceGroups/rg-net/providers/Microsoft.Network"
COMPUTE = f"/subscriptions/{GUID}/resourceGroups/rg-app/providers/Microsoft.Compute"
NAMES = {"target": "", "target_name": "", "vm": "app01", "subscription": "Mail"}
CHINESE = re.compile(r"[一-鿿]")


@pytest.fixture(params=languages())
def words(request) -> Words:
    return Words.load(request.param)


def test_languages():
    """English and simplified Chinese; another language is a usage error that names them."""
    assert Words.languages() == ("en", "zh-CN")
    with pytest.raises(UsageError, match="en, zh-CN"):
        Words.load("fr")


def test_every_code_has_words(words):
    """Every code of every column, every reason and every action has a title and a sentence."""
    reasons = {*REASONS.split(), *(row.reason for edition in editions() for row in edition.row)}
    reasons |= {cause for rule in actions().rule for cause in rule.cause}
    wanted = {column: set(codes) for column, codes in COLUMNS.items()} | {"reasons": reasons}
    listed = words.codes()
    assert wanted.keys() == listed.keys()
    for column, codes in wanted.items():
        missing = codes - set(listed[column])
        assert not missing, column
        assert column == "power_state" or set(listed[column]) == codes  # nothing that no longer exists
        for code in codes:
            assert words.title(column, code) not in ("", code)
            assert words.sentence(column, code).endswith((".", "。"))


def test_every_action_has_its_sentence(words):
    """The sentences are those of the actions, no more and no fewer."""
    assert words.actions.keys() == set(COLUMNS["action_code"])


def test_languages_are_alike():
    """Same codes in the same order, same names put in, same portal paths."""
    english, other = Words.load("en"), Words.load("zh-CN")
    assert english.codes() == other.codes()
    for texts, translated in ((english.actions, other.actions), (english.portal, other.portal)):
        assert texts.keys() == translated.keys()
        for code, text in texts.items():
            assert placeholders(text) == placeholders(translated[code]), code


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_the_chinese_catalogue_is_chinese():
    """No sentence was left in English."""
    words = Words.load("zh-CN")
    for column, codes in words.codes().items():
        for code in codes:
            assert CHINESE.search(words.sentence(column, code)), (column, code)
    for text in (*words.actions.values(), *words.portal.values()):
        assert CHINESE.search(text)


def test_english_is_plain_ascii():
    """What operators paste and mail stays readable anywhere."""
    words = Words.load("en")
    for column, codes in words.codes().items():
        for code in codes:
            assert (words.title(column, code) + words.sentence(column, code)).isascii()


def test_titles_of_a_column_differ(words):
    """Two codes of a column are never shown alike."""
    for column, codes in words.codes().items():
        titles = [words.title(column, code) for code in codes]
        assert len(titles) == len(set(titles)), column


def test_an_action_names_the_resource(words):
    """What is to be touched, or who is concerned, stands in the sentence, whatever its name holds."""
    names = {
        "target": f"{NETWORK}/routeTables/rt-{{spoke}}",
        "target_name": "rt-{spoke}",
        "vm": "app{01}",
        "subscription": "Mail{0}",
    }
    for code in COLUMNS["action_code"]:
        sentence = words.action(code, **names)
        assert code == "no-action" or any(name in sentence for name in ("rt-{spoke}", "app{01}", "Mail{0}"))


def test_the_first_rule_of_all_can_be_changed_only():
    """An NSG's priorities begin at 100: nothing comes before a Deny there, so the sentence offers to change the rule."""
    sentence = Words.load("en").action("allow-in-rule", **NAMES | {"target_name": "guard/no"})
    assert "comes before guard/no" in sentence
    assert "or change that rule itself where no number below its own is free" in sentence


def test_an_action_without_a_target_speaks_of_the_vm(words):
    """No resource known: the VM is named instead of nothing."""
    for code in COLUMNS["action_code"]:
        assert code == "no-action" or "app01" in (text := words.action(code, **NAMES)) or "Mail" in text


@pytest.mark.parametrize(
    ("code", "target", "line"),
    [
        (
            "deallocate-and-start",
            f"{COMPUTE}/virtualMachines/app01",
            f"az vm deallocate --ids {COMPUTE}/virtualMachines/app01 "
            f"&& az vm start --ids {COMPUTE}/virtualMachines/app01",
        ),
        (
            "deallocate-and-start",
            f"{COMPUTE}/virtualMachineScaleSets/nodes/virtualMachines/3",
            f"az vmss deallocate --subscription {GUID} --resource-group rg-app --name nodes --instance-ids 3 "
            f"&& az vmss start --subscription {GUID} --resource-group rg-app --name nodes --instance-ids 3",
        ),
        (
            "fix-route",
            f"{NETWORK}/routeTables/rt",
            f"az network route-table route list --subscription {GUID} --resource-group rg-net "
            "--route-table-name rt --output table",
        ),
        (
            "grant-read",
            f"/subscriptions/{GUID}",
            f"az role assignment create --assignee PRINCIPAL-ID --role Reader --scope /subscriptions/{GUID}",
        ),
        (
            "give-evidence",
            f"/subscriptions/{GUID}",
            f'[[subscription]]\nid = "{GUID}"\nregistered_on = DATE-OF-FIRST-INVOICE',
        ),
        ("no-action", f"{COMPUTE}/virtualMachines/app01", ""),
    ],
)
def test_command_lines(words, code, target, line):
    """The line fits the kind of resource, in every language alike; none is shown where none fits."""
    assert words.command(code, **NAMES | {"target": target}) == line


def test_a_portal_path_where_no_command_does_it(words):
    """It names the resource, and is in the operator's language."""
    path = words.command("run-diagnostic", **NAMES | {"target": f"{NETWORK}/virtualNetworks/vnet-mail"})
    assert "vnet-mail" in path
    assert "SMTP" in path


def test_every_action_has_a_command_a_path_or_a_text(words):
    """Whatever it touches, each action comes with a line to run, the place in the portal or the text to send."""
    kinds = ("virtualNetworks/v/subnets/s", "routeTables/r", "networkSecurityGroups/n", "azureFirewalls/f", "odd/x")
    targets = [f"/subscriptions/{GUID}", f"{COMPUTE}/virtualMachines/app01", *(f"{NETWORK}/{kind}" for kind in kinds)]
    for code in set(COLUMNS["action_code"]) - {"no-action"}:
        for target in targets:
            line = words.command(code, **NAMES | {"target": target})
            assert line, (code, target)
            assert "{" not in line


def test_lines_for_the_config_are_read_by_it(words):
    """What is to be put into the config is one valid table of it once the words in capitals are filled in."""
    filled = {"DATE-OF-FIRST-INVOICE": "2016-03-01", "OFFER-CLASS": "payg"}
    for code in ("give-evidence", "state-offer"):
        text = words.command(code, **NAMES | {"target": f"/subscriptions/{GUID}"})
        for blank, value in filled.items():
            text = text.replace(blank, value)
        (entry,) = tomllib.loads(text)["subscription"]
        assert entry.pop("id") == GUID
        assert msgspec.convert({"subscription": [{"id": GUID, **entry}]}, Config).subscriptions


def test_the_intent_is_declared_as_the_config_has_it(words):
    """Where the config names a tag the command sets that one; else it is told what to put into the config, which reads
    it. Where it is about one VM that is named."""
    vm = f"{COMPUTE}/virtualMachines/app 01"
    asked = NAMES | {"target": f"/subscriptions/{GUID}"}
    line = words.tagged("Sends mail").command("declare-intent", **asked, vm_id=vm)
    assert shlex.split(line) == [
        *("az", "tag", "update", "--resource-id", vm, "--operation", "Merge", "--tags", "Sends mail=TRUE-OR-FALSE")
    ]
    assert " VM-ID " in words.tagged("Sends mail").command("declare-intent", **asked)
    for known in (vm, ""):
        text = words.command("declare-intent", **asked, vm_id=known).replace("VM-ID", vm)
        config = msgspec.convert(tomllib.loads(text), Config)
        assert config.intent(vm, {}) == "sender"
        assert [config.intent(vm + "x", {config.intents.tag: said}) for said in ("true", "false", "")] == [
            *("sender", "not-sender", "unknown")
        ]
    evil = f'{COMPUTE}/virtualMachines/a"]\nx = ["\'$(id)'
    assert tomllib.loads(words.command("declare-intent", **asked, vm_id=evil))["intent"]["senders"] == [evil]
    assert evil in shlex.split(words.tagged("t").command("declare-intent", **asked, vm_id=evil))


def test_nothing_in_a_name_runs(words):
    """A name with shell characters is one word of the line."""
    evil = "x; rm -rf ~ #`id`$(id)'\""
    for code, kind in (("deallocate-and-start", "virtualMachines"), ("confirm-with-test", "virtualMachines")):
        line = words.command(code, **NAMES | {"target": f"{COMPUTE}/{kind}/{evil}"})
        assert f"{COMPUTE}/{kind}/{evil}" in shlex.split(line)


def test_sources():
    """Every reason but our own observations has Microsoft's page, and every action its own."""
    words, ours = Words.load("en"), {"subscription-not-seen", "unknown-feature", "malformed-document"}
    for reason in words.codes()["reasons"]:
        url = words.source(reason)
        unread = reason.endswith("-not-seen") or reason in ours or reason in ("no-path",)
        assert url.startswith("https://learn.microsoft.com/") or unread, reason
    for action in COLUMNS["action_code"]:
        assert words.source(action) == action_of(action).doc_url


def test_a_code_without_words_is_shown_as_it_is(words):
    """Azure may invent a power state; the report must not fail of it."""
    assert words.title("power_state", "levitating") == words.sentence("power_state", "levitating") == "levitating"
    assert words.reason("no-nsg") == words.sentence("reasons", "no-nsg")
    assert words.source("levitating") == ""
