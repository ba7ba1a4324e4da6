import os
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.engine.worker.inspection import inspect_model_file
from tests.fixtures.gguf_bytes import (
    F32,
    I32,
    STRING,
    VOCABULARY,
    Array,
    Tensor,
    gguf,
    llama_keys,
    llama_tensors,
    tiny_llama,
)


def write(tmp_path: Path, data: bytes, name: str = "model.gguf") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def refusal(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        inspect_model_file(path)
    assert caught.value.string("path") == str(path)
    return caught.value


def test_a_usable_model(tmp_path: Path) -> None:
    data = tiny_llama()
    facts = inspect_model_file(write(tmp_path, data))
    assert (facts.name, facts.architecture) == ("Tiny", "llama")
    assert (facts.size_bytes, facts.context_length_trained) == (len(data), 512)
    assert facts.parameters == sum(tensor.elements for tensor in facts.header.tensors)
    assert facts.shape.weights_bytes == 4 * facts.parameters


def test_a_model_without_a_name_is_called_like_its_file(tmp_path: Path) -> None:
    data = tiny_llama(general__name=None)
    assert inspect_model_file(write(tmp_path, data, "Größe 7B.gguf")).name == "Größe 7B"


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.gguf").kind is ErrorKind.FILE_MISSING
    assert refusal(tmp_path).kind is ErrorKind.FILE_UNREADABLE
    assert refusal(write(tmp_path, b"")).kind is ErrorKind.FILE_EMPTY
    assert refusal(Path("nul\0.gguf")).kind is ErrorKind.FILE_UNREADABLE
    assert refusal(write(tmp_path, b"x", "file") / "below.gguf").kind in (
        ErrorKind.FILE_UNREADABLE,
        ErrorKind.FILE_MISSING,
    )


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, tiny_llama())
    path.chmod(0)
    assert refusal(path).kind is ErrorKind.FILE_UNREADABLE


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no path in a folder")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    os.mkfifo(path)
    assert refusal(path) == UserError(ErrorKind.FILE_UNREADABLE, path=str(path), reason="it is a pipe")


def test_files_that_are_no_gguf(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, b"not a model\n" * 100))
    assert (text.kind, text.string("looks_like")) == (ErrorKind.NOT_A_MODEL, "text")
    assert refusal(write(tmp_path, b"tjgg" + bytes(500))).kind is ErrorKind.OLD_FORMAT
    assert refusal(write(tmp_path, gguf(llama_keys(), version=9))).kind is ErrorKind.UNKNOWN_VERSION
    big_endian = b"GGUF" + struct.pack(">IQQ", 3, 12, 17)
    assert refusal(write(tmp_path, big_endian)).kind is ErrorKind.OTHER_ENDIANNESS


@pytest.mark.parametrize("kept", [0.01, 0.05, 0.2, 0.5, 0.9, 0.999])
def test_a_download_that_was_cut_off(tmp_path: Path, kept: float) -> None:
    data = tiny_llama()
    length = int(len(data) * kept)
    error = refusal(write(tmp_path, data[:length]))
    assert error.kind is ErrorKind.TRUNCATED
    assert error.integer("found_bytes") == length < error.integer("needed_bytes") <= len(data)


def test_a_missing_pad_at_the_end_is_no_truncation(tmp_path: Path) -> None:
    tensors = [*llama_tensors(), Tensor("rope_freqs.weight", (1,))]
    inspect_model_file(write(tmp_path, gguf(llama_keys(), tensors)))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"general.architecture": "bert"}, UserError(ErrorKind.EMBEDDING_MODEL, architecture="bert")),
        ({"general.architecture": "t5"}, UserError(ErrorKind.ENCODER_DECODER, architecture="t5")),
        ({"general.architecture": "clip"}, UserError(ErrorKind.PROJECTOR)),
        ({"general.architecture": "llama", "general.type": "mmproj"}, UserError(ErrorKind.PROJECTOR)),
        ({"general.architecture": "llama", "general.type": "adapter"}, UserError(ErrorKind.ADAPTER)),
        ({"general.architecture": "llama", "adapter.type": "lora"}, UserError(ErrorKind.ADAPTER)),
        (
            {"general.architecture": "sdxl"},
            UserError(ErrorKind.UNSUPPORTED_ARCHITECTURE, architecture="sdxl"),
        ),
        (
            {"general.architecture": "llada"},
            UserError(ErrorKind.UNSUPPORTED_ARCHITECTURE, architecture="llada"),
        ),
        ({"a": 1}, UserError(ErrorKind.UNSUPPORTED_ARCHITECTURE, architecture="")),
        ({"general.type": "imatrix"}, UserError(ErrorKind.NOT_A_MODEL, looks_like="importance_matrix")),
        (
            {"general.architecture": "qwen3", "qwen3.pooling_type": 3},
            UserError(ErrorKind.EMBEDDING_MODEL, architecture="qwen3"),
        ),
        (
            {"general.architecture": "llama", "llama.attention.causal": False},
            UserError(ErrorKind.EMBEDDING_MODEL, architecture="llama"),
        ),
        ({"general.architecture": "llama"}, UserError(ErrorKind.VOCABULARY_ONLY)),
    ],
)
def test_files_for_another_purpose(tmp_path: Path, keys: dict[str | bytes, Any], expected: UserError) -> None:
    path = write(tmp_path, gguf(keys))
    assert refusal(path) == UserError(expected.kind, path=str(path), **expected.details)


