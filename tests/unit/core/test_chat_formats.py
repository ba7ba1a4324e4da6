"""Every format of the table, rendered as the engine renders, against what was published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from app.core.chat_format import ChatFormat, SystemPlace
from app.core.chat_formats import FORMATS, PLAIN, format_named
from app.engine.worker.template_renderer import ChatTemplate

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
PUBLISHED: list[dict[str, Any]] = json.loads((FIXTURES / "chat_formats.json").read_text("utf-8"))["formats"]
NEW_YEAR = datetime(2026, 1, 1)
END_OF_TEXT = {"oasst-pythia": "<|endoftext|>", "stablelm-zephyr": "<|endoftext|>"}  # else "</s>"
TALK = {"system": "Be kind.", "user_1": "Who are you?", "assistant_1": "A model.", "user_2": "Whose?"}
MESSAGES = [{"role": name.partition("_")[0], "content": text} for name, text in TALK.items()]


def render(known: ChatFormat, messages: list[dict[str, str]], eos: str = "</s>") -> str:
    template = ChatTemplate(known.source, "<s>", eos, now=lambda: NEW_YEAR)
    return template.render(messages, add_generation_prompt=True)


def filled(prompt: str, eos: str) -> str:
    for name, text in {**TALK, "bos": "<s>", "eos": eos}.items():
        prompt = prompt.replace(f"{{{name}}}", text)
    return prompt


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda row: row["id"])
def test_each_format_is_as_published_byte_for_byte(published: dict[str, Any]) -> None:
    known = format_named(published["id"])
    assert known is not None
    prompt = published["prompt"]
    said = [message for message, name in zip(MESSAGES, TALK, strict=True) if f"{{{name}}}" in prompt]
    eos = END_OF_TEXT.get(known.name, "</s>")
    rendered = render(known, said, eos)
    if not prompt.startswith(("{bos}", "<s>")):  # published without it: the tokenizer's matter
        rendered = rendered.removeprefix("<s>")
    assert rendered == filled(prompt, eos)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda row: row["id"])
def test_what_nobody_has_compared_says_so(published: dict[str, Any]) -> None:
    known = format_named(published["id"])
    assert known is not None
    assert known.is_confirmed == published["confirmed"]
    assert ("from memory" in known.origin) is not known.is_confirmed


def test_the_table_and_what_was_published_are_the_same_formats() -> None:
    assert {known.name for known in FORMATS} - {PLAIN.name} == {row["id"] for row in PUBLISHED}
    assert format_named("none") is PLAIN
    assert format_named("in-gguf") is None


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_says_everything_once_and_in_order(known: ChatFormat) -> None:
    text = render(known, MESSAGES)
    places = [text.index(message["content"]) for message in MESSAGES]
    if known.system_place is SystemPlace.LAST_QUESTION:
        places = [*places[1:3], places[0], places[3]]
    assert places == sorted(places)
    assert text.count("Be kind.") == 1
    if known.default_system:
        assert known.default_system not in text


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_takes_odd_conversations(known: ChatFormat) -> None:
    said = (("assistant", "Hello there."), ("user", "Why?"), ("user", " Once more: why? "))
    text = render(known, [{"role": role, "content": content} for role, content in said])
    places = [text.rindex(content.strip()) for _, content in said]
    assert places == sorted(places)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_ends_answers_by_what_stands_behind_them(known: ChatFormat) -> None:
    """Each stop text is written by the format itself, or by the model at the end of a text."""

    def written() -> Iterator[str]:
        yield render(known, MESSAGES, eos="<|endoftext|>")
        yield render(known, MESSAGES)
        yield known.source

    ends = ("<|endoftext|>", "<|end_of_text|>", "<|return|>", "<|call|>", "<|EOT|>", "</s>")
    for stop in known.stops:
        assert stop in ends or any(stop.strip() in text for text in written()), stop
