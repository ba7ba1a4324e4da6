from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import ErrorKind, UserError
from app.core.hub_reference import HubReference, is_repo, parse_reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("maker/tiny", HubReference("maker/tiny")),
        (" hf:maker/tiny/a.gguf ", HubReference("maker/tiny", "a.gguf")),
        ("hf://maker/tiny/sub/a b.gguf", HubReference("maker/tiny", "sub/a b.gguf")),
        ("maker/tiny:Q4_K_M", HubReference("maker/tiny", quantization="Q4_K_M")),
        ("maker/tiny@v1.0", HubReference("maker/tiny", revision="v1.0")),
        ("maker/tiny@v1:Q8_0", HubReference("maker/tiny", quantization="Q8_0", revision="v1")),
        ("maker/tiny@abc/a.gguf", HubReference("maker/tiny", "a.gguf", revision="abc")),
        ("maker/tiny/", HubReference("maker/tiny")),
        ("https://huggingface.co/maker/tiny", HubReference("maker/tiny")),
        ("https://hf-mirror.com/maker/tiny/tree/main", HubReference("maker/tiny")),
        (
            "https://huggingface.co/maker/tiny/resolve/abc/sub/a%20b.gguf?download=true",
            HubReference("maker/tiny", "sub/a b.gguf", revision="abc"),
        ),
        ("https://huggingface.co/maker/tiny/blob/main/a.gguf", HubReference("maker/tiny", "a.gguf")),
        ("https://huggingface.co/maker/tiny/discussions/3", HubReference("maker/tiny")),
    ],
)
def test_references(text: str, reference: HubReference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", "tiny", "/", "a/b/../c", "../b", "a b/c", "a/b--c", "maker/tiny@../x", "a/b.git", "a//b"),
        *("https://huggingface.co/maker", "https:///a/b", "ftp://x/a/b", "a/b:Q\n4", "https://[::1/a/b", "a/b/c//d"),
    ],
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_reference(text)
    assert raised.value.kind is ErrorKind.NOT_A_REFERENCE


@given(st.text())
def test_any_text_is_a_reference_or_is_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UserError:
        return
    assert is_repo(reference.repo)
    assert not reference.path.startswith("/")
