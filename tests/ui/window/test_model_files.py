"""Model files as people have them, opened at the real window by the real engine: whole, broken, too large, odd."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt

from app.core.errors import ErrorKind, UserError
from app.core.messages import MessageState
from app.services.explain import ActionKind
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.gguf_bytes import gguf, llama_keys, llama_tensors, tiny_llama
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import Person

BUILT_IN = "Built-in"
Key = Qt.Key

BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"This is a shopping list.\n" * 50, "It is a text"),
    "web page": (b"<!DOCTYPE html><html>Please log in</html>", "It is a web page"),
    "zip": (b"PK\x03\x04" + bytes(2000), "It is a ZIP archive"),
    "wrong magic": (b"GGUX" + tiny_llama()[4:], "is not a GGUF file"),
    "old": (gguf(llama_keys(), llama_tensors(), version=1), "too old"),
    "new": (gguf(llama_keys(), llama_tensors(), version=99), "GGUF version 99"),
    "endian": (b"GGUF" + struct.pack(">IQQ", 3, 12, 17) + bytes(5000), "another byte order"),
    "cut": (tiny_llama()[:-1000], "is incomplete"),
    "corrupt": (tiny_llama(llama__block_count=100_000), "is damaged"),
    "mystery": (gguf({"general.architecture": "mystery"}, llama_tensors()), "architecture “mystery”"),
    "vocabulary": (gguf(llama_keys()), "only a vocabulary"),
    "embedding": (gguf({"general.architecture": "bert"}, llama_tensors()), "turns text into numbers"),
    "translator": (gguf({"general.architecture": "t5"}, llama_tensors()), "rewriting and translating"),
    "projector": (gguf({"general.architecture": "clip"}, llama_tensors()), "see or hear"),
    "adapter": (gguf(llama_keys(general__type="adapter"), llama_tensors()), "LoRA"),
    "tensor missing": (gguf(llama_keys(), llama_tensors()[:-1]), "did not load"),
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A model that says " cat sat on"."""
    path = tmp_path / "good.gguf"
    words = [tiny.byte_token(text) for text in ("\n", " cat", " sat", " on")]
    return tiny.write_model(
        path, tiny.bpe_vocabulary(), template=tiny.CHATML, name="Good", context_length=2048,
        successors=tiny.chain(*words),
    )  # fmt: skip


def is_loaded(person: Person, name: str) -> bool:
    models = person.profile.models
    return models.info is not None and models.info.name == name and not models.is_loading


@pytest.mark.logs_warnings
def test_every_broken_file_gets_its_own_words_and_the_model_before_goes_on(
    open_window: OpenWindow, good: Path, tmp_path: Path
) -> None:
    person = open_window(model=good)
    person.wait(lambda: person.model_name == "Good")
    name = person.model_name
    for kind, (data, words) in BROKEN.items():
        file = tmp_path / f"{kind}.gguf"
        file.write_bytes(data)
        before = len(person.shown)
        person.drop(file)
        person.wait(lambda: bool(person.card_text) and not person.profile.models.is_loading)
        assert words in person.card_text, kind
        assert kind in person.card_text, "the file is named"
        assert person.model_name == name
        if kind in ("empty", "corrupt", "tensor missing"):
            person.say("hello")
            assert person.answer.text == "cat sat on", kind
            assert len(person.shown) == before + 2
    for path, words in ((tmp_path / "absent.gguf", "no longer there"), (tmp_path, "is a folder")):
        person.window.open_model(str(path))
        person.wait(lambda: bool(person.card_text) and not person.profile.models.is_loading)
        assert words in person.card_text


@pytest.mark.logs_warnings
@pytest.mark.parametrize("kind", ["text", "cut", "embedding"])
def test_a_broken_file_at_the_start_gives_way_to_the_built_in_model(
    open_window: OpenWindow, tmp_path: Path, kind: str
) -> None:
    data, words = BROKEN[kind]
    file = tmp_path / "mine.gguf"
    file.write_bytes(data)
    person = open_window(model=file)
    assert words in person.card_text
    assert person.profile.models.is_builtin
    person.say("hello")
    assert person.answer.state is MessageState.COMPLETE
    assert len(person.answer.text) > 3


def test_a_dropped_file_is_loaded_listed_and_comes_back_at_the_next_start(open_window: OpenWindow, good: Path) -> None:
    person = open_window()
    person.drop(good)
    person.wait(lambda: is_loaded(person, "Good"))
    person.wait(lambda: person.model_name == "Good")
    person.say("hello")
    assert person.answer.text == "cat sat on"
    assert person.answer.model_name == "Good"
    person.wait(lambda: any("Good" in action.text() for action in person.model_actions()))
    person.choose_model(person.model_actions()[0].text())
    person.wait(lambda: person.profile.models.is_builtin and not person.profile.models.is_loading)
    person.choose_model("Good")
    person.wait(lambda: is_loaded(person, "Good"))
    person.profile.shut_down()
    again = open_window()
    again.wait(lambda: again.model_name == "Good")


@pytest.mark.logs_warnings
def test_a_file_that_vanishes_and_is_chosen_again(open_window: OpenWindow, good: Path) -> None:
    person = open_window(model=good)
    person.choose_model(person.model_actions()[0].text())
    person.wait(lambda: person.profile.models.is_builtin and not person.profile.models.is_loading)
    good.unlink()
    person.wait(lambda: any("Good" in action.text() for action in person.model_actions()))
    person.choose_model("Good")
    person.wait(lambda: "no longer there" in person.card_text)
    person.say("hello")
    assert person.answer.state is MessageState.COMPLETE


