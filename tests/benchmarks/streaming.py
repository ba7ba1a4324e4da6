"""What an answer costs the window while it streams. Run: python -m tests.benchmarks.streaming [--shape 1.1b]

The real window, database and child process. The child plays a scripted answer for the first figures, runs llama.cpp on
a tiny endless model for stopping, and with --shape on a model of that size, which takes all cores, for the last: while
it reads a long question and while it writes. CPU time is that of the main thread, painting included, in one turn of
its event loop; it does not grow when other programs keep the processor busy. "Late" is how much later than due a 5 ms
timer of the main thread came, on the clock: what a person would feel, including what other programs cause.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["QT_NO_GLIB"] = "1"  # Qt's own dispatcher says when a turn begins

from PySide6.QtCore import QAbstractEventDispatcher, QCoreApplication, QEventLoop, QObject, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.bootstrap import build_profile
from app.collector import MainThreadCollector
from app.paths import choose_paths, resources
from app.services.profile import Profile
from app.ui.application import create_application
from app.ui.main_window import MainWindow
from tests.benchmarks.shapes import SHAPES, noise_text, shape_file
from tests.benchmarks.transcript import long_texts, report, report_one
from tests.fixtures import tiny_gguf as tiny

MAX_GAP_MS, MAX_TOKEN_MS, MAX_STOP_MS = 32, 8, 100
HEARTBEAT_MS = 5
LIMIT_S = 120
FASTEST, STEADY = 2_000, 60  # tokens per second
QUESTION_WORDS = 1_000
QUESTIONS = {"tokens/s, mixed answer": "mixed", "tokens/s, one code block": "code", "tokens/s, one table": "table"}


class TurnMeter(QObject):
    """CPU time of each turn of the event loop, and how late a heartbeat comes, in milliseconds."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.turns_ms: list[float] = []
        self.late_ms: list[float] = []
        self._cpu = self._beat = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_beat)
        dispatcher = QAbstractEventDispatcher.instance()
        assert dispatcher is not None
        dispatcher.awake.connect(self._on_awake)

    def start(self) -> None:
        self.turns_ms, self.late_ms = [], []
        self._cpu, self._beat = time.thread_time(), time.perf_counter()
        self._timer.start(HEARTBEAT_MS)

    def stop(self) -> None:
        self._timer.stop()

    def _on_awake(self) -> None:
        now = time.thread_time()
        self.turns_ms.append((now - self._cpu) * 1000)
        self._cpu = now

    def _on_beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, (now - self._beat) * 1000 - HEARTBEAT_MS))
        self._beat = now


class Stage:
    """One window with its services."""

    def __init__(self, application: QApplication, data: Path, backend: str, model: str | None) -> None:
        paths = choose_paths(str(data))
        for folder in (paths.data, paths.logs):
            folder.mkdir(parents=True)
        self._owner = QObject(application)
        self.profile: Profile = build_profile(paths, self._owner, backend)
        self.window = MainWindow(self.profile, resources())
        self.window.resize(1280, 800)
        self.window.show()
        self.profile.start(model)
        wait(lambda: self.profile.store.is_open and self.profile.models.info is not None)

    def ask(self, text: str) -> None:
        """Send a message and wait for the first words."""
        arrived: list[str] = []

        def note(message_id: str, words: str, reasoning: str) -> None:
            arrived.append(words)

        self.profile.chat.answers.text_added.connect(note)
        self.profile.chat.send(text)
        wait(lambda: bool(arrived))
        self.profile.chat.answers.text_added.disconnect(note)

    def wait_for_end(self) -> None:
        wait(lambda: not self.profile.chat.is_streaming)

    def close(self) -> None:
        self.profile.shut_down()
        self.window.close()
        self.window.deleteLater()
        QCoreApplication.processEvents()


def wait(condition: Callable[[], bool]) -> None:
    """Run the event loop, as the application does, until something holds."""
    loop, deadline = QEventLoop(), time.monotonic() + LIMIT_S
    timer = QTimer()

    def look() -> None:
        if condition() or time.monotonic() > deadline:
            loop.quit()

    timer.timeout.connect(look)
    timer.start(10)
    loop.exec()
    if not condition():
        raise TimeoutError(f"not within {LIMIT_S} s")


def script(folder: Path) -> Path:
    """Answers to "fast …" and "steady …": the same texts at two rates."""
    texts = long_texts()
    answers = [
        {"when": f"^{pace} {name}", "text": texts[key] * times, "tokens_per_second": rate}
        for pace, rate, times in (("fast", FASTEST, 3), ("steady", STEADY, 1))
        for name, key in (("mixed", "mixed answer"), ("code", "one code block"), ("table", "one table"))
    ]
    path = folder / "script.json"
    path.write_text(json.dumps({"answers": answers, "loads": [{"context_length": 1_000_000}]}), "utf-8")
    return path


