"""Serves the requests for vectors and ranks: which model is loaded for which, and how long it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import ErrorKind, UserError
from app.core.events import Embedded, Ranked
from app.engine.protocol import MAX_LINE_BYTES, Embed, Rank
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.encoder import Encoder, EncoderCancelledError
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import Purpose

_NUMBER_BYTES = 12  # of one number of a vector in an event, with its comma


@dataclass(frozen=True, slots=True)
class _Kept:
    """A loaded model and the file as it was then."""

    identity: tuple[str, int, int]
    encoder: Encoder


class Encoders:
    """One model for each purpose, kept until another file is wanted or all are closed."""

    def __init__(self, engine_log: EngineLog, make_room: Callable[[], None]) -> None:
        """`make_room` gives back what nobody uses: it is called when a model does not fit."""
        self._engine_log = engine_log
        self._make_room = make_room
        self._kept: dict[Purpose, _Kept] = {}

    def embed(self, request: Embed, emit: Emit, control: RequestControl) -> None:
        """Emits Embedded, or raises UserError."""
        encoder = self._encoder(Path(request.path), Purpose.EMBED)
        if len(request.texts) * encoder.width * _NUMBER_BYTES > MAX_LINE_BYTES:
            raise UserError(ErrorKind.BAD_REQUEST, reason=f"{len(request.texts)} texts are too many at once")
        with _told(request.path):
            vectors, tokens = encoder.embed(request.texts, control)
        emit(Embedded(request.id, tuple(vectors), tokens))

    def rank(self, request: Rank, emit: Emit, control: RequestControl) -> None:
        """Emits Ranked, or raises UserError."""
        encoder = self._encoder(Path(request.path), Purpose.RANK)
        with _told(request.path):
            scores = encoder.rank(request.query, request.documents, control)
        emit(Ranked(request.id, tuple(scores)))

    def close(self) -> None:
        """Free all models; others can be loaded afterwards."""
        for kept in self._kept.values():
            kept.encoder.close()
        self._kept.clear()

    def _encoder(self, path: Path, purpose: Purpose) -> Encoder:
        identity = _identity(path)
        kept = self._kept.get(purpose)
        if kept is None or kept.identity != identity:
            try:
                encoder = Encoder(path, purpose, self._engine_log)  # beside the former one
            except UserError as error:
                if error.kind is not ErrorKind.NOT_ENOUGH_MEMORY:
                    raise
                self._make_room()
                self._drop(purpose)
                encoder = Encoder(path, purpose, self._engine_log)
            self._drop(purpose)
            kept = self._kept[purpose] = _Kept(identity, encoder)
        return kept.encoder

    def _drop(self, purpose: Purpose) -> None:
        if (kept := self._kept.pop(purpose, None)) is not None:
            kept.encoder.close()


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Errors name the model's file; a stop is one."""
    try:
        yield
    except EncoderCancelledError:
        raise UserError(ErrorKind.DECODE_FAILED, path=path, reason="it was stopped") from None
    except UserError as error:
        raise UserError(error.kind, **{"path": path, **error.details}) from None


def _identity(path: Path) -> tuple[str, int, int]:
    """What tells a file from what it was; all zeros where it cannot be looked at, which loading it explains."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path), 0, 0
    return str(path.absolute()), status.st_size, status.st_mtime_ns
