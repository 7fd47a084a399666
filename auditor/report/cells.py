"""Text on its way into a cell: nothing runs, nothing breaks the file, nothing is lost without a mark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

CELL_LIMIT = 32_767  # UTF-16 units in a cell of a workbook; source: "Excel specifications and limits"
LINK_LIMIT = 65_530  # hyperlinks on a worksheet; same source
URL_LIMIT = 2_079  # characters of a hyperlink; same source

# What a spreadsheet takes for the start of a formula; the last four are full width, as East Asian editions accept.
_SIGNS = "=+@\uff1d\uff0b\uff0d\uff20-"
_TRIGGERS = frozenset(_SIGNS) | frozenset("\t\r\n")
# Where a cell of a CSV file starts: with the text, and where a reader that separates by semicolons or tabs may cut it.
_STARTS = re.compile(rf"""^('*)(?=[\t\r\n{_SIGNS}])|([;\t\r\n"])('*)(?=[{_SIGNS}])""")
_QUICK = _TRIGGERS | {"'"}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)  # day 0 of Excel's calendar
_FIRST_DAY = 61.0  # 1 March 1900; before it Excel counts a day that never was

_PORTALS = {
    "AzureCloud": "https://portal.azure.com",
    "AzureChinaCloud": "https://portal.azure.cn",
    "AzureUSGovernment": "https://portal.azure.us",
}


def visible(text: str) -> str:
    """Control characters as their pictures (NUL is ␀), what no file can hold as U+FFFD; tabs and line ends stay."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def last_folder(path: str) -> str:
    """The end of a path or address: what is passed on need not tell where on whose disk it was made."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def tempting(text: str) -> bool:
    """Whether a spreadsheet would take the text for a formula if someone typed it."""
    return text[:1] in _TRIGGERS


def inert(text: str) -> str:
    """The text for a CSV cell: visible, and with an apostrophe before what would run as a formula.

    An apostrophe more before those that stand there already, so that taking one away gives every text back.
    """
    return _STARTS.sub(r"\2'\1\3", visible(text))


def fitting(text: str) -> str:
    """The text for a workbook cell: visible and no longer than Excel allows, an ellipsis where it was cut.

    Line ends become line feeds, as XML readers make them anyway.
    """
    text = visible(text).replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > CELL_LIMIT // 2:
        units = text.encode("utf-16-le")
        if len(units) > 2 * CELL_LIMIT:
            text = units[: 2 * (CELL_LIMIT - 1)].decode("utf-16-le", "ignore") + "…"
    # XlsxWriter takes a text in these tags for mark-up of its own and copies it into the file as it stands.
    return f"{text} " if text.startswith("<r>") and text.endswith("</r>") else text


def plain(cells: Iterable[str]) -> bool:
    """Whether `inert` would change none of the cells; far cheaper than asking each."""
    distinct = set(cells)
    joined = "".join(distinct)
    if not joined.isprintable() or any(cell[:1] in _QUICK for cell in distinct):
        return False
    return not (";" in joined or '"' in joined) or not any(map(_STARTS.search, distinct))


def fits(cells: Iterable[str]) -> bool:
    """Whether `fitting` would change none of the cells."""
    distinct = set(cells)
    joined = "".join(distinct)
    return joined.isprintable() and "<r>" not in joined and max(map(len, distinct), default=0) <= CELL_LIMIT // 2


def portal_link(resource_id: str, tenant_id: str, cloud: str) -> str:
    """The address of a resource in the cloud's portal; "" for a private cloud, for no id, or where it is too long."""
    portal = _PORTALS.get(cloud)
    if portal is None or not resource_id.startswith("/"):
        return ""
    resource = quote(resource_id.encode("utf-8", "replace"), safe="/-._~()")
    link = f"{portal}/#@{quote(tenant_id)}/resource{resource}"
    return link if len(link) <= URL_LIMIT else ""


def web_link(address: str) -> str:
    """The address of a page where it is one that a cell may open, else ""."""
    return address if address.startswith("https://") and address.isprintable() and len(address) <= URL_LIMIT else ""


def moment(text: str) -> datetime | None:
    """An ISO 8601 time in UTC (as which a time without zone counts), None where it is none."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def serial(text: str) -> float | None:
    """An ISO 8601 time as Excel's days since 1900; None where Excel's calendar does not know it."""
    time = moment(text)
    if time is None:
        return None
    days = (time - _EPOCH) / timedelta(days=1)
    return days if days >= _FIRST_DAY else None
