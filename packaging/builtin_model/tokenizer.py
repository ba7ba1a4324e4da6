"""The tokenizer: byte-level BPE with digits one by one, trained on the corpus itself.

The splitting pattern is that of Qwen2, which llama.cpp knows as `tokenizer.ggml.pre = qwen2`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from dialogues import Corpus
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
ROLE_LINES = ("system\n", "user\n", "assistant\n")
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END)
_SPLIT = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SAMPLE_DIALOGUES = 20_000


def train_tokenizer(corpus: Corpus, size: int) -> Tokenizer:
    """A tokenizer of `size` tokens, the special ones included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpus), trainer)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def load_or_train(path: Path, size: int, seed: int) -> Tokenizer:
    """The tokenizer of an earlier run in the same folder, or a new one that is saved there."""
    if not path.exists():
        train_tokenizer(Corpus(Random(seed)), size).save(str(path))
    return Tokenizer.from_file(str(path))


def _texts(corpus: Corpus) -> Iterator[str]:
    """Names are left out, so that they are cut into small pieces which can be copied one by one."""
    yield from ROLE_LINES * 1000
    answered: set[str] = set()
    for dialogue in corpus.dialogues(_SAMPLE_DIALOGUES):
        for turn in dialogue.turns:
            if turn.kind in ("tell_name", "recall_name"):
                continue
            yield turn.question
            if turn.kind != "add" and turn.answer not in answered:
                answered.add(turn.answer)
                # Answers are fixed: a few copies give them good tokens without crowding out questions.
                yield from [turn.answer] * 20
