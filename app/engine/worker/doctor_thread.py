"""Looks at chat templates beside everything else: somebody who edits one must not wait for a load or an answer."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from app.core.errors import ErrorKind, UserError
from app.core.events import Event, Failed
from app.engine.protocol import CheckTemplate
from app.engine.worker.backend import Emit
from app.engine.worker.channel import ChannelClosedError

if TYPE_CHECKING:
    from app.engine.worker.template_doctor import TemplateDoctor

log = logging.getLogger(__name__)


class DoctorThread:
    """A thread that begins with the first request and ends with the process; each request takes bounded time."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._requests: SimpleQueue[CheckTemplate] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, request: CheckTemplate) -> None:
        """Queue a request; its closing event is TemplateChecked or Failed."""
        self._requests.put(request)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="template-doctor", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        from app.engine.worker.template_doctor import TemplateDoctor  # Jinja is not needed before

        doctor = TemplateDoctor()
        try:
            while True:
                self._emit(_answer(doctor, self._requests.get()))
        except ChannelClosedError:
            log.info("nobody waits for templates any more")


def _answer(doctor: TemplateDoctor, request: CheckTemplate) -> Event:
    try:
        return doctor.check(request)
    except UserError as error:
        return Failed(request.id, error)
    except Exception as error:
        log.exception("request %d (check template) failed", request.id)
        reason = f"{type(error).__name__}: internal error"
        return Failed(request.id, UserError(ErrorKind.BAD_REQUEST, reason=reason))
