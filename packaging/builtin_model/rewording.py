"""Says a question in other words: synonyms, and another beginning ("how do I" -> "is there a way to")."""

from __future__ import annotations

import re
from random import Random

from phrases import in_frame

_GROUPS = (
    "chat|conversation|thread|discussion|dialogue",
    "chats|conversations|threads|discussions",
    "delete|remove|erase",
    "deleted|removed|erased",
    "deleting|removing|erasing",
    "model|llm|language model|ai model",
    "models|llms|language models|ai models",
    "computer|pc|laptop|machine",
    "program|app|application|software|tool",
    "answer|reply|response",
    "answers|replies|responses",
    "start|begin|open",
    "change|modify|adjust|alter",
    "show|display",
    "big|large|huge",
    "bigger|larger",
    "small|little|tiny",
    "fast|quick",
    "faster|quicker|speedier",
    "folder|directory",
    "disk|drive|hard drive|hard disk",
    "find|locate|look for",
    "picture|image|photo",
    "pictures|images|photos",
    "stop|cancel|abort|halt",
    "get|obtain|fetch",
    "need|require",
    "store|save|keep",
    "stored|saved|kept",
    "memory|ram",
    "error|failure",
    "settings|options|preferences",
    "graphics card|gpu|video card",
    "trash|bin|trash can",
    "shortcut|key|hotkey",
    "shortcuts|keys|hotkeys",
    "manual|guide|documentation|handbook",
    "terminal|command line|console|shell",
    "internet|web|network|internet connection",
    "choose|select|pick",
    "previous|earlier|old",
    "company|firm",
    "text|writing",
    "broken|damaged|corrupt",
    "quit|exit|close",
    "update|upgrade",
    "licence|license",
    "colour|color",
    "colours|colors",
    "sidebar|side bar|left panel",
    "role|persona",
    "happens|occurs",
    "explain|describe",
    "automatically|by itself|on its own",
    "forever|for ever|permanently|for good",
    "bug|error|problem",
    "crashed|died|broke down",
    "document|file",
    "mistake|error",
    "laptop|notebook",
    "maximum|max|longest",
    "allowed|permitted",
    "use|work with|run",
    "possible|doable",
    "people|persons|users",
    "window|screen",
    "talk|chat|speak",
)
_SYNONYMS: dict[str, list[str]] = {}
for _group in _GROUPS:
    _words = _group.split("|")
    for _word in _words:
        _SYNONYMS.setdefault(_word, []).extend(other for other in _words if other != _word)
_WORDS = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _SYNONYMS), key=len, reverse=True)) + r")\b", re.IGNORECASE)
_ACTION = re.compile(
    r"^(?:how (?:do|can|could|would|should|might) (?:i|you|we)|how to|how does one|can i|could i|i want to|"
    r"i'd like to|i need to|i would like to|where (?:do|can) i|is there (?:a|any) way to|"
    r"what(?:'s| is) the (?:best |easiest )?way to|is it possible to|tell me how to|show me how to) (.+)$",
    re.IGNORECASE,
)
_FILLER = {"the", "a", "an", "do", "i", "my", "is", "of", "to", "for", "please", "can", "you", "it", "in", "does"}


def reword(rng: Random, text: str) -> str:
    """The same question with some words exchanged; the strength is random, often none."""
    if rng.random() < 0.3:
        text = _other_beginning(rng, text)
    strength = rng.choice((0.0, 0.0, 0.15, 0.35))
    if strength:
        text = _WORDS.sub(lambda found: _exchange(rng, found.group(1), strength), text)
    if rng.random() < 0.06:
        text = _telegram(rng, text)
    return text


def _other_beginning(rng: Random, text: str) -> str:
    core = text.rstrip(" ?.!")
    match = _ACTION.match(core)
    # A second sentence or clause would no longer fit behind another beginning.
    if match is None or any(mark in core for mark in ".?!,"):
        return text
    return in_frame(rng, match.group(1))


def _exchange(rng: Random, word: str, strength: float) -> str:
    if rng.random() >= strength:
        return word
    other = rng.choice(_SYNONYMS[word.lower()]) if word.lower() in _SYNONYMS else word
    return other.capitalize() if word[:1].isupper() and not word.isupper() else other


def _telegram(rng: Random, text: str) -> str:
    """Search-box style: short function words are left out."""
    words = [word for word in text.split() if word.lower() not in _FILLER or rng.random() < 0.25]
    return " ".join(words) if len(words) >= 2 else text
