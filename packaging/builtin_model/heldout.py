"""Keeps the held-out questions out of training. Only this check and `evaluate.py` read that file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from skills import Sum, sum_in

HELD_OUT_FILE = Path(__file__).parent / "heldout.json"
_NOT_WORD = re.compile(r"[^\w+*/%=-]+")
_BETWEEN_NAMES = re.compile(r"[\s'\u2019-]+")


def normalised(text: str) -> str:
    """Small letters, no punctuation, single spaces: what two copies of a question have in common."""
    return _NOT_WORD.sub(" ", text.lower().replace("'", "").replace("\u2019", "")).strip(" -=")


@dataclass(slots=True)
class HeldOut:
    """Questions, pairs of numbers and names that training must never see, and how often it met one."""

    questions: frozenset[str] = frozenset()
    pairs: frozenset[tuple[int, int]] = frozenset()
    names: frozenset[str] = frozenset()
    met: dict[str, int] = field(default_factory=lambda: {"questions": 0, "pairs": 0, "names": 0})

    def has_question(self, text: str) -> bool:
        return self._count("questions", normalised(text) in self.questions)

    def has_sum(self, numbers: Sum) -> bool:
        return self._count("pairs", numbers.key in self.pairs)

    def has_name(self, name: str) -> bool:
        """Also as a part: "Xo-Anna" and "O'Anna" would teach "Anna"."""
        whole = name.lower()
        return self._count("names", not self.names.isdisjoint((whole, *_BETWEEN_NAMES.split(whole))))

    def _count(self, kind: str, found: bool) -> bool:
        self.met[kind] += found
        return found


def read_held_out(path: Path = HELD_OUT_FILE) -> HeldOut:
    """The held-out set in the form in which the generator asks for it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    asked = [item["q"] for part in ("help", "help_later", "small_talk", "additions") for item in data[part]]
    asked += data["out_of_scope"]
    sums = [sum_in(item["q"]) for item in data["additions"]]
    return HeldOut(
        questions=frozenset(normalised(text) for text in asked),
        pairs=frozenset(found.key for found in sums if found is not None),
        names=frozenset(item["name"].lower() for item in data["names"]),
    )
