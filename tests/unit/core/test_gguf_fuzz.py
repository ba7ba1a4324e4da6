"""Broken headers without end: whatever the bytes, the answer is a header or a UserError about the file.

The examples that are written out are those that once found something, or that nobody should have to find again.
"""

import contextlib
import io
import struct
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.core.errors import ErrorKind, UserError
from app.core.estimated_shape import described_shape
from app.core.fit import GpuMemory, MachineMemory, judge
from app.core.gguf import GgufArray, GgufHeader
from app.core.gguf_reader import MAX_HEADER_BYTES, read_header, read_prefix
from app.core.header_findings import find_in_header
from app.core.model_shape import shape_of
from app.core.speed import SpeedModel
from app.engine.worker.plausibility import TOKENS_KEY, check_header
from tests.fixtures.gguf_bytes import (
    ARRAY,
    EMBEDDING,
    F32,
    I32,
    STRING,
    U64,
    Array,
    Tensor,
    Typed,
    gguf,
    llama_keys,
    tiny_llama,
)

ABOUT_THE_FILE = {
    ErrorKind.FILE_EMPTY,
    ErrorKind.NOT_A_MODEL,
    ErrorKind.OLD_FORMAT,
    ErrorKind.UNKNOWN_VERSION,
    ErrorKind.OTHER_ENDIANNESS,
    ErrorKind.TRUNCATED,
    ErrorKind.CORRUPT,
}
bounded = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])

TINY = tiny_llama()
TINY_HEADER_BYTES = read_header(TINY).data_offset
ONE_KEY = gguf({}, key_count=1) + struct.pack("<Q", 1) + b"a"

names = st.text(max_size=20)
scalars = st.one_of(
    st.booleans(),
    st.integers(0, (1 << 32) - 1),
    st.floats(width=32, allow_nan=False),
    st.text(max_size=200),
    st.builds(Typed, st.just(U64), st.integers(0, (1 << 64) - 1)),
)
arrays = st.one_of(
    st.builds(Array, st.just(I32), st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=50)),
    st.builds(Array, st.just(F32), st.lists(st.floats(width=32, allow_nan=False), max_size=50)),
    st.builds(Array, st.just(STRING), st.lists(st.text(max_size=20), max_size=50)),
)
keys = st.dictionaries(names, scalars | arrays, max_size=12)
tensors = st.lists(
    st.builds(Tensor, st.text("abc.0123_", min_size=1, max_size=30), st.tuples(st.integers(0, 40), st.integers(0, 9))),
    max_size=6,
)


def outcome(data: bytes, size_bytes: int | None = None) -> GgufHeader | ErrorKind:
    """The header of a whole file, or the kind of what is wrong with it."""
    try:
        return read_header(io.BytesIO(data), size_bytes)
    except UserError as error:
        kind = error.kind
    assert kind in ABOUT_THE_FILE
    return kind


def outcome_of_prefix(data: bytes, size_bytes: int) -> GgufHeader | ErrorKind:
    try:
        return read_prefix(data, size_bytes)
    except UserError as error:
        kind = error.kind
    assert kind in ABOUT_THE_FILE
    return kind


def damaged(edits: list[tuple[int, int]], cut: int) -> bytes:
    """The tiny model with bytes of its header changed, and cut."""
    changed = bytearray(TINY)
    for place, value in edits:
        changed[place % TINY_HEADER_BYTES] = value
    return bytes(changed[: max(cut, 0) or len(changed)])


@bounded
@given(st.binary(max_size=400), st.integers(1, 1 << 50))
@example(b"GGUF", 4)
@example(b"GGUF\x03\0\0\0" + b"\xff" * 16, 1 << 50)
@example(b"\0" * 400, 400)
@example(ONE_KEY + struct.pack("<IQ", STRING, MAX_HEADER_BYTES + 1), 1 << 50)
@example(ONE_KEY + struct.pack("<IIQ", ARRAY, STRING, 1 << 61), 1 << 50)
@example(ONE_KEY + struct.pack("<IIQQ", ARRAY, STRING, 2, (1 << 64) - 1), 1 << 50)
@example(ONE_KEY + struct.pack("<IIQ", ARRAY, 12, (1 << 60)), 1 << 50)
def test_any_bytes_behind_a_magic_or_none(data: bytes, size_bytes: int) -> None:
    for each in (data, b"GGUF" + data, b"GGUF\x03\0\0\0" + data):
        outcome(each)
        outcome(each, size_bytes)
        outcome_of_prefix(each, max(size_bytes, len(each)))


@bounded
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8), st.integers(0, len(TINY)))
@example([(8, 255), (15, 255)], 0)
@example([(16, 255), (23, 127)], 0)
@example([(24, 0)], 0)
@example([(31, 128)], 60)
def test_a_model_with_damage_and_a_prefix_of_it(edits: list[tuple[int, int]], cut: int) -> None:
    whole = damaged(edits, 0)
    found, part = outcome(whole), outcome_of_prefix(whole[:cut], len(whole))
    if isinstance(part, ErrorKind) or part.is_complete:
        assert part == found
    elif isinstance(found, GgufHeader):
        assert list(part.metadata) == list(found.metadata)[: len(part.metadata)]


