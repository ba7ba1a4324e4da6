from __future__ import annotations

from pathlib import Path


def fill_disk(folder: Path) -> Path:
    """Leave no byte free; the file that takes the room."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast
