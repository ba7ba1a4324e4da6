"""Copies among models that no program has a hash of are found by themselves, over a real profile and real files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.library import FoundFile, Owner
from app.services import copy_survey
from app.services.profile import Profile
from tests.fixtures import tiny_gguf as tiny
from tests.services.conftest import WAIT_MS, StartProfile
from tests.services.test_quiet_reading import is_open

LARGE_BYTES = 256 * 1024 * 1024


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("START_DELAY_MS", "LOOK_MS", "TELL_MS"):
        monkeypatch.setattr(copy_survey, name, 20)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where other programs keep their models."""
    return tmp_path / "home"


def model_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tiny.write_model(path, tiny.bpe_vocabulary(), template=tiny.CHATML)


def copy_of(path: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(path, target))


def other_content(path: Path, place: int = -1) -> None:
    """Change a byte, and nothing that a look without reading could tell."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def adopt_all(qtbot: QtBot, profile: Profile) -> list[FoundFile]:
    with qtbot.waitSignal(profile.library.found_elsewhere, timeout=WAIT_MS) as caught:
        profile.library.look_elsewhere(again=True)
    assert caught.args is not None
    found = list(caught.args[0])
    profile.library.adopt(found)
    return found


def hashes(profile: Profile) -> dict[str, str]:
    return {model.path: model.sha256 for model in profile.library.models}


def copies(profile: Profile) -> dict[str, set[str]]:
    return {model.path: set(model.same_as) for model in profile.library.models}


def states(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """What lies in a folder, and how."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        content = digest(path) if path.is_file() else ""
        found[str(path)] = status.st_mode, status.st_ino, status.st_mtime_ns, content
    return found


def test_copies_that_programs_keep_are_told_without_being_asked(
    qtbot: QtBot, start_profile: StartProfile, home: Path
) -> None:
    first = model_file(home / ".lmstudio" / "models" / "acme" / "Tiny-GGUF" / "tiny-Q4_0.gguf")
    same = {
        copy_of(first, home / ".cache" / "gpt4all" / "tiny.gguf"),
        copy_of(first, home / ".cache" / "llama.cpp" / "acme_Tiny-GGUF_tiny-Q4_0.gguf"),
        copy_of(first, home / "text-generation-webui" / "user_data" / "models" / "tiny.gguf"),
    }
    (home / "text-generation-webui" / "server.py").write_text("")
    as_large = copy_of(first, home / ".cache" / "gpt4all" / "as-large.gguf")
    other_content(as_large)
    longer = copy_of(first, home / ".cache" / "gpt4all" / "longer.gguf")
    with longer.open("ab") as file:
        file.write(b"1")
    before = states(home)

    profile = start_profile()
    with qtbot.waitSignal(profile.copies.ended, timeout=WAIT_MS):
        found = adopt_all(qtbot, profile)
    assert {each.owner for each in found} == {
        Owner.LM_STUDIO,
        Owner.GPT4ALL,
        Owner.LLAMA_CPP,
        Owner.TEXT_GENERATION_WEBUI,
    }
    everyone = {str(path) for path in (first, *same)}
    expected = {path: everyone - {path} for path in everyone} | {str(as_large): set(), str(longer): set()}
    qtbot.waitUntil(lambda: copies(profile) == expected, timeout=WAIT_MS)
    assert hashes(profile) == {path: digest(Path(path)) for path in expected} | {str(longer): ""}
    assert states(home) == before


def test_no_file_is_read_twice_while_it_is_the_same(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None], home: Path
) -> None:
    first = model_file(home / ".cache" / "gpt4all" / "a.gguf")
    second = copy_of(first, home / ".cache" / "llama.cpp" / "b.gguf")
    sha256 = digest(first)
    profile = start_profile()
    with qtbot.waitSignal(profile.copies.ended, timeout=WAIT_MS):
        adopt_all(qtbot, profile)
    qtbot.waitUntil(lambda: set(hashes(profile).values()) == {sha256}, timeout=WAIT_MS)
    end_profile(profile)

    other_content(second)
    profile = start_profile()
    ended: list[bool] = []
    profile.copies.ended.connect(lambda: ended.append(True))
    with qtbot.waitSignal(profile.library.scanned, timeout=WAIT_MS):
        profile.library.scan()
    qtbot.wait(300)
    assert not ended, "it was looked for copies although all is known"
    assert hashes(profile) == {str(first): sha256, str(second): sha256}

    os.utime(second, ns=(1, 10**18))  # now it can be seen that it has changed
    with qtbot.waitSignal(profile.copies.ended, timeout=WAIT_MS):
        profile.library.scan()
    expected = {str(first): sha256, str(second): digest(second)}
    qtbot.waitUntil(lambda: hashes(profile) == expected, timeout=WAIT_MS)
    assert copies(profile) == {str(first): set(), str(second): set()}


def test_nothing_is_read_while_a_model_answers(qtbot: QtBot, start_profile: StartProfile, home: Path) -> None:
    copy_of(model_file(home / ".cache" / "gpt4all" / "a.gguf"), home / ".cache" / "llama.cpp" / "b.gguf")
    profile = start_profile(answers=[{"text": "word ", "repeat": 30, "tokens_per_second": 20}])
    known: list[set[str]] = []
    profile.chat.answers.ended.connect(lambda *_: known.append(set(hashes(profile).values())))
    profile.chat.send("hello")
    qtbot.waitUntil(lambda: profile.engine.is_busy, timeout=WAIT_MS)
    with qtbot.waitSignal(profile.copies.ended, timeout=WAIT_MS):
        adopt_all(qtbot, profile)
    assert known == [{""}], "it began before the answer was there"
    qtbot.waitUntil(lambda: all(copies(profile).values()), timeout=WAIT_MS)


def test_a_file_that_is_being_moved_is_let_go(qtbot: QtBot, start_profile: StartProfile, tmp_path: Path) -> None:
    first = model_file(tmp_path / "models" / "a.gguf")
    second = copy_of(first, tmp_path / "models" / "b.gguf")
    for each in (first, second):
        os.truncate(each, LARGE_BYTES)  # takes so long that there is time to act in the middle of it
    profile = start_profile(answers=[{"text": "word ", "repeat": 60, "tokens_per_second": 20}])
    failures: list[object] = []
    profile.library.failed.connect(failures.append)
    profile.library.add_folder(str(tmp_path / "models"))
    qtbot.waitUntil(lambda: is_open(first) or is_open(second), timeout=WAIT_MS)
    profile.chat.send("hello")  # it stands still
    qtbot.wait(100)
    path, other = (first, second) if is_open(first) else (second, first)
    assert is_open(path)
    profile.library.move(str(path), str(tmp_path / "there"))
    qtbot.waitUntil(lambda: not is_open(path) and not is_open(tmp_path / "there" / path.name), timeout=WAIT_MS)
    assert profile.engine.is_busy, "it was not let go before the answer ended"
    expected = {str(tmp_path / "there" / path.name): {str(other)}, str(other): {str(tmp_path / "there" / path.name)}}
    qtbot.waitUntil(lambda: copies(profile) == expected, timeout=WAIT_MS)
    assert not failures