def measure_streams(stage: Stage, meter: TurnMeter) -> bool:
    good = True
    print(f"{'CPU ms of the main thread per turn':<44}{'p50':>8}{'p99':>8}{'max':>8}")
    for label, name in QUESTIONS.items():
        stage.profile.chat.new_conversation()
        stage.ask(f"fast {name}")
        meter.start()
        stage.wait_for_end()
        meter.stop()
        busy = [turn for turn in meter.turns_ms if turn > 0.2]
        report(f"{FASTEST} {label}", busy)
        report("   late, ms on the clock", meter.late_ms)
        report_one("   longest gap of our own", max(meter.turns_ms), "ms", MAX_GAP_MS)
        good &= max(meter.turns_ms) <= MAX_GAP_MS
    return good


def measure_tokens(stage: Stage, meter: TurnMeter, seconds: float) -> bool:
    """One token in each frame, at the end of a long answer: every turn that costs is one token."""
    stage.profile.chat.new_conversation()
    stage.ask("fast mixed")
    stage.wait_for_end()
    stage.ask("steady mixed")
    meter.start()
    until = time.monotonic() + seconds
    wait(lambda: time.monotonic() > until or not stage.profile.chat.is_streaming)
    meter.stop()
    stage.profile.chat.stop()
    stage.wait_for_end()
    busy = [turn for turn in meter.turns_ms if turn > 0.2]
    report(f"one token a frame, {STEADY} tokens/s", busy, MAX_TOKEN_MS)
    return sorted(busy)[int(len(busy) * 0.99)] <= MAX_TOKEN_MS


def measure_stops(application: QApplication, folder: Path, count: int) -> bool:
    """From the key press to the end of the answer, with llama.cpp writing."""
    vocabulary = tiny.bpe_vocabulary()
    endless = dict.fromkeys(vocabulary.tokens, "a")
    model = tiny.write_model(
        folder / "endless.gguf", vocabulary, template=tiny.CHATML, context_length=65536, successors=endless
    )
    stage = Stage(application, folder / "real", "llama", str(model))
    latencies = []
    for _ in range(count):
        stage.profile.chat.new_conversation()
        stage.ask("go")
        ended: list[float] = []

        def note(*_: object, ended: list[float] = ended) -> None:
            ended.append(time.perf_counter())

        stage.profile.chat.answers.ended.connect(note)
        pressed = time.perf_counter()
        QTest.keyClick(stage.window, Qt.Key.Key_Escape)
        wait(lambda ended=ended: bool(ended))
        stage.profile.chat.answers.ended.disconnect(note)
        latencies.append((ended[0] - pressed) * 1000)
    stage.close()
    print(f"stop by Esc, ms on the clock, {count} times: median {statistics.median(latencies):.1f}")
    report_one("   slowest", max(latencies), "ms", MAX_STOP_MS)
    return max(latencies) <= MAX_STOP_MS


def measure_with_all_cores(application: QApplication, folder: Path, shape: str, seconds: float) -> None:
    """The heartbeat beside a model of real size, and what the main thread does for each word."""
    stage = Stage(application, folder / "sized", "llama", str(shape_file(shape, "q4_0")))
    meter = TurnMeter(application)
    meter.start()
    stage.ask(noise_text(QUESTION_WORDS))
    meter.stop()
    report(f"{shape} reading on all cores: late, ms on the clock", meter.late_ms)
    report_one("   longest gap of our own", max(meter.turns_ms), "ms", MAX_GAP_MS)
    meter.start()
    until = time.monotonic() + seconds
    wait(lambda: time.monotonic() > until or not stage.profile.chat.is_streaming)
    meter.stop()
    report(f"{shape} writing on all cores: late, ms on the clock", meter.late_ms)
    report_one("   longest gap of our own", max(meter.turns_ms), "ms", MAX_GAP_MS)
    stage.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15, help="how long to stream one token a frame")
    parser.add_argument("--shape", choices=SHAPES, help="measure beside a model of this size too")
    options = parser.parse_args()
    application = create_application(["benchmark"])
    application.setQuitOnLastWindowClosed(False)
    collector = MainThreadCollector(application)
    print(f"load of the machine over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage = Stage(application, folder / "scripted", f"scripted:{script(folder)}", None)
        collector.start()
        meter = TurnMeter(application)
        good = measure_streams(stage, meter)
        good &= measure_tokens(stage, meter, options.seconds)
        stage.close()
        good &= measure_stops(application, folder, options.stops)
        if options.shape:
            measure_with_all_cores(application, folder, options.shape, options.seconds)
    collector.stop()
    print(
        f"load at the end: {os.getloadavg()[0]:.1f}. " + ("Within the targets." if good else "NOT within the targets.")
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
