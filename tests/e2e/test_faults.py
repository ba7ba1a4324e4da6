"""Processes are killed in the middle of an answer. The model is a real one that never stops by itself."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import StartApp
from tests.e2e.running_app import RunningApp
from tests.e2e.screen import wait_for
from tests.fixtures.tiny_gguf import write_endless_model


@pytest.fixture
def endless(tmp_path: Path) -> str:
    return str(write_endless_model(tmp_path / "endless.gguf"))


def streamed(app: RunningApp) -> str:
    """The text of the answer as it is in the database."""
    return "".join(text for role, _, text in app.messages() if role == "assistant")


def start_answer(app: RunningApp) -> None:
    app.screen.type("go on for ever")
    app.screen.key("Return")
    wait_for(lambda: len(streamed(app)) > 20, "some text of the answer")


def state(app: RunningApp) -> str:
    return app.messages()[1][1]


def test_a_killed_engine_leaves_the_partial_answer_and_continue_goes_on(start_app: StartApp, endless: str) -> None:
    app = start_app("--model", endless)
    start_answer(app)
    engine = app.engine()
    assert engine is not None
    engine.kill()
    wait_for(lambda: state(app) == "interrupted", "the answer marked as interrupted")
    kept = streamed(app)
    assert len(kept) > 20
    app.screen.key("ctrl+g")
    wait_for(lambda: len(streamed(app)) > len(kept), "more text")
    assert streamed(app).startswith(kept)
    app.screen.key("Escape")
    wait_for(lambda: state(app) == "stopped", "the answer stopped")
    app.quit()


def test_a_killed_window_leaves_the_text_and_no_engine(start_app: StartApp, endless: str) -> None:
    app = start_app("--model", endless)
    start_answer(app)
    engine = app.engine()
    assert engine is not None
    app.kill()
    wait_for(lambda: not is_alive(engine), "the end of the engine", 2.0)
    before = streamed(app)
    assert state(app) == "streaming"

    again = start_app("--model", endless)
    wait_for(lambda: state(again) == "interrupted", "the answer marked as interrupted")
    assert streamed(again) == before
    again.quit()


def test_closing_the_window_keeps_the_partial_answer(start_app: StartApp, endless: str) -> None:
    app = start_app("--model", endless)
    start_answer(app)
    engine = app.engine()
    app.quit()
    assert engine is not None
    assert not is_alive(engine)
    assert state(app) == "interrupted"


def test_a_streaming_answer_goes_on_behind_another_chat(start_app: StartApp, endless: str) -> None:
    app = start_app("--model", endless)
    start_answer(app)
    app.screen.key("ctrl+n")
    before = len(streamed(app))
    wait_for(lambda: len(streamed(app)) > before, "text in the chat behind")
    app.quit()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
