"""How people type: case, punctuation, contractions, typos, politeness around the question.

Text in braces such as {name} is a place to be filled later and is never changed, but for its case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from phrases import FOLDER, read_slots

_NEIGHBOURS = {
    row[i]: row[max(0, i - 1) : i] + row[i + 1 : i + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for i in range(len(row))
}
_CONTRACTIONS = (
    ("what is", "what's"),
    ("where is", "where's"),
    ("how is", "how's"),
    ("who is", "who's"),
    ("i am", "i'm"),
    ("i have", "i've"),
    ("i would", "i'd"),
    ("you are", "you're"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("is not", "isn't"),
    ("can not", "can't"),
    ("cannot", "can't"),
    ("will not", "won't"),
    ("it is", "it's"),
    ("that is", "that's"),
)
_SHORT = {"you": "u", "are": "r", "please": "pls", "your": "ur", "because": "cuz", "for": "4", "to": "2"}
_PROPER = {word.lower(): word for word in read_slots(FOLDER / "words.txt")["proper"]}
_BEFORE = (
    "hi, ",
    "hello, ",
    "hey, ",
    "hi! ",
    "hello! ",
    "hi there, ",
    "hey there. ",
    "good morning, ",
    "good evening. ",
    "please, ",
    "excuse me, ",
    "sorry, ",
    "quick question: ",
    "question: ",
    "one question: ",
    "so ",
    "ok, ",
    "okay so ",
    "um, ",
    "well, ",
    "and ",
    "also, ",
    "btw ",
    "now ",
    "tell me: ",
    "just wondering, ",
    "stupid question, but ",
    "i am new here. ",
    "i'm a beginner. ",
    "i just installed hearth. ",
    "i'm not good with computers, ",
    "help! ",
    "hi hearth, ",
    "can you tell me ",
    "could you please tell me ",
    "i'd like to know ",
    "do you know ",
    "i was wondering, ",
    "my colleague asks: ",
    "thanks. ",
    "thank you. ",
    "next question: ",
    "another question: ",
    "one more thing: ",
    "i have a question. ",
)
_AFTER = (
    " please",
    ", please",
    " thanks",
    ", thanks",
    "? thanks",
    "? thank you",
    " here",
    " in hearth",
    " in this app",
    " with hearth",
    " in this program",
    " exactly",
    " again",
    " now",
    ", can you help",
    "? i can't find it",
    "? i am lost",
    ", do you know",
    "? any help is welcome",
    " on my computer",
    " actually",
    " by the way",
    " then",
    " somehow",
    "? help",
    " for me",
)
_PLACE = re.compile(r"\{[a-z]+\}")


def decorate(rng: Random, text: str, probability: float = 0.3) -> str:
    """Puts a greeting, a polite word or a little story around a question, or nothing."""
    if rng.random() < probability:
        before = rng.choice(_BEFORE)
        text = before + (text if text.startswith(("I ", "I'")) else text[:1].lower() + text[1:])
    if rng.random() < probability * 0.55:
        text = text.rstrip("?.! ") + rng.choice(_AFTER)
    return text


def roughen(rng: Random, text: str, question: bool = True, typos: bool = True) -> str:
    """The text as a person might type it."""
    text = _contract(rng, text)
    if rng.random() < 0.3:
        text = text.replace(",", "")
    if typos and rng.random() < 0.16:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            text = _typo(rng, text)
    if rng.random() < 0.03:
        text = " ".join(_SHORT.get(word, word) for word in text.split())
    return _end(rng, _case(rng, text), question)


def _contract(rng: Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.45:
        for long, short in _CONTRACTIONS:
            if rng.random() < 0.7:
                text = re.sub(rf"\b{long}\b", short, text, flags=re.IGNORECASE)
    elif draw < 0.6:
        for long, short in _CONTRACTIONS:
            text = re.sub(rf"\b{re.escape(short)}\b", long, text, flags=re.IGNORECASE)
    draw = rng.random()
    if draw < 0.12:
        text = text.replace("'", "")
    elif draw < 0.17:
        text = text.replace("'", "\u2019")
    return text


def _typo(rng: Random, text: str) -> str:
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not places:
        return text
    index = rng.choice(places)
    word = words[index]
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(5)
    if kind == 0:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        word = word[:at] + word[at + 1 :]
    elif kind == 2:
        word = word[:at] + word[at] + word[at:]
    elif kind == 3:
        word = word[:at] + rng.choice(_NEIGHBOURS.get(word[at].lower(), word[at])) + word[at + 1 :]
    elif index + 1 < len(words):  # a missing space
        return " ".join([*words[:index], words[index] + words[index + 1], *words[index + 2 :]])
    return " ".join([*words[:index], word, *words[index + 1 :]])


def _case(rng: Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.42:
        return _keeping_places(text, str.lower)
    if draw < 0.45:
        return _keeping_places(text, str.upper)
    if draw < 0.52:
        return text
    words = [_PROPER.get(word.lower(), word) if word.islower() else word for word in text.split(" ")]
    text = " ".join(words)
    return text if text.startswith("{") else text[:1].upper() + text[1:]


def _keeping_places(text: str, change: Callable[[str], str]) -> str:
    parts = _PLACE.split(text)
    places = _PLACE.findall(text)
    mixed = [change(parts[0])]
    for place, part in zip(places, parts[1:], strict=True):
        mixed += [place, change(part)]
    return "".join(mixed)


def _end(rng: Random, text: str, question: bool) -> str:
    draw = rng.random()
    if draw < 0.45:
        return text.rstrip("?.! ") if draw < 0.38 else text
    bare = text.rstrip("?.! ")
    if question:
        return bare + ("?" if draw < 0.93 else rng.choice(("??", "?!", " ?", "...", ".", "!")))
    return bare + rng.choice((".", ".", ".", "!", "", "!!", " :)", "..."))
