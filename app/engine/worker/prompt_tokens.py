"""Tokenizes a prompt so that control tokens come from the template alone.

A conversation in whose messages no control token is spelled gets exactly the tokens of the whole rendered text.
Elsewhere, what people wrote stays text: `</s>` in a message is four characters, not the end.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from app.engine.worker.binding import llama
from app.engine.worker.chat_prompt import PromptText
from app.engine.worker.vocabulary import Vocabulary


class PromptTokenizer:
    """Tokenizes prompts for one vocabulary and template."""

    def __init__(self, vocabulary: Vocabulary, template_source: str) -> None:
        """`template_source` tells which added tokens serve as marks although the file does not call them control."""
        self._vocabulary = vocabulary
        source = template_source.encode("utf-8", "replace")
        marks = {
            token: text
            for token, text in vocabulary.user_defined_texts.items()
            if text in source and re.fullmatch(rb"[<\[].+[>\]]", text)
        }
        self._split = re.compile(b"|".join(map(re.escape, marks.values()))) if marks else None
        self._guarded = vocabulary.control_texts | marks
        self._bos_text = vocabulary.bos_text.encode() if vocabulary.adds_bos else b""

    def tokenize(self, prompt: PromptText) -> list[int]:
        """The tokens of a prompt, with exactly one BOS where the vocabulary wants one."""
        text, ranges = self._without_bos(prompt)
        tokens = self._vocabulary.tokenize(text, parse_special=True)
        marks = self._locate(tokens, text)
        written = _Ranges(ranges)
        own = [mark for mark in marks if not written.overlap(mark[1], mark[2])]
        if len(own) < len(marks):
            tokens = self._tokenize_between(text, own)
        return [self._vocabulary.bos, *tokens] if self._vocabulary.adds_bos else tokens

    def is_mark(self, token: int) -> bool:
        """Whether a token is one that text must not become."""
        return token in self._guarded

    def continue_text(self, text: bytes) -> list[int]:
        """Tokens of text that directly continues other text and in which nothing is a mark."""
        return self._continued(text) if text else []

    def _without_bos(self, prompt: PromptText) -> tuple[bytes, Sequence[tuple[int, int]]]:
        """The prompt without the BOS that the template wrote, if the tokenizer is to add it."""
        text, ranges = prompt.text, prompt.message_ranges
        first = ranges[0][0] if ranges else len(text)
        cut = 0
        while self._bos_text and text.startswith(self._bos_text, cut) and cut + len(self._bos_text) <= first:
            cut += len(self._bos_text)
        return (text[cut:], [(start - cut, end - cut) for start, end in ranges]) if cut else (text, ranges)

    def _locate(self, tokens: list[int], text: bytes) -> list[tuple[int, int, int]]:
        """Token, start and end in `text` of every guarded token among `tokens`."""
        found = []
        position = 0
        for token in tokens:
            mark = self._guarded.get(token)
            if mark is None:
                continue
            start = text.find(mark, position)
            if start < 0:
                continue
            position = start + len(mark)
            found.append((token, start, position))
        return found

    def _tokenize_between(self, text: bytes, marks: list[tuple[int, int, int]]) -> list[int]:
        """Tokens of `text` when only `marks` are control tokens.

        llama.cpp itself splits at control tokens first and tokenizes what is between them separately, so this gives
        what it would give if the other marks were unknown to it.
        """
        tokens: list[int] = []
        position = 0
        strips_left = False
        for token, start, end in [*marks, (-1, len(text), len(text))]:
            between = text[position:start]
            if strips_left:
                between = between.lstrip()
            attributes = self._vocabulary.attributes(token) if token >= 0 else 0
            if attributes & llama.LLAMA_TOKEN_ATTR_LSTRIP:
                between = between.rstrip()
            tokens += self._plain(between)
            if token >= 0:
                tokens.append(token)
            strips_left = bool(attributes & llama.LLAMA_TOKEN_ATTR_RSTRIP)
            position = end
        return tokens

    def _plain(self, text: bytes) -> list[int]:
        """Tokens of text in which nothing is a mark, not even an added token that the template uses as one.

        llama.cpp would find such a token in any text; cut behind its first character it is none.
        """
        cuts = [match.start() + 1 for match in self._split.finditer(text)] if self._split else []
        if not cuts:
            return self._vocabulary.tokenize(text, parse_special=False) if text else []
        tokens = self._vocabulary.tokenize(text[: cuts[0]], parse_special=False)
        for start, end in pairwise([*cuts, len(text)]):
            tokens += self._continued(text[start:end])
        return tokens

    def _continued(self, text: bytes) -> list[int]:
        """Tokens of unmarked text that continues other text: SentencePiece must not put a space in front."""
        if not self._vocabulary.prefixes_space:
            return self._vocabulary.tokenize(text, parse_special=False)
        lead = self._vocabulary.tokenize(b"\n", parse_special=False)
        tokens = self._vocabulary.tokenize(b"\n" + text, parse_special=False)
        if tokens[: len(lead)] == lead:
            return tokens[len(lead) :]
        return self._vocabulary.tokenize(text, parse_special=False)


class _Ranges:
    """Byte ranges, in order and apart from each other."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in ranges]
        self._ends = [end for _, end in ranges]

    def overlap(self, start: int, end: int) -> bool:
        """Whether any of them has a byte in common with this one."""
        index = bisect_left(self._starts, end) - 1  # the last that begins before `end`
        return index >= 0 and self._ends[index] > start
