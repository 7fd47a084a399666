"""A message in the shape that each kind of webhook takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from auditor import __version__
from auditor.deliver.message import LONGEST, Message, line

Kind = Literal["teams", "slack", "json"]
Json = dict[str, Any]

SCHEMA_VERSION = 1
_COLOURS = {"failed": "attention", "changed": "warning", "first": "accent"}
_SLACK_TEXT, _SLACK_HEADER = 3000, 150
"""Characters in a text object and in a header; source: "Text object" and "Header block", Slack's documentation."""
_TEAMS_BODY = 28 * 1024
"""Bytes of a message; source: "Rate limits and message size", Teams' documentation of webhooks."""
_LINES = (LONGEST, 150, 75, 30)
"""Characters of each line, less where there are so many that they would not fit otherwise."""


def body(kind: Kind, message: Message) -> bytes:
    """What is sent, with shorter lines where it would be more than Teams takes."""
    if kind != "teams":
        return msgspec.json.encode({"slack": _slack, "json": _json}[kind](message))
    for longest in _LINES:
        made = msgspec.json.encode(_teams(_shortened(message, longest)))
        if len(made) <= _TEAMS_BODY:
            break
    return made


def _shortened(message: Message, longest: int) -> Message:
    changes, actions = (tuple(line(each, longest) for each in lines) for lines in (message.changes, message.actions))
    return replace(message, changes=changes, actions=actions)


def _json(message: Message) -> Json:
    said = {name: value for name, value in msgspec.to_builtins(message).items() if not name.endswith("_title")}
    return {"schema_version": SCHEMA_VERSION, "tool": "auditor", "version": __version__, **said}


# ---- Teams: an adaptive card for a workflow


def _teams(message: Message) -> Json:
    """Everything stands in RichTextBlocks: their text knows no Markdown (source: "Text features", Adaptive Cards)."""
    blocks = [_rich(message.title, size="large", weight="bolder", color=_COLOURS[message.cause])]
    blocks += [_rich(text) for text in (message.lead,) if text]
    if message.figures:
        blocks.append(_rich("   ".join(f"{label}: {value}" for label, value in message.figures)))
    for title, lines in _lists(message):
        blocks.append(_rich(title, weight="bolder", separator=True))
        blocks += [_rich(f"• {line}") for line in lines]
    blocks += [_rich(text, isSubtle=True, size="small") for text in _foot(message)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": blocks,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _rich(text: str, *, separator: bool = False, **style: object) -> Json:
    run = {"type": "TextRun", "text": text.replace("{{", "{\u200b{"), **style}  # {{DATE(…)}} is worked out in any text
    return {"type": "RichTextBlock", "inlines": [run]} | ({"separator": True} if separator else {})


# ---- Slack: blocks


def _slack(message: Message) -> Json:
    blocks: list[Json] = [{"type": "header", "text": _plain(message.title, _SLACK_HEADER)}]
    texts = [message.lead] if message.lead else []
    if message.figures:
        texts.append("   ".join(f"{label}: {value}" for label, value in message.figures))
    for title, lines in _lists(message):
        texts.append("\n".join([title, *(f"• {line}" for line in lines)]))
    blocks += [{"type": "section", "text": _plain(text, _SLACK_TEXT)} for text in texts]
    if foot := "\n".join(_foot(message)):
        blocks.append({"type": "context", "elements": [_plain(foot, _SLACK_TEXT)]})
    return {"text": _escaped(message.title), "blocks": blocks}


def _plain(text: str, most: int) -> Json:
    """A text object without any formatting, mentions or links."""
    escaped = _escaped(text)
    while len(escaped) > most:
        text = text[: len(text) - max(1, (len(escaped) - most) // 2) - 1].rstrip() + "…"
        escaped = _escaped(text)
    return {"type": "plain_text", "text": escaped, "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# ---- both


def _lists(message: Message) -> Iterator[tuple[str, tuple[str, ...]]]:
    if message.changes:
        yield message.changes_title, message.changes
    if message.actions:
        yield message.actions_title, message.actions


def _foot(message: Message) -> Iterator[str]:
    if message.place:
        yield message.place
    yield " · ".join(part for part in (message.tenant_id, message.scanned_at, f"run {message.run_id}") if part)
