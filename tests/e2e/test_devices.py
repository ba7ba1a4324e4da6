"""A graphics card ends the engine while a model is loaded on it: in the real window, with the real engine.

The card is one in software (Mesa's lavapipe: mesa-vulkan-drivers) under the release engine of the cache.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import StartApp
from tests.e2e.running_app import RunningApp
from tests.e2e.screen import wait_for
from tests.engine.release_engine import release_libraries

LOAD_S = 60.0  # in software everything takes its time


@pytest.fixture
def software_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children see Vulkan on the processor as a graphics card."""
    if not any(Path("/usr/share/vulkan/icd.d").glob("lvp*")):
        pytest.skip("needs a GPU in software (Debian: mesa-vulkan-drivers)")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(release_libraries(tmp_path)))
    monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", os.environ.get("GGML_VK_VISIBLE_DEVICES", "0"))


def journal(app: RunningApp) -> dict[str, list[dict[str, Any]]]:
    try:
        found = json.loads((app.data / "cache" / "attempts.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {"running": [], "failed": []}
    assert isinstance(found, dict)
    return found


def kill_while_the_card_is_tried(app: RunningApp) -> int:
    """The process id of the engine that died."""
    deadline = time.monotonic() + LOAD_S
    while not any(each["kind"] == "device" for each in journal(app)["running"]):
        assert time.monotonic() < deadline, "the card was not tried"
        time.sleep(0.001)
    engine = app.engine()
    assert engine is not None
    engine.kill()
    return int(engine.pid)


def failed_names(app: RunningApp) -> list[str]:
    return [each["name"] for each in journal(app)["failed"]]


def answers(app: RunningApp) -> list[str]:
    return [text for role, state, text in app.messages() if role == "assistant" and state == "complete"]


@pytest.mark.usefixtures("software_card")
def test_the_window_goes_on_with_the_processor_and_does_not_try_again(start_app: StartApp) -> None:
    app = start_app()
    dead = kill_while_the_card_is_tried(app)
    wait_for(lambda: failed_names(app) == ["Vulkan0"], "the card in the journal")
    wait_for(lambda: (engine := app.engine()) is not None and engine.pid != dead, "another engine")
    app.screen.type("Does Hearth need the internet?")
    app.screen.key("Return")
    wait_for(lambda: bool(answers(app)), "an answer by the processor", LOAD_S)
    app.quit()

    again = start_app()
    again.screen.type("Does Hearth need the internet?")
    again.screen.key("Return")
    wait_for(lambda: len(answers(again)) == 2, "an answer after another start", LOAD_S)
    assert (failed_names(again), journal(again)["running"]) == (["Vulkan0"], [])
    again.quit()


@pytest.mark.usefixtures("software_card")
def test_a_card_that_takes_everything_down_is_not_tried_at_the_next_start(start_app: StartApp) -> None:
    app = start_app()
    deadline = time.monotonic() + LOAD_S
    while not any(each["kind"] == "device" for each in journal(app)["running"]):
        assert time.monotonic() < deadline, "the card was not tried"
        time.sleep(0.001)
    engine = app.engine()
    app.process.kill()  # first, or it would see to the rest
    if engine is not None and engine.is_running():
        engine.kill()
        psutil.wait_procs([engine], timeout=10)
    assert journal(app)["running"]

    again = start_app()
    wait_for(lambda: failed_names(again) == ["Vulkan0"], "the card in the journal")
    again.screen.type("Does Hearth need the internet?")
    again.screen.key("Return")
    wait_for(lambda: bool(answers(again)), "an answer by the processor", LOAD_S)
    again.quit()
