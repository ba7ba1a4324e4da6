"""The two skills beside help: remembering a name within the chat, and adding small numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase

from phrases import FOLDER, read_slots

UNKNOWN_NAME = "You have not told me your name yet."
_WORDS = read_slots(FOLDER / "words.txt")
_ONSETS = _WORDS["onsets"] + [""] * 3
_VOWELS = _WORDS["vowels"]
_CODAS = _WORDS["codas"] + [""] * 26  # about every second syllable is open
_PIECES = [
    word.lower()
    for word in [*_WORDS["real"] * 3, *(word for slot in read_slots().values() for word in slot)]
    if word.isalpha() and len(word) >= 4
]
_ONES = _WORDS["ones"]
_TENS = ["", "", *_WORDS["tens"]]
_ACCENTS = {  # a letter stands among its accented forms, so that not every one of a name changes
    "a": "aaáàâäãåă",
    "e": "eeéèêëę",
    "i": "iiíìîï",
    "o": "ooóòôöõø",
    "u": "uuúùûüů",
    "n": "nnñń",
    "c": "ccçčć",
    "s": "ssšś",
    "z": "zzžż",
    "l": "llł",
    "g": "ggğ",
    "S": "SSŠŞ",
    "C": "CCČ",
    "A": "AAÁÅ",
    "E": "EEÉ",
    "O": "OOÖØ",
    "L": "LLŁ",
    "Z": "ZZŽ",
}
_REPEAT = (
    "Repeat: {}",
    "repeat: {}",
    "Repeat after me: {}",
    "repeat after me: {}",
    "Please repeat: {}",
    "please repeat this: {}",
    "Repeat these words: {}",
    "Say exactly: {}",
)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Sum:
    """An addition of two numbers of one or two digits."""

    first: int
    second: int

    @property
    def answer(self) -> str:
        return f"{self.first} + {self.second} = {self.first + self.second}."

    @property
    def key(self) -> tuple[int, int]:
        """The same for both orders, so that holding a pair out holds out its mirror image too."""
        return (min(self.first, self.second), max(self.first, self.second))


def real_names() -> list[str]:
    return list(_WORDS["real"])


def invented_name(rng: Random) -> str:
    """A name that nobody may ever have had, because copying must not need a list.

    Some are built from syllables, some are the beginning of one word and the end of another, so that
    the tokens of real names occur in all kinds of company, and some are letters drawn one by one.
    """
    draw = rng.random()
    if draw < 0.5:
        name = rng.choice(_PIECES)[: rng.randint(1, 5)] + rng.choice(_PIECES)[-rng.randint(2, 6) :]
    elif draw < 0.85:
        syllables = rng.choices((1, 2, 3), (4, 5, 1))[0]
        name = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
    else:
        name = "".join(rng.choice(ascii_lowercase) for _ in range(rng.randint(3, 7)))
    if len(name) == 1:
        name += "o"
    return adorned(rng, name.capitalize())


def adorned(rng: Random, name: str) -> str:
    """The name, now and then with accents, as a double name, or with an apostrophe."""
    draw = rng.random()
    if draw < 0.14:
        name = "".join(rng.choice(_ACCENTS.get(letter, letter)) for letter in name)
    elif draw < 0.19:
        name = f"{name}-{rng.choice(_WORDS['real'])}"
    elif draw < 0.22:
        name = rng.choice(("O'", "D'", "M'")) + name
    return name


def greeting_for(name: str) -> str:
    return f"Nice to meet you, {name}."


def repetition(rng: Random, words: list[str], invent: Callable[[], str]) -> tuple[str, str]:
    """ "Repeat: ..." and what to repeat: teaches copying, which names need, with many tokens at once."""
    chosen = rng.sample(words, rng.randint(2, 14))
    for index in range(len(chosen)):
        if rng.random() < 0.3:
            name = invent()
            chosen[index] = rng.choice((name, name, name.lower(), name.upper()))
    text = " ".join(chosen)
    return rng.choice(_REPEAT).format(text), text


def recall_of(name: str | None) -> str:
    return UNKNOWN_NAME if name is None else f"Your name is {name}."


def in_words(number: int) -> str:
    """0 to 99 in English words: 42 -> "forty-two"."""
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def random_sum(rng: Random) -> Sum:
    """Two-digit numbers more often than one-digit ones, because there are so many more pairs."""
    ranges = rng.choices(((10, 99, 10, 99), (0, 9, 10, 99), (10, 99, 0, 9), (0, 9, 0, 9)), (13, 2, 3, 2))[0]
    return Sum(rng.randint(*ranges[:2]), rng.randint(*ranges[2:]))


def sum_in(text: str) -> Sum | None:
    """The two numbers of a question, in digits or in words; None unless there are exactly two."""
    plain = text.lower().replace("-", " ")
    for number in range(99, -1, -1):
        plain = re.sub(rf"\b{in_words(number).replace('-', ' ')}\b", str(number), plain)
    numbers = [int(found) for found in _NUMBER.findall(plain)]
    return Sum(*numbers) if len(numbers) == 2 and max(numbers) <= 99 else None


def fill_sum(rng: Random, template: str, numbers: Sum) -> str:
    """Puts the numbers where {a} and {b} stand, in the order in which they are read."""
    words = rng.random() < 0.1
    both = [in_words(n) if words else str(n) for n in (numbers.first, numbers.second)]
    if words and rng.random() < 0.4:
        both = [word.replace("-", " ") for word in both]
    values = iter(both)
    return re.sub(r"\{[ab]\}", lambda _: next(values), template)


def other_arithmetic(rng: Random) -> str:
    """Sums that are out of reach: larger numbers, other operations, more than two numbers."""
    big, small = rng.randint(100, 9999), rng.randint(2, 99)
    a, b, c = (rng.randint(1, 99) for _ in range(3))
    kinds = (
        f"what is {big} + {rng.randint(100, 9999)}",
        f"{big} plus {small}",
        f"{small} + {big}",
        f"what is {a} - {b}",
        f"{a} minus {b}",
        f"{a}-{b}",
        f"how much is {a} times {b}",
        f"{a} * {b}",
        f"{a}x{b}",
        f"{a} times {b}",
        f"what is {a} multiplied by {b}",
        f"{a} / {b}",
        f"what's {a} divided by {b}",
        f"subtract {a} from {b}",
        f"{a} percent of {b}",
        f"what is {a} squared",
        f"square root of {big}",
        f"{a} + {b} + {c}",
        f"what is {a} plus {b} plus {c}",
        f"{a}.5 + {b}.25",
        f"what is {a} + {b} - {c}",
        f"{a} to the power of {b}",
        f"half of {a}",
        f"double {a}",
        f"is {a} bigger than {b}",
        f"how much is {a}% of {big}",
        f"what is the difference between {a} and {b}",
        f"multiply {a} by {b}",
        f"divide {big} by {small}",
    )
    return rng.choice(kinds)