def test_experts_in_the_layout_of_before_april_2024(tmp_path: Path) -> None:
    tensors = [*llama_tensors(), Tensor("blk.0.ffn_gate.0.weight", (32, 64))]
    assert refusal(write(tmp_path, gguf(llama_keys(), tensors))).kind is ErrorKind.OLD_MIXTURE


class TestSplitModels:
    @staticmethod
    def part(number: int, count: int, tensors: list[Tensor]) -> bytes:
        keys = llama_keys() if number == 0 else {"general.architecture": "llama"}
        return gguf({**keys, "split.no": number, "split.count": count}, tensors)

    def write_parts(self, folder: Path, numbers: list[int], count: int = 3) -> Path:
        tensors = llama_tensors()
        for number in numbers:
            share = tensors[number::count]
            write(folder, self.part(number, count, share), f"m-{number + 1:05d}-of-{count:05d}.gguf")
        return folder / f"m-00001-of-{count:05d}.gguf"

    def test_all_parts_together_are_one_model(self, tmp_path: Path) -> None:
        facts = inspect_model_file(self.write_parts(tmp_path, [0, 1, 2]))
        assert facts.parameters == inspect_model_file(write(tmp_path, tiny_llama())).parameters
        assert facts.size_bytes == sum(path.stat().st_size for path in tmp_path.glob("m-*"))

    def test_a_part_that_is_not_the_first(self, tmp_path: Path) -> None:
        self.write_parts(tmp_path, [0, 1, 2])
        error = refusal(tmp_path / "m-00002-of-00003.gguf")
        assert (error.kind, error.integer("part"), error.integer("parts")) == (ErrorKind.LEFTOVER_SPLIT, 2, 3)

    def test_missing_parts_are_named(self, tmp_path: Path) -> None:
        error = refusal(self.write_parts(tmp_path, [0, 2]))
        assert (error.kind, error.string("missing")) == (ErrorKind.LEFTOVER_SPLIT, "2")
        many = refusal(self.write_parts(tmp_path / "..", [0, 5], count=8))
        assert many.string("missing") == "2–5, 7–8"

    def test_a_renamed_first_part(self, tmp_path: Path) -> None:
        first = self.write_parts(tmp_path, [0, 1, 2])
        error = refusal(first.rename(tmp_path / "renamed.gguf"))
        assert (error.kind, error.string("missing")) == (ErrorKind.LEFTOVER_SPLIT, "2–3")

    def test_a_part_that_was_cut_off(self, tmp_path: Path) -> None:
        first = self.write_parts(tmp_path, [0, 1, 2])
        part = tmp_path / "m-00003-of-00003.gguf"
        part.write_bytes(part.read_bytes()[:-500])
        assert refusal(first).kind is ErrorKind.TRUNCATED


