"""Turns tokens into text as they come, without tearing characters."""

from __future__ import annotations

import codecs

from app.engine.worker.vocabulary import Vocabulary


class TokenPieces(dict[int, bytes]):
    """The bytes of each token, looked up once; shared by all answers."""

    def __init__(self, vocabulary: Vocabulary, shown_controls: frozenset[int]) -> None:
        """`shown_controls` are control tokens whose text is wanted (marks of thinking); others give nothing."""
        super().__init__()
        self._vocabulary = vocabulary
        self._shown = shown_controls

    def __missing__(self, token: int) -> bytes:
        piece = self[token] = self._vocabulary.piece(token, special=token in self._shown)
        return piece


class Detokenizer:
    """Bytes of one answer's tokens in, whole characters out; bytes that are no UTF-8 become U+FFFD."""

    def __init__(self, pieces: TokenPieces) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """The characters that this token completes."""
        return self._decoder.decode(self._pieces[token])

    def finish(self) -> str:
        """What stands for an unfinished character at the end: U+FFFD, or nothing."""
        return self._decoder.decode(b"", final=True)
