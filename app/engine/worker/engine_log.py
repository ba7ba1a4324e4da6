"""What llama.cpp says while it works: warnings into the log, the last errors into explanations."""

from __future__ import annotations

import logging
from collections import deque

from app.engine.worker.buffer_report import BufferReport

log = logging.getLogger(__name__)

_WARN, _ERROR, _CONTINUATION = 3, 4, 5  # ggml.h: enum ggml_log_level


class EngineLog:
    """Receives llama.cpp's log lines; remembers the errors since the last `start`, and what buffers are reported."""

    def __init__(self) -> None:
        self.buffers = BufferReport()
        self._errors: deque[str] = deque(maxlen=5)
        self._level = 0

    def start(self) -> None:
        """Forget what was; a new request begins."""
        self._errors.clear()

    def add(self, level: int, text: str) -> None:
        """One line of a level, or the continuation of the line before."""
        if level != _CONTINUATION:
            self._level = level
        line = text.strip()
        if self._level < _WARN:
            self.buffers.read_line(line)
        if not line or self._level < _WARN or set(line) == {"."}:
            return
        if self._level == _ERROR:
            log.error("llama.cpp: %s", line)
            self._errors.append(line)
        else:
            log.warning("llama.cpp: %s", line)

    def abort(self, message: str) -> None:
        """Note why ggml is about to end the process."""
        log.critical("ggml aborts: %s", message.strip())

    @property
    def reason(self) -> str:
        """The first of the last errors, which is usually the cause; empty when there was none."""
        return self._errors[0] if self._errors else ""
