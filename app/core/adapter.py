"""A LoRA adapter: a small file that changes what a model says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA file and how strongly it counts; 1 is as trained."""

    path: str
    scale: float = 1.0
