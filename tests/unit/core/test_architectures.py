import importlib.util
from pathlib import Path

import gguf
import pytest

from app.core.architectures import (
    CHAT_ARCHITECTURES,
    EMBEDDING_ARCHITECTURES,
    ENCODER_DECODER_ARCHITECTURES,
    OTHER_ARCHITECTURES,
    PROJECTOR_ARCHITECTURES,
    refusal,
)
from app.core.errors import ErrorKind
from app.core.tokenizers import BYTE_PAIR_TOKENIZERS, PRE_TOKENIZERS, TOKENIZERS

TABLES = (
    CHAT_ARCHITECTURES,
    EMBEDDING_ARCHITECTURES,
    ENCODER_DECODER_ARCHITECTURES,
    PROJECTOR_ARCHITECTURES,
    OTHER_ARCHITECTURES,
)


@pytest.fixture(scope="module")
def library() -> bytes:
    """The installed llama.cpp; the names of architectures are texts in it."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "lib").glob("*llama.*")).read_bytes()


def test_no_architecture_is_in_two_tables() -> None:
    assert sum(map(len, TABLES)) == len(frozenset().union(*TABLES))


def test_the_library_knows_every_architecture_of_the_tables(library: bytes) -> None:
    # Only the end is looked for: linkers let "bert" be the end of "eurobert".
    assert not [name for table in TABLES for name in table if b"%s\0" % name.encode() not in library]


def test_the_tables_know_every_architecture_of_the_library(library: bytes) -> None:
    known = frozenset().union(*TABLES) | {"gptj"}  # named in llama.cpp, but without a loader
    names = set(gguf.MODEL_ARCH_NAMES.values()) - known
    # A short name may be in the library for other reasons.
    suspicious = {"mmproj"}
    assert not [name for name in names - suspicious if b"\0%s\0" % name.encode() in library]


def test_the_library_knows_every_tokenizer_of_the_tables(library: bytes) -> None:
    assert not [name for name in TOKENIZERS | PRE_TOKENIZERS if b"%s\0" % name.encode() not in library]
    assert BYTE_PAIR_TOKENIZERS < TOKENIZERS


def test_what_a_person_is_told() -> None:
    assert refusal("llama") is None
    assert refusal("bert") is ErrorKind.EMBEDDING_MODEL
    assert refusal("t5") is ErrorKind.ENCODER_DECODER
    assert refusal("clip") is ErrorKind.PROJECTOR
    assert refusal("wavtokenizer-dec") is ErrorKind.UNSUPPORTED_ARCHITECTURE
    assert refusal("") is ErrorKind.UNSUPPORTED_ARCHITECTURE
