from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.hub_reference import is_repo
from app.hub.answers import (
    MAX_MODELS,
    AnswerError,
    has_card,
    parameters_in_name,
    read_account,
    read_details,
    read_list,
)
from app.hub.model_card import MAX_CARD_BYTES, card_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
SOUND: dict[str, Any] = {
    "id": "maker/Tiny-1B",
    "sha": "a" * 40,
    "downloads": 5,
    "likes": 2,
    "lastModified": "2026-10-02T12:00:00.000Z",
    "gated": "auto",
    "tags": ["gguf"],
    "cardData": {"license": "mit", "base_model": ["maker/base"]},
    "gguf": {"total": 1, "architecture": "llama", "context_length": 9, "chat_template": "x"},
    "siblings": [{"rfilename": "a.gguf", "size": 4, "lfs": {"sha256": "b" * 64, "size": 4, "pointerSize": 1}}],
}


def with_change(path: tuple[str | int, ...], value: object) -> bytes:
    changed = json.loads(json.dumps(SOUND))
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(changed).encode()


def every_place(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in inner:
        found += every_place(item, (*path, key))
    return found


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (read_list, read_details, read_account, has_card):
        try:
            read(body)
        except AnswerError:
            continue


@given(st.sampled_from(every_place(SOUND)), JSON)
def test_a_field_may_be_anything(place: tuple[str | int, ...], value: object) -> None:
    body = with_change(place, value)
    try:
        details = read_details(body)
    except AnswerError:
        assert place[0] in ("id", "sha"), "only name and commit have to be there"
        return
    assert is_repo(details.model.repo)
    assert details.model.downloads >= 0
    assert all(part.size_bytes >= 0 for file in details.files for part in file.parts)
    assert read_list(b"[" + body + b"]")[0] == details.model


def test_a_sound_answer_is_read_whole() -> None:
    details = read_details(json.dumps(SOUND).encode())
    assert details.model.updated_at == datetime(2026, 10, 2, 12, tzinfo=UTC)
    assert details.files[0].parts[0].sha256 == "b" * 64
    assert (details.base_models, details.context_length) == (("maker/base",), 9)


@pytest.mark.parametrize(
    "path",
    [
        *("../a.gguf", "/a.gguf", "a/../../b.gguf", "C:\\a.gguf", "a\x00.gguf", ""),
        *("a\x1b[2J.gguf", "a\n.gguf", "a\u202efugg.gguf", "a\x9b1m.gguf", "a" * 2000 + ".gguf"),
    ],
)
def test_paths_that_lead_elsewhere_or_deceive_are_left_out(path: str) -> None:
    assert read_details(with_change(("siblings", 0, "rfilename"), path)).files == ()


def test_a_page_without_end_is_cut() -> None:
    assert len(read_list(b"[" + b",".join([json.dumps(SOUND).encode()] * (MAX_MODELS + 5)) + b"]")) == MAX_MODELS


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("maker/Qwen2.5-1.5B-Instruct-GGUF", 1_500_000_000),
        ("x/Mixtral-8x7B-v0.1", 56_000_000_000),
        ("x/gemma-3-270m-it", 270_000_000),
        ("x/Qwen3-30B-A3B", 30_000_000_000),
        ("x/llama-2-7b.Q4_0", 7_000_000_000),
        ("x/stablelm-2-1_6b-GGUF", 1_600_000_000),
        ("x/llama_2_7b_chat", 7_000_000_000),
        ("x/phi-2", None),
        ("7B/model", None),
        ("x/model-0b", None),
        ("x/Q4B4", None),
    ],
)
def test_parameters_in_names(name: str, parameters: int | None) -> None:
    assert parameters_in_name(name) == parameters


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"---\na: 1\n---\n# Title", "# Title"),
        (b"\xef\xbb\xbf---\r\na: 1\r\n---\r\n\r\nText\r\n", "Text"),
        (b"# Title\n\n---\nline\n---\n", "# Title\n\n---\nline\n---"),
        (b"---\nnever closed", "---\nnever closed"),
        (b"", ""),
        (b"\xff\x00", "\ufffd"),
    ],
)
def test_cards_lose_their_front_matter(body: bytes, text: str) -> None:
    assert card_text(body) == text


def test_an_endless_card_is_cut_at_a_line() -> None:
    text = card_text(b"word\n" * (MAX_CARD_BYTES // 4))
    assert len(text) <= MAX_CARD_BYTES
    assert text.endswith("word")
