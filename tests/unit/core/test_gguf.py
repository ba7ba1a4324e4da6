import io
import struct
import time

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.file_kinds import FileKind
from app.core.gguf import GgufArray, ValueType
from app.core.gguf_reader import MAX_ASKED_FOR, MAX_HEADER_BYTES, read_header
from app.core.tensor_types import TENSOR_TYPES
from tests.fixtures.gguf_bytes import (
    F32,
    I32,
    STRING,
    U64,
    VOCABULARY,
    Array,
    Tensor,
    Typed,
    gguf,
    llama_keys,
    llama_tensors,
    tiny_llama,
)


def refused(data: bytes) -> UserError:
    with pytest.raises(UserError) as caught:
        read_header(data)
    return caught.value


def test_a_whole_header() -> None:
    data = tiny_llama()
    header = read_header(data)
    assert (header.version, header.architecture, header.alignment) == (3, "llama", 32)
    assert header.integer("llama.block_count") == 1
    assert header.number("llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    assert header.text("general.name") == "Tiny"
    assert header.data_offset % 32 == 0
    assert header.needed_bytes == len(data)
    first = header.tensors[0]
    assert (first.name, first.dimensions, first.type.name) == ("token_embd.weight", (32, len(VOCABULARY)), "F32")
    assert first.size_bytes == 4 * first.elements == 4 * 32 * len(VOCABULARY)


def test_the_gguf_package_reads_the_same(tmp_path) -> None:
    import gguf as reference

    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_llama())
    reader = reference.GGUFReader(path)
    header = read_header(path.read_bytes())
    assert [(t.name, tuple(int(n) for n in t.shape), int(t.data_offset)) for t in reader.tensors] == [
        (t.name, t.dimensions, header.data_offset + t.offset) for t in header.tensors
    ]
    assert set(header.metadata) == {name for name in reader.fields if not name.startswith("GGUF.")}


def test_the_table_of_types_agrees_with_the_gguf_package() -> None:
    import gguf as reference

    for kind, (elements, size_bytes) in reference.GGML_QUANT_SIZES.items():
        if kind.name == "Q8_1":  # never in files; the package counts its sum as a float, ggml as a half
            continue
        known = TENSOR_TYPES[int(kind)]
        assert (known.name, known.block_elements, known.block_bytes) == (kind.name, elements, size_bytes)


def test_every_scalar_type_is_read() -> None:
    values = {0: 200, 1: -3, 2: 60_000, 3: -300, 4: 4_000_000_000, 5: -5, 6: 0.5, 7: True, 10: 1 << 60, 11: -9, 12: 0.1}
    header = read_header(gguf({f"k{kind}": Typed(kind, value) for kind, value in values.items()}))
    assert dict(header.metadata) == {f"k{n}": v for n, v in values.items()}


def test_long_arrays_are_stepped_over_and_kept_on_request() -> None:
    numbers = list(range(10_000))
    words = [b"a" * (n % 300) for n in range(5_000)]
    data = gguf({"n": Array(I32, numbers), "s": Array(STRING, words), "short": Array(F32, [1.0, 2.0]), "end": 7})
    header = read_header(data)
    assert header.array("n") == GgufArray(ValueType.INT32, 10_000, None)
    assert header.array("s") == GgufArray(ValueType.STRING, 5_000, None)
    assert header.array("short") == GgufArray(ValueType.FLOAT32, 2, (1.0, 2.0))
    assert header.integer("end") == 7
    kept = read_header(data, keep=("n", "s"))
    assert kept.array("n") == GgufArray(ValueType.INT32, 10_000, tuple(numbers))
    assert kept.array("s") == GgufArray(ValueType.STRING, 5_000, tuple(words))


def test_only_the_header_is_read() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.taken += size or 0
            return super().read(size)

    tensor = Tensor("t", (1024, 4096))
    stream = Counting(gguf({"a": 1}, [tensor]))
    assert read_header(stream).tensors[0].size_bytes == 16 * 1024 * 1024
    assert stream.taken < 1024 * 1024


