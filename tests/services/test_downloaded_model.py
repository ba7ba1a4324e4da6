"""A download in a whole profile: it ends in the library."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.downloads import DownloadFile
from app.services.profile import Profile
from tests.fixtures import tiny_gguf as tiny
from tests.hub.hub_server import HubServer

WAIT_MS = 20_000


def test_a_download_is_in_the_library_with_its_origin(
    build: Callable[..., Profile], qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source.gguf"
    tiny.write_model(source, tiny.spm_vocabulary())
    with HubServer() as hub:
        commit = hub.add_repo("maker/tiny", {"tiny.gguf": source})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        profile = build(loads=[{}])
        profile.store.open()
        elsewhere = tmp_path / "drive"  # not a folder that is watched
        profile.downloads.add([DownloadFile("maker/tiny", "tiny.gguf")], "Tiny", folder=elsewhere)
        path = str(elsewhere / "tiny.gguf")
        qtbot.waitUntil(lambda: profile.library.model(path) is not None, timeout=WAIT_MS)
        with qtbot.waitSignal(profile.library.scanned, timeout=WAIT_MS):
            profile.library.scan()
        profile.downloads.shut_down()
    model = profile.library.model(path)
    assert model is not None
    assert (model.repo, model.commit) == ("maker/tiny", commit)
    assert model.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
