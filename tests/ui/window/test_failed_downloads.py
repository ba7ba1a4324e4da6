"""Downloads that cannot go on, each with the button that helps: over a real hub on loopback and a real disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QFileDialog, QLineEdit, QMessageBox

from app.core.downloads import Download, DownloadFile, DownloadState
from app.core.errors import ErrorKind
from app.ui.models.download_row import DownloadRow
from app.ui.models.page import ModelsPage, ModelsView
from app.ui.models.token_dialog import TokenDialog
from tests.hub.conftest import hub
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import Person

__all__ = ["hub"]

REPO, FILE, TOKEN = "maker/Gated-GGUF", "gated-Q4_K_M.gguf", "hf_friend"
CONTENT = bytes(range(256)) * 4096


def offer(hub: HubServer, *, gated: bool = False) -> DownloadFile:
    commit = hub.add_repo(REPO, {FILE: CONTENT}, gated="manual" if gated else False)
    return DownloadFile(REPO, FILE, commit, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def start(open_window: OpenWindow, hub: HubServer, file: DownloadFile, **settings: object) -> tuple[Person, ModelsPage]:
    """The models page, with one download begun."""
    person = open_window(settings={"hub.endpoint": hub.url, **settings}, loads=[{}])
    person.click("Models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    person.profile.downloads.add([file], "Gated", quantization="Q4_K_M")
    person.wait(lambda: len(page.downloads.rows) == 1)
    return person, page


def row_of(page: ModelsPage) -> DownloadRow:
    (row,) = page.downloads.rows
    return row


def the_download(person: Person) -> Download:
    (download,) = person.profile.downloads.downloads
    return download


def press(person: Person, page: ModelsPage, words: str) -> None:
    """Press a button of the row with the keyboard, once it is there."""
    person.wait(lambda: row_of(page).button(words) is not None)
    button = row_of(page).button(words)
    assert button is not None
    assert button.isVisible()
    button.setFocus()
    QTest.keyClick(button, Qt.Key.Key_Space)


def enter_token(person: Person, token: str) -> TokenDialog:
    """Type a token into the dialog that asks for one."""
    person.wait(lambda: bool(person.window.findChildren(TokenDialog)))
    (dialog,) = person.window.findChildren(TokenDialog)
    field = dialog.findChild(QLineEdit)
    assert field is not None
    QTest.keyClicks(field, token)
    QTest.keyClick(field, Qt.Key.Key_Return)
    return dialog


def wait_until_complete(person: Person) -> None:
    person.wait(lambda: the_download(person).state is DownloadState.DONE, 60_000)
    assert Path(the_download(person).path).read_bytes() == CONTENT


def failed_with(person: Person, kind: ErrorKind) -> bool:
    download = the_download(person)
    return download.state is DownloadState.FAILED and download.error is not None and download.error.kind is kind


def test_a_token_is_asked_for_and_then_it_goes_on_by_itself(open_window: OpenWindow, hub: HubServer) -> None:
    hub.tokens[TOKEN] = {REPO}
    person, page = start(open_window, hub, offer(hub, gated=True))
    person.wait(lambda: failed_with(person, ErrorKind.GATED))
    assert "accept its terms" in row_of(page).status
    press(person, page, "Enter a token…")
    dialog = enter_token(person, "hf_mistyped")
    person.wait(lambda: "does not know this token" in dialog.status)
    assert failed_with(person, ErrorKind.GATED)
    enter_token(person, TOKEN)
    wait_until_complete(person)
    assert row_of(page).button("Enter a token…") is None
    assert row_of(page).button("Chat now") is not None


def test_terms_that_are_not_accepted_lead_to_the_page_of_the_model(
    open_window: OpenWindow, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    hub.tokens[TOKEN] = set()
    person, page = start(open_window, hub, offer(hub, gated=True))
    press(person, page, "Enter a token…")
    enter_token(person, TOKEN)
    person.wait(lambda: "does not let you in yet" in row_of(page).status)
    press(person, page, "Open its page")
    person.wait(lambda: bool(person.window.findChildren(QMessageBox)))
    (box,) = person.window.findChildren(QMessageBox)
    box.button(QMessageBox.StandardButton.Open).click()
    assert opened == [f"{hub.url}/{REPO}"]
    person.wait(lambda: not person.window.findChildren(QMessageBox))  # it does not stay, hidden, for ever
    hub.tokens[TOKEN].add(REPO)  # the author lets the person in
    press(person, page, "Try again")
    wait_until_complete(person)


def test_offline_it_waits_and_one_press_goes_online(open_window: OpenWindow, hub: HubServer) -> None:
    person, page = start(open_window, hub, offer(hub), **{"hub.offline": True})
    person.wait(lambda: "stay offline" in row_of(page).status)
    assert hub.requests == []
    press(person, page, "Go online")
    wait_until_complete(person)
    assert person.profile.settings.value("hub.offline") is False


def test_a_full_disk_leads_to_another_folder(
    open_window: OpenWindow, hub: HubServer, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, page = start(open_window, hub, offer(hub), **{"downloads.folder": str(small_disk)})
    person.wait(lambda: failed_with(person, ErrorKind.DISK_SPACE))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "other"))
    press(person, page, "Choose another folder…")
    wait_until_complete(person)
    assert the_download(person).path == str(tmp_path / "other" / FILE)


def test_a_full_disk_leads_to_what_takes_room(open_window: OpenWindow, hub: HubServer, small_disk: Path) -> None:
    person, page = start(open_window, hub, offer(hub), **{"downloads.folder": str(small_disk)})
    press(person, page, "Make room…")
    assert page.current is ModelsView.LIBRARY
    assert any(box.isVisible() and box.currentText() == "Largest first" for box in page.library.findChildren(QComboBox))
    assert row_of(page).button("Try again") is not None


def test_a_damaged_download_can_be_tried_again(open_window: OpenWindow, hub: HubServer) -> None:
    file = offer(hub)
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_BYTE, at_byte=1000), times=50)
    person, page = start(open_window, hub, file)
    person.wait(lambda: failed_with(person, ErrorKind.HASH_MISMATCH), 60_000)
    hub.faults.clear()
    press(person, page, "Try again")
    wait_until_complete(person)


def test_a_file_that_is_gone_can_be_looked_for(open_window: OpenWindow, hub: HubServer) -> None:
    file = offer(hub)
    del hub.repos[REPO]
    person, page = start(open_window, hub, file)
    person.wait(lambda: failed_with(person, ErrorKind.NOT_ON_HUB))
    offer(hub)
    press(person, page, "Try again")
    person.wait(lambda: the_download(person).state in (DownloadState.DONE, DownloadState.FAILED))
