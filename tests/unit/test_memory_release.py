"""Giving back memory that is free but still counted as the window's."""

from __future__ import annotations

import linecache
from pathlib import Path

from pytestqt.qtbot import QtBot

from app.memory_release import MemoryRelease


def test_sources_read_by_imports_are_forgotten_once_the_window_rests(tmp_path: Path, qtbot: QtBot) -> None:
    source = tmp_path / "module.py"
    source.write_text("answer = 42\n")
    assert linecache.getline(str(source), 1) == "answer = 42\n"
    release = MemoryRelease()

    release.give_back_soon()

    assert str(source) in linecache.cache, "not while the work that was asked for may still go on"
    qtbot.waitUntil(lambda: str(source) not in linecache.cache, timeout=20_000)
