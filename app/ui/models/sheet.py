"""What the details of a model show, wherever the model was found, as values."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.downloads import DownloadFile


@dataclass(frozen=True, slots=True)
class FileChoice:
    """One way to get a model: a file, or the parts of a split one."""

    repo: str
    path: str  # of the first part
    commit: str
    quantization: str  # "Q4_K_M"; empty when not known
    quality: str  # in plain words, e.g. "Balanced"
    size_bytes: int  # 0: not known
    parts: tuple[DownloadFile, ...]  # empty: it cannot be had with one click
    is_suggested: bool = False  # the one that most people want
    has_template: bool | None = None  # it carries a chat template; None: not known

    @property
    def is_size_exact(self) -> bool:
        """Whether it is known to the byte what a download brings."""
        return all(part.size_bytes for part in self.parts)

    @property
    def key(self) -> str:
        """Tells it from all others."""
        return f"{self.repo}/{self.path}"


@dataclass(frozen=True, slots=True)
class Fact:
    """A line such as "Licence: Apache 2.0"; `url` makes its text a link."""

    label: str
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ModelSheet:
    """A model with everything that its details show. Texts are plain, `card` is Markdown of strangers."""

    key: str
    name: str
    byline: str  # who made it, and when
    summary: str
    facts: tuple[Fact, ...]
    files: tuple[FileChoice, ...]  # from the smallest
    why_not: str = ""  # it cannot run: why
    nearest_key: str = ""  # the nearest that runs, and its name
    nearest_name: str = ""
    repo: str = ""  # where the hub search finds more of it; empty: unknown
    is_gated: bool = False  # terms are to be accepted before a download
    card: str = ""
    note: str = ""  # what to know first, such as how old all this is

    @property
    def suggested(self) -> FileChoice | None:
        """The file to take if one does not want to choose."""
        return next((choice for choice in self.files if choice.is_suggested), None)
