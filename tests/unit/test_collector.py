import gc
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from app.collector import MainThreadCollector


class Knot(QObject):
    """Refers to itself, so that only a collection can end it."""

    def __init__(self) -> None:
        super().__init__()
        self.own = self


@pytest.fixture
def collector(qtbot: QtBot) -> Iterator[MainThreadCollector]:
    collector = MainThreadCollector()
    collector.start()
    yield collector
    collector.stop()
    gc.disable()  # as for every test: tests/conftest.py


def allocate_much() -> None:
    """Enough for many automatic collections."""
    kept = [[number] for number in range(200_000)]
    del kept


def test_an_allocation_storm_on_a_thread_ends_nothing_there(qtbot: QtBot, collector: MainThreadCollector) -> None:
    ended_on: list[threading.Thread] = []
    gone = weakref.ref(Knot(), lambda _: ended_on.append(threading.current_thread()))
    thread = threading.Thread(target=allocate_much)
    thread.start()
    thread.join()
    assert gone() is not None
    for _ in range(1_000):  # garbage enough for a collection of the youngest
        Knot()
    qtbot.waitUntil(lambda: gone() is None, timeout=10_000)
    assert ended_on == [threading.main_thread()]


def test_a_generation_without_a_limit_is_not_collected_all_the_time(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    monkeypatch.setattr(gc, "get_count", lambda: (10, 10, 10))
    monkeypatch.setattr(gc, "get_threshold", lambda: (2_000, 5, 0))  # as in Python 3.14.0
    monkeypatch.setattr(gc, "collect", collected.append)
    MainThreadCollector()._collect()
    assert collected == [1]


def test_it_gives_back_what_it_took(qtbot: QtBot) -> None:
    gc.enable()
    collector = MainThreadCollector()
    collector.start()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    collector.stop()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    gc.disable()


def test_void_calls_of_qt_keep_the_reference_count_of_none(qtbot: QtBot) -> None:
    """PySide6 6.12.0 on Python before 3.12 loses one with each, and dies after some thousands."""
    label = QLabel()
    qtbot.addWidget(label)
    before = sys.getrefcount(None)
    for _ in range(10_000):
        label.setText("x")
        label.setEnabled(True)
    assert sys.getrefcount(None) > before - 1_000
