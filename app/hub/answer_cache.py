"""Answers of the hub, kept on disk: lists open at once, requests are saved, and offline there is something to see."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
MAX_CACHE_BYTES = 64 * 1024 * 1024
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # what a damaged or planted file may unpack to
_FORMAT = 1
_ENDING = ".answer"
_PRIVATE = "private-"  # begins the names of what was answered to a token
_LAST_MOMENT_S = 4e9  # in the year 2096


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer with what is needed to ask whether it still holds."""

    body: bytes
    etag: str = ""
    next_cursor: str = ""  # of the next page, if there is one
    answered_at_s: float = 0.0  # seconds since 1970


class AnswerCache:
    """A folder of answers, one file each. Any thread, any number of programs.

    Files are replaced whole, and one that is damaged counts as none. A folder that cannot be used is no cache.
    What was answered to a token `is_private`: it can be told apart, and goes with the token.
    """

    def __init__(
        self, folder: Path | None, max_bytes: int = MAX_CACHE_BYTES, now_s: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._now_s = now_s

    def get(self, key: str, *, is_private: bool = False) -> Answer | None:
        """What was kept for a key, however old."""
        if self._folder is None:
            return None
        path = _path(self._folder, key, is_private)
        try:
            packed = path.read_bytes()
        except OSError:
            return None
        answer = _unpack(packed, key)
        if answer is None:
            log.info("an answer in the cache was damaged")
            with suppress(OSError):
                path.unlink()
        return answer

    def age_s(self, answer: Answer) -> float:
        """How old an answer is. One from the future, made before a clock was set right, is very old."""
        age = self._now_s() - answer.answered_at_s
        return age if age >= 0 else float("inf")

    def put(self, key: str, body: bytes, etag: str = "", next_cursor: str = "", *, is_private: bool = False) -> Answer:
        """Keep an answer; what is the oldest goes when there is too much. Nothing fails when it cannot be kept."""
        answer = Answer(body, etag, next_cursor, self._now_s())
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                _write_whole(_path(self._folder, key, is_private), _pack(answer, key))
                self._make_room(self._folder)
            except OSError as error:
                log.info("an answer could not be cached: %s", type(error).__name__)
        return answer

    def remove(self, key: str, *, is_private: bool = False) -> None:
        """Keep nothing for a key."""
        if self._folder is not None:
            _remove(_path(self._folder, key, is_private))

    def remove_private(self) -> None:
        """Keep nothing that was answered to a token, whosever it was."""
        if self._folder is not None:
            for path in self._folder.glob(f"{_PRIVATE}*"):
                _remove(path)

    def _make_room(self, folder: Path) -> None:
        found = []
        for entry in os.scandir(folder):
            if entry.name.endswith((_ENDING, ".tmp")):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # another program makes room as well
                    continue
                found.append((status.st_mtime, status.st_size, Path(entry.path)))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _path(folder: Path, key: str, is_private: bool) -> Path:
    name = hashlib.sha256(key.encode()).hexdigest()[:32] + _ENDING
    return folder / (f"{_PRIVATE}{name}" if is_private else name)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("an answer stays in the cache: %s", type(error).__name__)


def _pack(answer: Answer, key: str) -> bytes:
    packed = zlib.compress(answer.body, 3)
    head = {
        "format": _FORMAT,
        "key": key,
        "etag": answer.etag,
        "next": answer.next_cursor,
        "at": answer.answered_at_s,
        "sha256": hashlib.sha256(packed).hexdigest(),
    }
    return json.dumps(head).encode() + b"\n" + packed


def _unpack(data: bytes, key: str) -> Answer | None:
    """None for what was not written by `_pack` under this key."""
    head, found, packed = data.partition(b"\n")
    if not found:
        return None
    try:
        told = json.loads(head)
        if told["format"] != _FORMAT or told["key"] != key or told["sha256"] != hashlib.sha256(packed).hexdigest():
            return None
        unpacker = zlib.decompressobj()
        body = unpacker.decompress(packed, MAX_ANSWER_BYTES)
        if not unpacker.eof:
            return None
        answered_at_s = float(told["at"])
        if not 0 <= answered_at_s <= _LAST_MOMENT_S:
            return None
        return Answer(body, str(told["etag"]), str(told["next"]), answered_at_s)
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error):
        return None


def _write_whole(path: Path, data: bytes) -> None:
    """Replace a file, whole or not at all. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
