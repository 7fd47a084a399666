"""The run in a few figures."""

from collections import Counter

import msgspec

from auditor.report.figures import summary
from tests.report.factory import PlainWords, finding, guid, report, tenant


def test_figures_are_plain_counts():
    """Each figure equals the count made the plain way."""
    findings = tenant(400)
    figures = summary(report(findings), PlainWords())
    assert figures.vms == 400
    assert figures.subscriptions == 8
    assert figures.smtp == Counter(f.smtp for f in findings)
    assert figures.path == Counter(f.path for f in findings)
    assert {k: v for k, v in figures.risk.items() if v} == Counter(f.risk for f in findings)
    assert figures.open_unneeded == sum(f.smtp == "open" and f.intent == "not-sender" for f in findings)
    assert figures.senders == sum(f.intent == "sender" for f in findings)
    assert figures.senders_held == figures.senders
    assert figures.via_firewall == sum(f.via_azure_firewall == "yes" for f in findings)
    assert figures.firewalls == 1
    assert figures.gaps == 1
    for table, field in (
        (figures.smtp_by_risk, "smtp"),
        (figures.path_by_risk, "path"),
        (figures.subscription_by_risk, "subscription"),
    ):
        plain = Counter((getattr(f, field), f.risk) for f in findings)
        assert {(code, risk): n for code, line in table.items() for risk, n in line.items() if n} == plain


def test_a_sender_that_reaches_its_destinations_is_not_held():
    """Open and restricted senders are not held back; every other one is."""
    verdicts = ("open", "restricted", "conditional", "blocked", "unknown")
    findings = [finding(n, smtp=smtp, intent="sender") for n, smtp in enumerate(verdicts)]
    assert summary(report(findings), PlainWords()).senders_held == 3


def test_subscriptions_of_one_name_stay_apart():
    """Two subscriptions that share a name are told apart by id."""
    findings = [finding(1, subscription="prod"), finding(60, subscription="prod")]
    figures = summary(report(findings), PlainWords())
    assert set(figures.subscription_by_risk) == {f"prod ({guid(0)})", f"prod ({guid(1)})"}


def test_nothing_found():
    """A tenant without VMs has figures, all nought."""
    figures = summary(report([]), PlainWords())
    assert (figures.vms, figures.smtp, figures.actions) == (0, {}, ())
    assert set(figures.risk.values()) == {0}


def test_suppressed_vms_count_as_vms_and_nowhere_else():
    """The figures are those of the tenant without its suppressed VMs, but for how many VMs there are and how many of them
    are suppressed; so every table and chart adds up to what is left."""
    findings = tenant(60)
    hidden = [msgspec.structs.replace(f, suppressed="why (who, until when)") for f in findings[:20]]
    whole = report(findings, suppressions=())
    figures = summary(msgspec.structs.replace(whole, findings=hidden + findings[20:]), PlainWords())
    without = summary(msgspec.structs.replace(whole, findings=findings[20:]), PlainWords())
    assert (figures.vms, figures.suppressed) == (60, 20)
    assert figures == msgspec.structs.replace(without, vms=60, suppressed=20)
    for counts in (figures.smtp, figures.path, figures.risk):
        assert sum(counts.values()) == 40
    for table in (figures.smtp_by_risk, figures.path_by_risk, figures.subscription_by_risk):
        assert sum(sum(line.values()) for line in table.values()) == 40
