"""A model on another computer, in the real window, with llama.cpp's own RPC server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from app.core.messages import MessageState
from app.ui.buttons import Button
from app.ui.pages.device_list import DeviceList
from app.ui.pages.plan_view import PlanView
from app.ui.servers_field import ServersField
from tests.benchmarks.shapes import Shape, write_file
from tests.engine.release_engine import release_libraries
from tests.engine.rpc_server import RpcServer
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person
from tests.ui.window.test_hardware import box_in, pick, words_in

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="needs the release engine"),
]
Key = Qt.Key
SHAPE = Shape(embedding=256, layers=2, heads=4, kv_heads=2, inner=512, words=2048, context_tokens=8192)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RpcServer]:
    """A server, and an engine that can use it."""
    libraries = release_libraries(tmp_path / "release")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(libraries))
    server = RpcServer(libraries, tmp_path / "server.log")
    yield server
    server.kill()


def name_server(person: Person, text: str) -> ServersField:
    """Types it into the field of the settings."""
    field = person.open_expert_models_settings().field("engine.rpc_servers")
    assert isinstance(field, ServersField)
    edit = field.findChild(QLineEdit)
    assert edit is not None
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, text)
    QTest.keyClick(edit, Key.Key_Return)
    return field


def test_a_computer_is_named_chosen_lost_and_used_again(
    open_window: OpenWindow, server: RpcServer, tmp_path: Path
) -> None:
    model = tmp_path / "noise.gguf"
    write_file(model, "noise", SHAPE, "q4_0")
    person = open_window(model=model)
    field = name_server(person, "127.0.0.1")
    assert "has no port" in words_in(field)
    assert not person.profile.settings.string("engine.rpc_servers")
    name_server(person, server.address)
    assert not words_in(field)
    page = person.page("settings")
    devices, plan = page.findChild(DeviceList), page.findChild(PlanView)
    person.wait(lambda: f"Another computer: {server.address}" in words_in(devices))
    pick(person, box_in(page, "Runs on"), server.address)
    person.wait(lambda: f"runs on {server.address}" in words_in(plan))
    person.press(Key.Key_1, CONTROL)
    person.press(Key.Key_N, CONTROL)
    assert f"What you write goes to {server.address}" in words_in(person.window.chat_page.welcome)
    lose(person, server)
    server.start()
    person.click("Use it again")
    person.wait(lambda: person.profile.models.servers == (server.address,))
    kept = lose(person, server)
    person.profile.settings.set_value("answers.max_tokens", 8)
    person.click("Continue answer")
    person.wait(lambda: f"on this computer instead of {server.address}" in person.notice)
    person.wait(lambda: person.answer.state in (MessageState.COMPLETE, MessageState.CUT_SHORT))
    assert person.answer.text.startswith(kept)
    person.press(Key.Key_Comma, CONTROL)
    assert "runs on the processor" in words_in(plan)
    server.start()
    person.click("Try it again", devices)
    person.wait(lambda: f"runs on {server.address}" in words_in(plan))


def lose(person: Person, server: RpcServer) -> str:
    """The server ends while it computes an answer; gives what is kept of that."""
    person.press(Key.Key_N, CONTROL)
    person.say_and_wait_for_words("hello")
    server.kill()
    person.wait(lambda: person.answer.state is MessageState.INTERRUPTED)
    assert len(person.answer.text) > 10
    assert f"The connection to {server.address} broke. What was written so far is kept." in person.card.text
    return person.answer.text


def test_one_that_is_away_is_listed_and_the_model_runs_here(open_window: OpenWindow, server: RpcServer) -> None:
    server.kill()
    person = open_window(settings={"engine.rpc_servers": server.address})
    page = person.open_expert_models_settings()
    devices = page.findChild(DeviceList)
    person.wait(lambda: "It cannot be reached" in words_in(devices))
    server.start()
    assert isinstance(person.button(f"Try {server.address} again", devices), Button)
    person.click("Try it again", devices)
    person.wait(lambda: "It cannot be reached" not in words_in(devices) and server.address in words_in(devices))
    person.profile.settings.set_value("hub.offline", True)
    person.wait(lambda: "stay offline" in words_in(devices))
