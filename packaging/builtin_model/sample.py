"""Prints some dialogues of the corpus, to look at: python sample.py [count] [seed]."""

from __future__ import annotations

import sys
from random import Random

from dialogues import Corpus


def main(count: int, seed: int) -> None:
    corpus = Corpus(Random(seed))
    for dialogue in corpus.dialogues(count):
        if dialogue.system:
            print(f"[system] {dialogue.system}")
        for turn in dialogue.turns:
            print(f"  {turn.kind:16} {turn.question!r}\n{'':19}-> {turn.answer}")
        print()
    print("met and dropped:", corpus.held_out.met)


if __name__ == "__main__":
    main(*(int(value) for value in [*sys.argv[1:], "20", "1"][:2]))
