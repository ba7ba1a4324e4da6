"""Conversations longer than the context: whole exchanges fall out, and nothing is shifted.

Moving what was read to other places in the context is right for few models and wrong without a word for the others.
Hearth cuts whole exchanges and reads the rest anew, so the text must be that of a fresh reading of what is visible.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.events import FinishReason, PromptStarted
from app.engine.protocol import ChatMessage
from app.engine.worker import binding
from tests.engine.engine_child import assistant, system, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures.architectures import ARCHITECTURES, write_architecture

pytestmark = pytest.mark.engine
SYSTEM = system("You are the cat on the world.")
KINDS = {"absolute positions": "gpt2", "alibi": "mpt", "rotary": "llama", "window": "gemma3", "recurrent": "mamba"}
CONTEXT_TOKENS = 512
_library: list[object] = []  # what llama.cpp calls back as long as this process lives


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    for name in KINDS.values():
        write_architecture(folder / f"{name}.gguf", ARCHITECTURES[name], CONTEXT_TOKENS)
    return folder


def visible(messages: list[ChatMessage], first_visible_id: str | None) -> list[ChatMessage]:
    if first_visible_id is None:
        return messages
    cut = next(place for place, message in enumerate(messages) if message.id == first_visible_id)
    return [messages[0], *messages[cut:]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_conversation_reads_as_what_is_visible_of_it(files: Path, kind: str) -> None:
    path = files / f"{KINDS[kind]}.gguf"
    talking, fresh = SessionDriver(path), SessionDriver(path)
    messages = [SYSTEM]
    first_visible_id: str | None = None
    cuts = set()
    try:
        for turn in range(14):
            messages.append(user(f"the cat sat on the world {turn} and on " * 2, f"u{turn}"))
            answer = talking.ask(messages, "talk", first_visible_id=first_visible_id)
            (started,) = answer.of(PromptStarted)
            first_visible_id = started.first_visible_id
            cuts.add(first_visible_id)
            fresh.forget()
            assert answer.text == fresh.ask(visible(messages, first_visible_id)).text
            assert answer.last.context_tokens <= CONTEXT_TOKENS
            messages.append(assistant(answer.text, f"a{turn}"))
    finally:
        talking.close()
        fresh.close()
    assert len(cuts) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_fills_the_context_ends_there(files: Path, kind: str) -> None:
    driver = SessionDriver(files / f"{KINDS[kind]}.gguf")
    try:
        answer = driver.ask([SYSTEM, user("the cat sat")], "talk", max_tokens=0)
        assert answer.last.reason is FinishReason.CONTEXT_FULL
        assert answer.last.context_tokens == CONTEXT_TOKENS
        memory = binding.llama.llama_get_memory(driver.model.context)
        assert binding.llama.llama_memory_seq_pos_max(memory, 0) == CONTEXT_TOKENS - 1
        again = driver.ask([SYSTEM, user("the cat sat")], "talk", max_tokens=0)
        assert again.text == answer.text
    finally:
        driver.close()


def test_nothing_asks_llama_cpp_to_shift() -> None:
    """It never does so by itself: a decode without room returns 1."""
    root = Path(__file__).resolve().parents[2] / "app"
    shifting = ("memory_seq_add", "memory_seq_div", "memory_can_shift")
    asking = [path.name for path in root.rglob("*.py") if any(word in path.read_text("utf-8") for word in shifting)]
    assert asking == []
