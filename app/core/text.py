"""Text as it comes from keyboards, clipboards and files, made fit for storage and for the model."""

from __future__ import annotations

import re

_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    r"""Line ends as `\n`, NUL and lone surrogates as U+FFFD; everything else as it is."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2029", "\n")
    return _UNFIT.sub("\ufffd", text)