def doubled() -> list[bytes]:
    return [*VOCABULARY[:-1], VOCABULARY[5]]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"llama__block_count": 0}, "block_count"),
        ({"llama__block_count": 100_000}, "block_count"),
        ({"llama__block_count": "one"}, "block_count"),
        ({"llama__context_length": None}, "context_length"),
        ({"llama__embedding_length": 0}, "embedding_length"),
        ({"llama__embedding_length": 64, "llama__rope__dimension_count": 16}, "token_embd"),
        ({"llama__attention__layer_norm_rms_epsilon": float("nan")}, "epsilon"),
        ({"llama__attention__layer_norm_rms_epsilon": -1.0}, "epsilon"),
        ({"llama__rope__freq_base": -1.0}, "freq_base"),
        ({"llama__rope__scaling__type": "sideways"}, "scaling"),
        ({"llama__rope__dimension_count": 7}, "dimension_count"),
        ({"llama__rope__dimension_count": 0}, "dimension_count"),
        ({"llama__attention__head_count_kv": 3}, "heads"),
        ({"llama__attention__head_count": Array(I32, [])}, "head_count"),
        ({"llama__attention__head_count": Array(F32, [4.0])}, "head_count"),
        ({"llama__expert_count": 8}, "experts"),
        ({"llama__expert_count": 2, "llama__expert_used_count": 3}, "experts"),
        ({"llama__expert_used_count": 1}, "experts"),
        ({"llama__nextn_predict_layers": 9}, "nextn"),
        ({"tokenizer__ggml__tokens": None}, "vocabulary"),
        ({"tokenizer__ggml__tokens": Array(STRING, [])}, "vocabulary"),
        ({"tokenizer__ggml__tokens": Array(I32, [1, 2])}, "vocabulary"),
        ({"tokenizer__ggml__tokens": Array(STRING, [*VOCABULARY[:-1], b"\xff\xfe"])}, "UTF-8"),
        ({"tokenizer__ggml__tokens": Array(STRING, [*VOCABULARY[:-2], b"\xe2\x82", b"\xac"])}, "UTF-8"),
        ({"tokenizer__ggml__tokens": Array(STRING, doubled())}, "repeated"),
        ({"tokenizer__ggml__tokens": Array(STRING, [*VOCABULARY[:-1], VOCABULARY[5] + b"\0x"])}, "repeated"),
        ({"tokenizer__ggml__scores": Array(F32, [1.0])}, "scores"),
        ({"tokenizer__ggml__token_type": 1}, "token_type"),
        ({"tokenizer__ggml__model": None}, "vocabulary"),
        ({"tokenizer__ggml__model": "gpt2"}, "merges"),
    ],
)
def test_headers_that_llama_cpp_would_not_survive(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    error = refusal(write(tmp_path, tiny_llama(**changed)))
    assert error.kind is ErrorKind.CORRUPT
    assert words in error.string("reason")


def test_a_file_without_embeddings(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, gguf(llama_keys(), llama_tensors()[1:])))
    assert (error.kind, "token_embd" in error.string("reason")) == (ErrorKind.CORRUPT, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"llama__attention__head_count_kv": None},
        {"llama__rope__dimension_count": None},
        {"llama__attention__head_count": Array(I32, [4])},
        {"tokenizer__ggml__tokens": Array(STRING, [*VOCABULARY[:-2], b"", b""])},
        {"tokenizer__ggml__padding_token_id": 4_294_967_295},
        {"general__name": b"\xff"},
    ],
)
def test_oddities_that_are_harmless(tmp_path: Path, changed: dict[str, Any]) -> None:
    inspect_model_file(write(tmp_path, tiny_llama(**changed)))


def of_another(architecture: str, **changed: Any) -> bytes:
    """The header of another architecture; further keys are without its name."""
    keys = {key.replace("llama.", f"{architecture}."): value for key, value in llama_keys().items()}
    given = {name: value for name, value in changed.items() if value is not None}
    named = {f"{architecture}.{name.replace('__', '.')}": value for name, value in given.items()}
    return gguf({**keys, "general.architecture": architecture, **named}, llama_tensors())


STACKS = {"hrm__layers_per_stack": 1, "hrm__h_cycles": 2, "hrm__l_cycles": 2}
SIGMOID = {"expert_count": 4, "expert_used_count": 2, "expert_gating_func": 2}
DELTA_NET = {"ssm__inner_size": 128, "ssm__state_size": 32, "ssm__time_step_rank": 4, "ssm__group_count": 2}


@pytest.mark.parametrize(
    ("architecture", "sound", "wrong"),
    [
        ("hrm_text", {**STACKS, "block_count": 6}, {"block_count": 5}),
        ("hrm_text", {**STACKS, "block_count": 6}, {"hrm__l_cycles": 0}),
        ("qwen4exp", DELTA_NET, {"ssm__group_count": 3}),
        ("qwen35", DELTA_NET, {"ssm__state_size": 16}),
        ("qwen3next", DELTA_NET, {"ssm__group_count": 0}),
        ("smallthinker", SIGMOID, {"expert_gating_func": None}),
        ("lfm2moe", SIGMOID, {"expert_gating_func": 0}),
        ("graniteswitch", {}, {"rope__dimension_count": 2}),
        ("paddleocr", {}, {"attention__value_length": 2}),
    ],
)
def test_what_a_graph_asserts_is_looked_at_before(
    tmp_path: Path, architecture: str, sound: dict[str, int], wrong: dict[str, int | None]
) -> None:
    assert inspect_model_file(write(tmp_path, of_another(architecture, **sound))).architecture == architecture
    assert refusal(write(tmp_path, of_another(architecture, **{**sound, **wrong}))).kind is ErrorKind.CORRUPT


def test_chameleon_has_the_tokens_that_llama_cpp_writes_over(tmp_path: Path) -> None:
    assert "tokens" in refusal(write(tmp_path, of_another("chameleon"))).string("reason")
