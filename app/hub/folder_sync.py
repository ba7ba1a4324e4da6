"""What a folder lists reaches the disk: a renamed file is otherwise lost with the power, however safe its bytes are."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait until new names in `folder` are on the disk; where a system cannot, it does so in its own time."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
