"""What answers have shown of a machine's speed; on its own, for it is known long before anything is judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PastRun:
    """What an answer showed. What was expected then is left out: it hung on what was known of the machine."""

    model: str  # a name for the file's contents
    quantization: str
    read_bytes: Mapping[str, int]  # for one token, by ggml's name of the device
    seen: float  # tokens per second
