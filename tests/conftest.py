"""How many examples Hypothesis draws: few by default, very many with HYPOTHESIS_PROFILE=nightly, the same every run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILES = {"ci": 500, "nightly": 20_000}

for name, examples in PROFILES.items():
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
