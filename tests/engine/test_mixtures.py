"""What mixtures of experts do beyond short texts, and with parts of their files that are not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.events import Finished, Loaded
from app.engine.protocol import Load
from app.engine.worker import binding
from tests.engine.engine_child import EngineChild, assistant, system, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures.architectures import MIXTURES, write_architecture

pytestmark = pytest.mark.engine
SYSTEM = system("You are the cat on the world.")
_library: list[object] = []  # what llama.cpp calls back as long as this process lives


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))


@pytest.mark.parametrize("name", ["deepseek4", "glm5-next", "minimax-m3"])
def test_long_conversations_are_gone_back_to_with_the_same_text(tmp_path: Path, name: str) -> None:
    """Longer than windows are cached, than what is compressed, and than what an index picks."""
    path = write_architecture(tmp_path / "model.gguf", MIXTURES[name], 2048)
    talking, fresh = SessionDriver(path, sequences=2), SessionDriver(path)
    first = [SYSTEM, user("the cat sat on the world and " * 110, "u0")]
    answer = assistant(fresh.ask(first).text, "a0")
    try:
        for conversation, messages in (
            ("A", first),
            ("A", [*first, answer, user("and the cat on " * 20, "u1")]),
            ("B", [SYSTEM, user("hello other one " * 30, "u0")]),
            ("A", [*first, answer, user("on it", "u1")]),
            ("C", [SYSTEM, user("sat cat " * 60, "u0")]),
            ("A", first),
        ):
            fresh.forget()
            assert talking.ask(messages, conversation).text == fresh.ask(messages).text
    finally:
        talking.close()
        fresh.close()


@pytest.mark.parametrize("name", ["deepseek32", "glm-dsa", "hy_v3"])
def test_heads_that_nothing_here_uses_change_nothing(child: EngineChild, tmp_path: Path, name: str) -> None:
    texts = []
    for with_heads in (False, True):
        path = write_architecture(tmp_path / "model.gguf", MIXTURES[name], with_heads=with_heads)
        assert isinstance(child.ask(Load(0, str(path), threads=1)).last, Loaded)
        run = child.generate([user("the cat sat on " * 20)], sampling={"temperature": 0.0}, max_tokens=12)
        assert isinstance(run.last, Finished), run.last
        texts.append(run.text)
    assert texts[0] == texts[1]
