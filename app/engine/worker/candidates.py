"""The tokens that may come next, as an array that llama.cpp's samplers narrow down."""

from __future__ import annotations

import ctypes
from array import array
from typing import Any

from app.engine.worker.binding import llama

_FIELDS = 3  # of a llama_token_data, four bytes each: id, logit, p


class Candidates:
    """A `llama_token_data_array` over the whole vocabulary, filled from the logits of a context.

    llama_sampler_sample does the same inside; this one can be stopped between two samplers. Filling 152,000 candidates
    takes 1 ms: strided copies between memory views, which need no numpy in the child.
    """

    def __init__(self, vocabulary_size: int) -> None:
        self._size = vocabulary_size
        self._data = (llama.llama_token_data * vocabulary_size)()
        data_bytes = memoryview(self._data).cast("B")
        data_bytes.cast("i")[::_FIELDS] = memoryview(array("i", range(vocabulary_size)))
        self._fresh = bytes(data_bytes)  # ids in order: samplers shuffle them
        self._logits = data_bytes.cast("f")[1::_FIELDS]
        self.array = llama.llama_token_data_array(data=self._data, size=vocabulary_size, selected=-1, sorted=False)
        self._one = (llama.llama_token_data * 1)()
        self._single = llama.llama_token_data_array(data=self._one, size=1, selected=-1, sorted=False)

    def fill(self, context: int, index: int) -> None:
        """All tokens with their logits at the `index`-th token of the last batch."""
        logits = llama.llama_get_logits_ith(context, index)
        ctypes.memmove(self._data, self._fresh, len(self._fresh))
        row = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self._size)).contents
        self._logits[:] = memoryview(row).cast("B").cast("f")
        self.array.data = self._data
        self.array.size, self.array.selected, self.array.sorted = self._size, -1, False

    def apply(self, sampler: Any) -> None:
        """Let a sampler change, drop or choose among them."""
        llama.llama_sampler_apply(sampler, ctypes.byref(self.array))

    def logit(self, token: int) -> float:
        """Of a token, as long as nothing but `fill` has happened."""
        return float(self._data[token].logit)

    @property
    def selected(self) -> tuple[int, float]:
        """The token that a sampler has chosen, and its logit."""
        chosen = self.array.data[self.array.selected]
        return int(chosen.id), float(chosen.logit)

    def first(self, count: int) -> list[tuple[int, float, float]]:
        """Id, logit and probability of the first ones."""
        entries = self.array.data[: min(count, self.array.size)]
        return [(int(each.id), float(each.logit), float(each.p)) for each in entries]

    def is_allowed(self, sampler: Any, token: int) -> bool:
        """Whether a sampler that masks would let a token be."""
        entry = self._one[0]
        entry.id, entry.logit, entry.p = token, 1.0, 0.0
        self._single.size = 1
        llama.llama_sampler_apply(sampler, ctypes.byref(self._single))
        return bool(entry.logit > 0.0)
