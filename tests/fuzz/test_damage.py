"""No exception and no false certainty from a damaged document: what was found once, and some hundreds drawn anew."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from auditor import decode
from auditor.model.resources import Tenant
from tests.fuzz import __main__ as command
from tests.fuzz.damage import CORPUS, TENANTS, Case, documents, draw, intact, unread, wrongs

KEPT = {path.stem: msgspec.json.decode(path.read_bytes(), type=Case) for path in sorted(CORPUS.glob("*.json"))}


@pytest.mark.parametrize("case", KEPT.values(), ids=KEPT)
def test_what_was_found_stays_mended(case):
    """A damage that once led to a wrong certainty, told in its `law`, does so no more."""
    assert wrongs(case) == []


def test_drawn_damages_keep_the_law():
    """The same some hundreds of damages every time; `python -m tests.fuzz` goes on with others."""
    random = Random(25)
    found = [(case, told) for case in (draw(random) for _ in range(800)) if (told := wrongs(case))]
    assert found == []


def test_every_corpus_case_is_a_damage():
    """None of the kept cases is one that Azure could have said, which the law would pass over."""
    assert KEPT
    assert [name for name, case in KEPT.items() if case.plausible() or not case.law] == []


def test_the_law_can_be_broken():
    """A judge that took a Deny for an Allow would be caught: the two sides of the law differ where it matters."""
    nsg = next(d["id"] for d in documents("nic-denies-subnet-allows") if d["id"].endswith("/nsg-app"))
    case = Case("nic-denies-subnet-allows", nsg, ("properties", "securityRules", 0, "properties", "access"), "Allow")
    (told,) = wrongs(case)
    assert "is open: intact it is blocked, with the document unread unknown" in told


def test_a_document_that_is_unread_leaves_nothing_certain_by_itself():
    """For most tenants there is a document without which some VM becomes unknown; else the law would ask nothing."""
    bites = [tenant for tenant in TENANTS if any(unread(tenant, d["id"]) != intact(tenant) for d in documents(tenant))]
    assert len(bites) > len(TENANTS) / 2


def test_bytes_are_decoded_or_broken():
    """Whatever happens to single bytes of a document, it is decoded, becomes a gap, or is `BrokenDocument`."""
    random = Random(26)
    lines = [msgspec.json.encode(d) for tenant in TENANTS for d in documents(tenant)]
    broken = 0
    for _ in range(4000):
        line = bytearray(random.choice(lines))
        for _ in range(random.randint(1, 4)):
            line[random.randrange(len(line))] = random.randrange(256)
        try:
            decode.add(bytes(line[: random.choice((len(line), random.randrange(len(line))))]), Tenant())
        except decode.BrokenDocument:
            broken += 1
    assert 0 < broken < 4000


def test_command_keeps_what_it_finds(tmp_path, monkeypatch, capsys):
    """The long run ends with 1 where the law was broken, names the field, and writes a case that can be read back."""
    monkeypatch.setattr(command, "CORPUS", tmp_path)
    monkeypatch.setattr(command, "wrongs", lambda case: ["wrong"])
    monkeypatch.setattr("sys.argv", ["fuzz", "--minutes", "0.002", "--keep", "3"])
    assert command.main() == 1
    kept = [msgspec.json.decode(path.read_bytes(), type=Case) for path in tmp_path.iterdir()]
    assert 0 < len(kept) <= 3
    assert {case.law for case in kept} == {"wrong"}
    assert "break the law" in capsys.readouterr().out
