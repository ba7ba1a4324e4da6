from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import ErrorKind, UserError
from app.core.file_names import MAX_DEPTH, MAX_NAME_BYTES, safe_name, safe_path

RESERVED = {"con", "prn", "aux", "nul", "com1", "lpt9"}


@pytest.mark.parametrize("path", ["model.gguf", "Q4_K_M/model-00001-of-00002.gguf", "über/模型.gguf", ".hidden.gguf"])
def test_honest_paths_stay_as_they_are(path: str) -> None:
    assert str(safe_path(path)) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "..", "../up.gguf", "a/../../up.gguf", "a//b.gguf", "a/./b.gguf", "a/ /b.gguf"),
        *("a/...", "C:/model.gguf", "c:model.gguf", "\\\\host\\share.gguf", "a\\..\\b.gguf", "a\0b.gguf"),
        "/".join(["deep"] * (MAX_DEPTH + 1)),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(UserError) as told:
        safe_path(path)
    assert told.value.kind is ErrorKind.UNSAFE_NAME


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CON", "_CON"),
        ("nul.gguf", "_nul.gguf"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("LPT¹.gguf", "_LPT¹.gguf"),
        ("console.gguf", "console.gguf"),
        ("a:b?c*.gguf", "a_b_c_.gguf"),
        ("model.gguf. .", "model.gguf"),
        ("evil\u202efugg.exe", "evilfugg.exe"),
        ("tab\there", "tab_here"),
        ("lone \udcff.gguf", "lone _.gguf"),
    ],
)
def test_names_fit_for_every_system(name: str, expected: str) -> None:
    assert safe_name(name) == expected


def test_long_names_are_shortened_and_stay_different_and_split() -> None:
    parts = [safe_name("ä" * 300 + f"-{number:05}-of-00002.gguf") for number in (1, 2)]
    heads = {part.removesuffix(f"-{number:05}-of-00002.gguf") for number, part in enumerate(parts, 1)}
    assert len(heads) == 1
    assert all(len(part.encode()) <= MAX_NAME_BYTES for part in parts)
    assert safe_name("a" * 400) != safe_name("a" * 401)


@given(st.text(max_size=400))
def test_whatever_a_name_holds_it_is_a_name(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert not set(safe) & set('/\\<>:"|?*\0')
    assert len(safe.encode("utf-8")) <= MAX_NAME_BYTES
    assert safe.split(".")[0].lower() not in RESERVED
    assert safe[-1] not in ". "
    assert safe_name(safe) == safe
