"""Finds out why the engine child ended, from its exit code, the kernel's counters and the end of its log."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from app.core.errors import Detail, ErrorKind, UserError

OUT_OF_MEMORY = "out_of_memory"
"""The `reason` of ENGINE_CRASHED when the system ended the child to save memory."""

_TAIL_BYTES = 16 * 1024
_MAX_REASON_CHARACTERS = 300
# What ggml, the C++ library and Python's faulthandler print before the end, the most telling first.
_LAST_WORDS = (
    re.compile(r"(?:\S*[/\\])?(?P<words>[^/\\\s]+:\d+: .*(?:GGML_ASSERT|GGML_ABORT|fatal error|error: ).*)"),
    re.compile(r"(?P<words>\S*GGML_ASSERT\(.*)"),
    re.compile(r"what\(\):\s*(?P<words>.+)"),
    re.compile(r"(?P<words>terminate called .+)"),
    re.compile(r"Fatal Python error: (?P<words>.+)"),
    re.compile(r"(?P<words>Timeout \([\d:.]+\)!)"),  # app.engine.worker.last_resort
    re.compile(r"(?P<words>(?:MemoryError|ModuleNotFoundError|ImportError|OSError|RuntimeError)\b.*)"),
)
# winnt.h: what Windows gives as exit code for a program that it has ended, which Qt calls a crash as well.
_WINDOWS_STATUSES = {0xC0000005: "ACCESS_VIOLATION", 0xC000001D: "ILLEGAL_INSTRUCTION", 0xC0000409: "ABORT"}
_FIRST_WINDOWS_STATUS = 0x80000000


def crash_error(kind: ErrorKind, exit_code: int, by_signal: bool, tail: str, oom_kills: int = 0) -> UserError:
    """The error for a child that ended by itself.

    `exit_code` is the signal's number when `by_signal`, or Windows' status; `tail` is the end of its log; `oom_kills`
    is how many processes the kernel ended for lack of memory while the child ran.
    """
    details: dict[str, Detail] = {"reason": last_words(tail)}
    status = exit_code & 0xFFFFFFFF
    if status >= _FIRST_WINDOWS_STATUS:
        name = _WINDOWS_STATUSES.get(status, f"0x{status:08X}")
    else:
        name = signal_name(exit_code) if by_signal else ""
    if name:
        details["signal_name"] = name
    else:
        details["exit_code"] = exit_code
    if name == "SIGKILL" and oom_kills > 0:
        details["reason"] = OUT_OF_MEMORY
    return UserError(kind, **details)


def signal_name(number: int) -> str:
    """The name of a signal, e.g. "SIGSEGV" for 11; the number itself where the system has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_words(tail: str) -> str:
    """The line of a log's end that says best why a process ended; empty when none does."""
    for pattern in _LAST_WORDS:
        found = list(pattern.finditer(tail))
        if found:
            return found[-1]["words"].strip()[:_MAX_REASON_CHARACTERS]
    return ""


def read_tail(path: Path, start: int = 0) -> str:
    """The end of a file, from byte `start` at the earliest; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(start, size - _TAIL_BYTES))
            return stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def count_oom_kills() -> int:
    """How many processes the kernel has ended for lack of memory since the system started; 0 if unknown."""
    if sys.platform != "linux":
        return 0
    try:
        words = Path("/proc/vmstat").read_text().split()
        return int(words[words.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return 0
