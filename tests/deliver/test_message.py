"""Whether people are told, and what; in every shape, whatever the names of the tenant."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from auditor.config import Notify
from auditor.deliver import cards
from auditor.deliver.message import LONGEST, Message, of_failure, of_report
from auditor.diff import Change
from auditor.report.figures import summary
from auditor.words import Words
from tests.report.factory import SCANNED, TENANT, finding, report
from tests.report.hostile import NAMES

MENTIONS = (
    "<!channel> & <@U123>",
    "[click](https://evil.test)",
    "**bold** _it_ `x`",
    "{{DATE(2017-02-14T06:00:00Z, SHORT)}}",
)
SHAPES = ("teams", "slack", "json")


def change(name: str = "shop-01") -> Change:
    """A VM that can send now and could not before."""
    return Change(change="new-sender", subscription_id="s", subscription="Shop", resource_group="rg", vm=name, what="smtp", old="blocked", new="open", risk="high")  # fmt: skip


def told(changes: list[Change] | None, *names: str, lang: str = "en", first: bool = True) -> Message:
    """The message of a report of VMs with these names."""
    found = replace(report([finding(number, vm=name) for number, name in enumerate(names or ("a",))]), lang=lang)
    words = Words.load(lang)
    return of_report(found, summary(found, words), changes, words, first=first, top=5, place="reports/x", run_id="r1")


def everything(message: Message, kind: cards.Kind) -> str:
    """All texts a reader sees, one a line."""
    lines = []

    def walk(value: Any, key: str = "") -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(each, name)
        elif isinstance(value, list):
            for each in value:
                walk(each, key)
        elif isinstance(value, str):
            lines.append(value)

    walk(json.loads(cards.body(kind, message)))
    return "\n".join(lines)


# ---- what


def test_something_changed():
    """Changes are told, worst first as they come, with the figures and what to do first."""
    message = told([change("shop-01"), change("shop-02")])
    assert message.cause == "changed"
    assert message.title == "Port 25: 2 changes since the last run"
    assert [line.split(" · ")[2] for line in message.changes] == ["shop-01 [Shop/rg]", "shop-02 [Shop/rg]"]
    assert message.changes[0].endswith("blocked → open")
    assert dict(message.figures)["VMs"] == "1"
    assert "· 1 VM ·" in message.actions[0]
    assert (message.scanned_at, message.tenant_id, message.run_id) == (SCANNED, TENANT, "r1")


def test_nothing_to_compare_with_is_not_nothing_changed():
    """Where there is no run to compare with that is told, and whether there was one at all."""
    message = told(None)
    assert message.cause == "first"
    assert message.lead.startswith("This is the first run here. ")
    assert message.lead.endswith("Microsoft.Network/routeTables [sub-000] refused")
    assert "cannot be compared" in told(None, first=False).lead


def test_a_failed_run():
    """A failure is told with its reason, and without a secret that stands in it."""
    message = of_failure("no room; Authorization: Bearer pl4nted-token", lang="en", run_id="r1")
    assert message.cause == "failed"
    assert message.lead.startswith("no room")
    assert "pl4nted" not in message.lead


def test_in_chinese():
    """A message is in the report's language."""
    message = told([change()], lang="zh-CN")
    assert "端口 25" in message.title


# ---- shapes


@pytest.mark.parametrize("kind", SHAPES)
def test_every_shape_holds_everything(kind):
    """Title, figures, changes, actions, place and run stand in each shape."""
    message = told([change()])
    text = everything(message, kind)
    assert all(part in text for part in (message.title, "shop-01", "reports/x", "r1", message.actions[0]))


def test_the_envelope_of_teams():
    """What a workflow of Teams takes: a message with one adaptive card, whose texts know no Markdown."""
    message = told([change()])
    document = json.loads(cards.body("teams", message))
    (attachment,) = document["attachments"]
    assert document["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert {block["type"] for block in attachment["content"]["body"]} == {"RichTextBlock"}


@pytest.mark.parametrize("name", [*NAMES, *MENTIONS])
@pytest.mark.parametrize("kind", SHAPES)
def test_names_do_nothing(kind, name):
    """A hostile name mentions nobody, links nowhere, formats nothing, breaks no line and is cut where it is too long."""
    message = told([change(name)], name)
    assert all(
        len(line) <= LONGEST and "\n" not in line and "\u202e" not in line for line in message.changes + message.actions
    )
    body = cards.body(kind, message)
    assert len(body) < 28 * 1024
    document = json.loads(body)
    if kind == "slack":
        assert {block["text"]["type"] for block in document["blocks"] if "text" in block} == {"plain_text"}
        assert not set("<>") & set(everything(message, kind))
        assert all(len(block["text"]["text"]) <= 3000 for block in document["blocks"] if "text" in block)
    if kind == "teams":
        assert "{{" not in everything(message, kind)


@pytest.mark.parametrize("text", ["a", "生", "\U0001f600", '"'])
def test_as_many_lines_as_the_config_allows_fit(text):
    """With fifty things to do each line is shorter, and Teams takes the message; none is left out."""
    most = max(top for top in range(1, 999) if taken(top))
    lines = (text * LONGEST,)
    message = Message(
        cause="changed", title="t", lead=text * 300, changes_title="c", changes=lines * 11, actions_title="a",
        actions=lines * (most + 1), run_id="r",
    )  # fmt: skip
    body = cards.body("teams", message)
    assert len(body) <= 28 * 1024
    assert len(json.loads(body)["attachments"][0]["content"]["body"]) == 2 + 1 + 11 + 1 + most + 1 + 1


def taken(top: int) -> bool:
    """Whether the config takes so many."""
    try:
        msgspec.convert({"top": top}, Notify)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("kind", SHAPES)
def test_a_foreign_tenant_id_is_text(kind):
    """What a manifest of somebody else's calls its tenant is one line that steers nothing, as names are."""
    found = replace(report([finding(1)]), tenant_id="x\x1b[2J\nERROR\u202e", scanned_at="2026\n")
    words = Words.load("en")
    message = of_report(found, summary(found, words), None, words, first=True, top=5, place="a\nb", run_id="r1")
    assert (message.tenant_id, message.scanned_at, message.place) == ("x␛[2J ERROR\ufffd", "2026", "a b")
    assert "\x1b" not in everything(message, kind)
    assert of_failure("", lang="en", run_id="r", tenant_id="x\ny").tenant_id == "x y"


@pytest.mark.parametrize("kind", SHAPES)
def test_many_changes_fit(kind):
    """A night in which all is different: the first ten are told, and how many more there are."""
    message = told([change("生产环境" * 100)] * 500)
    assert message.changes[-1] == "and 490 more"
    assert len(cards.body(kind, message)) < 28 * 1024
