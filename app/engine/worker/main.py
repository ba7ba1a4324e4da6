"""The engine child: a main thread that listens and a worker thread that computes.

Requests come on standard input, events leave on a private descriptor (`app.engine.protocol` describes both).
The child ends when its input ends: nothing may keep a model in memory after the window has gone.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import psutil

from app.core.errors import ErrorKind, UserError
from app.core.events import CLOSING_EVENTS, Event, Failed, Finished, FinishReason, LoadCancelled, Ready
from app.core.messages import Usage
from app.engine.attempts import AttemptJournal
from app.engine.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    Adapt,
    CheckTemplate,
    Count,
    Devices,
    Embed,
    Forget,
    Generate,
    Load,
    ProtocolError,
    Rank,
    Request,
    Shutdown,
    Stop,
    TestDevice,
    Unload,
    decode_request,
)
from app.engine.worker.backend import Backend, Job, RequestControl
from app.engine.worker.channel import (
    ChannelClosedError,
    EventWriter,
    open_stdin,
    read_lines,
    request_id_in,
    take_over_stdout,
)
from app.engine.worker.doctor_thread import DoctorThread
from app.engine.worker.parent import end_with_parent
from app.engine.worker.template_worker import TemplateWorker

log = logging.getLogger(__name__)

_LAST_GRACE_S = 1.5
"""How long a running request may take to notice that the child is to end."""

_LOWEST_PRIORITY = 19  # by nice(1)

_REST_AFTER_S = 2.0
"""With nothing to do for so long, there is time to put things away."""

_NO_START, _BROKEN = 3, 4  # exit codes


class Worker:
    """Begins queued requests in order and goes on with answers, on a thread of its own."""

    def __init__(self, backend: Backend, writer: EventWriter) -> None:
        self._backend = backend
        self._writer = writer
        self._condition = threading.Condition()
        self._waiting: deque[tuple[Job, RequestControl]] = deque()
        self._controls: dict[int, RequestControl] = {}  # of waiting and running requests
        self._closing = False
        self._doctor = DoctorThread(writer.write)
        self._rest_after_s: float | None = None  # None: the backend has put everything away
        self._thread = threading.Thread(target=self._run, name="engine-worker", daemon=True)
        self._thread.start()

    @property
    def engine_name(self) -> str:
        """For the Ready event."""
        return self._backend.engine_name

    def submit(self, job: Job) -> None:
        """Queue a request."""
        control = RequestControl()
        with self._condition:
            self._controls[job.id] = control
            self._waiting.append((job, control))
            self._condition.notify()
        if isinstance(job, Generate):
            self._backend.hurry()

    def check(self, request: CheckTemplate) -> None:
        """Look at a chat template, beside everything else."""
        self._doctor.submit(request)

    def stop(self, request_id: int) -> None:
        """End a request that runs or waits; one that is over or unknown is no error."""
        with self._condition:
            control = self._controls.get(request_id)
        if control is not None:
            control.stop()  # without the lock: it may emit the end
            with self._condition:
                self._condition.notify()  # it may be waiting

    def close(self, timeout_s: float) -> bool:
        """Stop everything and wait for the thread; False when it did not end in time."""
        with self._condition:
            self._closing = True
            controls = list(self._controls.values())
        for control in controls:
            control.stop()
        with self._condition:
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._next_task()) is not None:
            try:
                task()
            except ChannelClosedError as error:  # the reader will see the end too
                log.warning("events cannot be written: %s", error)
            except Exception:  # a child without this thread would be waited for; the end of it is told at once
                log.exception("the engine cannot go on")
                logging.shutdown()
                os._exit(_BROKEN)
        self._backend.close()

    def _next_task(self) -> Callable[[], None] | None:
        """What to do now; waits until there is something. None: the child is to end."""
        with self._condition:
            while not self._closing:
                for place, (job, control) in enumerate(self._waiting):
                    if control.is_stopped or (place == 0 and self._can_begin(job)):
                        self._rest_after_s = _REST_AFTER_S
                        del self._waiting[place]
                        return partial(self._serve, job, control)
                if self._backend.is_answering:
                    return self._backend.step
                if not self._condition.wait(self._rest_after_s):
                    return self._rest
        return None

    def _rest(self) -> None:
        """Have one thing put away; whatever was asked meanwhile comes before the next."""
        self._rest_after_s = 0.0 if self._backend.rest() else None

    def _emit(self, event: Event) -> None:
        self._writer.write(event)
        if isinstance(event, CLOSING_EVENTS):
            with self._condition:
                self._controls.pop(event.request_id, None)

    def _can_begin(self, job: Job) -> bool:
        """Whether a request can be served beside the answers that are being written."""
        if not self._backend.is_answering or isinstance(job, Count | Devices):
            return True
        return isinstance(job, Generate) and self._backend.has_room

    def _serve(self, job: Job, control: RequestControl) -> None:
        emit, backend = self._emit, self._backend
        try:
            if control.is_stopped and isinstance(job, Load | Generate):
                emit(_end_unserved(job))
                return
            match job:
                case Load():
                    backend.load(job, emit, control)
                case Generate():
                    backend.begin(job, emit, control)
                case Count():
                    backend.count(job, emit)
                case Adapt():
                    backend.adapt(job, emit)
                case Embed():
                    backend.embed(job, emit, control)
                case Rank():
                    backend.rank(job, emit, control)
                case TestDevice():
                    backend.test_device(job, emit, control)
                case Forget():
                    backend.forget(job, emit)
                case Devices():
                    backend.devices(job, emit)
                case Unload():
                    backend.unload(job, emit)
        except UserError as error:
            emit(Failed(job.id, error))
        except ChannelClosedError:
            raise
        except Exception as error:
            log.exception("request %d (%s) failed", job.id, type(job).__name__)
            kind = ErrorKind.LOAD_FAILED if isinstance(job, Load) else ErrorKind.DECODE_FAILED
            emit(Failed(job.id, UserError(kind, reason=f"{type(error).__name__}: internal error")))


def _end_unserved(job: Load | Generate) -> Event:
    """What a request that was stopped while it waited ends with."""
    if isinstance(job, Load):
        return LoadCancelled(job.id)
    return Finished(job.id, FinishReason.STOPPED, Usage(), context_tokens=0, seed=0)


def listen(stream: BinaryIO, worker: Worker | TemplateWorker, writer: EventWriter) -> None:
    """Read requests until the input ends or Shutdown comes. Bad lines are answered with Failed."""
    for line in read_lines(stream, MAX_LINE_BYTES):
        if line is None:
            writer.write(Failed(0, UserError(ErrorKind.BAD_REQUEST, reason="line too long")))
            continue
        if not line.strip():
            continue
        try:
            request: Request = decode_request(line)
        except ProtocolError as error:
            reason = UserError(ErrorKind.BAD_REQUEST, reason=str(error)[:500])
            writer.write(Failed(request_id_in(line), reason))
            continue
        match request:
            case Stop(id=request_id):
                worker.stop(request_id)
            case Shutdown():
                return
            case CheckTemplate():
                worker.check(request)
            case _:
                worker.submit(request)


def make_worker(choice: str, attempts: Path | None, writer: EventWriter) -> Worker | TemplateWorker:
    """For the backend named on the command line. GPUs are tried as the journal in the file `attempts` says."""
    if choice == "none":
        return TemplateWorker(writer)
    journal = AttemptJournal(attempts)
    journal.settle()
    return Worker(make_backend(choice, journal, writer.write), writer)


def make_backend(choice: str, journal: AttemptJournal, announce: Callable[[Event], None]) -> Backend:
    """The backend `llama` or `scripted:FILE`."""
    if choice.startswith("scripted:"):
        from app.engine.worker.scripted_backend import ScriptedBackend

        return ScriptedBackend(choice.removeprefix("scripted:"), journal)
    from app.engine.worker.llama_backend import LlamaBackend

    return LlamaBackend(journal, announce)


def _give_way() -> None:
    """Run when nobody else wants to."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    else:
        os.nice(_LOWEST_PRIORITY)


