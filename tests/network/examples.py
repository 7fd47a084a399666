"""The share of a profile's examples that a costly property draws."""

from __future__ import annotations

from hypothesis import settings


def share(part: float) -> settings:
    """Settings with this part of the examples of the profile in force."""
    return settings(max_examples=max(1, round(settings().max_examples * part)))
