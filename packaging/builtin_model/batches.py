"""Turns dialogues into rows of tokens: ChatML, several dialogues packed into a row, loss on answers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from answers import fixed_answers
from dialogues import Corpus, Dialogue
from tokenizer import END_OF_TEXT, TURN_END, TURN_START
from tokenizers import Tokenizer
from torch import Tensor

_CUT_SHARE = 0.92
_CUT_MARGIN_TOKENS = (2, 6)
_DROP_SHARE = 0.15
_DROP_PROBABILITY = 0.1
_POOL_PER_ROW = 12


@dataclass(frozen=True, slots=True)
class Batch:
    """ids, targets, weights: (rows, length); mask: (rows, 1, length, length), true where visible."""

    ids: Tensor
    targets: Tensor
    weights: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of one dialogue and, for each, the weight of predicting it."""

    ids: list[int]
    weights: list[float]


class Encoder:
    """Writes dialogues as tokens in the ChatML form that the GGUF's chat template produces."""

    def __init__(self, tokenizer: Tokenizer, question_weight: float = 0.0) -> None:
        self._tokenizer = tokenizer
        self._question_weight = question_weight
        self._cache: dict[str, list[int]] = {}
        self.start, self.end, self.padding = (
            tokenizer.token_to_id(token) for token in (TURN_START, TURN_END, END_OF_TEXT)
        )
        self._newline = self.text("\n")
        self._roles = {role: self.text(f"{role}\n") for role in ("system", "user", "assistant")}
        self._decided_after = self._decisions(list(fixed_answers().values()))

    def text(self, text: str) -> list[int]:
        """The tokens of a plain text; short texts such as the fixed answers are remembered."""
        found = self._cache.get(text)
        if found is None:
            found = self._tokenizer.encode(text, add_special_tokens=False).ids
            if len(self._cache) < 20_000:
                self._cache[text] = found
        return found

    def _decisions(self, answers: list[str]) -> dict[str, int]:
        """After how many tokens each fixed answer differs from all others."""
        tokens = {answer: self.text(answer) for answer in answers}
        return {
            answer: 1 + max(_shared(tokens[answer], tokens[other]) for other in answers if other != answer)
            for answer in answers
        }

    def dialogue(self, dialogue: Dialogue, rng: Random | None = None) -> Encoded:
        """The tokens of a dialogue. With `rng`, to learn more for less, some words of questions are dropped
        and most last answers end soon after the point where they differ from all other answers."""
        ids: list[int] = []
        weights: list[float] = []

        def add(tokens: list[int], weight: float) -> None:
            ids.extend(tokens)
            weights.extend([weight] * len(tokens))

        if dialogue.system:
            add([self.start, *self._roles["system"], *self.text(dialogue.system), self.end, *self._newline], 0.0)
        for turn in dialogue.turns:
            question, answer = self.text(turn.question), [*self.text(turn.answer), self.end]
            if rng is not None and turn.kind not in ("add", "tell_name", "repeat") and rng.random() < _DROP_SHARE:
                question = [token for token in question if rng.random() >= _DROP_PROBABILITY] or question
            add([self.start, *self._roles["user"]], 0.0)
            add(question, self._question_weight)
            add([self.end, *self._newline, self.start, *self._roles["assistant"]], 0.0)
            decided = self._decided_after.get(turn.answer)
            last = turn is dialogue.turns[-1]
            if rng is not None and last and decided is not None and rng.random() < _CUT_SHARE:
                add(answer[: decided + rng.randint(*_CUT_MARGIN_TOKENS)], 1.0)
            else:
                add(answer, 1.0)
                add(self._newline, 0.0)
        return Encoded(ids, weights)


def _shared(first: list[int], second: list[int]) -> int:
    """Length of the common beginning."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


class Packer:
    """Fills rows with dialogues; a dialogue never sees its neighbours."""

    def __init__(self, corpus: Corpus, encoder: Encoder, rng: Random) -> None:
        self._corpus, self._encoder, self._rng = corpus, encoder, rng
        self._pools: dict[int, list[Encoded]] = {}
        self.turns = 0

    def batch(self, rows: int, length: int, most_turns: int) -> Batch:
        """Rows of `length` tokens; longer dialogues than that are left out."""
        pool = self._pools.setdefault(length, [])
        while len(pool) < rows * _POOL_PER_ROW:
            dialogue = self._corpus.dialogue(most_turns)
            encoded = self._encoder.dialogue(dialogue, self._rng)
            if len(encoded.ids) <= length + 1:
                pool.append(encoded)
                self.turns += len(dialogue.turns)
        self._rng.shuffle(pool)
        pool.sort(key=lambda item: -len(item.ids) + self._rng.randint(0, 24))
        ids = np.full((rows, length + 1), self._encoder.padding, np.int64)
        weights = np.zeros((rows, length + 1), np.float32)
        owners = np.zeros((rows, length + 1), np.int64)
        for row in range(rows):
            self._fill(pool, ids[row], weights[row], owners[row])
        inner = torch.from_numpy(owners[:, :-1])
        same = inner[:, :, None] == inner[:, None, :]
        mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
        return Batch(
            torch.from_numpy(ids[:, :-1].copy()),
            torch.from_numpy(ids[:, 1:].copy()),
            torch.from_numpy(weights[:, 1:].copy()),
            mask,
        )

    def _fill(self, pool: list[Encoded], ids: np.ndarray, weights: np.ndarray, owners: np.ndarray) -> None:
        """First fit, long ones first, each passed over now and then so that rows differ."""
        used, owner, index = 0, 1, 0
        while index < len(pool):
            item = pool[index]
            size = len(item.ids)
            if used + size <= len(ids) and self._rng.random() < 0.7:
                ids[used : used + size] = item.ids
                weights[used : used + size] = item.weights
                weights[used] = 0.0  # nothing stands before the first token that could predict it
                owners[used : used + size] = owner
                used, owner = used + size, owner + 1
                pool.pop(index)
            else:
                index += 1
