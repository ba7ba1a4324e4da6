"""A model's vocabulary: text to tokens and tokens to bytes."""

from __future__ import annotations

import ctypes
from functools import cached_property

from app.engine.worker.binding import llama

_NONE = -1  # LLAMA_TOKEN_NULL


class Vocabulary:
    """Wraps a `llama_vocab`; valid as long as its model."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.size = int(llama.llama_vocab_n_tokens(handle))
        self.adds_bos = bool(llama.llama_vocab_get_add_bos(handle))
        self.bos = int(llama.llama_vocab_bos(handle))
        self.eos = int(llama.llama_vocab_eos(handle))
        self.prefixes_space = llama.llama_vocab_type(handle) == llama.LLAMA_VOCAB_TYPE_SPM
        self._piece_buffer = ctypes.create_string_buffer(256)

    def tokenize(self, text: bytes, parse_special: bool) -> list[int]:
        """Token ids of UTF-8 text, without BOS. With `parse_special` the text of control tokens becomes them."""
        room = len(text) + 8
        buffer = (ctypes.c_int32 * room)()
        count = llama.llama_tokenize(self.handle, text, len(text), buffer, room, False, parse_special)
        if count < 0:
            buffer = (ctypes.c_int32 * -count)()
            count = llama.llama_tokenize(self.handle, text, len(text), buffer, -count, False, parse_special)
        return buffer[:count]

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of a token, maybe a part of a character; control tokens are empty unless `special`."""
        count = llama.llama_token_to_piece(self.handle, token, self._piece_buffer, 256, 0, special)
        if count >= 0:
            return self._piece_buffer.raw[:count]
        buffer = ctypes.create_string_buffer(-count)
        count = llama.llama_token_to_piece(self.handle, token, buffer, -count, 0, special)
        return buffer.raw[: max(count, 0)]

    def text_of(self, token: int) -> str:
        """The text of a token as the vocabulary lists it; empty for "no such token"."""
        if not 0 <= token < self.size:
            return ""
        return bytes(llama.llama_vocab_get_text(self.handle, token)).decode("utf-8", "replace")

    def attributes(self, token: int) -> int:
        """LLAMA_TOKEN_ATTR_* flags."""
        return int(llama.llama_vocab_get_attr(self.handle, token))

    @property
    def bos_text(self) -> str:
        """The text of the token that begins a prompt; empty when there is none."""
        return self.text_of(self.bos)

    @property
    def eos_text(self) -> str:
        """The text of the token that ends a text; empty when there is none."""
        return self.text_of(self.eos)

    @property
    def control_texts(self) -> dict[int, bytes]:
        """Token id → text, for all tokens that llama.cpp finds in text only when asked to (`parse_special`)."""
        return self._marked_texts[0]

    @property
    def user_defined_texts(self) -> dict[int, bytes]:
        """Token id → text, for added tokens that llama.cpp finds in any text."""
        return self._marked_texts[1]

    @cached_property
    def _marked_texts(self) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Control and user-defined tokens, in one pass over a vocabulary that may have 260,000 entries."""
        hidden = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
        added = llama.LLAMA_TOKEN_ATTR_USER_DEFINED
        attributes_of, text_of, handle = llama.llama_vocab_get_attr, llama.llama_vocab_get_text, self.handle
        controls: dict[int, bytes] = {}
        user_defined: dict[int, bytes] = {}
        for token in range(self.size):
            attributes = attributes_of(handle, token)
            if attributes & (hidden | added) and (text := text_of(handle, token)):
                (controls if attributes & hidden else user_defined)[token] = text
        return controls, user_defined

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Every token that ends an answer."""
        is_end, handle = llama.llama_vocab_is_eog, self.handle
        ends = {token for token in self.control_texts if is_end(handle, token)}
        ends |= {token for token in self.user_defined_texts if is_end(handle, token)}
        # llama.cpp takes <|end|> for the end of a turn, but not where it ends only a part of one (gpt-oss).
        named = (self.eos, int(llama.llama_vocab_eot(handle)))
        return frozenset(ends | {token for token in named if token != _NONE and is_end(handle, token)})
