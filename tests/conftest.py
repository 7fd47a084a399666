"""How many examples Hypothesis draws: few by default, very many with HYPOTHESIS_PROFILE=nightly, the same every run.

And what tests of several rooms deliver to.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.deliver.azurite import Azurite
    from tests.deliver.servers import Hook, Relay

# What is started in the background of a script ignores Ctrl-C, and so would all that the tests start to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture(scope="session")
def chain() -> Iterator[tuple[Path, Path]]:
    """A private CA, and a certificate of it with its key."""
    from tests.cloud import certificates

    with TemporaryDirectory() as folder:
        yield certificates.make(Path(folder))


@pytest.fixture(scope="session")
def emulator() -> Iterator[Azurite]:
    """An emulator of Blob Storage."""
    from tests.deliver.azurite import ABSENT, PROGRAM, azurite

    if not PROGRAM:
        pytest.skip(ABSENT)
    with azurite() as found:
        yield found


@pytest.fixture
def team(chain: tuple[Path, Path]) -> Iterator[Hook]:
    """Where messages arrive by webhook."""
    from tests.deliver.servers import hook

    with hook(chain[1]) as found:
        yield found


@pytest.fixture
def post_office(chain: tuple[Path, Path]) -> Iterator[Relay]:
    """A relay for mail that wants STARTTLS and a password."""
    from tests.deliver.servers import relay

    with relay(chain[1]) as found:
        yield found
