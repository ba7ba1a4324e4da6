"""A program that is asked by lines of JSON and answers by lines of JSON; nobody waits for it without end."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_END_S = 20.0
_REASON_LENGTH = 200


class LineProcess:
    """Raises RuntimeError, with the last line of the log, where the process has ended or says nothing for too long."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`log`: the file that gets its errors; `folder`: where it runs."""
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        self.pid = self._process.pid
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, value: object) -> None:
        """Ask."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # it is gone, or was closed
            raise self._failure("it ended") from None

    def next(self, timeout_s: float) -> Any:
        """The next answer."""
        try:
            return json.loads(self._lines.get(timeout=timeout_s))
        except queue.Empty:
            raise self._failure(f"no answer in {timeout_s:.0f} s") from None
        except ValueError:
            raise self._failure("it ended") from None

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_END_S)

    def _failure(self, what: str) -> RuntimeError:
        self._process.kill()
        self.close()
        last = self._log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        return RuntimeError(f"{what}: {last[0][:_REASON_LENGTH]}" if last else what)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(b"")
