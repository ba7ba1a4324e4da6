"""How strongly a model's weights are rounded, read from the names of its files, and files that make one model.

The names are those of llama.cpp's file types (include/llama.h, tools/quantize) and the ones that publishers built on
them: a further size letter (Q4_K_L, Q3_K_XL) for larger embeddings, "UD-" for types chosen layer by layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Quality(IntEnum):
    """How near a model comes to its original, from far to near."""

    SMALLEST = 1  # below 3 bits a weight: answers suffer visibly
    SMALLER = 2  # 3 to 4 bits
    BALANCED = 3  # 4 to 5 bits: what most people choose
    HIGH = 4  # 5 to 7 bits
    BEST = 5  # 8 bits and more: no difference to the original that anybody could name


@dataclass(frozen=True, slots=True)
class Quantization:
    """A file type by its name, such as "Q4_K_M". `bits_per_weight` is that of a usual model of 8 billion parameters."""

    name: str
    bits_per_weight: float

    @property
    def quality(self) -> Quality:
        """In plain words: a step of five."""
        bits = self.bits_per_weight
        if bits < _SMALLER_BITS:
            return Quality.SMALLEST
        if bits < _BALANCED_BITS:
            return Quality.SMALLER
        if bits < _HIGH_BITS:
            return Quality.BALANCED
        return Quality.HIGH if bits < _BEST_BITS else Quality.BEST


_SMALLER_BITS, _BALANCED_BITS, _HIGH_BITS, _BEST_BITS = 3.0, 4.2, 5.2, 7.5

# Bits per weight: the table of llama.cpp's tools/quantize/README.md for Llama 3.1 8B, and for the types that are not in
# it the size of their blocks (app.core.tensor_types).
_BITS: dict[str, float] = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.56,
    "Q5_K_M": 5.70,
    "Q5_K_S": 5.57,
    "Q5_1": 6.0,
    "Q5_0": 5.5,
    "Q4_K_M": 4.89,
    "Q4_K_S": 4.67,
    "Q4_1": 5.0,
    "Q4_0": 4.6,
    "IQ4_NL": 4.68,
    "IQ4_XS": 4.46,
    "MXFP4": 4.25,
    "NVFP4": 4.5,
    "Q3_K_L": 4.30,
    "Q3_K_M": 4.00,
    "Q3_K_S": 3.64,
    "IQ3_M": 3.76,
    "IQ3_S": 3.66,
    "IQ3_XS": 3.50,
    "IQ3_XXS": 3.25,
    "Q2_K": 3.16,
    "Q2_K_S": 2.97,
    "IQ2_M": 2.93,
    "IQ2_S": 2.74,
    "IQ2_XS": 2.59,
    "IQ2_XXS": 2.38,
    "IQ1_M": 2.15,
    "IQ1_S": 2.00,
    "TQ2_0": 2.06,
    "TQ1_0": 1.69,
    "Q2_0": 2.25,
    "Q1_0": 1.13,
}
# By the numbers of general.file_type (llama.h, enum llama_ftype); the gaps were taken back.
_FILE_TYPES = """
    F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS
    IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - TQ1_0 TQ2_0 MXFP4
    NVFP4 Q1_0 Q2_0
