from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufHeader
from app.core.gguf_reader import read_header, read_prefix
from app.core.header_findings import Finding, FindingKind, find_in_header
from tests.fixtures.gguf_bytes import STRING, Array, Tensor, gguf, llama_keys, llama_tensors

BYTE_PAIRS: dict[str, Any] = {
    "tokenizer__ggml__model": "gpt2",
    "tokenizer__ggml__merges": Array(STRING, [b"a b"]),
}


def header(*more: Tensor, **changed: Any) -> GgufHeader:
    return read_header(gguf(llama_keys(**changed), [*llama_tensors(), *more]))


def start(**changed: Any) -> GgufHeader:
    """A header as it is known before a download: up to the middle of the vocabulary."""
    keys = llama_keys(**changed)
    keys["tokenizer.ggml.tokens"] = keys.pop("tokenizer.ggml.tokens")
    data = gguf(keys, llama_tensors())
    return read_prefix(data[: data.index(b"tokenizer.ggml.tokens") + 200], len(data))


def kinds(found: tuple[Finding, ...]) -> list[FindingKind]:
    return [finding.kind for finding in found]


def test_a_chat_model_with_a_template_leaves_nothing_to_say() -> None:
    chats = header(tokenizer__chat_template="{{ messages }}", general__name="Tiny Chat")
    assert find_in_header(chats) == ()
    assert find_in_header(start(general__name="Tiny Chat")) == ()


@pytest.mark.parametrize(
    ("keys", "finding", "error"),
    [
        (
            {"general.architecture": "sdxl"},
            Finding(FindingKind.UNSUPPORTED_ARCHITECTURE, "sdxl"),
            UserError(ErrorKind.UNSUPPORTED_ARCHITECTURE, architecture="sdxl"),
        ),
        (
            {"general.architecture": "t5"},
            Finding(FindingKind.ENCODER_DECODER, "t5"),
            UserError(ErrorKind.ENCODER_DECODER, architecture="t5"),
        ),
        (
            {"general.architecture": "qwen3", "qwen3.pooling_type": 3},
            Finding(FindingKind.EMBEDDING_MODEL, "qwen3"),
            UserError(ErrorKind.EMBEDDING_MODEL, architecture="qwen3"),
        ),
        (
            {"general.architecture": "\x1b[31m\nsd" + 2**20 * "x"},
            Finding(FindingKind.UNSUPPORTED_ARCHITECTURE, "[31m sd" + 292 * "x"),
            UserError(ErrorKind.UNSUPPORTED_ARCHITECTURE, architecture="[31m sd" + 292 * "x"),
        ),
        ({"general.architecture": "clip"}, Finding(FindingKind.PROJECTOR), UserError(ErrorKind.PROJECTOR)),
        ({"general.type": "mmproj"}, Finding(FindingKind.PROJECTOR), UserError(ErrorKind.PROJECTOR)),
        ({"general.type": "adapter"}, Finding(FindingKind.ADAPTER), UserError(ErrorKind.ADAPTER)),
        (
            {"general.type": "imatrix"},
            Finding(FindingKind.IMPORTANCE_MATRIX),
            UserError(ErrorKind.NOT_A_MODEL, looks_like="importance_matrix"),
        ),
        (
            {"general.architecture": "llama"},
            Finding(FindingKind.VOCABULARY_ONLY),
            UserError(ErrorKind.VOCABULARY_ONLY),
        ),
        (
            {"general.architecture": "llama", "tokenizer.ggml.model": "abacus"},
            Finding(FindingKind.UNKNOWN_TOKENIZER, "abacus"),
            UserError(ErrorKind.CORRUPT, reason="its tokenizer 'abacus' is not known"),
        ),
        (
            {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "scissors"},
            Finding(FindingKind.UNKNOWN_TOKENIZER, "scissors"),
            UserError(ErrorKind.CORRUPT, reason="its tokenizer 'scissors' is not known"),
        ),
    ],
)
def test_what_keeps_a_file_from_chatting(keys: dict[str | bytes, Any], finding: Finding, error: UserError) -> None:
    assert find_in_header(read_header(gguf(keys))) == (finding,)
    assert finding.blocks
    assert finding.as_error() == error


