from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.core.chat_formats import FORMATS, PLAIN, format_named
from app.core.templates import choose_format, end_marks_in

CATALOG = Path(__file__).resolve().parents[3] / "resources" / "catalog.json"
IN_THE_FILE = {"", "in-gguf", "olmo2"}  # words of the catalogue for models whose file has the only template
CHATML = {"<|im_start|>", "<|im_end|>"}


@pytest.mark.parametrize(
    ("tokens", "model_name", "expected"),
    [
        ({"<|im_start|>", "<|im_end|>"}, "x", "chatml"),
        ({"<|im_start|>", "<|im_sep|>", "<|im_end|>"}, "x", "phi-4"),
        ({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "x", "llama-3"),
        ({"<start_of_turn>", "<end_of_turn>"}, "x", "gemma"),
        ({"<|user|>", "<|assistant|>", "<|end|>", "<|system|>"}, "x", "phi-3"),
        ({"[INST]", "[/INST]"}, "x", "mistral-v3"),
        ({"[INST]", "[/INST]"}, "Mistral-Nemo-Instruct-2407", "mistral-v3-tekken"),
        (CHATML, "Orca-2-7b", "orca-2"),
        (CHATML, "vicuna trained otherwise", "chatml"),
        ({"<s>", "</s>"}, "stable-vicuna-13B", "stable-vicuna"),
        ({"<s>", "</s>"}, "Airoboros L2 13B 2.1", "airoboros-v2"),
        ({"<|endoftext|>"}, "falcon-7b-instruct", "falcon"),
        ({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "Meta Llama 3.1 8B Instruct", "llama-3.1"),
        ({"<｜User｜>", "<｜Assistant｜>"}, "x", "deepseek"),
        ({"<s>", "</s>"}, "Mistral-7B-Instruct-v0.1", "mistral"),
        ({"<s>", "</s>"}, "llama-2-7b-chat.Q4_K_M", "llama-2"),
        ({"<s>", "</s>"}, "zephyr-7b-beta", "zephyr"),
        ({"<s>", "</s>"}, "vicuna-13b", "vicuna"),
        ({"<s>", "</s>"}, "Nous-Hermes-Llama2-13b", "alpaca"),
        (CHATML, "Nous-Hermes-2-Mistral-7B-DPO", "chatml"),
        ({"<s>", "</s>"}, "Mistral-7B-codealpaca-lora", "alpaca"),
        ({"<s>", "</s>"}, "Nous-Capybara-34B", "vicuna"),
        ({"<s>", "</s>"}, "some-llama", "plain"),
        ({"<s>", "</s>"}, "mistral-7b-base", "plain"),
        (set(), "", "plain"),
    ],
)
def test_the_format_follows_vocabulary_then_name(tokens: set[str], model_name: str, expected: str) -> None:
    assert choose_format(tokens, model_name).name == expected


def test_end_marks_are_those_of_the_template() -> None:
    assert end_marks_in("{{ '<|im_end|>' }} </s>") == ("<|im_end|>",)


def test_what_ends_only_the_thinking_ends_no_answer() -> None:
    assert end_marks_in("<|user|> {{ content }}<|end|>") == ("<|end|>",)
    harmony = "<|start|>assistant<|channel|>analysis<|message|>{{ thinking }}<|end|><|channel|>final<|message|>"
    assert end_marks_in(harmony) == ()


@pytest.mark.parametrize(
    ("template", "model_name", "expected"),
    [
        ("koala", "nobody knows", "koala"),
        ("koala", "vicuna-13b", "koala"),
        ("llama-3", "Meta-Llama-3.1-8B-Instruct", "llama-3.1"),
        ("none", "mistral-7b", "plain"),
        ("unheard of", "zephyr", "zephyr"),
    ],
)
def test_the_catalogue_knows_better(template: str, model_name: str, expected: str) -> None:
    assert choose_format((), model_name, template).name == expected


def test_every_template_that_the_catalogue_names_is_in_the_table() -> None:
    named = {row.get("template", "") for row in json.loads(CATALOG.read_text("utf-8"))["models"]}
    assert {name for name in named - IN_THE_FILE if format_named(name) is None} == set()


# What the vocabulary of these tells: all have control tokens of their own.
TOLD_BY_TOKENS = frozenset({"chatml", "command-r", "mistral-v3", "oasst-llama", "phi-4", "qwen3.5"})


def test_names_tell_no_other_format_than_the_catalogue() -> None:
    """As where a file was not downloaded from the catalogue, and carries no template."""
    wrong = []
    for row in json.loads(CATALOG.read_text("utf-8"))["models"]:
        expected = format_named(row.get("template", ""))
        if expected in (None, PLAIN) or not row.get("files") or expected.name in TOLD_BY_TOKENS:
            continue
        stem = row["files"][0]["path"].rpartition("/")[2].removesuffix(".gguf")
        found = choose_format((), f"{row['name']} {stem}")
        if found is not expected and found.variant_of != expected.name:
            wrong.append((row["id"], expected.name, found.name))
    assert wrong == []


def test_names_are_unique() -> None:
    names = [known.name for known in FORMATS]
    assert len(names) == len(set(names))
    assert {known.variant_of for known in FORMATS} - {""} <= set(names)
    words = [word for known in FORMATS for word in known.names]
    assert len(words) == len(set(words))
    assert PLAIN.name in names
