"""A person sits down and chats: real keys and clicks on a real window, checked in the database and on the screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import StartApp
from tests.e2e.running_app import ROOT
from tests.e2e.screen import is_dark, wait_for


def test_the_first_start_ends_in_a_chat(start_app: StartApp) -> None:
    app = start_app()
    app.screen.type("does hearth need the internet?")
    app.screen.key("Return")
    messages = app.wait_for_answers(1)
    assert messages[0] == ("user", "complete", "does hearth need the internet?")
    assert len(messages[1][2]) > 10
    wait_for(lambda: app.title.startswith("Does hearth need the internet?"), "the title")
    app.quit()


def test_shift_enter_makes_a_line_and_a_click_sends(start_app: StartApp) -> None:
    app = start_app()
    app.screen.type("hello")
    app.screen.key("shift+Return")
    app.screen.type("how are you?")
    app.screen.key("Tab")  # from the box to the Send button
    app.screen.key("space")
    assert app.wait_for_answers(1)[0] == ("user", "complete", "hello\nhow are you?")
    app.quit()


def test_everything_comes_back_at_the_next_start(start_app: StartApp) -> None:
    app = start_app(size_px=(900, 640))
    app.screen.type("hello")
    app.screen.key("Return")
    app.wait_for_answers(1)
    app.screen.type("an unsent thought")
    wait_for(lambda: app.query("SELECT 1 FROM conversations WHERE draft = 'an unsent thought'"), "the draft")
    app.quit()

    again = start_app(size_px=(900, 640))
    wait_for(lambda: again.title.startswith("Hello"), "the last conversation")
    again.screen.key("ctrl+a")
    again.screen.key("Return")  # what is sent is the draft
    messages = again.wait_for_answers(2)
    assert messages[2] == ("user", "complete", "an unsent thought")
    again.quit()


def test_chats_are_made_renamed_trashed_and_brought_back(start_app: StartApp) -> None:
    app = start_app()
    for text in ("hello", "thanks"):
        app.screen.key("ctrl+n")
        app.screen.type(text)
        app.screen.key("Return")
        wait_for(lambda text=text: app.title.lower().startswith(text), "the title")
    app.wait_for_answers(2)
    app.screen.key("F6", "F2")  # the list, then rename
    app.screen.key("ctrl+a")
    app.screen.type("My second chat")
    app.screen.key("Return")
    wait_for(lambda: app.query("SELECT 1 FROM conversations WHERE title = 'My second chat'"), "the new title")
    app.screen.key("Delete")
    trashed = "SELECT 1 FROM conversations WHERE title = 'My second chat' AND deleted_at IS NOT NULL"
    wait_for(lambda: app.query(trashed), "the chat in the trash")
    app.screen.key("ctrl+z")  # the list still has the focus
    wait_for(lambda: not app.query(trashed), "the chat back from the trash")
    app.quit()


def test_regenerating_keeps_both_answers(start_app: StartApp) -> None:
    app = start_app()
    app.screen.type("hello")
    app.screen.key("Return")
    app.wait_for_answers(1)
    app.screen.key("ctrl+r")
    messages = app.wait_for_answers(2)
    assert [role for role, _, _ in messages] == ["user", "assistant", "assistant"]
    parents = app.query("SELECT DISTINCT parent_id FROM messages WHERE role = 'assistant'")
    assert len(parents) == 1
    leaf = "SELECT active_leaf_id FROM conversations"
    before = app.query(leaf)
    app.screen.key("alt+Left")
    wait_for(lambda: app.query(leaf) != before, "the earlier version")
    app.quit()


def test_editing_branches(start_app: StartApp) -> None:
    app = start_app()
    app.screen.type("hello")
    app.screen.key("Return")
    app.wait_for_answers(1)
    app.screen.key("ctrl+e", "ctrl+a")
    app.screen.type("thank you")
    app.screen.key("ctrl+Return")
    messages = app.wait_for_answers(2)
    assert [text for role, _, text in messages if role == "user"] == ["hello", "thank you"]
    assert len(app.query("SELECT 1 FROM messages WHERE parent_id IS NULL")) == 2
    app.quit()


def test_the_dark_theme_darkens_the_window(start_app: StartApp, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "settings.json").write_text('{"appearance.theme": "dark"}', "utf-8")
    app = start_app()
    wait_for(lambda: is_dark(app.screen.picture()), "a dark window")
    app.quit()


def test_a_second_start_raises_the_first_window_and_hands_over_its_file(start_app: StartApp, tmp_path: Path) -> None:
    app = start_app()
    command = [sys.executable, "-m", "app", "--data-dir", str(app.data)]
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model at all")
    before = app.screen.picture()
    done = subprocess.run([*command, str(broken)], cwd=ROOT, env=app.screen.environment, timeout=30, check=False)
    assert done.returncode == 0
    wait_for(lambda: app.screen.picture() != before, "the card about the file")
    assert app.process.poll() is None
    app.quit()


def test_every_page_opens_by_its_key(start_app: StartApp) -> None:
    app = start_app()
    seen = [app.screen.picture()]
    for key in ("ctrl+2", "ctrl+comma", "F1", "ctrl+1"):
        app.screen.key(key)
        wait_for(lambda: app.screen.picture() != seen[-1], f"another page after {key}")
        seen.append(app.screen.picture())
    app.quit()
