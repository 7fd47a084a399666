"""How this machine reaches the outside: certificates and proxies as the environment names them."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from auditor.errors import AuditorError


def bundle(environ: Mapping[str, str]) -> str:
    """The file or folder with the certificates of a private CA, "" where the environment names none."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next((environ[name] for name in names if environ.get(name)), "")


def tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context that verifies servers, by a private CA, too, where one is named. Raises AuditorError for a bad one."""
    context = ssl.create_default_context()
    if private := bundle(environ):
        path = Path(private)
        try:
            context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": private})
        except (OSError, ssl.SSLError) as error:
            raise AuditorError(f"{private}: no certificates can be read from it ({error}).") from error
    return context


def way(host: str) -> dict[str, Any]:
    """What aiohttp has to be told to reach a host by HTTPS: nothing, or the proxy.

    The proxy's name and password go into a header, since errors and logs show the address. Raises AuditorError where
    the proxy's address is none.
    """
    proxy = getproxies().get("https")
    if not proxy or proxy_bypass(host):
        return {}
    try:
        url = URL(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError:  # what it says may hold the password
        raise AuditorError(
            "HTTPS_PROXY is no address of a proxy; expected http://host:port, with name and password as http://name:"
            "password@host:port, signs in these quoted: %5B for ["
        ) from None
    found: dict[str, Any] = {"proxy": str(url.with_user(None))}
    if url.user:
        named = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
        found["proxy_headers"] = {"Proxy-Authorization": f"Basic {named}"}
    return found
