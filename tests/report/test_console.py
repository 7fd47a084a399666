"""The end of a scan."""

from auditor.report.console import show
from tests.report.factory import PlainWords, finding, report, tenant


def test_figures_actions_and_place(capsys):
    """Stderr tells the counts, the first things to do and where the report is; stdout stays empty."""
    findings = tenant(60)
    show(report(findings), PlainWords(), "reports/x")
    out, err = capsys.readouterr()
    assert out == ""
    assert "60 VMs" in err
    assert "use-relay" in err
    assert "report: reports/x" in err
    assert "[red]" not in err


def test_names_do_not_steer_the_terminal(capsys):
    """Escape sequences and mark-up in names are shown, not obeyed."""
    show(report([finding(1, vm="\x1b[2J[bold]x")]), PlainWords(), "r")
    err = capsys.readouterr().err
    assert "\x1b[2J" not in err
    assert "[2J[bold]x" in err


def test_no_vms(capsys):
    """Nothing found is said as such."""
    show(report([]), PlainWords(), "r")
    assert "0 VMs" in capsys.readouterr().err
