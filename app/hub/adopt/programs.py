"""All programs whose models can be used where they lie."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from app.core.library import FoundFile, Owner
from app.hub.adopt import gpt4all, hub_cache, jan, llama_cpp, lm_studio, ollama, text_generation_webui
from app.hub.adopt.places import Places

log = logging.getLogger(__name__)

FINDERS: Mapping[Owner, Callable[[Places], Iterator[FoundFile]]] = {
    Owner.LM_STUDIO: lm_studio.find,
    Owner.OLLAMA: ollama.find,
    Owner.JAN: jan.find,
    Owner.GPT4ALL: gpt4all.find,
    Owner.HUB_CACHE: hub_cache.find,
    Owner.TEXT_GENERATION_WEBUI: text_generation_webui.find,
    Owner.LLAMA_CPP: llama_cpp.find,
}


def find_everywhere(places: Places) -> list[FoundFile]:
    """The models of all programs; a file that two of them know, be it by a link, comes once.

    Takes as long as the disks do.
    """
    found: dict[str, FoundFile] = {}
    for owner, find in FINDERS.items():
        try:
            for each in find(places):
                if Path(each.path).is_absolute():  # what else it is relative to only its program knows
                    found.setdefault(os.path.realpath(each.path), each)
        except (OSError, ValueError) as error:  # names that this system cannot express, folders that vanish meanwhile
            log.warning("the models of %s were not all found: %s", owner.value, error)
    return list(found.values())


def find_new(places: Places, known_paths: Iterable[str], known_hashes: Iterable[str]) -> list[FoundFile]:
    """The models of all programs that are not known, neither as a file nor by their content; of copies the first."""
    files, hashes = {os.path.realpath(path) for path in known_paths}, {*known_hashes} - {""}
    new = []
    for each in find_everywhere(places):
        if os.path.realpath(each.path) not in files and each.sha256 not in hashes:
            hashes |= {each.sha256} - {""}
            new.append(each)
    return new
