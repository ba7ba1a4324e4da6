"""What the transcript is given to show."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.messages import Message
from app.core.tree import VersionPosition


@dataclass(frozen=True, slots=True)
class MessageItem:
    """One message and its place among its versions."""

    message: Message
    version: VersionPosition
