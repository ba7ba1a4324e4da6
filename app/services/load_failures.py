"""What the end of an engine says of the load that was under way."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.errors import ErrorKind, UserError
from app.core.events import Device
from app.core.remote import server_of
from app.engine.attempts import Attempt


def crash_error(attempt: Attempt, reason: str, devices: Iterable[Device], builtin: str) -> UserError:
    """What to tell of a device that ended the engine; `builtin` is the path of the model that came with Hearth."""
    known = {device.name: device.description for device in devices}
    path = "" if attempt.path == builtin else attempt.path
    if server := server_of(attempt.name):
        return UserError(ErrorKind.SERVER_LOST, server=server, path=path, reason=reason)
    device = known.get(attempt.name, "")  # at a start none is listed yet
    return UserError(ErrorKind.DEVICE_CRASHED, device=device, name=attempt.name, path=path, reason=reason)


def was_elsewhere(error: UserError, path: str) -> bool:
    """Whether the engine died of a computer that the model before was on: nothing speaks against this file."""
    return error.kind is ErrorKind.SERVER_LOST and error.string("path") != path


def while_loading(error: UserError, path: str) -> UserError:
    """An engine that died while it loaded a file: the file is the news, not the engine."""
    if error.kind in (ErrorKind.ENGINE_START_FAILED, ErrorKind.LOAD_STALLED):
        return error
    return UserError(ErrorKind.LOAD_FAILED, **{**error.details, "path": path})
