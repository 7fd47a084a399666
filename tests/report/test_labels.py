"""The report's own texts."""

import re
from string import Formatter

import pytest

from auditor.errors import UsageError
from auditor.report.columns import COLUMNS
from auditor.report.labels import Labels, languages

OTHERS = [lang for lang in languages() if lang != "en"]


def places(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_languages():
    """English and simplified Chinese."""
    assert languages() == ("en", "zh-CN")


@pytest.mark.parametrize("lang", OTHERS)
@pytest.mark.parametrize("part", ["columns", "notes", "texts"])
def test_languages_say_the_same(lang, part):
    """Every language has the same keys, no empty text and the same places for values."""
    english, other = getattr(Labels.load("en"), part), getattr(Labels.load(lang), part)
    assert english.keys() == other.keys()
    assert all(english.values())
    assert all(other.values())
    assert {key: places(text) for key, text in english.items()} == {key: places(text) for key, text in other.items()}


def test_a_number_has_its_word():
    """One VM is a VM, none and two are VMs; where a language has one word for all it stands as it is."""
    english, chinese = Labels.load("en"), Labels.load("zh-CN")
    assert [english.text("message_figures", count=n) for n in (0, 1, 2)] == ["0 VMs", "1 VM", "2 VMs"]
    assert english.text("console_title", vms=1, subscriptions=2).endswith("1 VM in 2 subscriptions")
    assert [chinese.text("message_figures", count=n) for n in (1, 2)] == ["1 台虚拟机", "2 台虚拟机"]


def test_no_number_stands_before_a_word_for_many():
    """A plural right after a number is wrong for one; it has to say both words."""
    bare = re.compile(r"\{\w+\} (VMs|subscriptions|listings|changes|actions|firewalls|runs)\b")
    assert [place for place, text in Labels.load("en").texts.items() if bare.search(text)] == []


def test_every_column_is_explained():
    """The legend has a note for each column of `vms.csv`."""
    assert [column.key for column in COLUMNS if column.key not in Labels.load("en").notes] == []


def test_unknown_language():
    """A language there is not is a usage error that names those there are."""
    with pytest.raises(UsageError, match="en, zh-CN"):
        Labels.load("tlh")
