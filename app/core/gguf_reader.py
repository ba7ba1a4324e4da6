"""Reads the header of a GGUF file.

Layout (all integers little-endian; ggml's docs/gguf.md): magic `GGUF`, version u32, tensor count u64, key
count u64; the keys as (name, type u32, value); the tensors as (name, dimension count u32, dimensions u64…,
type u32, offset u64); padding to the alignment; the tensors' data. A text is a u64 length and its bytes.

Every length in the file is untrusted: nothing is read or reserved because the file says so, only because the
bytes are there. Long arrays (a vocabulary) are stepped over unless they are asked for. Of a file that is not here yet
the first bytes are enough for most questions: `read_prefix`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping
from io import BytesIO
from typing import BinaryIO

from app.core.errors import ErrorKind, UserError
from app.core.file_kinds import is_before_gguf, looks_like
from app.core.gguf import GgufArray, GgufHeader, TensorInfo, Value, ValueType, corrupt
from app.core.tensor_types import TENSOR_TYPES

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
SNIFFED_BYTES = 4096

# The largest vocabularies make headers of 16 MB; more than this is not a header.
MAX_HEADER_BYTES = 256 * 1024 * 1024
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 17  # of models with each expert apart 45,000, of others 1,200
MAX_NAME_BYTES = 1 << 16
MAX_DIMENSIONS = 4
MAX_TENSOR_NAME_BYTES = 64  # GGML_MAX_NAME, with the final zero
MAX_KEPT_NUMBERS = 4096  # numeric arrays up to this length are kept without being asked for
MAX_ASKED_FOR = 1 << 22  # values of an array that was asked for: the largest vocabularies have 300,000 words
_INT64_MAX = (1 << 63) - 1
_FIRST_READ_BYTES = 256 * 1024
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

_FORMATS: dict[ValueType, str] = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "?",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}


def read_header(source: BinaryIO | bytes, size_bytes: int | None = None, keep: Collection[str] = ()) -> GgufHeader:
    """The header of the GGUF file at the start of `source`.

    `size_bytes` is the whole file's size (default: what the stream holds); `keep` names arrays whose values
    are wanted however long they are. The tensors' data is not looked at: compare `needed_bytes`.

    Raises:
        UserError: FILE_EMPTY, NOT_A_MODEL, OLD_FORMAT, UNKNOWN_VERSION, OTHER_ENDIANNESS, TRUNCATED or CORRUPT,
            without `path`, which only the caller knows.
    """
    stream = BytesIO(source) if isinstance(source, bytes) else source
    if size_bytes is None:
        start = stream.tell()
        size_bytes = stream.seek(0, 2) - start
        stream.seek(start)
    if size_bytes == 0:
        raise UserError(ErrorKind.FILE_EMPTY)
    return _Reader(stream, size_bytes, keep).header()


def read_prefix(prefix: bytes, size_bytes: int) -> GgufHeader:
    """What the first bytes of a file of `size_bytes` tell: its whole header, or as much of it as they hold.

    Raises:
        UserError: as `read_header`; TRUNCATED means that not even the whole file would hold what it announces.
    """
    if size_bytes == 0:
        raise UserError(ErrorKind.FILE_EMPTY)
    return _Reader(BytesIO(prefix), size_bytes, (), is_prefix=len(prefix) < size_bytes).header()


class _PrefixEndsError(Exception):
    """The file goes on where the prefix ends. Carries the array that it ends in."""

    def __init__(self, array: GgufArray | None = None) -> None:
        super().__init__()
        self.array = array


class _Reader:
    """A cursor over a growing prefix of the file."""

    def __init__(self, stream: BinaryIO, size_bytes: int, keep: Collection[str], *, is_prefix: bool = False) -> None:
        self._stream = stream
        self._size_bytes = size_bytes
        self._keep = keep
        self._is_prefix = is_prefix
        self._buffer = bytearray(stream.read(_FIRST_READ_BYTES))
        self._position = 0

    def header(self) -> GgufHeader:
        version, metadata = 0, dict[str, Value]()
        try:
            version = self._preamble()
            tensor_count, key_count = self._u64(), self._u64()
            if key_count > MAX_KEYS or tensor_count > MAX_TENSORS:
                raise corrupt(f"{tensor_count} tensors and {key_count} keys are announced")
            for _ in range(key_count):
                self._key_into(metadata)
            alignment = self._alignment(metadata)
            tensors = self._tensors(tensor_count, alignment)
        except _PrefixEndsError:
            reached = min(self._position, len(self._buffer))
            return GgufHeader(version, metadata, (), reached, DEFAULT_ALIGNMENT, is_complete=False)
        data_offset = -(-self._position // alignment) * alignment
        return GgufHeader(version, metadata, tensors, data_offset, alignment)

    def _key_into(self, metadata: dict[str, Value]) -> None:
        """Read one key with its value; of an array that the prefix cuts its length is kept."""
        name = self._name("key", MAX_NAME_BYTES)
        if not name or name in metadata:
            raise corrupt(f"the key {name!r} is empty or repeated")
        try:
            metadata[name] = self._value(name, self._value_type(name))
        except _PrefixEndsError as end:
            if end.array is not None:
                metadata[name] = end.array
            raise

    def _preamble(self) -> int:
        head = bytes(self._buffer[:SNIFFED_BYTES])
        if is_before_gguf(head):
            raise UserError(ErrorKind.OLD_FORMAT)
        if head[:4] == MAGIC[::-1]:
            raise UserError(ErrorKind.OTHER_ENDIANNESS)
        if len(head) < 4 and MAGIC.startswith(head):
            if self._is_prefix:
                raise _PrefixEndsError
            raise UserError(ErrorKind.TRUNCATED, needed_bytes=24, found_bytes=self._size_bytes)
        if head[:4] != MAGIC:
            raise UserError(ErrorKind.NOT_A_MODEL, looks_like=looks_like(head).value)
        self._position = 4
        version = self._u32()
        if version & 0xFFFF == 0 and version:
            raise UserError(ErrorKind.OTHER_ENDIANNESS)
        if version == 1:
            raise UserError(ErrorKind.OLD_FORMAT)
        if version not in (2, 3):
            raise UserError(ErrorKind.UNKNOWN_VERSION, version=version)
        return version

    def _value_type(self, key: str) -> ValueType:
        number = self._u32()
        try:
            return ValueType(number)
        except ValueError:
            raise corrupt(f"the key {key!r} has the unknown type {number}") from None

    def _value(self, key: str, kind: ValueType) -> Value:
        if kind is ValueType.STRING:
            return self._string(MAX_HEADER_BYTES).decode("utf-8", "replace")
        if kind is ValueType.ARRAY:
            return self._array(key)
        (value,) = self._unpack(f"<{_FORMATS[kind]}")
        return value

    def _array(self, key: str) -> GgufArray:
        kind, count = self._value_type(key), self._u64()
        if kind is ValueType.ARRAY:
            raise corrupt(f"the key {key!r} is an array of arrays")
        try:
            return self._elements(key, kind, count)
        except _PrefixEndsError:
            raise _PrefixEndsError(GgufArray(kind, count, None)) from None

    def _elements(self, key: str, kind: ValueType, count: int) -> GgufArray:
        if key in self._keep and count > MAX_ASKED_FOR:  # each would take ten times as much here as in the file
            raise corrupt(f"the key {key!r} has {count} values")
        if kind is ValueType.STRING:
            self._require(self._position + 8 * count)
            start = self._position
            self._skip_strings(count)
            return GgufArray(kind, count, self._strings_from(start, count) if key in self._keep else None)
        layout = f"<{count}{_FORMATS[kind]}"
        if count <= MAX_KEPT_NUMBERS or key in self._keep:
            # the length is checked before struct reserves anything for it
            self._require(self._position + count)
            return GgufArray(kind, count, self._unpack(layout))
        self._advance(count * struct.calcsize(f"<{_FORMATS[kind]}"))
        return GgufArray(kind, count, None)

    def _skip_strings(self, count: int) -> None:
        """Step over `count` texts. A vocabulary with its merges has 400,000: the loop is as small as can be."""
        position, steps = self._position, iter(range(count))
        length_at, buffer = _U64.unpack_from, self._buffer
        while True:
            try:
                for _ in steps:
                    position += 8 + length_at(buffer, position)[0]
                break
            except (struct.error, OverflowError):
                self._require(position + 8)
                position += 8 + length_at(buffer, position)[0]
        self._position = position
        self._require(position)

    def _strings_from(self, start: int, count: int) -> tuple[bytes, ...]:
        """The texts between `start` and the cursor, which has already stepped over them."""
        block = bytes(memoryview(self._buffer)[start : self._position])
        length_at, position, strings = _U64.unpack_from, 0, []
        for _ in range(count):
            end = position + 8 + length_at(block, position)[0]
            strings.append(block[position + 8 : end])
            position = end
        return tuple(strings)

    def _alignment(self, metadata: Mapping[str, Value]) -> int:
        value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(value, int) or value <= 0 or value & (value - 1):
            raise corrupt(f"the alignment {value!r} is no power of two")
        return value

    def _tensors(self, count: int, alignment: int) -> tuple[TensorInfo, ...]:
        tensors: list[TensorInfo] = []
        names: set[str] = set()
        expected_offset = 0
        for _ in range(count):
            tensor = self._tensor()
            if tensor.name in names:
                raise corrupt(f"the tensor {tensor.name!r} is repeated")
            if tensor.offset != expected_offset:
                raise corrupt(f"the tensor {tensor.name!r} lies at {tensor.offset} instead of {expected_offset}")
            names.add(tensor.name)
            tensors.append(tensor)
            expected_offset += -(-tensor.size_bytes // alignment) * alignment
        return tuple(tensors)

    def _tensor(self) -> TensorInfo:
        name = self._name("tensor", MAX_TENSOR_NAME_BYTES - 1)
        dimension_count = self._u32()
        if dimension_count > MAX_DIMENSIONS:
            raise corrupt(f"the tensor {name!r} has {dimension_count} dimensions")
        dimensions = tuple(self._u64() for _ in range(dimension_count))
        type_number, offset = self._u32(), self._u64()
        kind = TENSOR_TYPES.get(type_number)
        if kind is None:
            raise corrupt(f"the tensor {name!r} has the unknown type {type_number}")
        elements = math.prod(dimensions)
        row = dimensions[0] if dimensions else 1  # one without dimensions holds one number
        if elements > _INT64_MAX or row % kind.block_elements:
            raise corrupt(f"the tensor {name!r} has the impossible shape {list(dimensions)}")
        return TensorInfo(name, dimensions, kind, offset)

    def _name(self, what: str, limit_bytes: int) -> str:
        raw = self._string(limit_bytes)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise corrupt(f"the name of a {what} is not UTF-8") from None

    def _string(self, limit_bytes: int) -> bytes:
        length = self._u64()
        if length > limit_bytes:
            raise corrupt(f"a text of {length} bytes is announced")
        start = self._position
        self._advance(length)
        return bytes(self._buffer[start : self._position])

    def _u32(self) -> int:
        start = self._position
        self._advance(4)
        return int(_U32.unpack_from(self._buffer, start)[0])

    def _u64(self) -> int:
        start = self._position
        self._advance(8)
        return int(_U64.unpack_from(self._buffer, start)[0])

    def _unpack(self, layout: str) -> tuple[int | float | bool, ...]:
        start = self._position
        self._advance(struct.calcsize(layout))
        return struct.unpack_from(layout, self._buffer, start)

    def _advance(self, count: int) -> None:
        self._require(self._position + count)
        self._position += count

    def _require(self, end: int) -> None:
        """Have the file's first `end` bytes in the buffer, or say why not."""
        if end <= len(self._buffer):
            return
        if end > MAX_HEADER_BYTES:
            raise corrupt(f"the header claims to reach to byte {end}")
        found_bytes = self._size_bytes
        if end <= self._size_bytes:
            # doubling keeps the number of reads small; a header is rarely longer than 16 MB
            self._buffer += self._stream.read(max(end - len(self._buffer), len(self._buffer)))
            found_bytes = len(self._buffer)
            if self._is_prefix and end > found_bytes:
                raise _PrefixEndsError
        if end > found_bytes:
            raise UserError(ErrorKind.TRUNCATED, needed_bytes=end, found_bytes=found_bytes)
