"""LoRA adapters: small files that change what a loaded model says, checked before llama.cpp sees them.

A LoRA adds scale · alpha / rank · B A to a matrix W of the model (Hu et al., arXiv:2106.09685). llama.cpp checks some
of what must fit and asserts the rest while it computes, which would end the child.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.adapter import Adapter
from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufHeader, TensorInfo, ValueType
from app.core.gguf_reader import read_header
from app.engine.worker.binding import llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.memory_budget import usable_bytes
from app.engine.worker.model_hash import model_hash

_ALPHA_KEY = "adapter.lora.alpha"
_PARTS = (".lora_a", ".lora_b")
_FLOATS = frozenset({"F32", "F16", "BF16"})
_QUANTIZED = frozenset({"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"})
_WITHOUT_ADAPTERS = "NVFP4"  # llama.cpp asserts that such matrices have none
_EMBEDDING = "token_embd.weight"
_MAX_SCALE = 100.0

_Identity = tuple[str, int, int]  # path, size, time of change


@dataclass(slots=True)
class _Loaded:
    """An adapter in memory."""

    handle: Any
    hash: str


class AdapterSet:
    """The adapters of one loaded model. Those in use are set anew in every context that is made."""

    def __init__(
        self, model_handle: Any, architecture: str, tensors: Mapping[str, TensorInfo], engine_log: EngineLog
    ) -> None:
        self._model = model_handle
        self._architecture = architecture
        self._tensors = tensors
        self._engine_log = engine_log
        self._loaded: dict[_Identity, _Loaded] = {}
        self._scales: dict[_Identity, float] = {}

    @property
    def in_use(self) -> tuple[tuple[str, float], ...]:
        """Hash of the file and scale of each, in a fixed order."""
        return tuple(sorted((self._loaded[each].hash, scale) for each, scale in self._scales.items()))

    def use(self, adapters: Sequence[Adapter], context: int) -> bool:
        """Use exactly these in `context` and all later ones; False if that changes nothing.

        Raises UserError, with those used before still in use: ADAPTER_UNFIT, NOT_ENOUGH_MEMORY, BAD_REQUEST, or what
        is wrong with the file.
        """
        former, scales = dict(self._loaded), self._read(adapters)
        if scales == self._scales:
            return False
        self._scales = scales
        self.apply(context)
        for identity in former.keys() - scales.keys():
            llama.llama_adapter_lora_free(self._loaded.pop(identity).handle)
        return True

    def apply(self, context: int) -> None:
        """Set those in use in a context."""
        count = len(self._scales)
        handles = (llama.llama_adapter_lora_p_ctypes * count)(*(self._loaded[each].handle for each in self._scales))
        scales = (ctypes.c_float * count)(*self._scales.values())
        llama.llama_set_adapters_lora(context, handles, count, scales)

    def _read(self, adapters: Sequence[Adapter]) -> dict[_Identity, float]:
        """Load what is not loaded yet; the scale of each, summed up where a file is named twice."""
        new: list[_Identity] = []
        scales: dict[_Identity, float] = {}
        try:
            for adapter in adapters:
                if not abs(adapter.scale) <= _MAX_SCALE:  # false for NaN too
                    reason = f"an adapter's scale is {adapter.scale}, not within ±{_MAX_SCALE:g}"
                    raise UserError(ErrorKind.BAD_REQUEST, reason=reason)
                identity = _identity(Path(adapter.path))
                if identity not in self._loaded:
                    self._loaded[identity] = self._load(Path(adapter.path))
                    new.append(identity)
                scales[identity] = scales.get(identity, 0.0) + adapter.scale
        except UserError as error:
            for identity in new:
                llama.llama_adapter_lora_free(self._loaded.pop(identity).handle)
            raise error
        return scales

    def _load(self, path: Path) -> _Loaded:
        try:
            check_adapter(path, self._architecture, self._tensors)
            self._engine_log.start()
            handle = llama.llama_adapter_lora_init(self._model, os.fsencode(path))
            if not handle:
                raise _unfit(self._engine_log.reason or "llama.cpp cannot read it")
            return _Loaded(handle, model_hash(path))
        except UserError as error:
            raise UserError(error.kind, **{"path": str(path), **error.details}) from None


def check_adapter(path: Path, architecture: str, tensors: Mapping[str, TensorInfo]) -> None:
    """Whether a file is an adapter for a model of these tensors; reads its header only. Raises UserError."""
    size_bytes = path.stat().st_size
    with path.open("rb") as stream:
        header = read_header(stream, size_bytes)
        stream.seek(0)
        raw = stream.read(header.data_offset)
    if size_bytes < header.needed_bytes:
        raise UserError(ErrorKind.TRUNCATED, needed_bytes=header.needed_bytes, found_bytes=size_bytes)
    _check_purpose(header, raw, architecture)
    for name, (first, second) in _pairs(header).items():
        _check_pair(name, first, second, tensors)
    if (free_bytes := usable_bytes()) < size_bytes:
        raise UserError(ErrorKind.NOT_ENOUGH_MEMORY, needed_bytes=size_bytes, free_bytes=free_bytes)


def _identity(path: Path) -> _Identity:
    """Raises UserError with `path` when there is no such file."""
    try:
        if path.is_dir():
            raise UserError(ErrorKind.FILE_UNREADABLE, path=str(path), reason="folder")
        status = path.stat()
        with path.open("rb"):
            return str(path.absolute()), status.st_size, status.st_mtime_ns
    except FileNotFoundError:
        raise UserError(ErrorKind.FILE_MISSING, path=str(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(ErrorKind.FILE_UNREADABLE, path=str(path), reason=reason) from None


def _check_purpose(header: GgufHeader, raw: bytes, architecture: str) -> None:
    if header.text("general.type") != "adapter" or header.text("adapter.type") != "lora":
        raise _unfit("it is no LoRA adapter")
    if header.architecture != architecture:
        raise _unfit(f"it is for models of the kind {header.architecture or '?'}, not {architecture}")
    if header.metadata.get("adapter.alora.invocation_tokens") is not None:
        raise _unfit("it is to be switched on in the middle of a text (aLoRA), which is not supported")
    alpha = header.number(_ALPHA_KEY)
    if _ALPHA_KEY in header.metadata and (alpha is None or not math.isfinite(alpha) or not _is_float32(raw)):
        raise _unfit(f"{_ALPHA_KEY} is not a number as it should be")


def _is_float32(raw: bytes) -> bool:
    """Whether alpha is a 32-bit float: llama.cpp asserts it."""
    key = struct.pack("<Q", len(_ALPHA_KEY)) + _ALPHA_KEY.encode()
    return key + struct.pack("<I", ValueType.FLOAT32) in raw


def _pairs(header: GgufHeader) -> dict[str, tuple[TensorInfo, TensorInfo]]:
    """A and B for each matrix that is changed."""
    found: dict[str, dict[str, TensorInfo]] = {}
    for tensor in header.tensors:
        stem, part = tensor.name[: -len(_PARTS[0])], tensor.name[-len(_PARTS[0]) :]
        if part in _PARTS:
            found.setdefault(stem, {})[part] = tensor
        elif not tensor.name.endswith("_norm.weight"):  # those llama.cpp leaves out
            raise _unfit(f"{tensor.name} is no part of a LoRA")
    if not found:
        raise _unfit("it changes nothing")
    for stem, parts in found.items():
        if len(parts) < len(_PARTS):
            raise _unfit(f"for {stem} there is only half of what is needed")
    return {stem: (parts[_PARTS[0]], parts[_PARTS[1]]) for stem, parts in found.items()}


def _check_pair(name: str, a: TensorInfo, b: TensorInfo, tensors: Mapping[str, TensorInfo]) -> None:
    base = tensors.get(name)
    if base is None:
        raise _unfit(f"the model has no {name}")
    if len(base.dimensions) < 2 or base.type.name == _WITHOUT_ADAPTERS:
        raise _unfit(f"{name} of the model cannot be changed by an adapter")
    for part in (a, b):
        if part.type.name not in _FLOATS | _QUANTIZED:
            raise _unfit(f"{part.name} has numbers of the kind {part.type.name}")
    (a_in, a_out, *a_rest), (b_in, b_out, *b_rest), (width, height, *rest) = (_shape(each) for each in (a, b, base))
    if name == _EMBEDDING:  # A holds a row for each token
        if "output.weight" not in tensors:
            raise _unfit("it changes an embedding that is the model's output as well")
        fits = a_in == b_in > 0 and (b_out, a_out) == (width, height) and a_rest == b_rest == rest
    else:
        fits = a_out == b_in > 0 and (a_in, b_out) == (width, height) and a_rest == b_rest == rest
    if not fits:
        shapes = " and ".join("×".join(map(str, part.dimensions)) for part in (a, b))
        raise _unfit(f"its parts for {name} are {shapes}, and the model's is {'×'.join(map(str, base.dimensions))}")


def _shape(tensor: TensorInfo) -> list[int]:
    return [*tensor.dimensions, 1, 1, 1, 1][:4]


def _unfit(reason: str) -> UserError:
    return UserError(ErrorKind.ADAPTER_UNFIT, reason=reason)
