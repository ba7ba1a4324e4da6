"""What helps when a text does not fit into the context of the model."""

from __future__ import annotations

from app.core.errors import ErrorKind, UserError
from app.core.events import ModelInfo
from app.core.prompt import longer_lengths, prompt_limit


def with_way_out(error: UserError, model: ModelInfo | None, *, is_continued: bool = False) -> UserError:
    """An error of the engine; of a prompt that is too long also what a card needs to help.

    `suggested_context_length`: one of the model's that would do, 0 if there is none. `is_continued`: the end of the
    prompt is an answer that was to go on, not what the person wrote.
    """
    if error.kind is not ErrorKind.PROMPT_TOO_LONG:
        return error
    longer = longer_context(error.integer("tokens"), model) if model is not None else 0
    details = {**error.details, "suggested_context_length": longer, "is_continued": is_continued}
    return UserError(error.kind, **details)


def longer_context(tokens: int, model: ModelInfo) -> int:
    """Twice the present length, or twice that ..., with room for a prompt of so many tokens and an answer.

    At most what the model was trained for; 0 where that is too short as well.
    """
    lengths = longer_lengths(model.context_length, model.context_length_trained)
    return next((length for length in lengths if prompt_limit(length, 0) >= tokens), 0)
