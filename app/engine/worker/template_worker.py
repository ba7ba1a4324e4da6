"""A child without an engine, which only looks at chat templates: nothing is loaded for it, and no driver is touched."""

from __future__ import annotations

from app.core.errors import ErrorKind, UserError
from app.core.events import Failed
from app.engine.protocol import CheckTemplate
from app.engine.worker.backend import Job
from app.engine.worker.channel import EventWriter
from app.engine.worker.doctor_thread import DoctorThread


class TemplateWorker:
    """Takes requests like `app.engine.worker.main.Worker`, and serves one kind."""

    engine_name = "templates"

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer
        self._doctor = DoctorThread(writer.write)

    def submit(self, job: Job) -> None:
        """Refuse a request that needs an engine."""
        self._writer.write(Failed(job.id, UserError(ErrorKind.BAD_REQUEST, reason="this child has no engine")))

    def check(self, request: CheckTemplate) -> None:
        """Look at a chat template."""
        self._doctor.submit(request)

    def stop(self, request_id: int) -> None:
        """Nothing to end: a look takes bounded time."""

    def close(self, timeout_s: float) -> bool:
        """Nothing is in the way of the end."""
        return True
