"""Text on its way to a terminal or a log: whoever can name a resource must not be able to steer either.

one_line("vm\\x1b[2J\\nERROR: all is well")     # 'vm␛[2J␊ERROR: all is well'
"""

from __future__ import annotations

import re

# C0, DEL and C1 (an 8-bit terminal takes U+009B for ESC [); what ends a line or turns the direction of writing.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text in one line that steers nothing: control characters as their pictures, others as U+FFFD."""
    return text if text.isprintable() else _STEERING.sub(_picture, text)


def escaped(text: str) -> str:
    """A JSON text whose readers take nothing in it for the end of a line: what steers stands as its escape."""
    return text if text.isprintable() else _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
