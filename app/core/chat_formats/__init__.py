"""Hearth's own table of chat formats, for model files that carry no chat template or a broken one.

The formats are facts published with each family: in FastChat's table of conversations (commit 0e6d3e4b), in llama.cpp
(the templates and the formats that its version in use carries), or in the model's card. Each row names its origin.
"""

from __future__ import annotations

from app.core.chat_format import ChatFormat
from app.core.chat_formats.bracketed import BRACKETED
from app.core.chat_formats.chatml import CHATML_FORMATS
from app.core.chat_formats.headed import HEADED
from app.core.chat_formats.marked import MARKED
from app.core.chat_formats.spoken import PLAIN, SPOKEN

__all__ = ["FORMATS", "PLAIN", "format_named"]

FORMATS: tuple[ChatFormat, ...] = (*CHATML_FORMATS, *MARKED, *BRACKETED, *SPOKEN, *HEADED, PLAIN)
"""Where the vocabulary decides, the first whose tokens all exist counts: the more particular stand first."""

_BY_NAME = {known.name: known for known in FORMATS}
_WITHOUT_FORMAT = "none"  # the catalogue's word for base models


def format_named(name: str) -> ChatFormat | None:
    """The format of this name, which is that of the catalogue; None for one that is not in the table."""
    return PLAIN if name == _WITHOUT_FORMAT else _BY_NAME.get(name)
