"""Why something that a person wanted to send was not sent, and how it can be tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.errors import UserError
from app.core.messages import MessageId


@dataclass(frozen=True, slots=True)
class Refusal:
    """What could not be stored or does not fit. `again` tries the same once more; None where that makes no sense.

    `edited_id` names the message of which `text` was to be another version; None for a new message.
    """

    error: UserError
    text: str = ""
    edited_id: MessageId | None = None
    again: Callable[[], None] | None = None