def test_a_vocabulary_of_128_thousand_with_merges_is_quick() -> None:
    tokens = [b"token%d" % n for n in range(128_256)]
    merges = [b"tok en%d" % n for n in range(280_147)]
    data = gguf({"tokenizer.ggml.tokens": Array(STRING, tokens), "tokenizer.ggml.merges": Array(STRING, merges)})
    started = time.process_time()
    read_header(io.BytesIO(data))
    assert time.process_time() - started < 2.0  # 0.05 where it was written


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"Dear diary,\n", FileKind.TEXT),
        ("Grüße aus Köln. ".encode() * 1000, FileKind.TEXT),
        (b"\n<!DOCTYPE html><html><title>Sign in</title>", FileKind.WEB_PAGE),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", FileKind.GIT_LFS_POINTER),
        (b"PK\x03\x04\x14\0\0\0\0\0word/document.xml", FileKind.ZIP),
        (b"PK\x03\x04\0\0\x08\x08\0\0archive/data.pkl", FileKind.PYTORCH),
        (struct.pack("<Q", 60) + b'{"__metadata__":{}}' + bytes(60), FileKind.SAFETENSORS),
        (b"\x80\x04\x95\0\0", FileKind.PICKLE),
        (b"%PDF-1.7\n", FileKind.PDF),
        (b"\x89HDF\r\n\x1a\n", FileKind.HDF5),
        (b"\x1f\x8b\x08\0", FileKind.ARCHIVE),
        (b"7z\xbc\xaf\x27\x1c", FileKind.ARCHIVE),
        (b"\x89PNG\r\n", FileKind.IMAGE),
        (b"\x7fELF\x02", FileKind.PROGRAM),
        (b"SQLite format 3\0", FileKind.DATABASE),
        (bytes(5000), FileKind.ZEROS),
        (bytes(range(1, 256)) * 20, FileKind.UNKNOWN),
    ],
)
def test_other_files_are_recognized(head: bytes, kind: FileKind) -> None:
    assert refused(head) == UserError(ErrorKind.NOT_A_MODEL, looks_like=kind.value)


@pytest.mark.parametrize("magic", [b"lmgg", b"fmgg", b"tjgg"])
def test_files_of_before_gguf(magic: bytes) -> None:
    assert refused(magic + bytes(100)).kind is ErrorKind.OLD_FORMAT


def test_versions() -> None:
    assert read_header(gguf({"a": 1}, version=2)).version == 2
    assert refused(gguf({}, version=1)).kind is ErrorKind.OLD_FORMAT
    assert refused(gguf({}, version=4)) == UserError(ErrorKind.UNKNOWN_VERSION, version=4)
    assert refused(gguf({}, version=0)) == UserError(ErrorKind.UNKNOWN_VERSION, version=0)


def test_big_endian_files() -> None:
    assert refused(b"GGUF" + struct.pack(">IQQ", 3, 1, 1)).kind is ErrorKind.OTHER_ENDIANNESS
    assert refused(b"FUGG" + struct.pack(">IQQ", 3, 1, 1)).kind is ErrorKind.OTHER_ENDIANNESS


def test_empty_and_very_short_files() -> None:
    assert refused(b"").kind is ErrorKind.FILE_EMPTY
    for length in (1, 3, 4, 7, 8, 20, 23):
        assert refused(tiny_llama()[:length]).kind is ErrorKind.TRUNCATED


def test_every_cut_of_the_header_is_noticed() -> None:
    data = tiny_llama()
    end = read_header(data).data_offset
    for length in range(4, end - 32, 97):
        error = refused(data[:length])
        assert error.kind is ErrorKind.TRUNCATED
        assert error.integer("found_bytes") == length < error.integer("needed_bytes")


def test_the_size_of_a_cut_file_is_told_not_how_much_of_it_was_read() -> None:
    data = gguf({"scores": Array(F32, [0.0] * 200_000), "end": 1})[:500_000]
    assert refused(data).integer("found_bytes") == 500_000
    with pytest.raises(UserError) as caught:
        read_header(io.BytesIO(data), size_bytes=1 << 50)  # the size is a lie
    assert caught.value.integer("found_bytes") == 500_000


def test_a_file_cut_in_its_tensors_needs_more_than_it_has() -> None:
    data = tiny_llama()[:-100]
    assert read_header(data).needed_bytes == len(data) + 100


HUGE = 1 << 62


