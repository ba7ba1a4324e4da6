"""Model cards: Markdown behind a block of YAML that is meant for the hub."""

from __future__ import annotations

import re

MAX_CARD_BYTES = 512 * 1024
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)


def card_text(body: bytes) -> str:
    """The part of a card for people. One that is longer than `MAX_CARD_BYTES` is cut at the end of a line."""
    text = body[:MAX_CARD_BYTES].decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\0", "")
    if len(body) > MAX_CARD_BYTES:
        text = text.rpartition("\n")[0]
    return _FRONT_MATTER.sub("", text, count=1).strip()
