"""The context becomes longer by itself when a conversation needs that: nothing is cut off or read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import ContextGrown, Finished, FinishReason, Loaded, Notice, PromptStarted
from app.core.plan import EnginePlan, Placement
from app.engine.protocol import ChatMessage
from app.engine.worker import binding
from tests.engine.engine_child import EngineChild, assistant, system, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.architectures import ARCHITECTURES, write_architecture

pytestmark = pytest.mark.engine
KINDS = {"rotary": "llama", "window": "gemma3", "recurrent": "mamba"}
SHORT, LONG = 512, 2048
SYSTEM = system("You are the cat on the world.")
_library: list[object] = []  # what llama.cpp calls back as long as this process lives


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    for name in KINDS.values():
        write_architecture(folder / f"{name}.gguf", ARCHITECTURES[name], LONG)
    return folder


@pytest.fixture
def growing(files: Path) -> Iterator[Callable[..., SessionDriver]]:
    """Sessions whose context may grow from 512 tokens, as long as `most` says that there is memory for."""
    made: list[SessionDriver] = []

    def make(kind: str, sequences: int = 2, most: int = LONG, **fields: Any) -> SessionDriver:
        driver = SessionDriver(files / f"{KINDS[kind]}.gguf", sequences, **{"context_length": SHORT, **fields})
        model = driver.model

        def replan(length: int, copies_bytes: int) -> EnginePlan:
            if length > most:
                raise UserError(ErrorKind.NOT_ENOUGH_MEMORY, context_length=length)
            assert model.settings is not None
            return EnginePlan(model.settings.plan.with_length(length), Placement(), 1, 2, ())

        model.replan = replan
        driver.session.growth.on_grown = lambda: None
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()


def turns(count: int) -> list[ChatMessage]:
    messages = [SYSTEM]
    for turn in range(count):
        messages += [user(f"the cat sat on the world {turn} " * 3, f"u{turn}"), assistant("and the world", f"a{turn}")]
    return messages[:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_that_outgrows_the_context_is_seen_as_a_whole(
    growing: Callable[..., SessionDriver], kind: str
) -> None:
    driver, roomy = growing(kind), growing(kind, context_length=LONG)
    lengths, count, reused = set(), 0, 0
    while driver.model.context_length < LONG:
        count += 1
        messages = turns(count)
        answer = driver.ask(messages, "talk")
        (started,) = answer.of(PromptStarted)
        assert started.first_visible_id is None
        assert started.reused_tokens >= reused, "what was read is read again"
        reused = started.prompt_tokens - 1 if kind != "recurrent" else 0
        roomy.forget()
        assert answer.text == roomy.ask(messages).text
        lengths.add(driver.model.context_length)
    assert lengths == {512, 1024, 2048}


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_goes_on_beyond_the_end_of_the_context(growing: Callable[..., SessionDriver], kind: str) -> None:
    """Once: one that never ends must not take all memory. Another one beside it goes on as well."""
    driver, roomy = growing(kind), growing(kind, context_length=2 * SHORT)
    roomy.session.growth.on_grown = None
    talk, other = [SYSTEM, user("the cat sat")], [user("on the world and on")]
    endless = dict.fromkeys(map(str, driver.model.vocabulary.end_tokens), -100.0)
    plain: dict[str, Any] = {"speculate": False, "logit_bias": endless}
    expected = roomy.ask(talk, max_tokens=0, **plain)
    beside = roomy.ask(other, max_tokens=480, **plain)
    answers = [driver.begin(talk, "talk", max_tokens=0, **plain)]
    driver.steps(60)
    answers.append(driver.begin(other, "other", max_tokens=480, **plain))
    while driver.model.context_length == SHORT:
        driver.steps(1)
    assert not any(answer.is_over for answer in answers)
    driver.finish(*answers)
    assert driver.model.context_length == 2 * SHORT
    assert [answer.text for answer in answers] == [expected.text, beside.text]
    assert answers[0].last.reason is FinishReason.CONTEXT_FULL
    assert answers[0].last.context_tokens == 2 * SHORT


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_begins_to_need_more_while_another_is_answered(
    growing: Callable[..., SessionDriver], kind: str
) -> None:
    driver, roomy = growing(kind, 3), growing(kind, 1, context_length=LONG)
    count = next(n for n in range(1, 99) if driver.session.count(turns(n)) > 600)
    driver.ask(turns(count // 2), "long")
    expected = roomy.ask([user("the cat")], max_tokens=60).text, roomy.ask(turns(count)).text
    short = driver.begin([user("the cat")], "short", max_tokens=60)
    driver.steps(20)
    assert not short.is_over
    long = driver.begin(turns(count), "long")
    driver.finish(short, long)
    assert driver.model.context_length == 1024
    assert (short.text, long.text) == expected
    assert long.of(PromptStarted)[0].reused_tokens > 0


def test_without_memory_the_oldest_exchanges_fall_out(growing: Callable[..., SessionDriver]) -> None:
    driver = growing("rotary", most=SHORT)
    answer = driver.ask(turns(30), "talk")
    assert isinstance(answer.last, Finished)
    assert answer.of(PromptStarted)[0].first_visible_id is not None
    assert answer.of(Notice) == []
    assert driver.model.context_length == SHORT


def test_where_memory_allows_less_than_is_needed_it_grows_so_far(growing: Callable[..., SessionDriver]) -> None:
    driver = growing("rotary", most=2 * SHORT)
    count = next(n for n in range(1, 99) if driver.session.count(turns(n)) > 1100)
    for number in (count // 3, 2 * count // 3, count):
        answer = driver.ask(turns(number), "talk")
    assert driver.model.context_length == 2 * SHORT
    (started,) = answer.of(PromptStarted)
    assert started.first_visible_id is not None
    assert started.prompt_tokens > SHORT


def test_nobody_waits_for_a_long_conversation_that_nobody_has_read(growing: Callable[..., SessionDriver]) -> None:
    """One that comes from elsewhere, say: after a cut the answer begins soon, and the context grows from there."""
    driver = growing("rotary")
    count = next(n for n in range(1, 99) if driver.session.count(turns(n)) > 1200)
    answer = driver.ask(turns(count), "talk")
    assert answer.of(PromptStarted)[0].first_visible_id is not None
    assert driver.model.context_length == SHORT


def test_a_single_message_that_needs_more_room_gets_it(growing: Callable[..., SessionDriver]) -> None:
    driver = growing("rotary")
    answer = driver.ask([SYSTEM, user("the cat sat on the world " * 120)], "talk")
    assert isinstance(answer.last, Finished), answer.last
    assert driver.model.context_length > SHORT


def test_a_chosen_length_stays(growing: Callable[..., SessionDriver]) -> None:
    driver = growing("rotary")
    driver.session.growth.on_grown = None
    driver.ask(turns(30), "talk")
    assert driver.model.context_length == SHORT
    assert driver.session.growth.limit == 0


@pytest.mark.logs_warnings
def test_what_llama_cpp_cannot_do_is_told_and_not_tried_again(growing: Callable[..., SessionDriver]) -> None:
    driver = growing("rotary")
    count = next(n for n in range(1, 99) if driver.session.count(turns(n)) > 600)
    driver.ask(turns(count // 2), "talk")
    planned, tries = driver.model.replan, []
    assert planned is not None

    def unusable(length: int, copies_bytes: int) -> EnginePlan:
        tries.append(length)
        plan = planned(length, copies_bytes)  # a quantized cache needs flash attention, which this has not
        return replace(plan, context=replace(plan.context, cache_type="q4_0", flash_attention=False))

    driver.model.replan = unusable
    for number in (count, 2 * count):
        answer = driver.ask(turns(number), "talk")
        assert isinstance(answer.last, Finished), answer.last
        assert answer.of(PromptStarted)[0].first_visible_id is not None
        told = [notice.kind for notice in answer.of(Notice)]
        assert told == ([NoticeKind.CONTEXT_NOT_GROWN] if number == count else [])
    assert driver.model.context_length == SHORT
    assert len(tries) == 1


def test_the_child_tells_how_long_the_context_is_now(child: EngineChild, tmp_path: Path) -> None:
    path = tiny.write_model(
        tmp_path / "long.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=tiny.CHATML, context_length=32768
    )
    loaded = child.load(path).last
    assert isinstance(loaded, Loaded)
    assert (loaded.model.context_length, loaded.model.context_length_limit) == (8192, 32768)
    run = child.generate([user("the cat sat on the world " * 1200)], max_tokens=2)
    assert run.of(PromptStarted)[0].prompt_tokens > 8192
    grown = [event for event in child.announced if isinstance(event, ContextGrown)]
    assert [event.model.context_length for event in grown] == [16384]
    assert grown[0].model.plan["context_length"] == 16384


def test_who_chooses_the_length_that_it_has_loses_nothing(child: EngineChild, tmp_path: Path) -> None:
    path = tiny.write_model(
        tmp_path / "long.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=tiny.CHATML, context_length=32768
    )
    child.load(path)
    talk = [user("the cat sat on the world")]
    child.generate(talk, max_tokens=2)
    for length in (8192, 16384):
        chosen = child.load(path, context_length=length).last.model
        assert (chosen.context_length, chosen.context_length_limit) == (length, 0)
        again = child.generate(talk, max_tokens=2).of(PromptStarted)[0]
        assert again.reused_tokens == again.prompt_tokens - 1