@pytest.mark.parametrize(
    "data",
    [
        gguf({}, tensor_count=HUGE),
        gguf({}, key_count=HUGE),
        gguf({}, tensor_count=(1 << 64) - 1, key_count=(1 << 64) - 1),
        gguf({})[:16] + struct.pack("<Q", 1) + struct.pack("<Q", HUGE) + b"key",
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abcd"[:3] + struct.pack("<IQ", STRING, HUGE),
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abc" + struct.pack("<IIQ", 9, I32, HUGE),
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abc" + struct.pack("<IIQ", 9, STRING, HUGE),
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abc" + struct.pack("<IIQQ", 9, STRING, 1, HUGE),
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abc" + struct.pack("<IIQQ", 9, STRING, 1, (1 << 64) - 1),
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abc" + struct.pack("<IIQ", 9, 9, 1),
        gguf({}, key_count=1) + struct.pack("<Q", 3) + b"abc" + struct.pack("<I", 99),
        gguf([("twice", 1), ("twice", 2)]),
        gguf({"": 1}),
        gguf({b"\xff\xfe": 1}),
        gguf({"general.alignment": 33}),
        gguf({"general.alignment": 0}),
        gguf({"general.alignment": "32"}),
        gguf({}, [Tensor("a", (8,)), Tensor("a", (8,))]),
        gguf({}, [Tensor("a", (8,), offset=64)]),
        gguf({}, [Tensor("a" * 64, (8,))]),
        gguf({}, [Tensor("a", (1, 1, 1, 1, 1))]),
        gguf({}, [Tensor("a", (8,), type=4)]),
        gguf({}, [Tensor("a", (8,), type=1000)]),
        gguf({}, [Tensor("a", (33,), type=2, data=b"")]),
        gguf({}, [Tensor("a", (), type=2, data=b"")]),
        gguf({}, [Tensor("a", (HUGE, 4), data=b"")]),
        gguf({}, [Tensor("a", (1 << 33, 1 << 33), data=b"")]),
    ],
)  # fmt: skip
def test_contradictions_and_absurd_lengths_are_refused_at_once(data: bytes) -> None:
    started = time.process_time()
    # the file claims to be large, so that nothing is refused for being cut off
    with pytest.raises(UserError) as caught:
        read_header(io.BytesIO(data), size_bytes=1 << 50)
    assert caught.value.kind in (ErrorKind.CORRUPT, ErrorKind.TRUNCATED)
    assert time.process_time() - started < 2.0


def test_a_header_without_end_is_given_up() -> None:
    class Endless(io.RawIOBase):
        start = gguf({}, key_count=1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 0, MAX_HEADER_BYTES)

        def read(self, size: int = -1, /) -> bytes:
            given, self.start = self.start, b""
            return given + bytes(size - len(given))

    with pytest.raises(UserError) as caught:
        read_header(Endless(), size_bytes=1 << 40)
    assert caught.value.kind is ErrorKind.CORRUPT


def test_nothing_larger_than_any_vocabulary_is_kept() -> None:
    most = Array(0, [7] * MAX_ASKED_FOR)
    kept = read_header(gguf({"kinds": most}), keep=("kinds",)).array("kinds")
    assert kept is not None
    assert kept.values is not None
    assert len(kept.values) == MAX_ASKED_FOR
    data = gguf({"kinds": Array(0, [*most.values, 7])})
    assert read_header(data).array("kinds") == GgufArray(ValueType.UINT8, MAX_ASKED_FOR + 1, None)
    with pytest.raises(UserError) as caught:
        read_header(data, keep=("kinds",))
    assert caught.value.kind is ErrorKind.CORRUPT


def test_texts_that_are_not_utf8_do_no_harm() -> None:
    header = read_header(gguf({"general.name": b"caf\xe9", "n": Typed(U64, 1 << 63)}))
    assert header.text("general.name") == "caf\ufffd"
    assert header.integer("n") == 1 << 63


def test_values_of_the_wrong_kind_count_as_absent() -> None:
    header = read_header(gguf({"text": "x", "flag": True, "number": 1.5, "array": Array(I32, [1])}))
    assert header.integer("text") is None
    assert header.integer("flag") is None
    assert header.number("flag") is None
    assert header.text("number") is None
    assert header.array("number") is None
    assert header.text("array") is None
    assert header.architecture == ""


def test_alignment_of_the_file_is_used() -> None:
    data = gguf(llama_keys(general__alignment=256), llama_tensors(), alignment=256)
    header = read_header(data)
    assert header.alignment == 256
    assert header.data_offset % 256 == 0
    assert header.needed_bytes == len(data)


def test_what_is_shown_of_a_text_is_one_short_line() -> None:
    name = "\x1b[2J Tern\n\u202e7B\t" + "x" * 100_000
    header = read_header(gguf({"general.name": name, "general.architecture": 7}))
    assert header.line("general.name").startswith("[2J Tern 7B xxx")
    assert len(header.line("general.name")) <= 300
    assert header.line("general.architecture") == header.line("general.licence") == ""


def test_what_is_said_of_a_damaged_file_is_short() -> None:
    error = refused(gguf({}, key_count=1) + struct.pack("<Q", 60_000) + b"k" * 60_000 + struct.pack("<I", 99))
    assert error.kind is ErrorKind.CORRUPT
    assert len(error.string("reason")) <= 300
