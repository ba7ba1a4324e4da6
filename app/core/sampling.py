"""How the next token is chosen: every knob of the sampler chain, declared once with its range and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite


@dataclass(frozen=True, slots=True)
class Sampling:
    """The values of one generation. Names and meanings are llama.cpp's (common/arg.cpp).

    `temperature` 0 is greedy; a penalty of 1 (repeat) or 0 (frequency, presence, DRY, XTC) is off; `top_k` 0,
    `top_p` 1, `min_p` 0 and `typical_p` 1 are off; `seed` None draws a fresh one.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None

    def merged(self, overrides: Mapping[str, float | int | None]) -> Sampling:
        """A copy with the given values put in, each brought into its range; unknown names are ignored."""
        known = {spec.name for spec in RANGES} | {"seed"}
        values: dict[str, float | int | None] = {}
        for name, value in overrides.items():
            if name not in known or value is None or isinstance(value, bool):
                continue
            values[name] = _seed(value) if name == "seed" else RANGE_OF[name].clamped(value)
        return replace(self, **values)  # type: ignore[arg-type]  # each value has just been brought to its field's type

    def to_json(self) -> dict[str, float | int | None]:
        """All values by name."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}


def _seed(value: float | int) -> int:
    """Any number as 32 bits; one that is infinite or NaN as 0."""
    return int(value) & 0xFFFFFFFF if isinstance(value, int) or isfinite(value) else 0


@dataclass(frozen=True, slots=True)
class Range:
    """The legal values of one knob."""

    name: str
    minimum: float
    maximum: float
    step: float
    integer: bool = False

    def clamped(self, value: float | int) -> float | int:
        """The nearest legal value; NaN becomes the minimum."""
        number = min(max(value, self.minimum), self.maximum)  # not of float(value): integers may be too large for that
        if number != number:
            number = self.minimum
        return round(number) if self.integer else float(number)


RANGES: tuple[Range, ...] = (
    Range("temperature", 0.0, 5.0, 0.05),
    Range("top_k", 0, 1000, 1, integer=True),
    Range("top_p", 0.0, 1.0, 0.01),
    Range("min_p", 0.0, 1.0, 0.01),
    Range("typical_p", 0.0, 1.0, 0.01),
    Range("repeat_penalty", 0.5, 3.0, 0.01),
    Range("repeat_last_n", 0, 4096, 16, integer=True),
    Range("frequency_penalty", -2.0, 2.0, 0.05),
    Range("presence_penalty", -2.0, 2.0, 0.05),
    Range("dry_multiplier", 0.0, 5.0, 0.1),
    Range("dry_base", 1.0, 4.0, 0.05),
    Range("dry_allowed_length", 1, 20, 1, integer=True),
    Range("dry_penalty_last_n", -1, 32768, 64, integer=True),
    Range("xtc_probability", 0.0, 1.0, 0.05),
    Range("xtc_threshold", 0.0, 0.5, 0.01),
    Range("mirostat", 0, 2, 1, integer=True),
    Range("mirostat_tau", 0.0, 20.0, 0.1),
    Range("mirostat_eta", 0.0, 1.0, 0.01),
)
RANGE_OF = {spec.name: spec for spec in RANGES}
