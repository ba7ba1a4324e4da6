"""Answers of the real engine: their text, their end, and what decides about the next token."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind
from app.core.events import (
    Failed,
    Finished,
    FinishReason,
    PromptProgress,
    PromptStarted,
    TextDelta,
)
from app.core.messages import Role
from app.core.sampling import RANGES
from app.engine.protocol import ChatMessage, Count, Devices, Generate, Load, Unload
from tests.engine.engine_child import EngineChild, Run, assistant, user
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.tiny_gguf import BYTE_CHARACTERS, byte_token, chain

pytestmark = pytest.mark.engine
HI = [user("Hi")]


def speak(child: EngineChild, folder: Path, *tokens: str, **fields: Any) -> Run:
    """The answer of a model that says exactly these tokens and then ends."""
    vocabulary = fields.pop("vocabulary", None) or tiny.bpe_vocabulary(
        pieces=("Hello", " wo", "rld", "Hel", "lo "), user_defined=("<think>", "</think>")
    )
    path = tiny.write_model(
        folder / "script.gguf",
        vocabulary,
        template=fields.pop("template", tiny.CHATML),
        successors=chain(byte_token("\n"), *tokens),
    )
    child.load(path)
    return child.generate(fields.pop("messages", HI), **fields)


def as_bytes(text: str) -> list[str]:
    return [BYTE_CHARACTERS[byte] for byte in text.encode()]


class TestText:
    def test_an_answer_ends_at_the_end_token(self, child: EngineChild, tmp_path: Path) -> None:
        run = speak(child, tmp_path, "Hello", byte_token(" wo"), "rld")
        assert run.text == "Hello world"
        assert run.last.reason is FinishReason.END
        assert run.last.usage.completion_tokens == 3

    def test_a_character_is_never_torn(self, child: EngineChild, tmp_path: Path) -> None:
        run = speak(child, tmp_path, "Hello", *as_bytes("🦊"), "rld", *as_bytes("é"))
        assert run.text == "Hello🦊rldé"
        assert all("�" not in event.text for event in run.of(TextDelta))

    def test_bytes_that_are_no_text_become_a_sign(self, child: EngineChild, tmp_path: Path) -> None:
        broken = [BYTE_CHARACTERS[0xF0], BYTE_CHARACTERS[0x9F]]
        assert speak(child, tmp_path, *broken, "Hello", BYTE_CHARACTERS[0xC3]).text == "�Hello�"

    def test_a_character_cut_off_is_written_whole_by_the_continuation(self, child: EngineChild, tmp_path: Path) -> None:
        first = speak(child, tmp_path, "Hello", *as_bytes("🦊"), "rld", max_tokens=3)
        assert first.text == "Hello"
        rest = child.generate([*HI, assistant(first.text)], continue_last=True)
        assert rest.text == "🦊rld"

    def test_a_stop_string_over_several_tokens(self, child: EngineChild, tmp_path: Path) -> None:
        run = speak(child, tmp_path, "Hello", byte_token(" wo"), "rld", stop=("o wor",))
        assert run.text == "Hell"
        assert run.last.reason is FinishReason.END

    def test_an_end_mark_spelled_in_letters_ends_too(self, child: EngineChild, tmp_path: Path) -> None:
        run = speak(child, tmp_path, "Hello", "<", "|", "i", "m", "_", "e", "n", "d", "|" + ">", "rld",
                    vocabulary=tiny.bpe_vocabulary(pieces=("Hello", "rld", "|>")))  # fmt: skip
        assert run.text == "Hello"
        assert run.last.reason is FinishReason.END

    def test_thinking_comes_apart_from_the_answer(self, child: EngineChild, tmp_path: Path) -> None:
        run = speak(child, tmp_path, "<think>", byte_token(" wo"), "</think>", "Hello")
        assert (run.reasoning, run.text) == ("wo", "Hello")

    def test_thinking_that_the_template_opens(self, child: EngineChild, tmp_path: Path) -> None:
        template = tiny.CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}")
        run = speak(child, tmp_path, "Hello", "</think>", "rld", template=template)
        assert (run.reasoning, run.text) == ("Hello", "rld")

    def test_marks_of_thinking_that_are_control_tokens(self, child: EngineChild, tmp_path: Path) -> None:
        vocabulary = tiny.bpe_vocabulary(
            controls=("<|im_start|>", "<|im_end|>", "[THINK]", "[/THINK]"), pieces=("Hello", "rld")
        )
        template = tiny.CHATML + "{# [THINK] [/THINK] #}"
        run = speak(child, tmp_path, "[THINK]", "rld", "[/THINK]", "Hello", vocabulary=vocabulary, template=template)
        assert (run.reasoning, run.text) == ("rld", "Hello")

    def test_a_token_of_many_bytes_is_whole(self, child: EngineChild, tmp_path: Path) -> None:
        long = "=" * 300
        vocabulary = tiny.bpe_vocabulary(user_defined=(long,))
        assert speak(child, tmp_path, long, vocabulary=vocabulary).text == long

    def test_fast_text_comes_in_few_events(self, child: EngineChild, tmp_path: Path) -> None:
        run = speak(child, tmp_path, "Hello", "rld", "Hello", max_tokens=300)
        assert run.text == "Hellorld" * 150
        assert len(run.of(TextDelta)) < 150


class TestFigures:
    def test_usage_is_honest(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        start = time.monotonic()
        run = child.generate(HI, sampling={"seed": 5}, max_tokens=20)
        elapsed_ms = (time.monotonic() - start) * 1000
        usage = run.last.usage
        assert run.last.reason is FinishReason.LENGTH
        assert usage.completion_tokens == 20
        (started,) = run.of(PromptStarted)
        assert (started.prompt_tokens, started.reused_tokens) == (usage.prompt_tokens, usage.reused_tokens)
        assert 0 < usage.first_token_ms < elapsed_ms
        assert 0 < usage.prompt_ms + usage.generation_ms < elapsed_ms
        assert run.last.context_tokens == usage.prompt_tokens + 19  # the last token was not read again

    def test_count_agrees_with_the_prompt(self, child: EngineChild, models: Path) -> None:
        child.load(models / "llama-3.gguf")
        counted = child.ask(Count(0, tuple(HI))).last
        assert counted.context_length == 512
        assert counted.tokens == child.generate(HI, max_tokens=1).last.usage.prompt_tokens
        assert child.ask(Count(0, ())).last.tokens == 0

    def test_devices(self, child: EngineChild) -> None:
        listed = child.ask(Devices(0)).last
        cpu = listed.devices[0]
        assert cpu.kind == "cpu"
        assert 0 < cpu.free_bytes <= cpu.total_bytes
        assert "CPU" in listed.system_info
        assert listed.versions["llama-cpp-python"]
        assert listed.versions["build"][:1].isdigit()  # kernels of our own make another engine


class TestSampling:
    """On a model of noise, where many tokens are nearly as likely."""

    def text(self, child: EngineChild, **sampling: float | int) -> str:
        long_enough = [user("the cat sat on the cat sat on the cat")]
        return child.generate(long_enough, sampling=sampling, max_tokens=60).text

    @pytest.fixture(autouse=True)
    def model(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")

    def test_the_same_seed_gives_the_same_text(self, child: EngineChild) -> None:
        assert self.text(child, seed=7) == self.text(child, seed=7)
        assert self.text(child, seed=7) != self.text(child, seed=8)

    def test_without_a_seed_one_is_drawn_and_told(self, child: EngineChild) -> None:
        first = child.generate(HI, max_tokens=40)
        second = child.generate(HI, max_tokens=40)
        assert first.last.seed != second.last.seed
        again = child.generate(HI, sampling={"seed": first.last.seed}, max_tokens=40)
        assert again.text == first.text

    def test_the_seed_that_means_random_to_llama_cpp(self, child: EngineChild) -> None:
        assert self.text(child, seed=0xFFFFFFFF) == self.text(child, seed=0xFFFFFFFF)

    def test_temperature_0_is_greedy_whatever_else(self, child: EngineChild) -> None:
        greedy = self.text(child, temperature=0)
        assert greedy == self.text(child, temperature=0, seed=99, top_p=0.3, xtc_probability=1.0)
        assert greedy == self.text(child, temperature=0, mirostat=2)
        assert greedy == self.text(child, top_k=1, temperature=3.0)

    @pytest.mark.parametrize(
        "knob",
        [
            {"temperature": 3.0},
            {"top_k": 3},
            {"top_p": 0.2},
            {"min_p": 0.9},
            {"typical_p": 0.2},
            {"repeat_penalty": 2.0},
            {"frequency_penalty": 2.0},
            {"presence_penalty": 2.0},
            {"dry_multiplier": 5.0, "dry_base": 4.0, "dry_allowed_length": 1},
            {"xtc_probability": 1.0, "xtc_threshold": 0.01},
            {"mirostat": 1},
            {"mirostat": 2, "mirostat_tau": 1.0},
        ],
        ids=lambda knob: next(iter(knob)),
    )
    def test_every_knob_changes_something(self, child: EngineChild, knob: dict[str, float]) -> None:
        base = {"seed": 3, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
        assert self.text(child, **base) != self.text(child, **(base | knob))

    def test_penalties_know_the_prompt(self, child: EngineChild) -> None:
        base = {"temperature": 0, "repeat_penalty": 3.0}
        assert self.text(child, **base, repeat_last_n=0) != self.text(child, **base, repeat_last_n=256)

    def test_values_out_of_range_are_brought_back(self, child: EngineChild) -> None:
        for spec in RANGES:
            for value in (-1e9, 1e9):
                run = child.generate(HI, sampling={spec.name: value}, max_tokens=2)
                assert isinstance(run.last, Finished), spec.name

    def test_the_file_may_suggest_values(self, child: EngineChild, tmp_path: Path) -> None:
        path = tiny.write_model(
            tmp_path / "m.gguf",
            tiny.bpe_vocabulary(),
            template=tiny.CHATML,
            metadata={
                "general.sampling.temp": 0.0,
                "general.sampling.top_k": 7,
                "general.sampling.penalty_repeat": 99.0,
            },
        )
        suggested = child.load(path).last.model.sampling
        assert suggested == {"temperature": 0.0, "top_k": 7, "repeat_penalty": 3.0}
        assert child.generate(HI, max_tokens=30).text == child.generate(HI, max_tokens=30).text
        overruled = {"temperature": 2.0, "top_k": 0}
        texts = {child.generate(HI, sampling=overruled, max_tokens=30).text for _ in range(3)}
        assert len(texts) > 1


class TestRequests:
    def test_without_a_model(self, child: EngineChild) -> None:
        child.ask(Unload(0))
        assert child.generate(HI).last.error.kind is ErrorKind.NO_MODEL
        assert child.ask(Count(0, tuple(HI))).last.error.kind is ErrorKind.NO_MODEL
        child.ask(Unload(0))

    @pytest.mark.parametrize("messages", [[], [user("  \n ")], [user("Hi"), assistant("")]])
    def test_an_empty_prompt(self, child: EngineChild, models: Path, messages: list[ChatMessage]) -> None:
        child.load(models / "qwen2.gguf")
        run = child.generate(messages)
        assert isinstance(run.last, Failed)
        assert run.last.error.kind is ErrorKind.EMPTY_PROMPT

    def test_strange_text(self, child: EngineChild, models: Path) -> None:
        child.load(models / "llama-2.gguf")
        for text in ("a\x00b", "\ud800", "مرحبا ‮ world", "😀" * 40, "\r\n\t"[:1] + "x", "﻿x"):
            assert isinstance(child.generate([user(text)], max_tokens=2).last, Finished), repr(text)

    def test_a_message_of_ten_thousand_emojis_and_a_megabyte(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        for text in ("😀" * 10_000, "word " * 200_000):
            start = time.monotonic()
            run = child.generate([user(text)])
            assert run.last.error.kind is ErrorKind.PROMPT_TOO_LONG
            assert run.last.error.integer("tokens") > run.last.error.integer("limit_tokens") > 300
            assert time.monotonic() - start < 10

    def test_a_tool_message_is_told_to_the_model(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        run = child.generate([*HI, ChatMessage("t", Role.TOOL, "42")], max_tokens=2)
        assert isinstance(run.last, Finished)


class TestStopping:
    def test_stop_keeps_what_was_said(self, child: EngineChild, tmp_path: Path) -> None:
        vocabulary = tiny.bpe_vocabulary()
        endless = tiny.write_model(
            tmp_path / "endless.gguf",
            vocabulary,
            template=tiny.CHATML,
            successors=chain(byte_token("\n"), "a", "b", "a"),
            context_length=8192,
            layers=8,
        )
        child.load(endless)
        number = child.send(Generate(0, tuple(HI)))
        text = "".join(child.wait_for(TextDelta).text for _ in range(5))
        start = time.monotonic()
        child.stop(number)
        run = child.collect(number)
        assert (time.monotonic() - start) * 1000 < 100
        assert run.last.reason is FinishReason.STOPPED
        assert len(text + run.text) == run.last.usage.completion_tokens < 8000
        assert run.last.context_tokens <= run.last.usage.prompt_tokens + run.last.usage.completion_tokens

    def test_stop_of_a_request_that_waits(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        first = child.send(Generate(0, tuple(HI), {"seed": 1}))
        second = child.send(Generate(0, tuple(HI)))
        third = child.send(Load(0, str(models / "gemma.gguf")))
        child.stop(second)
        child.stop(third)
        waiting = child.collect(second)
        assert waiting.last.reason is FinishReason.STOPPED
        child.collect(first)
        assert type(child.collect(third).last).__name__ == "LoadCancelled"

    def test_stop_of_nothing_is_no_error(self, child: EngineChild, models: Path) -> None:
        child.stop(4711)
        child.load(models / "qwen2.gguf")
        assert isinstance(child.generate(HI, max_tokens=1).last, Finished)

    def test_stop_in_the_middle_of_a_long_prompt(self, child: EngineChild, tmp_path: Path) -> None:
        """A model that reads slowly: many layers, and a prompt of thousands of tokens."""
        path = tiny.write_model(
            tmp_path / "slow.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, layers=96, context_length=8192
        )
        child.load(path)
        messages = (user(" ".join(f"{index}" for index in range(1500))),)
        number = child.send(Generate(0, messages, {"seed": 1}))
        started = child.wait_for(PromptStarted)
        assert started.prompt_tokens > 5000
        progress = child.wait_for(PromptProgress)
        assert 0 < progress.done_tokens < progress.total_tokens
        assert progress.remaining_ms > 0
        start = time.monotonic()
        child.stop(number)
        finished = child.wait_for(Finished)
        stop_ms = (time.monotonic() - start) * 1000
        assert finished.reason is FinishReason.STOPPED
        assert stop_ms < 100
        assert 0 < finished.context_tokens < started.prompt_tokens
        again = child.send(Generate(0, messages, {"seed": 1}, max_tokens=1))
        assert child.wait_for(PromptStarted).reused_tokens == finished.context_tokens
        child.stop(again)
        child.wait_for(Finished)
