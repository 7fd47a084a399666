"""What is secret is never shown, and what is not stays readable."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote, quote_plus

import pytest

from auditor.redaction import MASK, redact, remember, remember_address, remember_environment

PLANTED = 'p/lanted+s3cret&with=signs"\\ä'


@pytest.mark.parametrize(
    "form",
    [
        *(str, str.upper, quote, quote_plus, lambda text: quote(text, safe="").lower()),
        lambda text: b64encode(text.encode()).decode(),
        lambda text: json.dumps(text)[1:-1].replace("/", "\\/").replace("&", "\\u0026"),
    ],
)
def test_a_known_secret_in_any_form(form):
    """A secret that was named is found as it is, quoted for a URL or JSON, and in base64."""
    remember(PLANTED)
    assert redact(f"before {form(PLANTED)} after") == f"before {MASK} after"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: {MASK}"),
        ("{'Authorization': 'Bearer abc', 'Accept': '*/*'}", f"{{'Authorization': '{MASK}', 'Accept': '*/*'}}"),
        ("sent Bearer 0123456789abcdef to it", f"sent Bearer {MASK} to it"),
        ("token eyJhbGciOiJub25l.eyJhdWQiOiJ4In0.c2ln", f"token {MASK}"),
        ("at https://t0ken@host.example/path, too", f"at https://{MASK}@host.example/path, too"),
        ("via http://user:secret@proxy:3128", f"via http://{MASK}@proxy:3128"),
        (
            "https://a.blob.core.windows.net/c?sv=1&sig=abc%2B",
            f"https://a.blob.core.windows.net/c?sv={MASK}&sig={MASK}",
        ),
        ("AccountName=a;AccountKey=abc==;EndpointSuffix=x", f"AccountName=a;AccountKey={MASK};EndpointSuffix=x"),
        ("client_id=a&client_secret=abc&grant_type=b", f"client_id=a&client_secret={MASK}&grant_type=b"),
        ('{"access_token": "a\\"b", "expires_in": 3}', f'{{"access_token": "{MASK}", "expires_in": 3}}'),
        ("post to https://hooks.slack.com/services/T0/B0/xyz failed", f"post to https://hooks.slack.com/{MASK} failed"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", MASK),
    ],
)
def test_what_looks_like_a_secret(text, shown):
    """A secret that nobody named is known by its form; what stands beside it stays."""
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/subscriptions/6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501/resourceGroups/rg-mail is refused: 403 AuthorizationFailed",
        "https://management.azure.com/subscriptions?api-version=2022-12-01&$skiptoken=1000",
        "AADSTS7000215: Invalid client secret provided. Basic authentication is off. Trace ID: 8f2e",
        "key 12 of table code=3",
    ],
)
def test_what_is_no_secret_stays(text):
    """Ids, addresses and the words of an error are shown as they are."""
    assert redact(text) == text


def test_the_environment_is_asked_for_secrets():
    """Variables that hold a secret are known by name, proxies' passwords by their place; paths are not secret."""
    remember_environment(
        {
            "AZURE_CLIENT_SECRET": "environment-one",
            "SMTP_PASSWORD": "environment-two",
            "HTTPS_PROXY": "http://me:environment%40three@proxy:3128",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x=environment-four",
            "AZURE_AUTHORITY_HOST": "https://environment-five5@login.example",
            "AZURE_RESOURCE_MANAGER_ENDPOINT": "https://me:environment-six@arm.example/x",
            "HOMEPAGE": "ssh://administrator@host.example",
            "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/tokens/azure",
            "AZURE_TOKEN_CREDENTIALS": "production-only",
        }
    )
    assert redact("environment-one environment-two environment@three") == f"{MASK} {MASK} {MASK}"
    assert redact("x=environment-four environment-five5 environment-six") == f"{MASK} {MASK} {MASK}"
    assert redact("the administrator") == "the administrator"
    assert MASK in redact(b64encode(b"me:environment@three").decode())
    assert redact("/var/run/secrets/tokens/azure production-only") == "/var/run/secrets/tokens/azure production-only"


ADDRESS = "https://hooks.example/services/T0AAAA/reports/workflows/B0BBBBpl4nted1?v=2016-06-01&sig=pl4nted%2Bsignature"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"no workflow {ADDRESS}", f"no workflow {MASK}"),
        (f"no {quote(ADDRESS, safe='').lower()}", f"no {MASK}"),
        (json.dumps({"url": ADDRESS}).replace("/", "\\/").replace("&", "\\u0026"), f'{{"url": "{MASK}"}}'),
        ("signature pl4nted+signature is not valid", f"signature {MASK} is not valid"),
        ("token B0BBBBpl4nted1 revoked", f"token {MASK} revoked"),
        (
            "no hook services/T0AAAA/reports/workflows/B0BBBBpl4nted1",
            f"no hook services/T0AAAA/reports/workflows/{MASK}",
        ),
    ],
)
def test_an_address_that_is_a_secret(said, shown):
    """The whole of it, and what in it is secret by itself, however it is repeated."""
    remember_address(ADDRESS)
    assert redact(said) == shown


def test_the_words_in_an_address_are_no_secrets():
    """A folder may be called as a part of the address is; a day and a number are no signature."""
    remember_address(ADDRESS)
    text = "/srv/reports/workflows/T0AAAA of 2016-06-01"
    assert redact(text) == text


@pytest.mark.parametrize(
    "proxy", ["http://svc:p[pl4nted@proxy:8080", "svc:p[pl4nted@proxy:8080", "http://svc:p[pl4nted@["]
)
def test_a_proxy_whose_address_is_none(proxy):
    """Its password is known all the same; that it cannot be reached is for those to say who need it."""
    remember_environment({"HTTPS_PROXY": proxy})
    assert redact("no way: p[pl4nted") == f"no way: {MASK}"
