"""A virtual screen with a window manager's job done by xdotool: real windows, real keys, real mouse, real pixels."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QColor, QImage

START_S = 15.0
POLL_S = 0.03


class Screen:
    """An X server of our own in memory; its picture lies in a file that we read."""

    def __init__(self, width_px: int = 1280, height_px: int = 800) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hearth-screen-"))
        read_end, write_end = os.pipe()
        size = f"{width_px}x{height_px}x24"
        self._server = subprocess.Popen(
            [
                "Xvfb",
                "-displayfd",
                str(write_end),
                "-screen",
                "0",
                size,
                "-fbdir",
                str(self._folder),
                "-nolisten",
                "tcp",
                "-noreset",  # else the server starts over whenever the last program leaves, and refuses the next
            ],
            pass_fds=(write_end,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            number = pipe.readline().decode().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        self.display = f":{number}"

    @property
    def environment(self) -> dict[str, str]:
        """For programs that shall appear here: this display, no other desktop, the real platform plugin."""
        kept = {
            k: v for k, v in os.environ.items() if k not in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE")
        }
        return {**kept, "DISPLAY": self.display, "QT_QPA_PLATFORM": "xcb", "LANG": "C.UTF-8"}

    def xdotool(self, *words: str | int) -> str:
        """Run one xdotool command; what it prints. Raises CalledProcessError."""
        command = ["xdotool", *(str(word) for word in words)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()

    def key(self, *keys: str) -> None:
        """Press keys one after the other, named as xdotool does: "Return", "ctrl+n"."""
        for key in keys:
            self.xdotool("key", "--clearmodifiers", key)

    def type(self, text: str) -> None:
        """Type text on the keyboard."""
        self.xdotool("type", "--delay", 4, text)

    def click(self, x_px: int, y_px: int, button: int = 1) -> None:
        """Move the mouse there and click."""
        self.xdotool("mousemove", x_px, y_px)
        self.xdotool("click", button)

    def picture(self) -> QImage:
        """What is on the screen now. The format is XWD version 7: a header of big-endian words, colours, pixels."""
        data = (self._folder / "Xvfb_screen0").read_bytes()
        words = struct.unpack(">25I", data[:100])
        header_bytes, width, height, bytes_per_line, colors = words[0], words[4], words[5], words[12], words[19]
        pixels = data[header_bytes + colors * 12 :]
        return QImage(pixels, width, height, bytes_per_line, QImage.Format.Format_RGB32).copy()

    def close(self) -> None:
        """End the server."""
        self._server.terminate()
        self._server.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = START_S) -> None:
    """Wait until something holds; an AssertionError says what did not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(POLL_S)


def is_dark(image: QImage) -> bool:
    """Whether most of a picture is dark, by a grid of samples."""
    points = [(x * image.width() // 20, y * image.height() // 20) for x in range(1, 20) for y in range(1, 20)]
    dark = sum(QColor(image.pixel(x, y)).lightness() < 128 for x, y in points)
    return dark > len(points) // 2
