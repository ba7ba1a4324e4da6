import pytest

from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufArray, ValueType
from app.core.gguf_reader import read_header, read_prefix
from tests.fixtures.gguf_bytes import F32, I32, STRING, Array, gguf, llama_keys, llama_tensors, tiny_llama


def test_a_prefix_that_holds_the_whole_header_tells_all_of_it() -> None:
    data = tiny_llama()
    whole = read_header(data)
    assert read_prefix(data[: whole.data_offset], len(data)) == whole
    assert read_prefix(data, len(data)) == whole
    assert whole.is_complete


def test_every_shorter_prefix_tells_a_part() -> None:
    data = tiny_llama()
    whole = read_header(data)
    known = 0
    for length in range(whole.data_offset - 32):
        part = read_prefix(data[:length], len(data))
        assert not part.is_complete
        assert part.tensors == ()
        assert part.data_offset <= length
        names = list(part.metadata)
        assert names == list(whole.metadata)[: len(names)]
        assert all(
            part.metadata[name] == value or isinstance(value, GgufArray)
            for name, value in whole.metadata.items()
            if name in part.metadata
        )
        assert len(names) >= known
        known = len(names)
    assert known == len(whole.metadata)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (Array(STRING, [b"word"] * 9000), ValueType.STRING),
        (Array(I32, [7] * 30_000), ValueType.INT32),
        (Array(F32, [0.5] * 4000), ValueType.FLOAT32),
    ],
)
def test_an_array_that_is_cut_is_known_by_its_length(array: Array, kind: ValueType) -> None:
    data = gguf({"before": 1, "cut": array, "after": 2})
    part = read_prefix(data[:8000], len(data))
    assert dict(part.metadata) == {"before": 1, "cut": GgufArray(kind, len(array.values), None)}


def test_a_text_that_is_cut_is_not_known_at_all() -> None:
    data = gguf({"before": 1, "template": "x" * 5000, "after": 2})
    assert dict(read_prefix(data[:4000], len(data)).metadata) == {"before": 1}


def test_what_the_whole_file_cannot_hold_is_refused() -> None:
    data = gguf({"cut": Array(STRING, [b"word"] * 9000)})
    with pytest.raises(UserError) as caught:
        read_prefix(data[:100], 50_000)
    assert caught.value.kind is ErrorKind.TRUNCATED
    assert caught.value.integer("found_bytes") == 50_000
    with pytest.raises(UserError) as caught:
        read_prefix(b"", 0)
    assert caught.value.kind is ErrorKind.FILE_EMPTY


def test_contradictions_are_found_in_a_prefix_too() -> None:
    data = gguf({"general.alignment": 32}, key_count=1 << 40)
    with pytest.raises(UserError) as caught:
        read_prefix(data[:30], 1 << 40)
    assert caught.value.kind is ErrorKind.CORRUPT
    with pytest.raises(UserError) as caught:
        read_prefix(b"<!DOCTYPE html><html>", 1 << 30)
    assert caught.value.kind is ErrorKind.NOT_A_MODEL


def test_keys_behind_the_vocabulary_are_unknown_and_no_tensor_is() -> None:
    data = gguf(llama_keys(general__alignment=32, tokenizer__chat_template="{{ x }}"), llama_tensors())
    whole = read_header(data)
    cut = data.index(b"tokenizer.ggml.tokens") + 100
    part = read_prefix(data[:cut], len(data))
    tokens, known = part.array("tokenizer.ggml.tokens"), whole.array("tokenizer.ggml.tokens")
    assert tokens is not None
    assert known is not None
    assert tokens.count == known.count
    assert part.integer("llama.block_count") == 1
    assert part.text("tokenizer.chat_template") is None
