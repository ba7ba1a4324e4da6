"""Logs and crash reports: everything stays on this machine, and no log holds text of conversations."""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler, qVersion

from app import __version__

log = logging.getLogger(__name__)
LOG_BYTES = 1_000_000
LOG_FILES = 4
_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


class CrashReporter(QObject):
    """Catches what nobody caught, logs it, and emits one report per kind of crash, on the main thread."""

    reported = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._hooks_before = sys.excepthook, threading.excepthook

    def install(self) -> None:
        """Take over the hooks of the interpreter and of its threads."""
        self._hooks_before = sys.excepthook, threading.excepthook
        sys.excepthook = self.report
        threading.excepthook = self._on_thread_error

    def uninstall(self) -> None:
        """Give the hooks back to whoever had them."""
        sys.excepthook, threading.excepthook = self._hooks_before

    def report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log an exception, and tell about it once for each place it comes from."""
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        key = _place(kind, trace)
        log.critical("unexpected error at %s", key)
        with self._lock:
            if key in self._seen:
                return
            self._seen.add(key)
        text = _report_text(kind, error, trace)
        log.critical("%s", text)
        self.reported.emit(text)

    def _on_thread_error(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self.report(args.exc_type, args.exc_value, args.exc_traceback)


def start_logging(file: Path) -> Callable[[], None]:
    """Log to a rotating file, Qt's messages too, and let hard crashes leave their stack beside it.

    Returns a function that ends it. A folder that cannot be written means no log, not an error.
    """
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    handlers: list[logging.Handler] = []
    fatal: TextIO | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(
            file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", errors="replace"
        )
        rotating.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(rotating)
        fatal = file.with_suffix(".fatal.log").open("a", encoding="utf-8")
        faulthandler.enable(fatal)
    except OSError:
        pass
    for handler in handlers:
        root.addHandler(handler)
    qInstallMessageHandler(_on_qt_message)

    def stop() -> None:
        qInstallMessageHandler(None)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        if fatal is not None:
            faulthandler.disable()
            fatal.close()

    return stop


def _on_qt_message(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    logging.getLogger("qt").log(_LEVELS.get(kind, logging.WARNING), "%s", message)


def _place(kind: type[BaseException], trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{kind.__name__} {where}"


def _report_text(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> str:
    """What a developer needs. The message of the error is left out: it could quote a conversation."""
    frames = traceback.extract_tb(trace)
    lines = [f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n".join(
        [
            f"Hearth {__version__}, Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}",
            f"{kind.__name__} ({type(error).__module__})",
            *lines,
        ]
    )
