"""Whether a subscription was registered before the cutoff of 15 November 2017.

No API returns that date, so it is pieced together: the operator's word, then the year in a quotaId that is younger
than the cutoff, then the oldest thing found in the subscription. The last is one-sided: what existed before shows
that the subscription did (unless it was moved in), while young resources show nothing.
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from auditor.policy.facts import Evidence, Override

# The pages give a day without a time zone: within a day of it nothing is certain.
BEFORE = date(2017, 11, 14)
"""Earlier than this is before the cutoff in every time zone."""
AFTER = date(2017, 11, 17)
"""This day and later is after the cutoff in every time zone."""

_QUOTA_DATE = re.compile(r"_(\d{4}-\d{2}-\d{2})$")


class Registration(NamedTuple):
    """before, after or unknown; `by` is the kind of evidence (config, quotaId, resource), `evidence` names it."""

    registered: str
    by: str = ""
    evidence: str = ""


def registration(quota_id: str, oldest: Evidence | None, override: Override | None) -> Registration:
    """When the subscription was registered, relative to the cutoff, and what shows it."""
    if override and override.registered_on:
        return Registration(_side(override.registered_on), "config", f"config {override.registered_on}")
    dated = _quota_date(quota_id)
    if dated and dated >= AFTER:
        return Registration("after", "quotaId", f"quotaId {quota_id}")
    if oldest and oldest.date < BEFORE:
        return Registration("before", "resource", f"{oldest.what} {oldest.date} {oldest.id}".rstrip())
    return Registration("unknown")


def _side(day: date) -> str:
    return "before" if day < BEFORE else "after" if day >= AFTER else "unknown"


def _quota_date(quota_id: str) -> date | None:
    found = _QUOTA_DATE.search(quota_id)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:  # digits that are no day
        return None
