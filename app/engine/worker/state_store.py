"""Keeps what conversations left in the model's memory, on disk, so that nothing is read again after a restart.

The tokens of a state are text for whoever has the vocabulary. So its file (`state_file`) is readable by its owner
only, names and log lines tell nothing, and a deleted conversation takes its states with it (`StateStore.forget`).

A cache must never be in the way: whatever goes wrong with the disk is a line in the log.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import zlib
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.engine.worker.state_file import (
    DIGEST_BYTES,
    FORMAT_VERSION,
    StateError,
    StateHead,
    TransferCancelledError,
    read_data,
    read_head,
    write_state,
)
from app.engine.worker.state_folder import StateEntry, StateFolder, reason_of, remove, short, touch

log = logging.getLogger(__name__)

# Going back to a state that shares so much with a newer one costs at most 5 % of reading it: not worth a file.
_REDUNDANT_SHARE = 0.95
# Where a state cannot be cut, going back needs an earlier one: the last answer regenerated, or an edit a little before.
_KEPT_PREFIXES = 3
_KEPT_PREFIXES_BESIDE_CUT_POINTS = 1
_MAX_WAITING_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class StateKey:
    """What must be equal for a saved state to mean the same. All of it shapes the bytes or the numbers in them."""

    model_hash: str  # `model_hash.model_hash` of the file
    engine_version: str
    cache_type: str  # "f16", "q8_0", "q4_0"
    flash_attention: bool = False  # without it the values are stored transposed
    adapters: tuple[tuple[str, float], ...] = ()  # hash and scale
    details: tuple[str, ...] = ()  # whatever else of the context

    @property
    def digest(self) -> bytes:
        """A short stand-in for all fields."""
        return _digest(repr((FORMAT_VERSION, *(getattr(self, name) for name in self.__slots__))))


@dataclass(frozen=True, slots=True)
class StoredState:
    """A state that was found. The first `shared_tokens` of its `tokens` are those asked for; the rest is to be cut."""

    path: Path
    head: StateHead
    shared_tokens: int

    @property
    def tokens(self) -> Sequence[int]:
        """What the model had read, all of it."""
        return self.head.tokens

    @property
    def size_bytes(self) -> int:
        """Of the data that `read` returns."""
        return self.head.data_bytes

    def read(self, is_cancelled: Callable[[], bool] = lambda: False) -> bytearray:
        """The data for llama.cpp.

        Raises StateError when it is gone, or damaged and therefore removed; TransferCancelledError when it is not
        wanted any more.
        """
        try:
            data = read_data(self.path, self.head, is_cancelled)
        except StateError as error:
            log.warning("a saved state is not usable: %s", error)
            remove(self.path)
            raise
        except OSError as error:
            raise StateError(reason_of(error)) from None
        except MemoryError:
            raise StateError("no memory for it") from None
        touch(self.path)
        return data


@dataclass(slots=True, eq=False)
class _Job:
    """A state on its way to the disk."""

    key: bytes
    conversation: bytes
    tokens: array[int]
    data: memoryview
    can_cut: bool
    cut_points: array[int]
    cancelled: bool = False


class StateStore:
    """The saved states in one folder. All methods may be called from any thread; none raises for the disk's sake."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` in `folder`, which is made when there is something to put into it."""
        self._folder = StateFolder(folder, limit_bytes)
        self._heads: dict[Path, StateHead] = {}
        self._jobs: set[_Job] = set()  # waiting or being written
        self._waiting: list[_Job] = []  # oldest first
        self._is_closed = False
        self._changed = threading.Condition()  # guards everything above
        self._thread: threading.Thread | None = None
        self._folder.remove_abandoned()
        self._folder.make_room(0)

    def find(
        self, key: StateKey, tokens: Sequence[int], can_cut: bool = False, better_than: int = 0
    ) -> StoredState | None:
        """The state that saves most of reading `tokens`, if it saves more than `better_than` tokens.

        At least one token is left to be read, for its logits. With `can_cut` a state counts by the tokens it has in
        common with `tokens`; without, as a whole or up to one of its cut points.
        """
        wanted = array("i", tokens)
        best: StoredState | None = None
        for entry, head in self._states(key.digest):
            shared = min(_shared_length(head.tokens, wanted), len(wanted) - 1)
            if shared < len(head.tokens) and not can_cut:
                shared = max((point for point in head.cut_points if point <= shared), default=0)
            least = best.shared_tokens if best else max(better_than, 0)
            if shared > least or (best and shared == least and head.data_bytes < best.size_bytes):
                best = StoredState(entry.path, head, shared)
        return best

    def put(
        self,
        key: StateKey,
        conversation_id: str,
        tokens: Sequence[int],
        data: bytes | bytearray | memoryview,
        can_cut: bool = True,
        cut_points: Sequence[int] = (),
    ) -> bool:
        """Save the state after `tokens`; returns whether it, or one that contains it, is now on disk.

        `can_cut` as in `find`; if it is not so, `cut_points` are the lengths to which the state can be cut all the
        same. Older states of the conversation that the new one makes superfluous are removed. A conversation without
        an id could never be forgotten, so it is not saved.
        """
        if not conversation_id or not tokens:
            return False
        job = _job(key, conversation_id, tokens, data, can_cut, cut_points)
        with self._changed:
            self._jobs.add(job)
        return self._save(job)

    def put_soon(
        self,
        key: StateKey,
        conversation_id: str,
        tokens: Sequence[int],
        data: bytes | bytearray | memoryview,
        can_cut: bool = True,
        cut_points: Sequence[int] = (),
    ) -> None:
        """`put` in a thread. While one state is written others wait: of each conversation with a model the newest.

        `data` must not change any more. Of more than a gigabyte of waiting data the oldest is given up.
        """
        if not conversation_id or not tokens:
            return
        job = _job(key, conversation_id, tokens, data, can_cut, cut_points)
        with self._changed:
            if self._is_closed:
                return
            self._cancel([other for other in self._waiting if _is_of_same(other, job)])
            while self._waiting and len(job.data) + self._waiting_bytes() > _MAX_WAITING_BYTES:
                self._cancel(self._waiting[:1])
            self._waiting.append(job)
            self._jobs.add(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_waiting, name="states", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything is written; returns False if that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """`wait`, and accept nothing more for the thread; what is not written by then is given up."""
        finished = self.wait(timeout_s)
        with self._changed:
            self._is_closed = True
            self._cancel(self._jobs)
        return finished

    def forget(self, conversation_id: str) -> None:
        """Remove all states of a conversation, whatever model they belong to."""
        conversation = _digest(conversation_id)
        with self._changed:
            self._cancel([job for job in self._jobs if job.conversation == conversation])
            for entry in self._folder.states_and_parts():
                if entry.conversation == short(conversation):
                    remove(entry.path)

    def set_limit(self, limit_bytes: int) -> None:
        """Keep at most so much from now on; nothing at all with 0, also of what is being written."""
        with self._changed:
            self._folder.limit_bytes = limit_bytes
        if limit_bytes:
            self._folder.make_room(0)
        else:
            self.clear()

    def clear(self) -> None:
        """Remove all states."""
        with self._changed:
            self._cancel(self._jobs)
            for entry in self._folder.states_and_parts():
                remove(entry.path)

    def used_bytes(self) -> int:
        """How much all states take on disk."""
        return sum(entry.size_bytes for entry in self._folder.states())

    def _write_waiting(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._is_closed)
                if not self._waiting:
                    return
                job = self._waiting.pop(0)
            self._save(job)
            del job  # its data may be hundreds of megabytes

    def _save(self, job: _Job) -> bool:
        try:
            return self._write(job)
        except OSError as error:
            log.warning("a state could not be saved: %s", reason_of(error))
            return False
        except TransferCancelledError:
            return False
        finally:
            with self._changed:
                self._jobs.discard(job)
                self._changed.notify_all()

    def _write(self, job: _Job) -> bool:
        """Raises OSError and TransferCancelledError."""
        older = [(entry, head) for entry, head in self._states(job.key) if head.conversation == job.conversation]
        for entry, head in older:
            if _contains(head, job):
                touch(entry.path)
                return True
        superfluous = _superfluous(older, job)
        checksum = zlib.crc32(job.data)
        head = StateHead(job.key, job.conversation, job.tokens, job.cut_points, len(job.data), checksum)
        if not self._folder.make_room(head.file_bytes, first=superfluous):
            return False
        state = self._folder.new_path(job.key, job.conversation)
        part = state.with_suffix(".part")
        try:
            write_state(part, head, job.data, lambda: job.cancelled)
            with self._changed:  # nobody forgets the conversation between the question and the renaming
                if job.cancelled:
                    raise TransferCancelledError
                part.replace(state)
        except BaseException:
            remove(part)
            raise
        for path in superfluous:
            remove(path)
        return True

    def _cancel(self, jobs: Collection[_Job]) -> None:
        for job in list(jobs):
            job.cancelled = True
            if job in self._waiting:
                self._waiting.remove(job)
                self._jobs.discard(job)
        self._changed.notify_all()

    def _waiting_bytes(self) -> int:
        return sum(len(job.data) for job in self._waiting)

    def _states(self, key: bytes) -> list[tuple[StateEntry, StateHead]]:
        """The states with this key; damaged files are removed."""
        entries = self._folder.states()
        paths = {entry.path for entry in entries}
        found = []
        with self._changed:
            self._heads = {path: head for path, head in self._heads.items() if path in paths}
            for entry in entries:
                head = self._head(entry) if entry.key == short(key) else None
                if head is not None and head.key == key:
                    found.append((entry, head))
        return found

    def _head(self, entry: StateEntry) -> StateHead | None:
        head = self._heads.get(entry.path)
        try:
            if head is None:
                head = self._heads[entry.path] = read_head(entry.path)
            if head.file_bytes != entry.size_bytes:
                raise StateError("wrong size")
        except StateError as error:
            log.warning("a saved state is not usable: %s", error)
            remove(entry.path)
            return None
        except OSError as error:
            log.info("a saved state could not be looked at: %s", reason_of(error))
            return None
        return head


def _job(
    key: StateKey,
    conversation_id: str,
    tokens: Sequence[int],
    data: bytes | bytearray | memoryview,
    can_cut: bool,
    cut_points: Sequence[int],
) -> _Job:
    content = memoryview(data).cast("B")
    points = array("i", cut_points)
    return _Job(key.digest, _digest(conversation_id), array("i", tokens), content, can_cut, points)


def _is_of_same(one: _Job, other: _Job) -> bool:
    """Whether two states are of one conversation with one model: it may have gone on with another model."""
    return (one.key, one.conversation) == (other.key, other.conversation)


def _contains(stored: StateHead, job: _Job) -> bool:
    """Whether the stored state is, or can be cut to, the new one, without anything of it being lost."""
    if _shared_length(stored.tokens, job.tokens) < len(job.tokens):
        return False
    return job.can_cut or (stored.tokens == job.tokens and set(job.cut_points) <= set(stored.cut_points))


def _superfluous(older: Sequence[tuple[StateEntry, StateHead]], job: _Job) -> list[Path]:
    """The older states of the conversation that the new one replaces."""
    shared = [(entry.path, head, _shared_length(head.tokens, job.tokens)) for entry, head in older]
    if job.can_cut:
        return [path for path, head, length in shared if length >= _REDUNDANT_SHARE * len(head.tokens)]
    prefixes = [(length, path) for path, head, length in shared if length == len(head.tokens)]
    same = [path for length, path in prefixes if length == len(job.tokens)]
    shorter = sorted((prefix for prefix in prefixes if prefix[0] < len(job.tokens)), reverse=True)
    kept = _KEPT_PREFIXES_BESIDE_CUT_POINTS if job.cut_points else _KEPT_PREFIXES
    branches = [  # earlier versions of the last answer
        path
        for path, head, length in shared
        if length < len(head.tokens)
        and max((point for point in job.cut_points if point <= length), default=0)
        >= _REDUNDANT_SHARE * len(head.tokens)
    ]
    return [*same, *branches, *(path for _, path in shorter[kept:])]


def _shared_length(first: array[int], second: array[int]) -> int:
    """How many tokens two sequences have in common at their beginning; bisection, for speed."""
    one, other, width = first.tobytes(), second.tobytes(), first.itemsize
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if one[width * low : width * middle] == other[width * low : width * middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
