"""The end of a scan."""

import pytest

from auditor.report.console import show
from auditor.report.labels import Labels, languages
from auditor.words import Words
from tests.report.factory import PlainWords, finding, report, tenant


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Nothing of the surroundings decides how wide or colourful it is."""
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_figures_actions_and_place(capsys):
    """Stderr tells the counts, the first things to do and where the report is; stdout stays empty."""
    findings = tenant(60)
    show(report(findings), PlainWords(), "reports/x")
    out, err = capsys.readouterr()
    assert out == ""
    assert "60 VMs in 2 subscriptions" in err
    assert "use-relay" in err
    assert err.splitlines()[-1] == "report: reports/x"
    held = sum(f.intent == "sender" and f.smtp not in ("open", "restricted") for f in findings)
    assert f"Need to send, held up: {held} " in err
    assert Labels.load("en").text("incomplete", count=2) in err


def test_plain_where_it_is_no_terminal(capsys):
    """In a log there are neither colours nor lines drawn, and a sentence is one line of 120 columns at most."""
    show(report(tenant(60)), PlainWords(), "reports/x")
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert err.isascii()
    assert max(map(len, err.splitlines())) <= 120


@pytest.mark.parametrize("width", [30, 60, 200])
@pytest.mark.parametrize("lang", languages())
def test_a_terminal_of_any_width(capsys, monkeypatch, width, lang):
    """On a terminal no line is wider than it, but for the place of the report, which is to be copied."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    run = report(tenant(60), lang=lang, changes=(), baseline="reports/2026-11-13")
    show(run, Words.load(lang), "reports/" + "x" * 250)
    *lines, last = plain(capsys.readouterr().err).splitlines()
    assert last.endswith("x" * 250)
    assert max(map(cells, lines)) <= width


def plain(text):
    from rich.text import Text

    return Text.from_ansi(text).plain


def cells(line):
    from rich.cells import cell_len

    return cell_len(line)


def test_suppressions_and_changes_are_said(capsys):
    """What is suppressed, and what changed since the baseline, is said in one sentence each."""
    hidden = finding(1, suppressed="agreed (ops, until 2027-06-30)")
    show(report([hidden, finding(2)], changes=(), baseline="reports/old"), PlainWords(), "r")
    err = capsys.readouterr().err
    text = Labels.load("en").text
    assert text("suppressed", count=1, expired=0) in err
    assert text("changes", count=0, baseline="reports/old") in err


def test_names_do_not_steer_the_terminal(capsys):
    """Escape sequences and mark-up in names are shown, not obeyed."""
    show(report([finding(1, vm="\x1b[2J[bold]x:smile:\u202e\u2028")]), PlainWords(), "r\u202e\n")
    err = capsys.readouterr().err
    assert not set("\x1b\u202e\u2028") & set(err)
    assert err.endswith("\nreport: r\ufffd␊\n")
    assert "[2J[bold]x:smile:" in err


def test_no_vms(capsys):
    """Nothing found is said as such."""
    show(report([]), PlainWords(), "r")
    assert "0 VMs in 0 subscriptions" in capsys.readouterr().err