"""
_NAMES_OF_TYPES = dict(enumerate(_FILE_TYPES.split()))
# Names of the same thing, and of types that publishers made of it.
_OTHER_NAMES: dict[str, str] = {
    "FP32": "F32",
    "FP16": "F16",
    "Q3_K": "Q3_K_M",
    "Q4_K": "Q4_K_M",
    "Q5_K": "Q5_K_M",
    "MXFP4_MOE": "MXFP4",
}
_DERIVED_BITS: dict[str, float] = {
    "Q2_K_L": 3.3,
    "Q2_K_XL": 3.4,
    "Q3_K_XL": 4.45,
    "Q4_K_L": 5.0,
    "Q4_K_XL": 5.0,
    "Q5_K_L": 5.8,
    "Q5_K_XL": 5.8,
    "Q6_K_L": 6.7,
    "Q6_K_XL": 6.9,
    "Q8_K_XL": 9.0,
    "Q4_0_4_4": 4.6,
    "Q4_0_4_8": 4.6,
    "Q4_0_8_8": 4.6,
}
_DYNAMIC = "UD-"
_ALL_BITS = {**_BITS, **_DERIVED_BITS, **{other: _BITS[name] for other, name in _OTHER_NAMES.items()}}
# The longest first: Q4_K_M before Q4_K. Publishers join with hyphens as well.
_NAMES = "|".join(re.escape(name).replace("_", "[_-]") for name in sorted(_ALL_BITS, key=len, reverse=True))
_NAME = re.compile(rf"(?:^|(?<=[-._/ ]))(?P<dynamic>UD[-_])?(?P<name>{_NAMES})(?=$|[-._/ ])", re.IGNORECASE)

_SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})(?P<ending>\.gguf)", re.IGNORECASE)
_ENDING = ".gguf"


def quantization_of(path: str) -> Quantization | None:
    """What a file's name says, or else the folders that it lies in; None when neither does.

    Of several names in one the last counts: "Q8_0" is what matters of "distilled-f16-Q8_0.gguf".
    """
    for part in reversed(path.removesuffix(_ENDING).split("/")):
        found = list(_NAME.finditer(part))
        if found:
            return _quantization(found[-1]["name"], bool(found[-1]["dynamic"]))
    return None


def quantization_named(name: str) -> Quantization | None:
    """The one that is called so, such as "Q4_K_M" or "UD-Q2_K_XL"; None when none is."""
    match = _NAME.fullmatch(name)
    return _quantization(match["name"], bool(match["dynamic"])) if match else None


def quantization_of_type(number: int | None) -> Quantization | None:
    """What a header's `general.file_type` says; None where it says nothing, nothing known or what was taken back."""
    name = "" if number is None else _NAMES_OF_TYPES.get(number, "")
    return Quantization(name, _BITS[name]) if name in _BITS else None


def _quantization(name: str, is_dynamic: bool) -> Quantization:
    plain = name.upper().replace("-", "_")
    return Quantization((_DYNAMIC if is_dynamic else "") + _OTHER_NAMES.get(plain, plain), _ALL_BITS[plain])


@dataclass(frozen=True, slots=True)
class FileGroup:
    """One model among the files of a repository or a folder: a file, or the parts of a split one in their order."""

    parts: tuple[str, ...]
    size_bytes: int | None  # of all parts; None while one of them is unknown
    is_complete: bool  # all parts are there

    @property
    def path(self) -> str:
        """The file that is opened: the first part."""
        return self.parts[0]

    @property
    def quantization(self) -> Quantization | None:
        """What its name says."""
        return quantization_of(self.path)


def group_files(files: Iterable[tuple[str, int | None]]) -> tuple[FileGroup, ...]:
    """The models among files, given by path and size in bytes, in the order in which they first appear.

    Parts belong together when they lie in one folder and differ in nothing but their number. Files that are no GGUF
    are left out.
    """
    groups: dict[tuple[str, int], dict[int, tuple[str, int | None]]] = {}
    for path, size_bytes in files:
        if not path.lower().endswith(_ENDING):
            continue
        match = _SPLIT.fullmatch(path)
        if match is None or not 1 <= int(match["part"]) <= int(match["parts"]):
            groups[(path, 1)] = {1: (path, size_bytes)}
            continue
        count = int(match["parts"])
        groups.setdefault((match["stem"], count), {})[int(match["part"])] = (path, size_bytes)
    return tuple(_group(found, count) for (_, count), found in groups.items())


def split_paths(path: str) -> tuple[str, ...]:
    """The paths of all parts of a model, given any of them; the path itself when it is not split."""
    match = _SPLIT.fullmatch(path)
    if match is None or not 1 <= int(match["part"]) <= int(match["parts"]):
        return (path,)
    stem, count = match["stem"], int(match["parts"])
    return tuple(f"{stem}-{number:05d}-of-{count:05d}{match['ending']}" for number in range(1, count + 1))


def _group(found: dict[int, tuple[str, int | None]], count: int) -> FileGroup:
    numbers = sorted(found)
    sizes = [found[number][1] for number in numbers]
    is_complete = len(found) == count  # the numbers were found to lie between 1 and the count
    is_known = is_complete and None not in sizes
    return FileGroup(
        tuple(found[number][0] for number in numbers),
        sum(size for size in sizes if size is not None) if is_known else None,
        is_complete,
    )
