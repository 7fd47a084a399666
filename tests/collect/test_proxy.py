"""Through a proxy, as the environment says."""

from __future__ import annotations

import gc
import socket

import pytest

from auditor.errors import AuditorError
from tests.cloud import serve
from tests.cloud.compose import encoded, many
from tests.cloud.proxy import proxy
from tests.collect.test_live import lines


def test_everything_goes_through_the_proxy(collected):
    """HTTPS_PROXY holds for tokens and for Resource Manager, with name and password where it has some."""
    with serve(encoded(many(1, 1))) as server, proxy("auditor:planted@password") as between:
        server.environment["HTTPS_PROXY"] = f"http://auditor:planted%40password@127.0.0.1:{between.port}"
        result = collected(server)
    assert lines(result) == sorted(encoded(many(1, 1)))
    assert set(between.connected) == {server.url.removeprefix("https://")}


def test_no_proxy_is_left_out(collected):
    """A host that NO_PROXY names is asked directly."""
    with serve(encoded(many(1, 1))) as server, proxy() as between:
        server.environment |= {"HTTPS_PROXY": f"http://127.0.0.1:{between.port}", "NO_PROXY": "127.0.0.1"}
        assert collected(server).gaps == ()
    assert between.connected == []


def test_a_proxy_that_refuses_is_an_error_without_its_password(collected, caplog):
    """The error names the proxy's answer; its password is in neither error nor log."""
    with serve(encoded(many(1, 1))) as server, proxy("somebody:else") as between:
        server.environment["HTTPS_PROXY"] = f"http://auditor:planted@127.0.0.1:{between.port}"
        with pytest.raises(AuditorError, match="407") as raised:
            collected(server)
    assert "planted" not in str(raised.value) + caplog.text


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_proxy_that_stops_leaves_nothing_open():
    """A tunnel in use and one that was not asked for yet end with the proxy, so that no later test finds them."""
    with socket.create_server(("127.0.0.1", 0)) as host:
        with proxy() as between:
            tunnel, idle = (socket.create_connection(("127.0.0.1", between.port), timeout=10) for _ in range(2))
            tunnel.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % host.getsockname()[1])
            assert tunnel.recv(100).startswith(b"HTTP/1.1 200")
        with tunnel, idle:
            assert (tunnel.recv(100), idle.recv(100)) == (b"", b"")
    gc.collect()
