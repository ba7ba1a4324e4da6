"""Makes the context longer by itself when a conversation needs that and memory allows it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.prompt import longer_lengths
from app.engine.worker.loaded_model import LoadedModel

log = logging.getLogger(__name__)


class Resize(Protocol):
    """See `Session.resize`."""

    def __call__(self, context_length: int, conversation_id: str = "", needed: int = 0) -> None: ...


class ContextGrowth:
    """Doubles the context, up to what the model was trained for: the weights stay where they are.

    What was read moves with it. So it happens when it is needed, and to the length that is needed.
    """

    def __init__(self, model: LoadedModel, resize: Resize) -> None:
        self._model = model
        self._resize = resize
        self.on_grown: Callable[[], None] | None = None
        """Told when the context has grown; None: it may not, since somebody has chosen its length."""

    @property
    def limit(self) -> int:
        """How long the context could become now, tokens; 0 if it may not grow."""
        model = self._model
        if self.on_grown is None or self._is_mistrusted:
            return 0
        for length in reversed([*longer_lengths(model.context_length, model.context_length_trained)]):
            with suppress(UserError):
                model.planned_resize(length)
                return length
        return model.context_length

    def grow(
        self,
        is_enough: Callable[[int], bool],
        tell: Callable[[NoticeKind, dict[str, Any]], None],
        busy: int,
        conversation_id: str = "",
        places: int = 0,
    ) -> None:
        """Make it as long as is enough, or else as memory allows; if that is no longer than now, nothing happens.

        `busy`: how many answers go on, and go on afterwards; `places`: for how many more there must be room, the first
        of them in this conversation. `tell` gets a notice when llama.cpp could not do what was planned: the context is
        as before then, and does not grow any more. Raises UserError when not even that could be had again.
        """
        model = self._model
        lengths: list[int] = []
        for length in longer_lengths(model.context_length, model.context_length_trained):
            if is_enough(lengths[-1] if lengths else model.context_length):
                break
            lengths.append(length)
        for length in reversed(lengths):
            if self.on_grown is None or self._is_mistrusted:
                return
            if busy and model.has_long_positions_at(length) != model.has_long_positions:
                continue  # what the answers have read would be wrong
            try:
                self._resize(length, conversation_id, busy + places)
            except UserError as error:
                if error.kind is ErrorKind.NOT_ENOUGH_MEMORY:
                    continue
                log.warning("the context cannot grow: %s", error)
                self.on_grown = None
                if model.context is None:
                    raise
                tell(NoticeKind.CONTEXT_NOT_GROWN, {"wanted": length, "used": model.context_length})
            else:
                log.info("the context has grown to %d tokens", length)
                self.on_grown()
                return

    @property
    def _is_mistrusted(self) -> bool:
        """Whether a device is known to have less memory than it says."""
        return self._model.plan is not None and self._model.plan.is_reduced
