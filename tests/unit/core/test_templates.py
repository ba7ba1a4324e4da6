from __future__ import annotations

import jinja2
import pytest

from app.core.templates import FORMATS, PLAIN, ChatFormat, choose_format, end_marks_in

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": " Hi "},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
]


def render(chat_format: ChatFormat, messages: list[dict[str, str]] = TALK) -> str:
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(chat_format.source)
    return template.render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)


def of(name: str) -> ChatFormat:
    return next(known for known in FORMATS if known.name == name)


@pytest.mark.parametrize("chat_format", FORMATS, ids=lambda known: known.name)
def test_every_format_says_everything_once_and_in_order(chat_format: ChatFormat) -> None:
    text = render(chat_format)
    places = [text.index(message["content"].strip()) for message in TALK]
    assert places == sorted(places)
    assert text.count("Be kind.") == 1


@pytest.mark.parametrize("chat_format", FORMATS, ids=lambda known: known.name)
def test_every_format_takes_odd_conversations(chat_format: ChatFormat) -> None:
    odd = [{"role": "assistant", "content": "A"}, {"role": "user", "content": "B"}, TALK[1]]
    assert "B" in render(chat_format, odd)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "chatml",
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
            "Hello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "llama-2",
            "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Bye [/INST]",
        ),
        ("mistral", "<s>[INST] Be kind.\n\nHi [/INST] Hello.</s>[INST] Bye [/INST]"),
        (
            "gemma",
            "<s><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
            "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
        ),
        ("vicuna", "<s>Be kind. USER: Hi ASSISTANT: Hello.</s>USER: Bye ASSISTANT:"),
        ("plain", "<s>Be kind.\n\nUser: Hi\nAssistant: Hello.\nUser: Bye\nAssistant:"),
    ],
)
def test_formats_as_published(name: str, expected: str) -> None:
    assert render(of(name)) == expected


@pytest.mark.parametrize(
    ("tokens", "model_name", "expected"),
    [
        ({"<|im_start|>", "<|im_end|>"}, "x", "chatml"),
        ({"<|im_start|>", "<|im_sep|>", "<|im_end|>"}, "x", "phi-4"),
        ({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "x", "llama-3"),
        ({"<start_of_turn>", "<end_of_turn>"}, "x", "gemma"),
        ({"<|user|>", "<|assistant|>", "<|end|>", "<|system|>"}, "x", "phi-3"),
        ({"[INST]", "[/INST]"}, "x", "mistral"),
        ({"<｜User｜>", "<｜Assistant｜>"}, "x", "deepseek"),
        ({"<s>", "</s>"}, "Mistral-7B-Instruct-v0.1", "mistral"),
        ({"<s>", "</s>"}, "llama-2-7b-chat.Q4_K_M", "llama-2"),
        ({"<s>", "</s>"}, "zephyr-7b-beta", "zephyr"),
        ({"<s>", "</s>"}, "vicuna-13b", "vicuna"),
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


def test_names_are_unique() -> None:
    names = [known.name for known in FORMATS]
    assert len(names) == len(set(names))
    assert PLAIN.name in names
