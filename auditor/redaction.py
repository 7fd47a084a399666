"""Secrets out of all that is said: the one place that knows what they look like.

    remember(token)                       # from now on no log, error or record shows this text
    redact("Authorization: Bearer eyJ…")  # "Authorization: ***"

What is known to be secret is found as it is, quoted for a URL, and in base64; what only looks like a secret by its
form. What is redacted stands as `***`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
_SHORTEST = 4
"""Shorter texts are no secrets and stand in every sentence."""

_NAMES = re.compile(
    r"(SECRET|PASSWORD|PASSWD|_TOKEN|ACCESSTOKEN|_KEY|_SAS|SAS_TOKEN|CONNECTION_STRING|IDENTITY_HEADER|OTLP_HEADERS)$"
)
"""Variables that hold a secret itself; one that ends in _FILE or _PATH only leads to it."""
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")

_FIELDS = (
    "client_?secret|client_?assertion|assertion|access_?token|refresh_?token|id_?token|password|passwd|pwd|secret"
    "|shared_?key|account_?key|shared_?access_?key|shared_?access_?signature|api_?key|device_?code"
)
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?)(?:[a-z]+ )?[^\s'\",;]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|sharedkey|sharedkeylite)\s+[\w.~+/=:-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), MASK),
    (re.compile(r"(://)[^/\s:@'\"]+:[^/\s@'\"]*@"), rf"\1{MASK}@"),
    (re.compile(r"(?i)([?&](?:sig|code|key|token|sv|se|st|sp|skoid|sktid)=)[^&\s'\"]+"), rf"\1{MASK}"),
    (re.compile(rf"(?i)\b((?:{_FIELDS})=)[^&;\s'\"]+"), rf"\1{MASK}"),
    (re.compile(rf"(?i)(['\"](?:{_FIELDS})['\"]\s*:\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"), rf'\1"{MASK}"'),
    (re.compile(r"(?i)(https://hooks\.slack(?:-gov)?\.com/)[^\s'\"]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(https://[\w.-]+\.webhook\.office\.com/)[^\s'\"]+"), rf"\1{MASK}"),
    (re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL), MASK),
)

_known: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def remember(*secrets: str) -> None:
    """Texts that must not be shown from now on, in whatever form."""
    global _pattern
    before = len(_known)
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            encoded = b64encode(secret.encode()).decode()
            _known.update(dict.fromkeys((secret, quote(secret), quote(secret, safe=""), encoded)))
    if len(_known) > before:
        _pattern = re.compile("|".join(map(re.escape, sorted(_known, key=len, reverse=True))))


def remember_environment(environ: Mapping[str, str]) -> None:
    """The secrets that the environment holds: by the names of the variables, and proxies' passwords."""
    for name, value in environ.items():
        if _NAMES.search(name.upper()):
            remember(value)
        elif name.upper() in _PROXIES:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            remember(password, f"{user}:{password}" if password else "")


def without_secrets(value: object) -> object:
    """A value as JSON can hold it, every text in it redacted; what JSON does not know becomes a text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(name): without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return redact(str(value))


def redact(text: str) -> str:
    """The text without secrets."""
    if _pattern:
        text = _pattern.sub(MASK, text)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text
