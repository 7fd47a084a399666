"""Secrets out of all that is said: the one place that knows what they look like.

    remember(token)                       # from now on no log, error or record shows this text
    redact("Authorization: Bearer eyJ…")  # "Authorization: ***"

What is known to be secret is found as it is, quoted for an address or for JSON, and in base64, in whatever case: those
who repeat it spell it their own way. What only looks like a secret is found by its form. What is redacted stands as
`***`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

MASK = "***"
_SHORTEST = 4
"""Shorter texts are no secrets and stand in every sentence."""

_TOKEN = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z]).{10,}|.{20,}", re.DOTALL)
"""What reads as no word, alone in an address: by this `reports` may be the name of a folder, too."""
_VALUE = re.compile(r"(?=.*[A-Za-z]).{8,}", re.DOTALL)
"""What stands behind a `=` in an address and is neither a number nor a date."""

_NAMES = re.compile(
    r"(SECRET|PASSWORD|PASSWD|_PASS|_PWD|_TOKEN|ACCESSTOKEN|_KEY|_SAS|SAS_TOKEN|CONNECTION_STRING|IDENTITY_HEADER"
    r"|OTLP(_TRACES|_METRICS|_LOGS)?_HEADERS)\Z"
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
    (re.compile(r"(://)[^/?#\s'\"]+@"), rf"\1{MASK}@"),
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
    """Texts that must not be shown from now on, in whatever form; white space around them is none of theirs."""
    global _pattern
    before = len(_known)
    for secret in map(str.strip, secrets):
        if len(secret) >= _SHORTEST:
            _known.update(dict.fromkeys((secret, b64encode(secret.encode(errors="surrogateescape")).decode())))
    if len(_known) > before:
        longest_first = sorted(_known, key=len, reverse=True)
        _pattern = re.compile("|".join("".join(map(_spelt, secret)) for secret in longest_first), re.IGNORECASE)


def remember_address(url: str) -> None:
    """An address that is a secret, and what in it may be repeated alone.

    That is the query, each value in it of eight characters or more with a letter among them, name and password, and the
    segments of the path that read as no word: ten characters or more with a letter and a digit among them, or twenty
    and more of any kind. Shorter ones such as `reports` stay, since other names hold them, too.
    """
    path, _, query = url.partition("#")[0].partition("?")
    segments = map(unquote, path.split("/")[3:])
    values = (unquote(pair.partition("=")[2]) for pair in query.split("&"))
    remember(url, query, *_userinfo(_authority(url)))
    remember(*filter(_TOKEN.fullmatch, segments), *filter(_VALUE.fullmatch, values))


def remember_environment(environ: Mapping[str, str]) -> None:
    """The secrets that the environment holds: by the names of the variables, and the passwords in addresses."""
    for name, value in environ.items():
        if _NAMES.search(name.upper()):
            remember(value)
        elif name.upper() in _PROXIES:
            remember(*_userinfo(value))
        elif "://" in value:
            remember(*_userinfo(_authority(value)))


def _authority(url: str) -> str:
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def _userinfo(text: str) -> Iterator[str]:
    """What is secret before the @ of an address, which need not be a right one: a password, or a token for a name."""
    user, separator, password = text.rpartition("@")[0].rpartition("://")[2].partition(":")
    user, password = unquote(user), unquote(password)
    if password:
        yield from (password, f"{user}:{password}")
    elif not separator and _TOKEN.fullmatch(user):
        yield user


def _spelt(character: str) -> str:
    """The expression for a character of a secret: as it is, or quoted for an address or for JSON."""
    if character.isascii() and character.isalnum():
        return character
    quoted = "".join(f"%{byte:02x}" for byte in character.encode(errors="surrogateescape"))
    return rf"(?:\\?{re.escape(character)}|{quoted}|\\u{ord(character):04x})"


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