def main(argv: Sequence[str]) -> int:
    """Run the child until its input ends. `argv` is what follows `--engine`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="hearth --engine")
    parser.add_argument("--backend", default="llama", help="llama, scripted:FILE, or none: templates alone")
    parser.add_argument("--idle", action="store_true", help="give way to every other process")
    parser.add_argument("--attempts", type=Path, help="the file in which attempts on GPUs are noted")
    options = parser.parse_args(argv)

    writer = EventWriter(take_over_stdout())
    faulthandler.enable(sys.stderr)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Read by libgomp and ggml when they are loaded, which the import of a backend does. Spinning threads
    # starve the window on a busy machine; a backtrace made while crashing may hang.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    # Ctrl+C in a terminal reaches the whole group; the parent decides what becomes of the child.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    if options.idle:  # before there is another thread
        _give_way()

    try:
        worker = make_worker(options.backend, options.attempts, writer)
    except Exception as error:
        log.exception("the backend does not start")
        reason = UserError(ErrorKind.ENGINE_START_FAILED, reason=f"{type(error).__name__}: {error}")
        writer.write(Failed(0, reason))
        return _NO_START
    try:
        writer.write(Ready(PROTOCOL_VERSION, worker.engine_name, os.getpid()))
        listen(open_stdin(), worker, writer)
    except (OSError, ChannelClosedError) as error:
        log.warning("the pipe to the parent broke: %s", error)
    if not worker.close(_LAST_GRACE_S):
        log.warning("a request did not end in time; leaving without it")
    # Not sys.exit: libraries' clean-up at interpreter exit could wait for a thread that computes.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