@pytest.mark.logs_warnings
def test_an_absurd_context_gets_figures_and_a_button_that_works(open_window: OpenWindow, tmp_path: Path) -> None:
    file = tmp_path / "long.gguf"
    file.write_bytes(tiny_llama(llama__context_length=100_000_000))
    person = open_window(model=file)
    person.profile.settings.set_value("model.context_length", 10_000_000)
    person.wait(lambda: "Not enough memory" in person.card_text)
    assert "10,000,000" in person.card_text
    assert "free now" in person.card_text
    (action, *_) = person.card.actions
    assert action.kind is ActionKind.USE_CONTEXT_LENGTH
    assert f"Use {action.value:,} tokens instead" == action.label
    person.profile.settings.set_value("model.context_length", 0)  # smaller, so that the test needs no memory
    small = UserError(
        ErrorKind.NOT_ENOUGH_MEMORY, path=str(file), needed_bytes=2, free_bytes=1, context_length=2,
        suggested_context_length=1024,
    )  # fmt: skip
    person.window.chat_page.show_failure(small)
    person.click("Use 1,024 tokens instead")
    person.wait(lambda: not person.profile.models.is_loading and person.profile.models.info is not None
                and person.profile.models.info.context_length == 1024)  # fmt: skip
    assert person.cards == []


@pytest.mark.logs_warnings
def test_too_little_memory_at_the_start_the_button_loads_the_wished_file(open_window: OpenWindow) -> None:
    error = UserError(
        ErrorKind.NOT_ENOUGH_MEMORY, path="/large.gguf", needed_bytes=9_000_000_000, free_bytes=2_000_000_000,
        context_length=8192, suggested_context_length=2048,
    )  # fmt: skip
    person = open_window(
        model=Path("/large.gguf"), loads=[{"path": "large", "error": error.to_json()}, {"name": "Other"}]
    )
    assert "8,192" in person.card_text
    assert person.profile.models.is_builtin
    tried: list[str] = []
    person.profile.models.load_started.connect(tried.append)
    person.click("Use 2,048 tokens instead")
    assert tried == [str(Path("/large.gguf").absolute())]
    assert person.profile.settings.value("model.context_length") == 2048


def test_a_load_shows_its_progress_and_is_cancelled_by_its_button(open_window: OpenWindow) -> None:
    person = open_window(
        answers=[{"text": "still here"}],
        loads=[{"path": "large", "duration_ms": 10_000}, {"name": "Before"}],
    )
    name = person.model_name
    person.window.open_model("/large.gguf")
    person.wait(lambda: "Loading… 1" in person.model_name)
    person.click("Cancel loading the model")
    person.wait(lambda: person.model_name == name)
    assert person.cards == []
    person.say("hello")
    assert person.answer.text == "still here"


def test_another_model_in_the_middle_of_an_answer(open_window: OpenWindow) -> None:
    slow = {"text": "word ", "repeat": 150, "tokens_per_second": 200}
    person = open_window(answers=[slow], loads=[{"path": "other", "name": "Other"}, {"name": "Before"}])
    person.say_and_wait_for_words("go")
    person.window.open_model("/other.gguf")
    person.wait(lambda: is_loaded(person, "Other"))
    person.wait(lambda: not person.is_streaming)
    assert person.answer.state is MessageState.COMPLETE
    assert person.answer.model_name == "Before"
    person.say("and now")
    assert person.answer.model_name == "Other"


def test_loads_one_after_another_end_with_the_last(open_window: OpenWindow) -> None:
    loads = [{"path": name, "name": name, "duration_ms": 300} for name in "abc"]
    person = open_window(loads=[*loads, {"name": "Before"}])
    for name in "abc":
        person.window.open_model(f"/{name}.gguf")
    person.wait(lambda: is_loaded(person, "c"))
    assert person.cards == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_file_that_shrinks_under_the_engine(open_window: OpenWindow, good: Path) -> None:
    person = open_window(model=good)
    os.truncate(good, 4096)
    person.say("hello")
    assert person.answer.state is MessageState.INTERRUPTED
    assert person.card.title == "The engine stopped in the middle"


def test_quitting_while_a_model_loads(open_window: OpenWindow) -> None:
    person = open_window(loads=[{"duration_ms": 30_000}], wait=False)
    person.wait(lambda: "Loading… " in person.model_name and person.profile.engine.pid is not None)
    pid = person.profile.engine.pid
    person.profile.shut_down()
    assert pid is not None
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    "template",
    [
        "{% if %}",
        "{{ ''.__class__ }}",
        "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}",
    ],
)
def test_a_broken_template_gives_a_notice_and_an_answer(open_window: OpenWindow, tmp_path: Path, template: str) -> None:
    words = [tiny.byte_token(text) for text in ("\n", " cat", " sat", " on")]
    file = tiny.write_model(
        tmp_path / "odd.gguf", tiny.bpe_vocabulary(), template=template, name="Odd", successors=tiny.chain(*words)
    )
    person = open_window()
    person.drop(file)
    person.wait(lambda: is_loaded(person, "Odd"), 5_000)
    assert "does not work" in person.notice
    assert "chatml" in person.notice
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=5_000):
        person.send("hello")
    assert person.answer.text == "cat sat on"
