import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QTimer, Signal, qWarning
from pytestqt.qtbot import QtBot

from app import crash
from app.crash import CrashReporter, start_logging

SECRET = "what a person wrote"


@pytest.fixture
def reporter(qtbot: QtBot) -> Iterator[CrashReporter]:
    reporter = CrashReporter()
    reporter.install()
    yield reporter
    reporter.uninstall()


@pytest.fixture
def reports(reporter: CrashReporter) -> list[str]:
    """The reports so far; each must arrive on the main thread, where a window can be made."""
    arrived: list[str] = []

    def note(report: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        arrived.append(report)

    reporter.reported.connect(note)
    return arrived


def _fail() -> None:
    raise ValueError(SECRET)


def _fail_elsewhere() -> None:
    raise KeyError(SECRET)


@pytest.mark.logs_warnings
def test_one_report_for_each_kind_and_place(qtbot: QtBot, reports: list[str]) -> None:
    for _ in range(3):
        QTimer.singleShot(0, _fail)
    QTimer.singleShot(0, _fail_elsewhere)
    qtbot.waitUntil(lambda: len(reports) == 2)
    qtbot.wait(50)
    assert len(reports) == 2
    assert "ValueError" in reports[0]
    assert "test_crash.py" in reports[0]
    assert "in _fail" in reports[0]
    assert "KeyError" in reports[1]


@pytest.mark.logs_warnings
def test_an_exception_in_a_slot_is_reported_without_its_words(
    qtbot: QtBot, reports: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Sender(QObject):
        sent = Signal(str)

    def slot(text: str) -> None:
        raise RuntimeError(text)

    sender = Sender()
    sender.sent.connect(slot)
    sender.sent.emit(SECRET)
    qtbot.waitUntil(lambda: len(reports) == 1)
    assert "RuntimeError" in reports[0]
    assert SECRET not in reports[0]
    assert SECRET not in caplog.text


@pytest.mark.logs_warnings
def test_an_exception_in_a_thread_is_reported_on_the_main_thread(qtbot: QtBot, reports: list[str]) -> None:
    thread = threading.Thread(target=_fail)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: len(reports) == 1)
    assert "ValueError" in reports[0]


def test_the_hooks_go_back_to_their_owner(qtbot: QtBot) -> None:
    before = sys.excepthook, threading.excepthook
    reporter = CrashReporter()
    reporter.install()
    assert sys.excepthook != before[0]
    reporter.uninstall()
    assert (sys.excepthook, threading.excepthook) == before


@pytest.mark.logs_warnings
@pytest.mark.no_qt_log
def test_the_log_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash, "LOG_BYTES", 2_000)
    file = tmp_path / "logs" / "hearth.log"
    stop = start_logging(file)
    try:
        for number in range(400):
            logging.getLogger("test").warning("line %d", number)
        qWarning("from Qt")
    finally:
        stop()
    kept = sorted(path.name for path in file.parent.glob("hearth.log*"))
    assert kept == ["hearth.log", *(f"hearth.log.{number}" for number in range(1, crash.LOG_FILES + 1))]
    assert all(path.stat().st_size <= 2_000 for path in file.parent.glob("hearth.log*"))
    assert "from Qt" in file.read_text("utf-8")


def test_a_folder_that_cannot_be_written_means_no_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    start_logging(tmp_path / "file" / "hearth.log")()
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
