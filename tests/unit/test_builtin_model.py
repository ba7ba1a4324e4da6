"""The built-in model's texts, its corpus and its file; its answers are asked for in the engine tests."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from types import ModuleType

import gguf
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "packaging" / "builtin_model"
MODELS = ROOT / "resources" / "models"
MODEL = MODELS / "hearth-guide-q8_0.gguf"
TOPICS = json.loads((ROOT / "resources" / "help" / "en.json").read_text(encoding="utf-8"))
HELD_OUT = json.loads((RECIPE / "heldout.json").read_text(encoding="utf-8"))
LARGEST_BYTES = 12 * 1000 * 1000
SECTIONS = [
    "Getting started",
    "Chatting",
    "Models",
    "Answers and sampling",
    "Your data",
    "When something goes wrong",
    "Looks and keys",
    "About",
]


@pytest.fixture(scope="module")
def recipe() -> Iterator[dict[str, ModuleType]]:
    """The modules of the recipe that need nothing but Python; they are scripts beside each other."""
    names = ("answers", "phrases", "noise", "rewording", "skills", "heldout", "dialogues")
    sys.path.insert(0, str(RECIPE))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(RECIPE))
        for name in names:
            sys.modules.pop(name, None)


def test_help_topics_have_all_parts_and_sizes() -> None:
    assert len({topic["id"] for topic in TOPICS}) == len(TOPICS) >= 60
    for topic in TOPICS:
        assert set(topic) == {"id", "section", "title", "answer", "body", "keywords"}, topic["id"]
        assert topic["title"].strip()
        assert topic["keywords"]
        assert len(topic["answer"].split()) <= 45, topic["id"]
        assert 40 <= len(topic["body"].split()) <= 150, topic["id"]


def test_help_topics_are_grouped_by_section() -> None:
    order = [topic["section"] for topic in TOPICS]
    assert list(dict.fromkeys(order)) == SECTIONS
    assert order == sorted(order, key=SECTIONS.index)


def test_answers_are_plain_and_distinct() -> None:
    answers = [topic["answer"] for topic in TOPICS]
    assert len(set(answers)) == len(answers)
    for answer in answers:
        assert answer.isascii()
        assert answer[-1] in ".!?"
        assert not re.search(r"[`*#\n]", answer), answer


def test_every_question_family_has_an_answer(recipe: dict[str, ModuleType]) -> None:
    phrases, dialogues = recipe["phrases"], recipe["dialogues"]
    topics = {topic["id"] for topic in TOPICS}
    assert set(phrases.read_templates(RECIPE / "templates_help.txt")) == topics
    known = set(recipe["answers"].fixed_answers()) | set(dialogues.SKILLS)
    assert set(dialogues.read_paraphrases()) <= known
    assert topics <= set(dialogues.read_paraphrases())


def test_templates_expand_to_plain_sentences(recipe: dict[str, ModuleType]) -> None:
    phrases = recipe["phrases"]
    slots = phrases.read_slots()
    rng = Random(4)
    for name in ("templates_help.txt", "templates_other.txt"):
        for intent, templates in phrases.read_templates(RECIPE / name).items():
            for template in templates:
                text = phrases.expand(rng, template, slots)
                assert text, f"{intent}: {template}"
                assert not re.search(r"[{}|$~]|  ", text), f"{intent}: {text}"


def test_held_out_set_is_large_enough() -> None:
    assert len(HELD_OUT["help"]) >= 100
    assert len(HELD_OUT["small_talk"]) >= 30
    assert len(HELD_OUT["names"]) >= 40
    assert len(HELD_OUT["additions"]) >= 60
    assert len(HELD_OUT["out_of_scope"]) >= 80
    topics = {topic["id"] for topic in TOPICS}
    assert len({item["intent"] for item in HELD_OUT["help"]} & topics) >= 60


def test_corpus_never_contains_held_out_material(recipe: dict[str, ModuleType]) -> None:
    heldout = recipe["heldout"]
    apart = heldout.read_held_out()
    assert len(apart.questions) >= 300
    corpus = recipe["dialogues"].Corpus(Random(11))
    for dialogue in islice(corpus.dialogues(4000), 4000):
        for turn in dialogue.turns:
            assert heldout.normalised(turn.question) not in apart.questions
            if turn.kind == "add":
                first, second = (int(number) for number in re.findall(r"\d+", turn.answer)[:2])
                assert (min(first, second), max(first, second)) not in apart.pairs
            if turn.kind == "tell_name":
                told = turn.answer.removeprefix("Nice to meet you, ").partition(".")[0].lower()
                assert apart.names.isdisjoint((told, *re.split(r"[ '-]", told)))
            if turn.kind == "repeat":
                assert apart.names.isdisjoint(re.split(r"[ '-]", turn.answer.lower()))


def test_corpus_is_the_same_for_the_same_seed(recipe: dict[str, ModuleType]) -> None:
    corpus = recipe["dialogues"].Corpus
    assert list(corpus(Random(5)).dialogues(200)) == list(corpus(Random(5)).dialogues(200))


def test_corpus_answers_are_right(recipe: dict[str, ModuleType]) -> None:
    fixed = recipe["answers"].fixed_answers()
    for dialogue in recipe["dialogues"].Corpus(Random(6)).dialogues(2000):
        known: str | None = None
        for turn in dialogue.turns:
            if turn.kind == "add":
                first, second, total = (int(number) for number in re.findall(r"\d+", turn.answer))
                assert first + second == total
            elif turn.kind == "tell_name":
                known = turn.answer.removeprefix("Nice to meet you, ").partition(".")[0]
                assert known in turn.question
            elif turn.kind == "recall_name":
                assert turn.answer == recipe["skills"].recall_of(known)
            elif turn.kind == "repeat":
                assert turn.question.endswith(turn.answer)
            else:
                assert turn.answer == fixed[turn.kind]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("What is 23 + 9?", (9, 23)),
        ("twenty-three plus nine", (9, 23)),
        ("add seven and 55 please", (7, 55)),
        ("forty two and ninety nine", (42, 99)),
    ],
)
def test_numbers_are_found_in_digits_and_words(recipe: dict[str, ModuleType], text: str, pair: tuple[int, int]) -> None:
    assert recipe["skills"].sum_in(text).key == pair


def test_model_file_is_small_and_described() -> None:
    assert MODEL.stat().st_size <= LARGEST_BYTES
    reader = gguf.GGUFReader(MODEL)
    told = {name: field.contents() for name, field in reader.fields.items()}
    assert told["general.architecture"] == "llama"
    assert told["general.name"] == "Hearth guide"
    assert told["general.license"] == "mit"
    assert told["general.sampling.temp"] == 0.0
    assert told["llama.context_length"] >= 1024
    template = told["tokenizer.chat_template"]
    assert isinstance(template, str)
    assert "<|im_start|>" in template
    tokens = told["tokenizer.ggml.tokens"]
    end = told["tokenizer.ggml.eos_token_id"]
    assert isinstance(tokens, list)
    assert isinstance(end, int)
    assert tokens[end] == "<|im_end|>"


def test_model_card_and_evaluation_belong_to_the_file_and_meet_the_targets() -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    report = json.loads((MODELS / "evaluation.json").read_text(encoding="utf-8"))
    assert report["sha256"] == digest
    assert digest in (MODELS / "README.md").read_text(encoding="utf-8")
    shares = {score["title"]: score["share"] for score in report["results"]["held out"]}
    assert shares["help questions"] >= 0.75
    assert shares["names recalled"] >= 0.9
    assert shares["additions"] >= 0.9
    assert shares["out-of-scope questions refused"] >= 0.9
