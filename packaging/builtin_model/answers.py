"""What the model says: the help topics (resources/help/en.json), small talk, and the refusal."""

from __future__ import annotations

import json
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HELP_FILE = REPOSITORY / "resources" / "help" / "en.json"
OUT_OF_SCOPE = "I am a tiny built-in model; pick a larger one under Models."
SMALL_TALK = {
    "greet": "Hello! Ask me anything about Hearth.",
    "how_are_you": "I am fine, thank you. What would you like to know about Hearth?",
    "thanks": "You are welcome.",
    "bye": "Goodbye! Your chats are saved.",
    "compliment": "Thank you, that is kind of you.",
    "insult": "I am sorry that I am not more useful. A larger model under Models can do more.",
    "joke": "Why did the tiny model stay at home? It had too little context.",
    "ok": "Good. Just ask if you need anything else.",
    "age": "I am as old as this version of Hearth. Programs have no birthdays.",
    "feelings": "No, I am only a small program. I have no feelings and no consciousness.",
}


def help_answers() -> dict[str, str]:
    """The answer of every help topic by its id."""
    topics = json.loads(HELP_FILE.read_text(encoding="utf-8"))
    return {topic["id"]: topic["answer"] for topic in topics}


def fixed_answers() -> dict[str, str]:
    """All answers that do not depend on the chat, by intent."""
    return {**help_answers(), **SMALL_TALK, "out_of_scope": OUT_OF_SCOPE}
