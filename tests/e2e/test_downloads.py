"""A person finds a model, downloads it over a bad line, is cut off, comes back, and chats with it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QImage

from app.paths import builtin_model
from app.ui.theme import LIGHT
from tests.e2e.conftest import StartApp
from tests.e2e.running_app import SETTLE_S
from tests.e2e.screen import wait_for
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

REPO, NAME = "maker/Tiny-Chat-GGUF", "tiny-chat-Q8_0.gguf"
SLOW_BYTES_PER_S = 300_000
DOWNLOADS_PX = (640, 690)  # to the right of and below this point the only filled button is "Chat now"
VIEW_PX = (280, 130)  # the same for the button that allows the search


def received_bytes(data: Path) -> int:
    for journal in data.rglob("*.part.json"):
        return sum(end - begin for begin, end in json.loads(journal.read_text())["done"])
    return 0


def filled_button(picture: QImage, corner: tuple[int, int]) -> tuple[int, int]:
    """A point on the button that has the accent colour, to the right of and below `corner`."""
    accent = QColor(LIGHT.accent).rgb()
    left, top = corner
    rows = range(top, picture.height(), 2)
    found = [(x, y) for y in rows for x in range(left, picture.width(), 2) if picture.pixel(x, y) == accent]
    assert found, "no filled button"
    return found[len(found) // 2]


def last_model(data: Path) -> str:
    try:
        return str(json.loads((data / "settings.json").read_text()).get("model.last_path", ""))
    except FileNotFoundError:
        return ""


def test_from_the_search_to_a_chat_over_two_resets_and_a_kill(
    start_app: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    source = builtin_model()
    with HubServer() as hub:
        hub.add_repo(REPO, {NAME: source, "README.md": b"# Tiny Chat"}, cardData={"license": "mit"})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        app = start_app(data=data)
        app.screen.key("ctrl+2")  # the models
        time.sleep(SETTLE_S)
        app.screen.key("Tab", "Tab", "space")  # the hub
        time.sleep(SETTLE_S)
        app.screen.key("ctrl+f")  # the search field
        app.screen.type("tiny")
        time.sleep(SETTLE_S)
        app.screen.click(*filled_button(app.screen.picture(), VIEW_PX))
        wait_for(lambda: hub.seen("hub", containing="/api/models"), "the search")
        opened = "/api/models/" + REPO

        def open_row() -> bool:
            app.screen.key("Return")  # the answers have the keyboard
            return bool(hub.seen("hub", containing=opened))

        wait_for(open_row, "the details")
        wait_for(lambda: hub.seen("cdn"), "the header for the verdict")
        verdict_requests = len(hub.seen("cdn"))
        hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
        for at_byte in (200_000, 300_000):
            hub.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=at_byte))

        time.sleep(SETTLE_S)
        app.screen.key("Tab", "space")  # from the list to the button
        wait_for(lambda: len(hub.seen("cdn")) > verdict_requests, "the download")
        wait_for(lambda: received_bytes(data) > 1_000_000, "a part of the file", 30)
        app.kill()
        assert hub.faults.left == 0
        received = received_bytes(data)
        hub.cdn.bytes_per_second = None

        again = start_app(data=data)
        again.screen.key("ctrl+2")
        wait_for(lambda: again.query("SELECT 1 FROM downloads WHERE state = 'done'"), "the end of the download", 30)
        assert hub.seen("cdn")[-1].headers["range"] == f"bytes={received}-"
        ((path,),) = again.query("SELECT path FROM downloads")
        assert Path(path).read_bytes() == source.read_bytes()

        time.sleep(SETTLE_S)
        again.screen.click(*filled_button(again.screen.picture(), DOWNLOADS_PX))
        wait_for(lambda: last_model(data) == path, "the model", 30)
        again.screen.key("ctrl+n")
        again.screen.type("hello")
        again.screen.key("Return")
        again.wait_for_answers(1)
        again.quit()
