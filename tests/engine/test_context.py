"""What of a conversation is read again, what is not, and what happens when it no longer fits."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from app.core.events import Finished, FinishReason, PromptStarted, TextDelta
from app.engine.protocol import ChatMessage, Generate
from tests.engine.engine_child import EngineChild, Run, assistant, system, user
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.tiny_gguf import byte_token, chain

pytestmark = pytest.mark.engine
SYSTEM = system("You are the cat on the world.")


def started(run: Run) -> PromptStarted:
    (event,) = run.of(PromptStarted)
    return event


def talker(folder: Path, *tokens: str, context_length: int = 512) -> Path:
    """A model that says these tokens; a pair that repeats makes it talk for ever."""
    return tiny.write_model(
        folder / "talker.gguf",
        tiny.bpe_vocabulary(pieces=("Hello", " wo", "rld")),
        template=tiny.CHATML,
        successors=chain(byte_token("\n"), *tokens),
        context_length=context_length,
    )


class TestReuse:
    def test_a_turn_reads_only_what_is_new(self, child: EngineChild, tmp_path: Path) -> None:
        child.load(talker(tmp_path, "Hello", byte_token(" cat"), byte_token(" sat")))
        talk = [SYSTEM, user("one", "u0")]
        first = child.generate(talk)
        assert started(first).reused_tokens == 0
        talk += [assistant(first.text, "a0"), user("two", "u1")]
        second = child.generate(talk)
        assert started(second).reused_tokens == first.last.context_tokens
        assert second.last.context_tokens == started(second).prompt_tokens + 3

    def test_another_version_of_the_answer_reads_one_token(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        first = child.generate([SYSTEM, user("one")], max_tokens=20)
        again = child.generate([SYSTEM, user("one")], max_tokens=20)
        assert started(again).reused_tokens == started(first).prompt_tokens - 1

    def test_an_edited_question_keeps_what_is_before_it(self, child: EngineChild, models: Path) -> None:
        child.load(models / "llama-3.gguf")
        child.generate([SYSTEM, user("one"), assistant("x"), user("two")], max_tokens=5)
        edited = child.generate([SYSTEM, user("one"), assistant("x"), user("three")], max_tokens=5)
        before = child.generate([SYSTEM, user("one"), assistant("x")], max_tokens=1)
        assert started(edited).reused_tokens > started(before).prompt_tokens - 12

    def test_reuse_does_not_change_the_answer(self, child: EngineChild, models: Path) -> None:
        fresh = [SYSTEM, user("one"), assistant("the cat"), user("two")]
        child.load(models / "qwen2.gguf")
        expected = child.generate(fresh, sampling={"temperature": 0}, max_tokens=20).text
        child.generate([user("something else")], max_tokens=5)
        child.generate(fresh[:2], max_tokens=20)
        assert child.generate(fresh, sampling={"temperature": 0}, max_tokens=20).text == expected

    def test_an_answer_that_began_with_a_space_is_not_read_again(self, child: EngineChild, tmp_path: Path) -> None:
        words = [byte_token(word) for word in (" cat", "Hello", " sat", " on", "x")]
        child.load(talker(tmp_path, *words))
        first = child.generate([user("Hi")], max_tokens=3)
        assert first.text == "catHello sat"
        rest = child.generate([user("Hi"), assistant(first.text)], continue_last=True)
        assert rest.text == " onx"
        assert started(rest).reused_tokens == first.last.context_tokens

    def test_a_recurrent_model_goes_back_to_where_the_answer_began(self, child: EngineChild, models: Path) -> None:
        assert child.load(models / "mamba.gguf").last.model.recurrent
        greedy = {"temperature": 0}
        first = child.generate([SYSTEM, user("one")], sampling=greedy, max_tokens=10)
        again = child.generate([SYSTEM, user("one")], sampling=greedy, max_tokens=10)
        assert started(again).reused_tokens == started(first).prompt_tokens - 1
        assert again.text == first.text
        stopped = child.send(Generate(0, (SYSTEM, user("one")), dict(greedy)))
        child.stop(stopped)
        child.collect(stopped)
        assert child.generate([SYSTEM, user("one")], sampling=greedy, max_tokens=10).text == first.text


class TestOverflow:
    def converse(self, child: EngineChild, turns: int) -> tuple[list[ChatMessage], list[Run]]:
        """Turns of a conversation as the window holds it: it remembers where the cut was."""
        messages = [SYSTEM]
        runs: list[Run] = []
        first_visible: str | None = None
        for turn in range(turns):
            messages.append(user("the cat sat on the " * 3, f"u{turn}"))
            run = child.generate(messages, max_tokens=30, first_visible_id=first_visible)
            assert isinstance(run.last, Finished), run.last
            first_visible = started(run).first_visible_id
            messages.append(assistant("and the world the world", f"a{turn}"))
            runs.append(run)
        return messages, runs

    def test_a_long_conversation_goes_on_for_ever(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        _, runs = self.converse(child, 40)
        cuts = [started(run).first_visible_id for run in runs]
        assert cuts[0] is None
        assert all(cut is None or cut.startswith("u") for cut in cuts)
        numbers = [int(cut[1:]) for cut in cuts if cut]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) <= len(numbers) / 2  # a cut holds for some turns
        assert all(started(run).prompt_tokens <= 512 - 30 for run in runs)

    def test_turns_behind_a_cut_read_only_what_is_new(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        _, runs = self.converse(child, 25)
        same_cut = [
            later
            for earlier, later in pairwise(runs)
            if started(earlier).first_visible_id == started(later).first_visible_id is not None
        ]
        assert same_cut
        for run in same_cut:
            assert started(run).reused_tokens > started(run).prompt_tokens / 2

    def test_the_system_prompt_is_never_lost(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")
        messages, _ = self.converse(child, 20)
        messages.append(user("end", "u-last"))
        with_system = child.generate(messages, max_tokens=1)
        only_last = child.generate([SYSTEM, user("end", "u-last")], max_tokens=1)
        without = child.generate([user("end", "u-last")], max_tokens=1)
        system_tokens = started(only_last).prompt_tokens - started(without).prompt_tokens
        assert started(with_system).first_visible_id is not None
        assert started(only_last).reused_tokens >= system_tokens  # it was in memory from the turn before

    def test_a_context_that_fills_up_ends_the_answer(self, child: EngineChild, tmp_path: Path) -> None:
        child.load(talker(tmp_path, "Hello", "rld", "Hello", context_length=512))
        run = child.generate([SYSTEM, user("go")])
        assert run.last.reason is FinishReason.CONTEXT_FULL
        assert run.last.context_tokens == 512
        assert run.last.usage.completion_tokens == 512 - run.last.usage.prompt_tokens + 1
        assert run.text.startswith("Hellorld")

    def test_max_tokens_beyond_the_context(self, child: EngineChild, tmp_path: Path) -> None:
        child.load(talker(tmp_path, "Hello", "rld", "Hello"))
        run = child.generate([user("go")], max_tokens=1_000_000)
        assert run.last.reason is FinishReason.CONTEXT_FULL

    def test_a_full_recurrent_model(self, child: EngineChild, models: Path) -> None:
        child.load(models / "mamba.gguf")
        talk = [user("go")]
        run = child.generate(talk, sampling={"temperature": 2.0, "seed": 3})
        assert run.last.reason in (FinishReason.CONTEXT_FULL, FinishReason.END)


class TestContinue:
    def test_it_goes_on_exactly_where_it_stopped(self, child: EngineChild, tmp_path: Path) -> None:
        script = ["Hello", byte_token(" wo"), "rld", ",", *"abcdefg"]
        child.load(talker(tmp_path, *script))
        whole = child.generate([user("go")]).text
        first = child.generate([user("go")], max_tokens=4)
        assert first.last.reason is FinishReason.LENGTH
        rest = child.generate([user("go"), assistant(first.text)], continue_last=True)
        assert first.text + rest.text == whole
        assert rest.last.reason is FinishReason.END

    def test_it_reads_next_to_nothing(self, child: EngineChild, tmp_path: Path) -> None:
        """Although the text would now be cut into other tokens than those that the model wrote."""
        child.load(talker(tmp_path, "Hello", byte_token(" wo"), "rld", ",", "a"))
        first = child.generate([user("go")], max_tokens=3)
        rest = child.generate([user("go"), assistant(first.text)], continue_last=True)
        assert first.text + rest.text == "Hello world,a"
        assert started(rest).reused_tokens == first.last.context_tokens
        assert started(rest).prompt_tokens == started(rest).reused_tokens + 1

    def test_marks_behind_a_difference_stay_marks(self, child: EngineChild, tmp_path: Path) -> None:
        """The end of what is in memory may be text that the new prompt has too, in other tokens."""
        child.load(talker(tmp_path, "Hello", byte_token(" wo"), "rld"))
        child.generate([user("go")], max_tokens=3)
        later = [user("go"), assistant("Hello world"), user("on", "u1"), assistant("the cat", "a1")]
        run = child.generate(later, continue_last=True, max_tokens=1)
        child.generate([user("something else")], max_tokens=1)
        fresh = child.generate(later, continue_last=True, max_tokens=1)
        assert started(run).prompt_tokens == started(fresh).prompt_tokens

    def test_it_begins_with_blank_space_where_the_text_had_ended(self, child: EngineChild, tmp_path: Path) -> None:
        child.load(talker(tmp_path, "Hello", byte_token(" wo"), "rld"))
        rest = child.generate([user("go"), assistant("Hello")], continue_last=True)
        assert rest.text == " world"

    def test_a_continuation_of_nothing_is_an_answer(self, child: EngineChild, tmp_path: Path) -> None:
        child.load(talker(tmp_path, "Hello", byte_token(" wo"), "rld"))
        assert child.generate([user("go"), assistant("")], continue_last=True).text == "Hello world"

    def test_every_template_can_be_continued(self, child: EngineChild, models: Path) -> None:
        for name in ("qwen2", "llama-2", "llama-3", "gemma", "mamba"):
            child.load(models / f"{name}.gguf")
            run = child.generate([user("go"), assistant("the cat")], continue_last=True, max_tokens=4)
            assert isinstance(run.last, Finished)
            assert run.of(TextDelta) or run.last.reason is FinishReason.END
