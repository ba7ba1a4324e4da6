"""Questions kept apart from training to follow its progress; not the held-out set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import skills
import torch
from answers import fixed_answers
from batches import Encoded, Encoder
from dialogues import Corpus, Dialogue, Turn
from torch import Tensor

_ROWS = 32
_SUMS = 120
_NAMES = 60


@dataclass(frozen=True, slots=True)
class Probe:
    """Encoded dialogues with the kind under which each is counted."""

    items: list[tuple[str, Encoded]]
    padding: int

    def batches(self) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Kinds, ids (rows, longest), and where the tokens of the last answer are."""
        items = sorted(self.items, key=lambda item: len(item[1].ids))
        for start in range(0, len(items), _ROWS):
            part = items[start : start + _ROWS]
            longest = max(len(encoded.ids) for _, encoded in part)
            ids = torch.full((len(part), longest), self.padding)
            answers = torch.zeros(len(part), longest, dtype=torch.bool)
            for row, (_, encoded) in enumerate(part):
                ids[row, : len(encoded.ids)] = torch.tensor(encoded.ids)
                answers[row, : len(encoded.ids)] = torch.tensor(encoded.weights) == 1
            yield [kind for kind, _ in part], ids, answers


def development_probe(corpus: Corpus, encoder: Encoder, rng: Random) -> Probe:
    """Paraphrases, sums and names that training does not see."""
    answers = fixed_answers()
    helped = set(corpus.help_intents)
    items = []
    for intent, questions in corpus.development_set.items():
        kind = "help" if intent in helped else intent if intent == "out_of_scope" else "small_talk"
        items += [(kind, Turn(question, answers[intent], intent)) for question in questions]
    encoded = [(kind, encoder.dialogue(Dialogue(None, (turn,)))) for kind, turn in items]
    count = 0
    while count < _SUMS:
        numbers = skills.random_sum(rng)
        if corpus.is_development_sum(numbers):
            turn = Turn(f"What is {numbers.first} + {numbers.second}?", numbers.answer, "add")
            encoded.append(("add", encoder.dialogue(Dialogue(None, (turn,)))))
            count += 1
    for _ in range(_NAMES):
        turns = corpus.name_pair(skills.invented_name(rng))
        encoded.append(("name", encoder.dialogue(Dialogue(None, turns))))
    return Probe(encoded, encoder.padding)
