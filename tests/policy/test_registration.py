"""Registered before the cutoff, after it, or not known."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.policy.facts import Evidence, Override
from auditor.policy.registration import registration

ID = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"
DISK = "/subscriptions/6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501/resourceGroups/rg/providers/Microsoft.Compute/disks/os"
STUDENTS, PAYG = "AzureForStudents_2018-01-01", "PayAsYouGo_2014-09-01"


@pytest.mark.parametrize(
    ("day", "side"),
    [
        ("2016-03-01", "before"),
        ("2017-11-13", "before"),
        ("2017-11-14", "unknown"),
        ("2017-11-15", "unknown"),
        ("2017-11-16", "unknown"),
        ("2017-11-17", "after"),
        ("2019-06-01", "after"),
    ],
)
def test_the_operators_date(day, side):
    """Within a day of the cutoff the time zone leaves it open."""
    found = registration(PAYG, None, Override(id=ID, registered_on=date.fromisoformat(day)))
    assert found == (side, "config", f"config {day}")


def test_the_operators_date_beats_evidence():
    """The operator's date stands against an older resource, which may have been moved in, and against the quotaId."""
    old = Evidence(date(2016, 5, 1), "vm", DISK)
    assert registration(PAYG, old, Override(id=ID, registered_on=date(2019, 6, 1))).registered == "after"
    assert registration(STUDENTS, None, Override(id=ID, registered_on=date(2016, 6, 1))).registered == "before"


def test_a_quota_id_younger_than_the_cutoff():
    """It cannot belong to a subscription of before, whatever was moved into it."""
    assert registration(STUDENTS, None, None) == ("after", "quotaId", f"quotaId {STUDENTS}")
    assert registration(STUDENTS, Evidence(date(2016, 5, 1), "vm"), None).registered == "after"
    assert registration("Odd_2018-13-45", None, None).registered == "unknown"


def test_an_override_without_a_date_says_nothing():
    """An entry that only names the offer leaves the date to the evidence."""
    assert registration(PAYG, None, Override(id=ID, offer_class="payg")).registered == "unknown"


def test_the_evidence_is_named():
    """The column says which thing is that old."""
    found = registration(PAYG, Evidence(date(2016, 5, 1), "disk", DISK), None)
    assert found == ("before", "resource", f"disk 2016-05-01 {DISK}")


@given(st.integers(-4000, 4000))
def test_evidence_is_one_sided(days):
    """A resource can only show `before`; a young one shows nothing, on any day."""
    day = date(2017, 11, 15) + timedelta(days)
    found = registration(PAYG, Evidence(day, "disk", DISK), None).registered
    assert found == ("before" if days < -1 else "unknown")