@bounded
@given(keys, tensors, st.integers(0, 4000))
@example({"": 0}, [], 30)
@example({"general.alignment": 0}, [], 1000)
@example({"general.alignment": True}, [], 1000)
@example({"a": Array(STRING, [])}, [Tensor("t", (0, 4))], 1000)
@example({}, [Tensor("same", (8, 1)), Tensor("same", (8, 1))], 1000)
def test_what_is_written_is_read(keys: dict[str, Any], tensors: list[Tensor], cut: int) -> None:
    data = gguf(keys, tensors)
    found = outcome(data)
    if isinstance(found, ErrorKind):
        alignment = keys.get("general.alignment", 32)
        assert "" in keys or len({t.name for t in tensors}) < len(tensors) or alignment != 32
        return
    assert list(found.metadata) == list(keys)
    assert [(tensor.name, tensor.dimensions) for tensor in found.tensors] == [(t.name, t.dimensions) for t in tensors]
    for name, value in keys.items():
        if isinstance(value, str):
            assert found.text(name) == value
        elif isinstance(value, Array):
            assert isinstance(array := found.metadata[name], GgufArray)
            assert array.count == len(value.values)
    part = outcome_of_prefix(data[:cut], len(data))
    assert isinstance(part, GgufHeader)
    assert list(part.metadata) == list(keys)[: len(part.metadata)]


sizes = st.one_of(st.integers(0, (1 << 32) - 1), st.integers(0, 64), st.floats(width=32), st.text(max_size=3), arrays)


SIZE_KEYS = [
    *("block_count", "embedding_length", "feed_forward_length", "expert_count", "expert_used_count"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "ssm.inner_size"),
    *("attention.sliding_window", "attention.sliding_window_pattern", "wkv.head_size", "vocab_size"),
]
ARCHITECTURES = ["llama", "gemma3", "mamba", "deepseek2", "qwen35", "rwkv7", "nemotron_h", "", "nobody"]


@bounded
@given(st.dictionaries(st.sampled_from(SIZE_KEYS), sizes), st.sampled_from(ARCHITECTURES))
def test_sizes_without_sense_have_a_shape_or_none(keys: dict[str, Any], architecture: str) -> None:
    data = gguf({"general.architecture": architecture, **{f"{architecture}.{name}": v for name, v in keys.items()}})
    header = read_header(data)
    layers = header.integer(f"{architecture}.block_count") or 0
    if 1 <= layers <= 512:
        assert shape_of(header, ()).layers == layers


@bounded
@given(st.lists(st.lists(st.integers(0, 33), max_size=3), min_size=1, max_size=9), st.integers(0, 9))
@example([[]], 0)
def test_tensors_of_any_shape_are_checked(shapes: list[list[int]], table: int) -> None:
    """By what looks at a file before llama.cpp does."""
    names = ["token_embd.weight" if place == table else f"blk.0.{place}.weight" for place in range(len(shapes))]
    data = gguf(llama_keys(), [Tensor(name, tuple(shape)) for name, shape in zip(names, shapes, strict=True)])
    header = read_header(data, keep=(TOKENS_KEY,))
    is_right = False
    with contextlib.suppress(UserError):
        check_header(header)
        is_right = True
    assert is_right == (table < len(shapes) and shapes[table][:1] == [EMBEDDING])


signed = st.builds(Typed, st.just(I32), st.integers(-(1 << 31), (1 << 31) - 1))
wide = st.builds(Typed, st.just(U64), st.integers(0, (1 << 64) - 1))
HERE = MachineMemory(8 << 30, 16 << 30, (GpuMemory("GPU0", "a card", 4 << 30, 8 << 30),))
SPEED = SpeedModel({"CPU": 1e10, "GPU0": 1e11})


@bounded
@given(
    st.dictionaries(st.sampled_from(SIZE_KEYS), st.one_of(sizes, signed, wide), max_size=10),
    st.sampled_from(ARCHITECTURES),
    st.sampled_from([1, 2, 5, 512]),
    st.integers(0, 1 << 44),
    st.integers(0, 1 << 31),
)
@example({"embedding_length": Typed(I32, -4096)}, "llama", 32, 1 << 32, 4096)
@example({"attention.head_count_kv": Typed(U64, (1 << 64) - 1)}, "llama", 2, 1 << 32, 4096)
@example({"wkv.head_size": Typed(I32, -15990), "attention.head_count": 0}, "mamba", 1, 0, 0)
@example({"ssm.inner_size": Typed(I32, -1), "attention.head_count": 0}, "mamba", 2, 0, 0)
def test_a_strangers_sizes_have_a_verdict(
    keys: dict[str, Any], architecture: str, layers: int, size_bytes: int, context: int
) -> None:
    """Before a download nobody has looked at them: `app.engine.worker.plausibility` is for files that are here."""
    named = {f"{architecture}.{name}": value for name, value in (keys | {"block_count": layers}).items()}
    data = gguf({"general.architecture": architecture, **named, "end": Array(STRING, [b"x"] * 1000)})
    header = read_prefix(data[:-5000], len(data))
    find_in_header(header)
    shape = described_shape(header, size_bytes)
    verdict = judge(shape, context, HERE, SPEED)
    assert verdict.layers == layers
    assert verdict.need.total_bytes >= verdict.need.weights_bytes >= 0
    assert verdict.tokens_per_second is None or verdict.tokens_per_second >= 0