def test_experts_in_the_old_layout() -> None:
    old = header(Tensor("blk.0.ffn_gate.0.weight", (32, 64)))
    assert kinds(find_in_header(old)) == [FindingKind.OLD_MIXTURE]
    assert find_in_header(old)[0].as_error().kind is ErrorKind.OLD_MIXTURE


def test_before_a_download_the_age_of_a_mixture_speaks() -> None:
    mixture: dict[str, Any] = {"llama__expert_count": 8, "llama__expert_used_count": 2, "general__name": "Mix Instruct"}
    assert kinds(find_in_header(start(**mixture))) == [FindingKind.OLD_MIXTURE_LIKELY]
    assert not FindingKind.OLD_MIXTURE_LIKELY.blocks
    assert find_in_header(start(**mixture, general__type="model")) == ()
    # The whole header tells whether it is so.
    assert FindingKind.OLD_MIXTURE_LIKELY not in kinds(find_in_header(header(**mixture)))


def test_a_missing_pre_tokenizer() -> None:
    found = find_in_header(header(**BYTE_PAIRS, tokenizer__chat_template="x"))
    assert kinds(found) == [FindingKind.MISSING_PRE_TOKENIZER]
    assert not found[0].blocks
    named = header(**BYTE_PAIRS, tokenizer__ggml__pre="llama-bpe", tokenizer__chat_template="x")
    assert find_in_header(named) == ()


def test_a_prefix_that_ends_too_early_claims_nothing_is_missing() -> None:
    data = gguf(llama_keys(**BYTE_PAIRS, general__name="Tiny Chat"), llama_tensors())
    early = read_prefix(data[: data.index(b"tokenizer.ggml.model") + 40], len(data))
    assert early.text("tokenizer.ggml.model") == "gpt2"
    assert find_in_header(early) == ()
    nothing = read_prefix(data[:24], len(data))
    assert find_in_header(nothing) == ()


def test_a_missing_template_names_the_one_that_is_used() -> None:
    vicuna = header(general__name="Vicuna 7B v1.5")
    assert find_in_header(vicuna) == (Finding(FindingKind.MISSING_TEMPLATE, "vicuna"),)
    # The hub tells of the template although the end of the header is not here.
    partial = start(general__name="Vicuna 7B v1.5")
    assert find_in_header(partial) == ()
    assert find_in_header(partial, has_template=False) == (Finding(FindingKind.MISSING_TEMPLATE, "vicuna"),)
    assert find_in_header(partial, has_template=True) == ()


@pytest.mark.parametrize(
    ("name", "template", "is_base"),
    [
        ("Llama 2 7B", None, True),
        ("Mistral 7B v0.1 Base", "x", True),
        ("gemma-3-4b-pt", "x", True),
        ("Qwen2.5 7B", "x", False),
        ("Phi 3 Mini Instruct", None, False),
        ("gemma-3-4b-it", "x", False),
    ],
)
def test_base_models(name: str, template: str | None, is_base: bool) -> None:
    found = kinds(find_in_header(header(general__name=name, tokenizer__chat_template=template)))
    assert (FindingKind.BASE_MODEL in found) is is_base


@pytest.mark.parametrize(
    ("name", "sees"), [("Qwen2-VL 2B Instruct", True), ("MiniCPM-V 2.6 chat", True), ("Devil 7B chat", False)]
)
def test_models_that_see_images_need_a_second_file(name: str, sees: bool) -> None:
    found = kinds(find_in_header(header(general__name=name, tokenizer__chat_template="x")))
    assert found == ([FindingKind.NEEDS_PROJECTOR] if sees else [])


def test_the_first_part_of_a_split_model_may_have_no_tensors() -> None:
    keys = llama_keys(general__name="Tiny Chat", tokenizer__chat_template="x") | {"split.no": 0, "split.count": 3}
    assert find_in_header(read_header(gguf(keys))) == ()
