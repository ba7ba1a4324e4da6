"""Hearth's engine child, measured from outside: how fast it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.core.events import Failed, Finished, Loaded
from app.engine.protocol import Generate, Load
from tests.benchmarks.shapes import noise_text
from tests.engine.engine_child import EngineChild, user

MORE_TOKENS = 64  # of the context beside prompt and answer: the template's


@dataclass(frozen=True)
class Speed:
    """One answer: tokens per second, and of how many."""

    reading: float
    writing: float
    prompt_tokens: int
    first_token_ms: float  # since the request arrived


class MeasuredChild:
    """A child with a model loaded."""

    def __init__(self, model: Path, threads: int, context_tokens: int) -> None:
        self._child = EngineChild()
        loaded = self._child.ask(Load(0, str(model), context_tokens + MORE_TOKENS, threads)).last
        assert isinstance(loaded, Loaded), loaded
        self.flash_attention = bool(loaded.model.plan["flash_attention"])
        self._answers = 0

    def answer(self, prompt_tokens: int, tokens: int, temperature: float = 0.0) -> Speed:
        """Answer a prompt of words that were never read before, about so many."""
        self._answers += 1
        question = user(noise_text(prompt_tokens, seed=self._answers))
        name = str(self._answers)
        sampling: dict[str, float | int | None] = {"temperature": temperature, "seed": 1}
        last = self._child.ask(Generate(0, (question,), sampling, tokens, conversation_id=name, speculate=False)).last
        assert not isinstance(last, Failed), last
        assert isinstance(last, Finished)
        usage = last.usage
        read = usage.prompt_tokens - usage.reused_tokens
        # The first token of an answer comes from the end of the prompt: it takes no computation of its own.
        writing = (usage.completion_tokens - 1) / max(usage.generation_ms, 1e-6) * 1000
        return Speed(read / usage.prompt_ms * 1000, writing, read, usage.first_token_ms)

    def close(self) -> None:
        """End it."""
        self._child.close()
