"""Looks at a model file before llama.cpp does: what it is, whether it is whole, and what it will take.

llama.cpp would find most of this itself, but in words for programmers, and some files would kill the child.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from app.core.architectures import CHAT_ARCHITECTURES, EMBEDDING_ARCHITECTURES
from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufHeader, TensorInfo, corrupt
from app.core.gguf_reader import read_header
from app.core.header_findings import Finding, chat_finding, kind_finding, tensor_finding
from app.core.model_shape import ModelShape, shape_of
from app.engine.worker.plausibility import TOKENS_KEY, check_header

_SPLIT_NAME = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf")
_POOLING_RANK = 4  # llama.h: enum llama_pooling_type
_POOLINGS_TO_VECTORS = (0, 1, 2, 3)  # 0 is none, for which the mean is taken
_WORD_PIECE_TOKENS = {"bos": 101, "unknown": 100, "seperator": 102, "padding": 0, "mask": 103}  # the typo is GGUF's
_MAX_SPLITS = 99_999  # what fits into the five digits of a part's name


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a usable model file says of itself. `size_bytes` and `parameters` cover all parts of a split model."""

    path: Path
    name: str
    architecture: str
    size_bytes: int
    parameters: int
    context_length_trained: int
    shape: ModelShape
    header: GgufHeader


class Purpose(Enum):
    """What a model is wanted for."""

    CHAT = "chat"
    EMBED = "embed"
    RANK = "rank"


def inspect_model_file(path: Path, purpose: Purpose = Purpose.CHAT) -> ModelFacts:
    """The facts of the model at `path`; reads the headers only.

    Raises:
        UserError: with `path`, saying why this file cannot be used for that.
    """
    try:
        return _inspect(path, purpose)
    except UserError as error:
        raise UserError(error.kind, **{"path": str(path), **error.details}) from None


def tensors_of(path: Path) -> list[TensorInfo]:
    """All tensors of a model, those in the further parts of a split one as well. Raises UserError."""
    header, _ = _read(path)
    return [*header.tensors, *(tensor for part in _other_parts(path, header) for tensor in _read(part)[0].tensors)]


def header_of(path: Path, keep: Collection[str] = ()) -> GgufHeader:
    """The header alone, with these long arrays. Raises UserError, with `path`."""
    try:
        return _read(path, keep)[0]
    except UserError as error:
        raise UserError(error.kind, **{"path": str(path), **error.details}) from None


def _inspect(path: Path, purpose: Purpose) -> ModelFacts:
    header, size_bytes = _read(path)
    _refuse(kind_finding(header))
    if purpose is Purpose.CHAT:
        _refuse(chat_finding(header))
    else:
        _check_encodes(header, purpose)
    others = [_read(part) for part in _other_parts(path, header)]
    tensors = [tensor for each, _ in [(header, size_bytes), *others] for tensor in each.tensors]
    _refuse(tensor_finding(tensors))
    for each, found_bytes in [(header, size_bytes), *others]:
        if found_bytes < each.needed_bytes:
            raise UserError(ErrorKind.TRUNCATED, needed_bytes=each.needed_bytes, found_bytes=found_bytes)
    check_header(header)
    _check_word_pieces(header)
    architecture = header.architecture
    return ModelFacts(
        path=path,
        name=header.line("general.name") or path.stem,
        architecture=architecture,
        size_bytes=size_bytes + sum(found_bytes for _, found_bytes in others),
        parameters=sum(tensor.elements for tensor in tensors),
        context_length_trained=header.integer(f"{architecture}.context_length") or 0,
        shape=shape_of(header, tensors),
        header=header,
    )


def _read(path: Path, keep: Collection[str] = ()) -> tuple[GgufHeader, int]:
    """A file's header and size. Raises UserError, also for what the system says about the path."""
    try:
        if path.is_dir():
            raise UserError(ErrorKind.FILE_UNREADABLE, reason="folder")
        if path.is_fifo() or path.is_socket():  # to open one could wait for ever
            raise UserError(ErrorKind.FILE_UNREADABLE, reason="it is a pipe")
        with path.open("rb") as stream:
            size_bytes = stream.seek(0, 2)
            stream.seek(0)
            return read_header(stream, size_bytes, keep=(TOKENS_KEY, *keep)), size_bytes
    except FileNotFoundError:
        raise UserError(ErrorKind.FILE_MISSING) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(ErrorKind.FILE_UNREADABLE, reason=reason) from None


def _refuse(finding: Finding | None) -> None:
    """Raise UserError for what keeps a model from chatting."""
    if finding is not None:
        raise finding.as_error()


def _check_encodes(header: GgufHeader, purpose: Purpose) -> None:
    """Raise UserError for models that make no vectors, or do not rank."""
    architecture = header.architecture
    pools = header.integer(f"{architecture}.pooling_type") or 0
    encodes = architecture in EMBEDDING_ARCHITECTURES or (architecture in CHAT_ARCHITECTURES and pools > 0)
    has_classifier = any(tensor.name.startswith("cls.") for tensor in header.tensors)
    if purpose is Purpose.RANK and not (encodes and pools == _POOLING_RANK and has_classifier):
        raise UserError(ErrorKind.NO_RERANKER)
    if purpose is Purpose.EMBED and not (encodes and pools in _POOLINGS_TO_VECTORS):
        raise UserError(ErrorKind.NO_EMBEDDING_MODEL)


def _check_word_pieces(header: GgufHeader) -> None:
    """The special tokens of such a vocabulary have numbers by default; llama.cpp does not ask whether they exist."""
    tokens = header.array(TOKENS_KEY)
    if header.text("tokenizer.ggml.model") != "bert" or tokens is None:
        return
    for name, default in _WORD_PIECE_TOKENS.items():
        token = header.integer(f"tokenizer.ggml.{name}_token_id")
        token = default if token is None else token
        if not 0 <= token < tokens.count:
            raise corrupt(f"its {name} token is {token} of {tokens.count}")


def _other_parts(path: Path, header: GgufHeader) -> list[Path]:
    """The further parts of a split model, all of which exist. Raises UserError(LEFTOVER_SPLIT)."""
    parts = header.integer("split.count") or 0
    if parts <= 1:
        return []
    number = header.integer("split.no") or 0
    if number != 0 or parts > _MAX_SPLITS:
        raise UserError(ErrorKind.LEFTOVER_SPLIT, part=number + 1, parts=parts)
    match = _SPLIT_NAME.fullmatch(path.name)
    if match is None:  # llama.cpp finds the others by name only
        raise UserError(ErrorKind.LEFTOVER_SPLIT, part=1, parts=parts, missing=_spans(list(range(2, parts + 1))))
    others = {n: path.with_name(f"{match['stem']}-{n:05d}-of-{parts:05d}.gguf") for n in range(2, parts + 1)}
    missing = [number for number, part in others.items() if not part.is_file()]
    if missing:
        raise UserError(ErrorKind.LEFTOVER_SPLIT, part=1, parts=parts, missing=_spans(missing))
    return list(others.values())


def _spans(numbers: list[int]) -> str:
    """Part numbers for people: 2, 4–7."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return ", ".join(str(low) if low == high else f"{low}–{high}" for low, high in spans)
