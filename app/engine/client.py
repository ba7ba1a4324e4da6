"""The engine child as seen from the window's process: requests go in, events come out, deaths are told once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.events import CLOSING_EVENTS, Event, Failed, PromptStarted, Ready, ReasoningDelta, TextDelta
from app.engine.line_splitter import LineSplitter
from app.engine.process_exit import count_oom_kills, crash_error, read_tail
from app.engine.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    Generate,
    Load,
    ProtocolError,
    Request,
    Shutdown,
    Stop,
    decode_event,
    encode,
)
from app.engine.stall_watch import StallLimits, StallWatch

log = logging.getLogger(__name__)

STOP_GRACE_MS = 2_000
"""How long a running request may take to end after a stop before the child is killed."""

_START_LIMIT_MS = 60_000  # a cold disk and a virus scanner can make the first start slow
_TERMINATE_GRACE_MS = 500
_KILL_GRACE_MS = 2_000
_READ_BYTES = 256 * 1024  # per turn of the event loop, so that a flood cannot freeze the window
_LOG_LIMIT_BYTES = 1024 * 1024
_MAX_GARBAGE_REPORTS = 5
_LAST_WORDS = frozenset({ErrorKind.ENGINE_START_FAILED, ErrorKind.SERVER_LOST})


class EngineClient(QObject):
    """Starts the child when it is needed, speaks the protocol with it, and notices its end.

    Lives on the main thread and never blocks it, `shutdown` excepted. After a death the next `send` starts a
    fresh child, which knows nothing of what the last one had loaded.
    """

    event_received = Signal(object)
    """An `app.core.events.Event`, in order; deltas that arrive together are joined."""

    died = Signal(object)
    """The child ended by itself or was killed: a UserError. Requests in flight get no further events."""

    def __init__(
        self,
        command: Sequence[str],
        log_path: Path,
        parent: QObject | None = None,
        environment: Mapping[str, str] | None = None,
        stall_limits: StallLimits = StallLimits(),  # noqa: B008 - a frozen value
    ) -> None:
        super().__init__(parent)
        self._command = list(command)
        self._log_path = log_path
        self._environment = dict(environment or {})
        self._last_id = 0
        self._process: QProcess | None = None
        self._is_ready = False
        self._unsent: list[bytes] = []
        self._splitter = LineSplitter(MAX_LINE_BYTES)
        self._garbage_lines = 0
        self._in_flight: dict[int, bool] = {}  # request id → whether it was told to stop; in order of sending
        self._begun: set[int] = set()  # answers in flight that have begun: they go on side by side
        self._watched: dict[int, Load | Generate] = {}  # those in flight that must not stand still
        self._stall_limits = stall_limits
        self._stall_watch = StallWatch(stall_limits, self._on_stalled, self)
        self._timed_id = 0  # the request that the stop timer runs for
        self._verdict: UserError | None = None  # why we killed the child, or what it said before it left
        self._log_start_bytes = 0
        self._oom_kills_before = 0
        self._stop_timer = self._single_shot(STOP_GRACE_MS, self._on_stop_overdue)
        self._start_timer = self._single_shot(_START_LIMIT_MS, self._on_start_overdue)
        self._read_timer = self._single_shot(0, self._read_some)

    @property
    def is_running(self) -> bool:
        """Whether there is a child."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return (self._process.processId() or None) if self._process is not None else None

    @property
    def is_busy(self) -> bool:
        """Whether a request is in flight."""
        return bool(self._in_flight)

    def next_id(self) -> int:
        """A fresh id for a request."""
        self._last_id += 1
        return self._last_id

    def send(self, request: Request) -> None:
        """Hand a request to the child, which is started if need be."""
        if self._process is None:
            self._start()
        if not isinstance(request, Stop | Shutdown):
            self._in_flight[request.id] = False
            if isinstance(request, Load | Generate):
                self._watched[request.id] = request
            self._watch_progress()
        self._write(encode(request))

    def stop(self, request_id: int) -> None:
        """End a request now; nothing happens if it is over. Its closing event comes, or `died` within 2 s."""
        if self._in_flight.get(request_id) is not False:
            return
        self._in_flight[request_id] = True
        self._write(encode(Stop(request_id)))
        self._watch_stop()

    def shutdown(self, timeout_ms: int = 2_000) -> None:
        """End the child and wait until it is gone: asked to, then told to, then killed. Emits nothing more."""
        process = self._process
        if process is None:
            return
        self._forget_process()
        process.blockSignals(True)
        if process.state() != QProcess.ProcessState.NotRunning:
            process.write(encode(Shutdown()))
            process.closeWriteChannel()
            if not process.waitForFinished(timeout_ms):
                process.terminate()
                if not process.waitForFinished(_TERMINATE_GRACE_MS):
                    process.kill()
                    process.waitForFinished(_KILL_GRACE_MS)
        process.deleteLater()

    def retire(self, timeout_ms: int = 5_000) -> None:
        """Let the child end without waiting for it; the next `send` starts another. Emits nothing more of it."""
        process = self._process
        if process is None:
            return
        self._forget_process()
        process.started.disconnect(self._on_started)
        process.readyReadStandardOutput.disconnect(self._read_some)
        process.finished.disconnect(self._on_finished)
        process.errorOccurred.disconnect(self._on_error_occurred)
        process.finished.connect(process.deleteLater)
        if process.state() == QProcess.ProcessState.Running:
            process.write(encode(Shutdown()))
            process.closeWriteChannel()
        limit = QTimer(process, singleShot=True, interval=timeout_ms)
        limit.timeout.connect(process.kill)
        limit.start()

    def _single_shot(self, interval_ms: int, handler: Callable[[], None]) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=interval_ms)
        timer.timeout.connect(handler)
        return timer

    def _start(self) -> None:
        process = QProcess(self)
        process.setProgram(self._command[0])
        process.setArguments(self._command[1:])
        environment = QProcessEnvironment.systemEnvironment()
        for name, value in self._environment.items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.setStandardErrorFile(self._prepare_log(), QProcess.OpenModeFlag.Append)
        process.started.connect(self._on_started)
        process.readyReadStandardOutput.connect(self._read_some)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error_occurred)
        self._process = process
        self._is_ready = False
        self._verdict = None
        self._splitter = LineSplitter(MAX_LINE_BYTES)
        self._garbage_lines = 0
        self._oom_kills_before = count_oom_kills()
        self._start_timer.start()
        process.start()

    def _prepare_log(self) -> str:
        """The file for the child's standard error, rotated when it has grown; the null device if none can be."""
        try:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            if self._log_path.exists() and self._log_path.stat().st_size > _LOG_LIMIT_BYTES:
                self._log_path.replace(self._log_path.with_name(f"{self._log_path.name}.1"))
            with self._log_path.open("ab") as stream:
                self._log_start_bytes = stream.tell()
        except OSError as error:
            log.info("no log of the engine is kept: %s", error)
            return QProcess.nullDevice()
        return str(self._log_path)

    def _write(self, line: bytes) -> None:
        """Send a line, or keep it until the process is there to take it."""
        if self._process is not None and self._process.state() == QProcess.ProcessState.Running:
            self._process.write(line)
        else:
            self._unsent.append(line)

    def _on_started(self) -> None:
        if self._process is not None:
            self._process.write(b"".join(self._unsent))
            self._unsent.clear()

    def _read_some(self) -> None:
        """Take what has arrived, a bounded amount at a time, and pass it on."""
        process = self._process
        if process is None:
            return
        self._deliver(process, self._splitter.feed(bytes(process.read(_READ_BYTES).data())))
        if self._process is process and process.bytesAvailable():
            self._read_timer.start()

    def _read_all(self, process: QProcess) -> None:
        while self._process is process and process.bytesAvailable():
            self._deliver(process, self._splitter.feed(bytes(process.read(_READ_BYTES).data())))

    def _deliver(self, process: QProcess, lines: Iterable[bytes | None]) -> None:
        for event in joined(self._events_in(lines)):
            if self._process is not process:  # a receiver shut us down
                return
            self._note(event)
            self.event_received.emit(event)

    def _events_in(self, lines: Iterable[bytes | None]) -> Iterator[Event]:
        for line in lines:
            try:
                if line is None:
                    raise ProtocolError("it is too long")
                yield decode_event(line)
            except ProtocolError as error:
                self._garbage_lines += 1
                if self._garbage_lines <= _MAX_GARBAGE_REPORTS:
                    log.error("a line of the engine was not understood: %s", str(error)[:200])

    def _note(self, event: Event) -> None:
        """Keep our own account of the child in step with what it says."""
        self._stall_watch.note_event()
        if isinstance(event, Ready):
            self._start_timer.stop()
            if event.protocol != PROTOCOL_VERSION:
                self._kill(UserError(ErrorKind.ENGINE_START_FAILED, reason=f"protocol {event.protocol}"))
                return
            self._is_ready = True
            self._watch_stop()
            self._watch_progress()
        elif isinstance(event, PromptStarted):
            self._begun.add(event.request_id)
        elif isinstance(event, Failed) and event.error.kind in _LAST_WORDS:
            self._verdict = event.error  # it is about to leave
        elif isinstance(event, CLOSING_EVENTS):
            self._in_flight.pop(event.request_id, None)
            self._begun.discard(event.request_id)
            self._watched.pop(event.request_id, None)
            self._watch_stop()
            self._watch_progress()

    def _watch_stop(self) -> None:
        """Time a request that is being served if it was told to stop; one that waits its turn has no say."""
        stopped = self._served_and_stopped() if self._is_ready else 0
        if not stopped:
            self._stop_timer.stop()
        elif stopped != self._timed_id or not self._stop_timer.isActive():
            self._timed_id = stopped
            self._stop_timer.start()

    def _served_and_stopped(self) -> int:
        """The first request in service that was told to stop: the oldest, or an answer that has begun; else 0."""
        oldest = next(iter(self._in_flight), 0)
        served = (key for key, is_stopped in self._in_flight.items() if is_stopped and key in {oldest, *self._begun})
        return next(served, 0)

    def _on_stop_overdue(self) -> None:
        process = self._process
        if process is None:
            return
        # The closing event may have arrived while the main thread was busy.
        self._read_all(process)
        if self._process is process and self._in_flight.get(self._timed_id):
            self._kill(UserError(ErrorKind.ENGINE_UNRESPONSIVE))

    def _watch_progress(self) -> None:
        """Have the child looked after while it serves a load or an answer; the oldest request is being served."""
        request = self._watched.get(next(iter(self._in_flight), 0))
        if request is None or not self._is_ready or (pid := self.pid) is None:
            self._stall_watch.end()
        else:
            limits = self._stall_limits
            self._stall_watch.watch(pid, limits.load_s if isinstance(request, Load) else limits.answer_s)

    def _on_stalled(self) -> None:
        request = self._watched.get(next(iter(self._in_flight), 0))
        if isinstance(request, Load):
            seconds = round(self._stall_limits.load_s)
            self._kill(UserError(ErrorKind.LOAD_STALLED, path=request.path, seconds=seconds))
        elif request is not None:
            self._kill(UserError(ErrorKind.ENGINE_UNRESPONSIVE))

    def _on_start_overdue(self) -> None:
        seconds = _START_LIMIT_MS // 1000
        self._kill(UserError(ErrorKind.ENGINE_START_FAILED, reason=f"no answer in {seconds} s"))

    def _kill(self, verdict: UserError) -> None:
        """End the child by force; `died` follows with this verdict when it is gone."""
        if self._process is not None:
            self._verdict = verdict
            self._process.kill()

    def _on_finished(self, exit_code: int, status: QProcess.ExitStatus) -> None:
        process = self._process
        if process is None:
            return
        self._read_all(process)
        if self._process is not process:  # a receiver of the last events shut us down
            return
        crashed = status == QProcess.ExitStatus.CrashExit
        kind = ErrorKind.ENGINE_CRASHED if self._is_ready else ErrorKind.ENGINE_START_FAILED
        tail = read_tail(self._log_path, self._log_start_bytes)
        oom_kills = count_oom_kills() - self._oom_kills_before
        self._bury(process, self._verdict or crash_error(kind, exit_code, crashed, tail, oom_kills))

    def _on_error_occurred(self, error: QProcess.ProcessError) -> None:
        # Every other error is followed by `finished`.
        process = self._process
        if process is not None and error == QProcess.ProcessError.FailedToStart:
            self._bury(process, UserError(ErrorKind.ENGINE_START_FAILED, reason=process.errorString()))

    def _bury(self, process: QProcess, error: UserError) -> None:
        self._forget_process()
        process.deleteLater()
        log.info("the engine ended: %s", error)
        self.died.emit(error)

    def _forget_process(self) -> None:
        for timer in (self._stop_timer, self._start_timer, self._read_timer):
            timer.stop()
        self._process = None
        self._is_ready = False
        self._unsent.clear()
        self._in_flight.clear()
        self._begun.clear()
        self._watched.clear()
        self._stall_watch.end()


def joined(events: Iterable[Event]) -> Iterator[Event]:
    """The same events with consecutive deltas of one kind and request made one."""
    pending: TextDelta | ReasoningDelta | None = None
    texts: list[str] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            if pending is not None and (type(event), event.request_id) == (type(pending), pending.request_id):
                texts.append(event.text)
                continue
            if pending is not None:
                yield replace(pending, text="".join(texts))
            pending, texts = event, [event.text]
            continue
        if pending is not None:
            yield replace(pending, text="".join(texts))
            pending = None
        yield event
    if pending is not None:
        yield replace(pending, text="".join(texts))
