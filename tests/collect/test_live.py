"""A tenant on loopback, read by the real SDK clients: what is collected is what is there, or there is a gap."""

from __future__ import annotations

import pytest

from tests.cloud import serve
from tests.cloud.compose import encoded, everything


def lines(result):
    """The collected documents, in an order that does not depend on the order of the answers."""
    return sorted(document for _, _, document in result.snapshot.documents())


@pytest.mark.parametrize("page_size", [0, 1, 2])
def test_what_is_collected_is_what_is_served(collected, page_size):
    """Every document of every kind comes byte for byte, once, whatever the size of a page."""
    documents = encoded(everything())
    with serve(documents, page_size=page_size) as server:
        result = collected(server)
    assert lines(result) == sorted(documents)
    assert result.documents == len(documents)
    assert result.gaps == ()
