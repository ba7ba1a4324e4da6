"""All programs whose models can be used where they lie."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

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
    """The models of all programs; a file that two of them know comes once. Takes as long as the disks do."""
    found: dict[str, FoundFile] = {}
    for owner, find in FINDERS.items():
        try:
            for each in find(places):
                found.setdefault(each.path, each)
        except (OSError, ValueError) as error:  # names that this system cannot express, folders that vanish meanwhile
            log.warning("the models of %s were not all found: %s", owner.value, error)
    return list(found.values())
