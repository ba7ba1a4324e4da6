"""The model files on this computer: Hearth's own, and those of other programs, which are used where they lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.template_check import TemplateState

NEVER_READ_NS = 0
"""In place of the time of a file's last change: its header was not read yet, or not whole."""


class Owner(StrEnum):
    """Whose file it is. Only Hearth's own are ever renamed, moved or deleted."""

    HEARTH = "hearth"
    LM_STUDIO = "lm_studio"
    OLLAMA = "ollama"
    JAN = "jan"
    GPT4ALL = "gpt4all"
    HUB_CACHE = "hub_cache"
    TEXT_GENERATION_WEBUI = "text_generation_webui"
    LLAMA_CPP = "llama_cpp"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A model found on disk, its header unread: all parts of a split one, the first of which is loaded."""

    owner: Owner
    parts: tuple[str, ...]  # absolute paths, in order
    size_bytes: int  # of all parts
    name: str = ""  # what the other program calls it; empty: the header's name
    sha256: str = ""  # where the program's own records tell it, of a model in one part
    repo: str = ""  # owner/name on the hub, where the records tell it
    commit: str = ""

    @property
    def path(self) -> str:
        """What is loaded."""
        return self.parts[0]


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """A model of the list "On this computer"."""

    path: str  # of the first part
    name: str
    owner: Owner
    parts: tuple[str, ...]
    size_bytes: int
    architecture: str = ""
    parameters: int = 0  # 0: not known
    quantization: str = ""
    context_length: int = 0  # what it was trained for; 0: not known
    has_template: bool = False  # the file carries a chat template
    licence: str = ""
    sha256: str = ""  # empty: not computed yet
    repo: str = ""
    commit: str = ""
    added_at: datetime | None = None
    last_used_at: datetime | None = None
    is_missing: bool = False
    same_as: tuple[str, ...] = ()  # paths of files with the same content
    template_state: TemplateState = TemplateState.UNKNOWN  # of the template in the file, where that matters
    template_used: str = ""  # in place of it: a format of the table

    @property
    def is_read_only(self) -> bool:
        """Whether it belongs to another program."""
        return self.owner is not Owner.HEARTH


def possible_copies(models: Iterable[LibraryModel]) -> list[LibraryModel]:
    """Those that have the size of another one; whether they are copies their hashes tell.

    Without models in several parts: the one hash that is kept of them is that of the first.
    """
    by_size: defaultdict[int, list[LibraryModel]] = defaultdict(list)
    for model in models:
        if not model.is_missing and len(model.parts) == 1:
            by_size[model.size_bytes].append(model)
    return [model for group in by_size.values() if len(group) > 1 for model in group]
