"""Asks the finished GGUF the held-out questions and writes down how often it was right.

    python packaging/builtin_model/evaluate.py [--model PATH] [--write]

Runs the real file through llama.cpp at temperature 0. Prints totals only: nobody who works on the
corpus should see single held-out questions. With --write the totals go into `evaluation.json` and
into the model card beside the model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import skills
from answers import OUT_OF_SCOPE, REPOSITORY, fixed_answers
from dialogues import Corpus
from heldout import HELD_OUT_FILE
from llama_cpp import Llama

MODELS = REPOSITORY / "resources" / "models"
DEFAULT_MODEL = MODELS / "hearth-guide-q8_0.gguf"
CONTEXT_TOKENS = 1024
LONGEST_ANSWER_TOKENS = 64
FRESH_QUESTIONS = 300
FRESH_SUMS = 200
FRESH_NAMES = 100
SYSTEM_PROMPT = "You are a helpful assistant."
_FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class Score:
    """How many of how many answers were right."""

    title: str
    right: int = 0
    asked: int = 0

    def count(self, right: bool) -> None:
        self.right += right
        self.asked += 1

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else 0.0


@dataclass(slots=True)
class Guide:
    """The model as a chat partner that forgets everything between chats."""

    llama: Llama
    seconds: float = 0.0
    tokens: int = 0

    def answers(self, questions: list[str], system: str | None = None) -> list[str]:
        """The answers of one chat, in turn."""
        messages = [{"role": "system", "content": system}] if system else []
        said = []
        for question in questions:
            messages.append({"role": "user", "content": question})
            start = time.perf_counter()
            reply = self.llama.create_chat_completion(messages, temperature=0.0, max_tokens=LONGEST_ANSWER_TOKENS)
            self.seconds += time.perf_counter() - start
            self.tokens += reply["usage"]["completion_tokens"]
            said.append(reply["choices"][0]["message"]["content"])
            messages.append({"role": "assistant", "content": said[-1]})
        return said


@dataclass(slots=True)
class Examiner:
    """Asks and counts."""

    guide: Guide
    fixed: dict[str, str] = field(default_factory=fixed_answers)

    def held_out(self, data: dict) -> Iterator[Score]:
        yield self._intents("help questions", data["help"])
        yield self._intents("help questions after a system prompt", data["help"], SYSTEM_PROMPT)
        yield self._intents("help questions on the topics added later", data["help_later"])
        yield self._intents("small talk", data["small_talk"])
        names = Score("names recalled")
        for item in data["names"]:
            said = self.guide.answers(item["turns"])[-1]
            names.count(item["name"].lower() in said.lower())
        yield names
        sums = Score("additions")
        for item in data["additions"]:
            sums.count(_last_number(self.guide.answers([item["q"]])[0]) == item["answer"].strip())
        yield sums
        refused = Score("out-of-scope questions refused")
        for question in data["out_of_scope"]:
            refused.count(self._is(question, OUT_OF_SCOPE))
        yield refused

    def generated(self, corpus: Corpus, rng: Random) -> Iterator[Score]:
        """What the people who made the corpus could see, but training did not: see `development.py`."""
        apart = Score("help paraphrases kept apart (many terse or odd)")
        for intent in corpus.help_intents:
            for question in corpus.development_set[intent]:
                apart.count(self._is(question, self.fixed[intent]))
        yield apart
        wording = Score("help questions from the generator, fresh draw")
        for _ in range(FRESH_QUESTIONS):
            intent = rng.choice(corpus.help_intents)
            wording.count(self._is(corpus.question(intent), self.fixed[intent]))
        yield wording
        sums = Score("additions of pairs kept apart from training")
        while sums.asked < FRESH_SUMS:
            numbers = skills.random_sum(rng)
            if corpus.is_development_sum(numbers):
                question = f"What is {numbers.first} + {numbers.second}?"
                sums.count(self._is(question, numbers.answer))
        yield sums
        names = Score("invented names recalled after another question")
        for _ in range(FRESH_NAMES):
            name = skills.invented_name(rng)
            between = corpus.question(rng.choice(corpus.help_intents))
            said = self.guide.answers([f"Hi, I'm {name}.", between, "What is my name?"])[-1]
            names.count(said.strip() == skills.recall_of(name))
        yield names

    def _intents(self, title: str, items: list[dict], system: str | None = None) -> Score:
        score = Score(title)
        for item in items:
            accepted = [self.fixed[intent] for intent in (item["intent"], *item.get("also", ()))]
            said = self.guide.answers([item["q"]], system)[0]
            score.count(any(_same(said, answer) for answer in accepted))
        return score

    def _is(self, question: str, answer: str) -> bool:
        return _same(self.guide.answers([question])[0], answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into evaluation.json and the model card")
    options = parser.parse_args()
    llama = Llama(
        str(options.model),
        n_ctx=CONTEXT_TOKENS,
        n_threads=options.threads,
        n_threads_batch=options.threads,
        verbose=False,
    )
    examiner = Examiner(Guide(llama))
    groups: dict[str, list[Score]] = {"held out": [], "generated": []}
    for score in examiner.held_out(json.loads(HELD_OUT_FILE.read_text(encoding="utf-8"))):
        groups["held out"].append(_reported(score))
    for score in examiner.generated(Corpus(Random(20)), Random(21)):
        groups["generated"].append(_reported(score))
    if options.write:
        _write(options.model, groups)


def _reported(score: Score) -> Score:
    print(f"{score.title}: {score.right} of {score.asked} ({score.share:.1%})", flush=True)
    return score


def _write(model: Path, groups: dict[str, list[Score]]) -> None:
    content = model.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    results = {
        group: [{"title": s.title, "right": s.right, "asked": s.asked, "share": round(s.share, 4)} for s in scores]
        for group, scores in groups.items()
    }
    report = {"file": model.name, "sha256": digest, "bytes": len(content), "temperature": 0, "results": results}
    (model.parent / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    lines = [f"File `{model.name}`, {len(content):,} bytes, sha256 `{digest}`.", ""]
    lines += ["| asked at temperature 0 | right | of | share |", "| --- | ---: | ---: | ---: |"]
    for group, scores in groups.items():
        lines += [f"| {group}: {s.title} | {s.right} | {s.asked} | {s.share:.1%} |" for s in scores]
    card = model.parent / "README.md"
    text = "\n".join(lines) + "\n"
    card.write_text(
        _FIGURES.sub(lambda found: found[1] + text + found[2], card.read_text(encoding="utf-8")), encoding="utf-8"
    )


def _same(said: str, answer: str) -> bool:
    return " ".join(said.split()) == " ".join(answer.split())


def _last_number(text: str) -> str | None:
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else None


if __name__ == "__main__":
    main()
