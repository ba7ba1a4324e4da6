"""Tells model files apart by their contents, without reading gigabytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO

from app.core.gguf import GgufHeader
from app.core.gguf_reader import read_header

_SAMPLE_BYTES = 4096
_SAMPLE_STEP_BYTES = 16 * 1024 * 1024  # large tensors (stacked experts) get a sample in each stretch of this length
_SPLIT_NAME = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<parts>\d{5})\.gguf")


def model_hash(path: Path) -> str:
    """A hash of the model at `path`, the first part of a split one: 32 hexadecimal digits.

    It covers every byte of the header (settings, vocabulary, chat template), the file's size and samples from inside
    every tensor. Training changes all numbers of the tensors that it changes at all, so that two models of equal size
    and header differ in the samples. Neither the name nor the time of the file counts.

    Raises:
        OSError: a part cannot be read.
        UserError: a part is no GGUF file.
    """
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        header = _add(digest, stream)
    for part in _further_parts(path, header):
        with part.open("rb") as stream:
            _add(digest, stream)
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, stream: BinaryIO) -> GgufHeader:
    size_bytes = stream.seek(0, 2)
    stream.seek(0)
    header = read_header(stream, size_bytes)
    stream.seek(0)
    digest.update(size_bytes.to_bytes(8, "little"))
    digest.update(stream.read(header.data_offset))
    for tensor in header.tensors:
        samples = 1 + tensor.size_bytes // _SAMPLE_STEP_BYTES
        for index in range(samples):
            middle = (2 * index + 1) * tensor.size_bytes // (2 * samples)
            stream.seek(header.data_offset + tensor.offset + max(0, middle - _SAMPLE_BYTES // 2))
            digest.update(stream.read(min(_SAMPLE_BYTES, tensor.size_bytes)))
    return header


def _further_parts(path: Path, header: GgufHeader) -> list[Path]:
    count = header.integer("split.count") or 0
    match = _SPLIT_NAME.fullmatch(path.name)
    if count <= 1 or match is None:
        return []
    parts = min(count, int(match["parts"]))
    return [path.with_name(f"{match['stem']}-{number:05d}-of-{match['parts']}.gguf") for number in range(2, parts + 1)]
