"""Answers of one loaded model without a process around it: tests decide what happens between two steps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.events import CLOSING_EVENTS
from app.core.memory import ContextPlan
from app.engine.protocol import ChatMessage, Generate, Load
from app.engine.worker.backend import RequestControl
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import inspect_model_file
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from app.engine.worker.session import Session
from app.engine.worker.state_store import StateStore
from tests.engine.engine_child import Run


class Asked(Run):
    """An answer that goes on, and its strings."""

    def __init__(self) -> None:
        super().__init__()
        self.control = RequestControl()

    @property
    def is_over(self) -> bool:
        return bool(self.events) and isinstance(self.last, CLOSING_EVENTS)


class SessionDriver:
    """A session of a model with so many sequences; answers are greedy."""

    def __init__(
        self,
        path: Path,
        sequences: int = 1,
        context_length: int = 0,
        store: StateStore | None = None,
        with_heads: bool = False,
        threads: int = 1,
    ) -> None:
        self.model = LoadedModel(path, lambda fraction: True, EngineLog(), with_heads=with_heads)
        length = context_length or self.model.context_length_trained
        shape = inspect_model_file(path).shape
        plan = ContextPlan(
            length,
            output_tokens=32,
            flash_attention=shape.only_flash_attention,
            whole_window_cache=shape.keeps_whole_windows,
            sequences=sequences,
        )
        self.model.open_context(ContextSettings(plan, threads))
        self._store = store
        self._ids = itertools.count(1)
        self._open()

    def _open(self) -> None:
        self.session = Session(self.model, {}, self._store, lambda event: None, Load(0, str(self.model.path)))

    def rest(self) -> int:
        """Put everything away; returns how many times that took."""
        times = 0
        while self.session.rest():
            times += 1
        return times

    def forget(self) -> None:
        """Go on with an empty context."""
        self.session.close_context()
        self.model.reopen_context()
        self._open()

    def begin(
        self, messages: Sequence[ChatMessage], conversation_id: str = "", is_stopped: bool = False, **fields: Any
    ) -> Asked:
        """Begin an answer, perhaps one that was stopped just then."""
        asked = Asked()
        if is_stopped:
            asked.control.stop()
        fields = {"max_tokens": 16, "sampling": {"temperature": 0.0}, **fields}
        request = Generate(next(self._ids), tuple(messages), conversation_id=conversation_id, **fields)
        self.session.begin(request, asked.events.append, asked.control)
        return asked

    def finish(self, *answers: Asked) -> None:
        """Go on until these are over, and the session knows it: a stop may have ended one between two steps."""
        self._step()
        while not all(answer.is_over for answer in answers):
            self._step()

    def steps(self, count: int) -> None:
        for _ in range(count):
            self._step()

    def _step(self) -> None:
        """A round in which those that write and those that read take turns, whatever the clock says.

        By the clock one that writes can be at its end before another was read: once a busy computer was slow to read.
        """
        scheduler: Any = self.session._scheduler
        scheduler._reading_s = 0.0
        self.session.step()

    def ask(self, messages: Sequence[ChatMessage], conversation_id: str = "", **fields: Any) -> Asked:
        """A whole answer."""
        answer = self.begin(messages, conversation_id, **fields)
        self.finish(answer)
        return answer

    def stop_inside(self, answer: Asked, decode: int, conversations: int = 1) -> None:
        """Let a stop come while llama.cpp computes: in the so many-th decode of at least so many conversations."""
        scheduler: Any = self.session._scheduler
        batch = scheduler._batch
        compute = batch.decode
        left = decode

        def stop_and_compute(context: int) -> int:
            nonlocal left
            if len({batch._sequences[place] for place in range(batch.length)}) >= conversations:
                left -= 1
                if left == 0:
                    answer.control.stop()
                    batch.decode = compute
            return int(compute(context))

        batch.decode = stop_and_compute

    def close(self) -> None:
        self.session.close()
