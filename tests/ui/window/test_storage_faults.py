"""No room, no right to write, locked, damaged, too new: said at once, nothing lost, and it goes on afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from app.core.errors import ErrorKind, UserError
from app.core.messages import MessageState
from app.services.store import Stores
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person
from tests.unit.storage.disks import fill_disk
from tests.unit.storage.locks import locked_by_another_process

SLOW = {"text": "word ", "repeat": 10_000, "tokens_per_second": 200}
Key = Qt.Key
pytestmark = pytest.mark.logs_warnings


@pytest.fixture
def database(open_window: OpenWindow) -> Path:
    """The database of a start before, with one chat."""
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    person.profile.shut_down()
    return person.profile.paths.database


def starts_with(open_window: OpenWindow, words: str) -> Person:
    """A start that ends in a card with these words; what is written and sent then stays in the box, and the card."""
    person = open_window(answers=[{"text": "an answer"}], wait=False)
    person.wait(lambda: words in person.card_text)
    person.send("hello")
    person.qtbot.wait(300)
    assert person.written == "hello"
    assert words in person.card_text
    return person


def pragma(person: Person, statement: str) -> None:
    """Set something on the connections of the running database."""

    def work(stores: Stores) -> None:
        with stores.database.reading() as session:
            session.connection().exec_driver_sql(statement)

    done: list[object] = []
    person.profile.store.run(work, done.append)
    person.wait(lambda: bool(done))


def pages(person: Person) -> int:
    return int(person.stored("PRAGMA page_count")[0][0])


def test_a_full_disk_keeps_the_text_and_try_again_sends_it(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    pragma(person, f"PRAGMA max_page_count = {pages(person)}")
    text = "x" * 60_000
    person.paste(text)
    person.press(Key.Key_Return)
    person.wait(lambda: "The disk is full" in person.card_text)
    person.qtbot.wait(600)  # drafts are written, which fails as well
    assert "The disk is full" in person.card_text
    assert person.written == text
    assert len(person.shown) == 2
    person.click("Try again")
    person.wait(lambda: "The disk is full" in person.card_text)
    assert person.written == text
    pragma(person, "PRAGMA max_page_count = 1000000")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert person.texts[2:] == [text, "an answer"]
    assert person.written == ""
    assert person.cards == []


def test_a_really_full_disk(small_disk: Path, open_window: OpenWindow, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(small_disk)
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    ballast = fill_disk(small_disk)
    person.paste("x" * 36_000)
    with person.qtbot.waitSignal(person.profile.chat.refused, timeout=20_000):  # a draft may fail before it
        person.press(Key.Key_Return)
    assert "The disk is full" in person.card_text
    assert len(person.written) == 36_000
    ballast.unlink()
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert len(person.shown) == 4


def test_a_full_disk_at_the_first_start(small_disk: Path, open_window: OpenWindow, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(small_disk)
    ballast = fill_disk(small_disk)
    person = starts_with(open_window, "The disk is full")
    ballast.unlink()
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert person.texts == ["hello", "an answer"]


def test_a_disk_that_becomes_read_only(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    pragma(person, "PRAGMA query_only = ON")
    person.send("second")
    person.wait(lambda: "cannot be written" in person.card_text)
    assert person.written == "second"
    pragma(person, "PRAGMA query_only = OFF")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert person.texts == ["first", "an answer", "second", "an answer"]


def test_a_read_only_folder_at_the_start(
    database: Path, read_only: Callable[[Path], None], open_window: OpenWindow
) -> None:
    read_only(database.parent)
    starts_with(open_window, "cannot be written")


def test_a_lock_keeps_the_text_and_try_again_sends_it(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    with locked_by_another_process(person.profile.paths.database):
        person.send("second")
        person.wait(lambda: "Another program holds your chats" in person.card_text)
        assert person.written == "second"
        assert len(person.shown) == 2
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert person.texts == ["first", "an answer", "second", "an answer"]
    assert person.written == ""


def test_a_lock_at_the_start(database: Path, open_window: OpenWindow) -> None:
    with locked_by_another_process(database):
        person = open_window(answers=[{"text": "an answer"}], wait=False)
        person.wait(lambda: "Another program holds your chats" in person.card_text)
    person.click("Try again")
    person.wait(lambda: person.chats == ["First"])
    assert person.cards == []
    person.say("second")
    assert person.texts == ["second", "an answer"]


def test_a_lock_at_the_start_that_goes_away_by_itself(database: Path, open_window: OpenWindow) -> None:
    with locked_by_another_process(database):
        person = open_window(answers=[{"text": "an answer"}], wait=False)
        person.wait(lambda: "Another program holds your chats" in person.card_text)
    person.say("second")
    person.wait(lambda: sorted(person.chats) == ["First", "Second"])
    assert person.cards == []


def test_a_lock_while_an_answer_streams_loses_nothing(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    with locked_by_another_process(person.profile.paths.database):
        person.wait(lambda: "Another program holds your chats" in person.card_text)
        person.press(Key.Key_Escape)
        person.wait(lambda: person.answer.state is MessageState.STOPPED)
    person.wait(lambda: "Everything is stored" in person.notice)
    assert person.cards == []
    (parts,) = person.stored("SELECT parts FROM messages WHERE state = 'stopped'")[0]
    assert person.answer.text in parts


def test_what_failed_is_what_try_again_does(open_window: OpenWindow) -> None:
    """Not the half-written message in the box is sent, but the answer is regenerated."""
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    person.box.setFocus()
    person.type("half a thought")
    person.qtbot.wait(500)
    pragma(person, "PRAGMA query_only = ON")
    person.press(Key.Key_R, CONTROL)
    person.wait(lambda: "cannot be written" in person.card_text)
    pragma(person, "PRAGMA query_only = OFF")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert person.texts == ["first", "an answer"]
    assert person.button("Earlier version").isEnabled()
    assert person.written == "half a thought"


def test_an_edit_that_cannot_be_stored_stays_in_its_editor(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    pragma(person, "PRAGMA query_only = ON")
    person.press(Key.Key_E, CONTROL)
    person.type(" changed")
    person.press(Key.Key_Return, CONTROL)
    person.wait(lambda: "cannot be written" in person.card_text)
    assert person.sees_button("Save")
    assert person.written == ""
    pragma(person, "PRAGMA query_only = OFF")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Try again")
    assert person.texts == ["first changed", "an answer"]


def test_a_title_that_cannot_be_stored_is_tried_again(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    person.wait(lambda: person.chats == ["First"])
    pragma(person, "PRAGMA query_only = ON")
    person.click_chat("First")
    person.chat_list.setFocus()
    person.press(Key.Key_F2)
    person.type("Better")
    person.press(Key.Key_Return)
    person.wait(lambda: "cannot be written" in person.card_text)
    pragma(person, "PRAGMA query_only = OFF")
    person.click("Try again")
    person.wait(lambda: person.chats == ["Better"])
    assert person.cards == []


def test_a_draft_that_could_not_be_stored_is_stored_later(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    pragma(person, "PRAGMA query_only = ON")
    person.box.setFocus()
    person.type("half a thought")
    person.wait(lambda: "cannot be written" in person.card_text)
    pragma(person, "PRAGMA query_only = OFF")
    person.click("Try again")
    person.wait(lambda: person.stored("SELECT draft FROM conversations") == [("half a thought",)])
    assert person.cards == []


def test_a_newer_database_is_refused_with_words(database: Path, open_window: OpenWindow) -> None:
    with closing(sqlite3.connect(database)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0417'")
        newer.execute("UPDATE meta SET value = '9.1.0' WHERE key = 'app_version'")
        newer.commit()
    person = starts_with(open_window, "newer Hearth")
    assert "9.1.0" in person.card_text


def test_a_damaged_database_is_set_aside_and_the_backup_comes_back(open_window: OpenWindow) -> None:
    first = open_window(answers=[{"text": "an answer"}])
    first.say("first")
    first.profile.store.back_up()
    first.wait(lambda: len(list(first.profile.paths.backups.glob("*"))) > 0)
    first.profile.shut_down()
    database = first.profile.paths.database
    data = bytearray(database.read_bytes())
    data[:4096] = bytes(4096)
    database.write_bytes(data)
    person = open_window(answers=[{"text": "an answer"}], wait=False)
    person.wait(lambda: "damaged" in person.card_text)
    assert "set aside" in person.card_text
    person.say("in between")  # work goes on in a new database
    person.window.chat_page.show_failure(UserError(ErrorKind.DISK_FULL, path="x"))
    person.click("Try again")  # another card takes the place of the offer, which comes back
    person.click("Restore the backup")
    person.wait(lambda: person.chats == ["First"])
    assert person.cards == []
    person.click_chat("First")
    person.wait(lambda: person.texts == ["first", "an answer"])
    person.say("second")
    assert len(person.shown) == 4
    aside = [entry.name for entry in database.parent.iterdir() if "broken" in entry.name]
    assert len(aside) >= 2, "the damaged file and the one in between are kept"


def test_a_backup_that_cannot_be_made_says_so_in_the_settings(
    small_disk: Path, open_window: OpenWindow, tmp_path: Path
) -> None:
    (tmp_path / "data").symlink_to(small_disk)
    person = open_window(answers=[{"text": "an answer"}])
    person.say("first")
    fill_disk(small_disk)
    person.press(Key.Key_Comma, CONTROL)
    person.click("Back up now")
    page = person.page("settings")
    person.wait(lambda: "The disk is full" in page._data._problem.text())
    assert person.button("Back up now").isEnabled()
