"""Files that a power cut leaves whole: a renamed one is otherwise lost with the power, however safe its bytes are."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

NEW_SUFFIX = ".new"
_HELD = frozenset({5, 32, 33})  # ERROR_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION: of a virus scanner mostly
_HELD_FOR_S = 2.0
_HELD_LOOK_S = 0.05


def write_durably(path: Path, text: str) -> None:
    """Replace a small file, whole or not at all; it is on the disk when this returns. Raises OSError.

    A kill may leave what was written so far beside it, with `NEW_SUFFIX` behind its name.
    """
    new = path.with_name(path.name + NEW_SUFFIX)
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave its name without its text
    rename_over(new, path)


def rename_over(source: Path, target: Path) -> None:
    """Rename over what is there; on Windows as soon as whoever looks at new files has let go. Raises OSError."""
    ends_s = time.monotonic() + _HELD_FOR_S
    while True:
        try:
            source.replace(target)
            break
        except OSError as error:
            if getattr(error, "winerror", None) not in _HELD or time.monotonic() > ends_s:
                raise
        time.sleep(_HELD_LOOK_S)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Wait until new names in `folder` are on the disk; where a system cannot, it does so in its own time."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
