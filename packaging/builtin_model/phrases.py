"""Reads the question templates and turns one into a random sentence.

Notation: {a|b} chooses one, {|a} may leave a out, braces nest, $name is a word of slots.txt, and a
template that starts with "~" is an action ("rename a chat") that gets one of FRAMES around it.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

FOLDER = Path(__file__).parent
PLAIN_FRAMES = ("how do i {}", "how can i {}", "how to {}", "how do you {}", "can i {}", "where do i {}")
FRAMES = (
    "is there a way to {}",
    "is there any way i can {}",
    "i want to {}",
    "i'd like to {}",
    "i need to {}",
    "i would like to {}",
    "where can i {}",
    "what do i do to {}",
    "what do i have to do to {}",
    "what do i press to {}",
    "what do i click to {}",
    "which button do i press to {}",
    "how would i {}",
    "how should i {}",
    "how does one {}",
    "how might i {}",
    "how could i {}",
    "how am i supposed to {}",
    "tell me how to {}",
    "please tell me how to {}",
    "can you tell me how to {}",
    "could you tell me how i can {}",
    "could you explain how to {}",
    "explain how to {}",
    "show me how to {}",
    "i don't know how to {}",
    "i can't figure out how to {}",
    "i have no idea how to {}",
    "i am trying to {}",
    "i wonder how to {}",
    "i was wondering how i could {}",
    "do you know how to {}",
    "any idea how to {}",
    "what is the way to {}",
    "what's the easiest way to {}",
    "what is the best way to {}",
    "best way to {}",
    "is it possible to {}",
    "would it be possible to {}",
    "am i able to {}",
    "am i allowed to {}",
    "could i {}",
    "may i {}",
    "let me {}",
    "help me {}",
    "help me to {}",
    "{}",
    "{}",
    "{}, how",
    "{} please",
    "how 2 {}",
    "steps to {}",
    "teach me to {}",
    "my friend wants to {}",
    "suppose i want to {}",
    "what if i want to {}",
    "if i want to {}, what do i do",
    "when i want to {}, where do i click",
    "say i'd like to {}",
    "i'm looking for a way to {}",
    "there must be a way to {}",
    "where is the option to {}",
    "where's the button to {}",
    "is there a button to {}",
    "is there a shortcut to {}",
    "does hearth let me {}",
    "will hearth let me {}",
    "can hearth {}",
    "in hearth, how do i {}",
)
_CHOICE = re.compile(r"\{([^{}]*)\}")
_SLOT = re.compile(r"\$([a-z]+)")
_SPACES = re.compile(r"\s+")
_BEFORE_PUNCTUATION = re.compile(r"\s+([,.?!])")


def read_templates(path: Path) -> dict[str, list[str]]:
    """The templates of each [intent] of a file, in order."""
    templates: dict[str, list[str]] = {}
    current: list[str] = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            current = templates.setdefault(line[1:-1], [])
        else:
            current.append(line)
    return templates


def read_slots(path: Path = FOLDER / "slots.txt") -> dict[str, list[str]]:
    """The words of each slot."""
    slots: dict[str, list[str]] = {}
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if line and not line.startswith("#"):
            name, _, words = line.partition("=")
            slots[name.strip()] = [word.strip() for word in words.split("|")]
    return slots


def in_frame(rng: Random, action: str) -> str:
    """An action as a question or a wish: "rename a chat" -> "how can i rename a chat"."""
    frames = PLAIN_FRAMES if rng.random() < 0.4 else FRAMES
    return rng.choice(frames).format(action)


def expand(rng: Random, template: str, slots: dict[str, list[str]]) -> str:
    """One random sentence of a template, in small letters and without a full stop."""
    framed = template.startswith("~")
    text = template.lstrip("~ ")
    # A slot may stand inside a choice, so choices are made first and unused slots never filled.
    while match := _CHOICE.search(text):
        text = text[: match.start()] + rng.choice(match.group(1).split("|")) + text[match.end() :]
    text = _SLOT.sub(lambda found: _word(rng, found.group(1), slots), text)
    text = _SPACES.sub(" ", text).strip()
    if framed:
        text = in_frame(rng, text)
    return _BEFORE_PUNCTUATION.sub(r"\1", text)


def _word(rng: Random, name: str, slots: dict[str, list[str]]) -> str:
    """A word of a slot; "$animals" is the plural of "$animal" unless there is such a slot."""
    return rng.choice(slots[name]) if name in slots else rng.choice(slots[name.removesuffix("s")]) + "s"
