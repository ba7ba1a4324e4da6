"""Starts the application in this process and says when it was ready: the child of `startup.py`.

Arguments: the monotonic time at which the process was started, how many messages to wait for, and the
application's own.
Prints one line of JSON, then quits.
"""

import json
import sys
import time
from typing import Any

SETTLE_MS = 2_500


class Probe:
    """Looks once in each turn of the event loop; from the first turn after which typing works, it is interactive."""

    def __init__(self, window: Any, started: float, messages: int) -> None:
        from PySide6.QtCore import QTimer

        self._window = window
        self._started = started
        self._messages = messages
        self._was_ready = False
        self._figures: dict[str, float] = {}
        self._turns = QTimer(window)
        self._turns.timeout.connect(self._on_turn)
        self._turns.start(0)

    def _on_turn(self) -> None:
        if self._was_ready and not self._figures:
            self._figures["wall_ms"] = (time.monotonic() - self._started) * 1000
            self._figures["cpu_ms"] = time.process_time() * 1000
            self._figures["main_thread_cpu_ms"] = time.thread_time() * 1000
        self._was_ready = self._was_ready or self._accepts_typing()
        if self._figures and len(self._window.chat_page.transcript.items()) >= self._messages:
            from PySide6.QtCore import QTimer

            self._turns.stop()
            self._figures["opened_ms"] = (time.monotonic() - self._started) * 1000
            QTimer.singleShot(SETTLE_MS, self._tell)

    def _accepts_typing(self) -> bool:
        from PySide6.QtWidgets import QApplication

        handle, focus = self._window.windowHandle(), QApplication.focusWidget()
        composer = self._window.chat_page.composer
        return bool(handle and handle.isExposed() and focus and composer.isAncestorOf(focus))

    def _tell(self) -> None:
        import psutil
        from PySide6.QtWidgets import QApplication

        memory = psutil.Process().memory_full_info()
        print(json.dumps({**self._figures, "rss_mb": memory.rss / 1e6, "uss_mb": memory.uss / 1e6}), flush=True)
        QApplication.quit()


def main() -> int:
    started, messages = float(sys.argv[1]), int(sys.argv[2])
    import app.storage.database  # noqa: F401 (in the order of app/__main__.py)
    from app.__main__ import main as run
    from app.ui.main_window import MainWindow

    show = MainWindow.show
    probes = []

    def show_and_watch(window: MainWindow) -> None:
        show(window)
        probes.append(Probe(window, started, messages))

    MainWindow.show = show_and_watch
    return run(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
