"""How many tokens decoded together give exactly what they give one by one.

Kernels for several tokens may add in another order than those for one: the last digits of the logits differ then, and
where two tokens are nearly as likely, so may the one that is chosen. Measured with llama.cpp's processor backend as
its authors build it: one token in 200 with Q8_0 (ours: `packaging/engine`). What was written of such
tokens into the cache differs too, so that computing the near-tie once more by itself does not help. For text that must
be the same with and without guesses there is only one way: guess no more than is exact on this computer with this file.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from app.engine.worker.backend import StopFlag
from app.engine.worker.batch import Batch
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.sequence import ContextSequence

_WIDTHS = (8, 7, 4, 3, 2)
"""What kernels distinguish: they take 4 or 8 tokens at once and the rest singly."""


class ExactWidth:
    """The exact number of tokens of one context; measured once, when it is first needed."""

    def __init__(self) -> None:
        self._width: int | None = None

    def of(self, model: LoadedModel, sequence: ContextSequence, prompt: Sequence[int], flag: StopFlag) -> int:
        """How many tokens can be decoded at once with exactly the results of one by one; at least 1.

        Decodes the end of `prompt` behind what `sequence` holds and takes that back: 3 to 20 decodes, the first time.
        `flag` ends that; then it is measured for a later answer.
        """
        if self._width is None:
            position = len(sequence.tokens)
            assert model.settings is not None
            if model.settings.plan.flash_attention and not model.has_small_attention:
                # The kernels of ggml's own change with the length of the text.
                self._width = 1
            elif position + _WIDTHS[0] <= model.context_length:
                tokens = [*prompt[-_WIDTHS[0] :]] * _WIDTHS[0]
                probe = _Probe(model, sequence.number, position, flag)
                self._width = _measure(probe, tokens[: _WIDTHS[0]])
        return self._width or 1


def _measure(probe: _Probe, tokens: Sequence[int]) -> int | None:
    """None: it was stopped."""
    try:
        if probe.together(tokens[:2]) != probe.one_by_one(tokens[:2]):
            return 1
        wanted = probe.one_by_one(tokens)
        return next(width for width in _WIDTHS if width == 2 or probe.together(tokens[:width]) == wanted[:width])
    except _ProbeError:
        return None if probe.is_stopped else 1
    finally:
        probe.close()


class _ProbeError(Exception):
    """A decode failed: it stays unknown what is exact."""


class _Probe:
    """Decodes in a place where nothing is yet."""

    def __init__(self, model: LoadedModel, sequence: int, position: int, flag: StopFlag) -> None:
        assert model.context is not None
        self._context = model.context
        self._memory = llama.llama_get_memory(model.context)
        self._sequence = sequence
        self._position = position
        self._row_bytes = model.vocabulary.size * ctypes.sizeof(ctypes.c_float)
        self._batch = Batch(_WIDTHS[0])
        self._flag = flag
        self._abort = AbortCallback()
        self._abort.watch(model.context, flag)

    @property
    def is_stopped(self) -> bool:
        """Whether what it decodes for is no longer wanted."""
        return self._flag.is_set

    def together(self, tokens: Sequence[int]) -> list[bytes]:
        """The logits of these tokens, decoded at once."""
        self.clear()
        return self._decode(tokens, 0)

    def one_by_one(self, tokens: Sequence[int]) -> list[bytes]:
        """The logits of these tokens, decoded singly."""
        self.clear()
        return [logits for place, token in enumerate(tokens) for logits in self._decode([token], place)]

    def close(self) -> None:
        """Leave nothing behind."""
        self._abort.release(self._context)
        self.clear()

    def clear(self) -> None:
        """Take back what was decoded."""
        llama.llama_memory_seq_rm(self._memory, self._sequence, self._position, -1)

    def _decode(self, tokens: Sequence[int], place: int) -> list[bytes]:
        self._batch.clear()
        self._batch.add(tokens, self._position + place, self._sequence, all_logits=True)
        if self._batch.decode(self._context) != 0:
            raise _ProbeError
        logits = (llama.llama_get_logits_ith(self._context, index) for index in range(len(tokens)))
        return [ctypes.string_at(row, self._row_bytes) for row in logits]
