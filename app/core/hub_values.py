"""What the hub says of models, and what is asked of it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.errors import ErrorKind

MAX_FILE_BYTES = 1 << 42  # 4 TiB; a figure beyond is an error or an attack


class Gate(StrEnum):
    """Who may download from a repository: everyone, everyone who accepts its terms, or whom its author lets in."""

    OPEN = "open"
    AUTOMATIC = "automatic"
    MANUAL = "manual"


class SearchSort(StrEnum):
    """The order of answers, the largest or latest first."""

    DOWNLOADS = "downloads"
    LIKES = "likes"
    RECENT = "recent"


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository as a list of answers shows it; what the hub does not say is empty or None."""

    repo: str  # "author/name"
    author: str = ""
    downloads: int = 0  # in the last 30 days
    likes: int = 0
    updated_at: datetime | None = None
    gate: Gate = Gate.OPEN
    licence: str = ""  # the hub's short name, such as "apache-2.0"
    task: str = ""  # the hub's pipeline tag, such as "text-generation"
    parameters: int | None = None
    architecture: str = ""  # as in the GGUF header
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name without its author."""
        return self.repo.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class HubPart:
    """One file of a repository."""

    path: str
    size_bytes: int
    sha256: str = ""  # empty for small files, which the hub keeps without one


@dataclass(frozen=True, slots=True)
class HubFile:
    """A model file, or several that are one model (`name-00001-of-00003.gguf`)."""

    parts: tuple[HubPart, ...]  # at least one, in order
    quantization: str = ""  # "Q4_K_M"; empty when the name does not tell

    @property
    def path(self) -> str:
        """The first part, which is the one to load."""
        return self.parts[0].path

    @property
    def size_bytes(self) -> int:
        """All parts together."""
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class HubDetails:
    """One repository at one commit."""

    model: HubModel
    commit: str
    files: tuple[HubFile, ...]  # models, from the smallest
    projectors: tuple[HubFile, ...] = ()  # files that let a model see or hear
    card: str = ""  # Markdown, without its front matter
    chat_template: str | None = None
    context_length: int | None = None
    base_models: tuple[str, ...] = ()
    answered_at: datetime | None = None  # when the hub said so, if that was not just now
    why_old: ErrorKind | None = None  # what kept Hearth from asking again

    @property
    def has_template(self) -> bool | None:
        """Whether the files carry a chat template; None when the hub, which reads their headers, did not tell."""
        if self.chat_template is not None:
            return True
        return False if self.model.architecture else None


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A question to the hub. `max_bytes` bounds the usual file of 4 bits a weight, as far as names tell sizes."""

    text: str = ""
    author: str = ""
    task: str = ""
    max_bytes: int | None = None
    sort: SearchSort = SearchSort.DOWNLOADS
    limit: int = 30  # answers a page
    cursor: str = ""  # `next_cursor` of the page before


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Some of the answers."""

    models: tuple[HubModel, ...]
    next_cursor: str = ""  # empty when there is no more
    answered_at: datetime | None = None  # when the hub said so, if that was not just now
    why_old: ErrorKind | None = None  # what kept Hearth from asking again
