"""From an empty start to a chat with a downloaded model, over a real hub on loopback, a real engine and a real disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from app.core.downloads import DownloadState
from app.core.library import Owner
from app.hub.catalog_file import encode_catalog
from app.ui.models.page import TYPING_MS, ModelsPage, ModelsView
from app.ui.models.row_list import spoken_words
from app.ui.models.token_dialog import TokenDialog
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.catalog_json import catalog_json
from tests.fixtures.gguf_bytes import STRING, Array, gguf, llama_keys, llama_tensors
from tests.hub.conftest import hub
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person

__all__ = ["hub"]

REPO = "maker/Tiny-Chat-GGUF"
FILE = "tiny-chat-Q8_0.gguf"


@pytest.fixture
def model_bytes(tmp_path: Path) -> bytes:
    """A model that chats, with a header larger than what a verdict reads."""
    return tiny.write_endless_model(tmp_path / "source.gguf", context_length=2048).read_bytes()


@pytest.fixture
def served(hub: HubServer, model_bytes: bytes) -> HubServer:
    card = b"---\nlicense: mit\n---\n# Tiny chat\n\nA model that [talks](https://example.org/x).\n"
    facts: dict[str, Any] = {"downloads": 1234, "likes": 5}
    hub.add_repo(REPO, {FILE: model_bytes, "README.md": card}, **facts)
    hub.add_repo("other/Thing-GGUF", {"thing-Q4_K_M.gguf": model_bytes[:-1] + b"\1"}, downloads=7)
    return hub


def open_page(person: Person) -> ModelsPage:
    person.click("Models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    return page


def start(open_window: OpenWindow, hub: HubServer, **script: Any) -> Person:
    return open_window(settings={"hub.endpoint": hub.url}, **script)


def search(person: Person, page: ModelsPage, text: str) -> None:
    person.click("Search the hub", page)
    if not page.hub.consent_button.isHidden() and page.hub.consent_button.isVisible():
        QTest.mouseClick(page.hub.consent_button, Qt.MouseButton.LeftButton)
    page.search.setFocus()
    QTest.keyClicks(page.search, text)
    QTest.keyClick(page.search, Qt.Key.Key_Return)
    person.wait(lambda: bool(page.hub.list.rows))


def open_repository(person: Person, page: ModelsPage, repo: str) -> None:
    person.wait(lambda: any(row.key == repo for row in page.hub.list.rows))
    page.hub.list.choose(repo)
    QTest.keyClick(page.hub.list, Qt.Key.Key_Return)
    person.wait(lambda: page.hub.details.sheet is not None and page.hub.details.sheet.key == repo)


def test_from_the_empty_start_to_a_chat_with_a_downloaded_model(
    open_window: OpenWindow, served: HubServer, model_bytes: bytes
) -> None:
    person = start(open_window, served)
    page = open_page(person)
    assert page.current is ModelsView.RECOMMENDED
    assert served.requests == []  # nothing is sent before the person agrees
    search(person, page, "tiny")
    open_repository(person, page, REPO)
    details = page.hub.details
    person.wait(lambda: "Runs on" in details.verdict.text)
    header_requests = [request for request in served.requests if FILE in request.path]
    assert sum(1 for request in header_requests if request.method == "GET") <= 4  # two ranges, each redirected once

    served.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=len(model_bytes) // 3))
    served.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=len(model_bytes) // 3))
    QTest.mouseClick(details.main_button, Qt.MouseButton.LeftButton)
    downloads = person.profile.downloads
    person.wait(lambda: [each.state for each in downloads.downloads] == [DownloadState.DONE], 60_000)
    (done,) = downloads.downloads
    assert hashlib.sha256(Path(done.path).read_bytes()).digest() == hashlib.sha256(model_bytes).digest()
    person.wait(lambda: details.main_button.text() == "Chat now")

    QTest.mouseClick(details.main_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: person.profile.models.current_path == done.path and person.profile.models.info is not None)
    assert person.window.pages.current_name == "chat"
    person.say_and_wait_for_words("hello")
    person.press(Qt.Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)
    person.wait(lambda: any(model.path == done.path for model in person.profile.library.models))
    model = person.profile.library.model(done.path)
    assert model is not None
    assert model.owner is Owner.HEARTH


def test_a_repository_that_is_gone_says_so_and_the_list_stays(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    search(person, page, "gguf")
    person.wait(lambda: len(page.hub.list.rows) == 2)
    del served.repos["other/Thing-GGUF"]
    page.hub.list.choose("other/Thing-GGUF")
    QTest.keyClick(page.hub.list, Qt.Key.Key_Return)
    person.wait(lambda: person.notice != "")
    assert len(page.hub.list.rows) == 2


def test_a_hub_that_cannot_be_reached_is_told_with_a_way_to_try_again(
    open_window: OpenWindow, served: HubServer
) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    for _ in range(4):
        served.fail_next("/api/models*", Fault(FaultKind.STATUS, status=500))
    person.click("Search the hub", page)
    QTest.mouseClick(page.hub.consent_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: person.sees_button("Try again"), 40_000)
    assert page.hub.message
    served.faults.clear()
    person.click("Try again")
    person.wait(lambda: len(page.hub.list.rows) == 2)


def test_offline_nothing_is_asked_and_it_says_so(open_window: OpenWindow, served: HubServer) -> None:
    person = open_window(
        settings={"hub.endpoint": served.url, "hub.offline": True, "hub.search_allowed": True}, loads=[{}]
    )
    page = open_page(person)
    person.click("Search the hub", page)
    person.wait(lambda: "offline" in page.hub.message.lower() or "offline" in page.hub.details.verdict.text.lower())
    assert served.requests == []


def test_recommended_models_are_found_and_judged_without_asking_anybody(
    open_window: OpenWindow, served: HubServer
) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    person.wait(lambda: bool(page.recommended.list.rows))
    assert page.recommended.best.cards
    person.press(Qt.Key.Key_F, CONTROL)
    assert page.search.hasFocus()
    person.type("mixtral")
    person.wait(lambda: all("mixtral" in spoken_words(row).lower() for row in page.recommended.list.rows if row.key))
    page.recommended.list.choose_first()
    QTest.keyClick(page.recommended.list, Qt.Key.Key_Return)
    person.wait(lambda: page.recommended.sheet() is not None)
    sheet = page.recommended.sheet()
    assert sheet is not None
    assert "Mixtral" in sheet.name
    assert served.requests == []


def test_a_paused_download_goes_on_after_a_restart(
    open_window: OpenWindow, served: HubServer, model_bytes: bytes
) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    search(person, page, "tiny")
    open_repository(person, page, REPO)
    person.wait(lambda: "Runs on" in page.hub.details.verdict.text)  # else its request would have the fault
    served.fail_next("/files/*", Fault(FaultKind.SLOW_DRIP, bytes_per_second=20_000))
    person.wait(lambda: page.hub.details.main_button.text().startswith("Download"))
    QTest.mouseClick(page.hub.details.main_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: len(page.downloads.rows) == 1)
    (row,) = page.downloads.rows
    person.wait(lambda: row.button("Pause") is not None)
    pause = row.button("Pause")
    assert pause is not None
    QTest.mouseClick(pause, Qt.MouseButton.LeftButton)
    person.wait(lambda: row.button("Resume") is not None)
    person.wait(lambda: not person.profile.downloads._workers)
    person.window.close()
    person.profile.shut_down()
    served.faults.clear()

    again = start(open_window, served, loads=[{}])
    page = open_page(again)
    again.wait(lambda: len(page.downloads.rows) == 1)
    (row,) = page.downloads.rows
    resume = row.button("Resume")
    assert resume is not None
    QTest.mouseClick(resume, Qt.MouseButton.LeftButton)
    again.wait(lambda: row.button("Chat now") is not None, 60_000)
    (done,) = again.profile.downloads.downloads
    assert Path(done.path).read_bytes() == model_bytes


def test_the_models_of_another_program_are_offered_and_used(open_window: OpenWindow, tmp_path: Path) -> None:
    path = tmp_path / "home" / ".lmstudio" / "models" / "maker" / "Tiny-GGUF" / "tiny-Q8_0.gguf"
    path.parent.mkdir(parents=True)
    tiny.write_endless_model(path)
    person = open_window(loads=[{}])
    person.wait(lambda: "Other programs" in person.notice)
    person.click("On this computer", open_page(person))
    person.click("Look in other programs")
    person.wait(lambda: person.sees_button("Use them here"))
    assert "Other programs" not in person.notice  # it would go on offering what is decided here
    person.click("Not now")
    person.click("Look in other programs")
    person.wait(lambda: person.sees_button("Use them here"))
    person.click("Use them here")
    page = open_page(person)
    person.click("On this computer", page)
    person.wait(lambda: any(row.key == str(path) for row in page.library.list.rows))
    page.library.list.choose(str(path))
    QTest.keyClick(page.library.list, Qt.Key.Key_Return)
    person.wait(lambda: page.library.shown_path == str(path))
    assert page.library.button("Delete") is None
    assert page.library.button("Chat now") is not None


def test_a_file_that_is_no_model_says_what_it_is_before_the_download(open_window: OpenWindow, hub: HubServer) -> None:
    adapter = gguf({"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"})
    unknown = gguf({"general.architecture": "sdxl", "sdxl.block_count": 2, "sdxl.context_length": 77})
    hub.add_repo("maker/Adapter-GGUF", {"adapter-F16.gguf": adapter})
    hub.add_repo("maker/Painter-GGUF", {"painter-Q4_0.gguf": unknown})
    person = start(open_window, hub, loads=[{}])
    page = open_page(person)
    search(person, page, "maker")
    open_repository(person, page, "maker/Adapter-GGUF")
    person.wait(lambda: "LoRA adapter" in page.hub.details.verdict.text)
    open_repository(person, page, "maker/Painter-GGUF")
    person.wait(lambda: "cannot run models of this kind (sdxl)" in page.hub.details.verdict.text)


def test_a_missing_template_is_known_before_the_download(open_window: OpenWindow, hub: HubServer) -> None:
    """The end of the header is not read, but the hub knows."""
    keys = llama_keys(general__name="Tiny Vicuna chat")
    words = [b"word%d" % number for number in range(20_000)]
    for name in ("tokens", "scores", "token_type"):
        keys.pop(f"tokenizer.ggml.{name}")
    data = gguf({**keys, "tokenizer.ggml.tokens": Array(STRING, words)}, llama_tensors())
    facts: dict[str, Any] = {"gguf": {"total": 1_000, "architecture": "llama", "context_length": 512}}
    hub.add_repo("maker/Vicuna-1B-GGUF", {"vicuna-Q4_0.gguf": data}, **facts)
    person = start(open_window, hub, loads=[{}])
    page = open_page(person)
    search(person, page, "vicuna")
    person.wait(lambda: page.hub.list.rows[0].state == "Runs here")
    open_repository(person, page, "maker/Vicuna-1B-GGUF")
    person.wait(lambda: "carries no chat template" in page.hub.details.verdict.text)


def test_the_keyboard_goes_to_the_answers_after_the_person_agreed(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    person.click("Search the hub", page)
    page.hub.consent_button.setFocus()
    person.press(Qt.Key.Key_Space)
    person.wait(lambda: len(page.hub.list.rows) == 2)
    assert page.hub.list.hasFocus()
    person.press(Qt.Key.Key_Return)
    person.wait(lambda: page.hub.details.sheet is not None)


def test_somebody_who_knows_nothing_of_models_presses_one_button(
    open_window: OpenWindow, hub: HubServer, model_bytes: bytes, tmp_path: Path
) -> None:
    """The first card of the first view: download, then chat."""
    commit = hub.add_repo(REPO, {FILE: model_bytes})
    catalog = catalog_json(updated="2100-01-01")
    catalog["models"][1] |= {"name": "Tiny Chat", "parameters": 5_000_000}
    digest = hashlib.sha256(model_bytes).hexdigest()
    catalog["models"][1]["files"] = [
        {"repo": REPO, "path": FILE, "quantization": "Q8_0", "size_bytes": len(model_bytes), "sha256": digest,
         "commit": commit}
    ]  # fmt: skip
    data = encode_catalog(catalog)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "catalog.json").write_bytes(data)
    kept = {"catalog.url": f"{hub.url}/catalog.json", "catalog.sha256": hashlib.sha256(data).hexdigest()}
    person = open_window(settings={"hub.endpoint": hub.url, **kept})
    page = open_page(person)
    person.wait(lambda: bool(page.recommended.best.cards))
    (card,) = page.recommended.best.cards
    assert card.main_button.text().startswith("Download (")
    hub.fail_next("/files/*", Fault(FaultKind.SLOW_DRIP, bytes_per_second=len(model_bytes)))
    QTest.mouseClick(card.main_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: "/s" in card.status or "Checking" in card.status or card.main_button.text() == "Chat now")
    person.wait(lambda: card.main_button.isVisible() and card.main_button.text() == "Chat now", 60_000)
    person.wait(lambda: bool(person.profile.library.models))
    person.click("Clear the finished ones", page)
    person.wait(lambda: not page.downloads.rows)
    assert card.main_button.text() == "Chat now"
    QTest.mouseClick(card.main_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: person.window.pages.current_name == "chat")
    person.wait(lambda: person.profile.models.info is not None and not person.profile.models.is_builtin)
    person.say_and_wait_for_words("hello")
    person.press(Qt.Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)


def test_a_catalogue_that_is_refused_is_told(open_window: OpenWindow, hub: HubServer) -> None:
    hub.add_repo("maker/list", {"catalog.json": encode_catalog(catalog_json(updated="2100-01-01"))})
    other = {"catalog.url": f"{hub.url}/maker/list/resolve/main/catalog.json", "catalog.sha256": "0" * 64}
    person = open_window(settings={"hub.endpoint": hub.url, **other}, loads=[{}])
    page = open_page(person)
    person.wait(lambda: "recommended models could not be fetched" in person.notice)
    person.wait(lambda: bool(page.recommended.list.rows))  # those that came with Hearth


def test_the_empty_chat_leads_to_the_models(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    person.click("Find a model")
    assert person.window.pages.current_name == "models"


def test_the_menu_of_models_leads_to_more(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    person.choose_model("More models…")
    assert person.window.pages.current_name == "models"


def test_a_gated_model_is_let_in_by_a_token_and_judged_then(
    open_window: OpenWindow, hub: HubServer, model_bytes: bytes
) -> None:
    hub.add_repo("maker/Gated-GGUF", {"gated-Q8_0.gguf": model_bytes}, gated="auto")
    hub.tokens["hf_right"] = {"maker/Gated-GGUF"}
    person = start(open_window, hub, loads=[{}])
    page = open_page(person)
    search(person, page, "gated")
    open_repository(person, page, "maker/Gated-GGUF")
    person.wait(lambda: "accept" in page.hub.details.verdict.text)
    person.click("How to get it…", page)
    dialog = person.window.findChildren(TokenDialog)[0]
    assert dialog.windowTitle() == "Access to maker/Gated-GGUF"
    field = dialog.findChildren(QLineEdit)[0]
    QTest.keyClicks(field, "hf_right")
    QTest.keyClick(field, Qt.Key.Key_Return)
    person.wait(lambda: "Accepted" in dialog.status)
    person.wait(lambda: "Runs on" in page.hub.details.verdict.text)


def test_going_online_asks_what_could_not_be_asked(open_window: OpenWindow, served: HubServer) -> None:
    person = open_window(
        settings={"hub.endpoint": served.url, "hub.offline": True, "hub.search_allowed": True}, loads=[{}]
    )
    page = open_page(person)
    person.click("Search the hub", page)
    person.wait(lambda: person.sees_button("Go online"))
    person.click("Go online")
    person.wait(lambda: len(page.hub.list.rows) == 2)


def test_after_a_pause_that_the_hub_asked_for_it_is_asked_again(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    for _ in range(8):
        served.fail_next("/api/models", Fault(FaultKind.STATUS, status=429, headers={"Retry-After": "1"}))
    person.click("Search the hub", page)
    QTest.mouseClick(page.hub.consent_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: page.hub.message == "The hub asks for a pause", 40_000)
    served.faults.clear()
    person.wait(lambda: len(page.hub.list.rows) == 2)


def test_one_look_at_the_hub_is_one_request(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    search(person, page, "tiny")
    asked = len(served.seen("hub", containing="/api/models"))
    page.show_view(ModelsView.LIBRARY)
    page.show_view(ModelsView.HUB)
    QTest.qWait(2 * TYPING_MS)
    assert len(served.seen("hub", containing="/api/models")) == asked


def test_details_are_not_awaited_any_more_once_something_else_is_asked(
    open_window: OpenWindow, served: HubServer
) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    search(person, page, "gguf")
    opened: list[object] = []
    person.profile.hub.opened.connect(opened.append)
    page.hub.list.choose(REPO)
    QTest.keyClick(page.hub.list, Qt.Key.Key_Return)
    page.hub.set_search("thing")
    person.wait(lambda: [row.key for row in page.hub.list.rows] == ["other/Thing-GGUF"])
    QTest.qWait(500)
    assert opened == []


def test_a_walk_down_the_list_asks_the_hub_only_where_it_ends(open_window: OpenWindow, hub: HubServer) -> None:
    person = open_window(settings={"hub.endpoint": hub.url, "hub.search_allowed": True}, loads=[{}])
    person.window.resize(1500, 800)  # wide enough for the details beside the list
    page = open_page(person)
    person.wait(lambda: bool(page.recommended.list.rows))

    def asked_of() -> set[str]:
        return {request.path.split("/resolve/")[0] for request in hub.seen("hub", containing="/resolve/")}

    person.wait(lambda: len(asked_of()) == 1)  # about the first one, which is shown without a wish
    for key in [row.key for row in page.recommended.list.rows if row.key][:12]:
        page.recommended.list.choose(key)
    choice = page.recommended.details.choice
    assert choice is not None
    assert choice.parts
    person.wait(lambda: f"/{choice.repo}" in asked_of())
    assert len(asked_of()) == 2


def test_words_that_nobody_typed_go_with_the_view(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    person.wait(lambda: bool(page.recommended.list.rows))
    page.search.setText("qwen")
    page.search_hub("maker/Tiny-Chat-GGUF")
    assert page.search.text() == "maker/Tiny-Chat-GGUF"
    page.show_view(ModelsView.RECOMMENDED)
    assert page.search.text() == "qwen"
    assert page.recommended.list.rows


def test_a_download_whose_file_is_gone_can_be_downloaded_again(open_window: OpenWindow, served: HubServer) -> None:
    person = start(open_window, served, loads=[{}])
    page = open_page(person)
    search(person, page, "tiny")
    open_repository(person, page, REPO)
    person.wait(lambda: page.hub.details.main_button.text().startswith("Download"))
    QTest.mouseClick(page.hub.details.main_button, Qt.MouseButton.LeftButton)
    person.wait(lambda: page.hub.details.main_button.text() == "Chat now", 60_000)
    (done,) = person.profile.downloads.downloads
    person.wait(lambda: person.profile.library.model(done.path) is not None)
    Path(done.path).unlink()
    person.profile.library.scan()
    person.wait(lambda: page.hub.details.main_button.text().startswith("Download ("))
