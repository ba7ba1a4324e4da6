"""Turns tokens into text as they come, without tearing characters."""

from __future__ import annotations

import codecs

from app.engine.worker.vocabulary import Vocabulary


class Detokenizer:
    """Bytes of tokens in, whole characters out; bytes that are no UTF-8 become U+FFFD.

    The bytes of each token are looked up once.
    """

    def __init__(self, vocabulary: Vocabulary, shown_controls: frozenset[int]) -> None:
        """`shown_controls` are control tokens whose text is wanted (marks of thinking); others give nothing."""
        self._vocabulary = vocabulary
        self._shown = shown_controls
        self._pieces: dict[int, bytes] = {}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def start(self) -> None:
        """Begin a new text."""
        self._decoder.reset()

    def feed(self, token: int) -> str:
        """The characters that this token completes."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._vocabulary.piece(token, special=token in self._shown)
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """What stands for an unfinished character at the end: U+FFFD, or nothing."""
        return self._decoder.decode(b"", final=True)
