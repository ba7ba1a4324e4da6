"""A second, small model that guesses: what it says, when it is refused, and that the text stays the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, NoticeKind
from app.core.events import Loaded, Notice
from app.core.memory import ContextPlan
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.protocol import Generate, Load
from app.engine.worker.backend import StopFlag
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from app.engine.worker.speculation.draft_model import DraftModel, DraftPlace, UnfitDraftError
from tests.engine.engine_child import EngineChild, Run, assistant, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.gguf_bytes import write_huge_model

pytestmark = pytest.mark.engine

LETTERS = [letter for letter in tiny.BYTE_CHARACTERS.values() if letter.isalpha() and letter != tiny.byte_token("\n")]
"""Tokens of one letter each; a model that says them never repeats itself, so that look-up has no idea."""


def lettered(path: Path, layers: int, step: int = 1) -> Path:
    """A model that says the letters in order, over and over; by another step most of its guesses are wrong."""
    count = len(LETTERS)
    after = {letter: LETTERS[(index + step) % count] for index, letter in enumerate(LETTERS)}
    after[tiny.byte_token("\n")] = LETTERS[0]
    return tiny.write_model(
        path, tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=4096, layers=layers, successors=after
    )


def load(path: Path, context_length: int = 512, sequences: int = 1) -> LoadedModel:
    model = LoadedModel(path, lambda fraction: True, EngineLog())
    plan = ContextPlan(context_length, batch_tokens=64, output_tokens=sequences, sequences=sequences)
    model.open_context(ContextSettings(plan, threads=1))
    return model


@pytest.fixture(scope="module")
def target_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lettered(tmp_path_factory.mktemp("pair") / "target.gguf", layers=4)


@pytest.fixture(scope="module")
def draft_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lettered(tmp_path_factory.mktemp("pair") / "draft.gguf", layers=1)


@pytest.fixture(scope="module")
def target(target_path: Path) -> Iterator[LoadedModel]:
    model = load(target_path)
    yield model
    model.close()


@pytest.fixture
def draft(draft_path: Path, target: LoadedModel) -> Iterator[DraftModel]:
    model = DraftModel(load(draft_path, sequences=2), target.vocabulary)
    yield model
    model.close()


def place_of(draft: DraftModel, number: int = 0) -> DraftPlace:
    place = draft.place(number, StopFlag(), 1)
    assert place is not None
    return place


def letters(count: int) -> list[int]:
    """The letters in order, as tokens, over and over."""
    tokens = [tiny.bpe_vocabulary().id_of(letter) for letter in LETTERS]
    return [tokens[index % len(tokens)] for index in range(count)]


# -- its guesses


def test_it_says_what_it_would_say_itself(target: LoadedModel, draft: DraftModel) -> None:
    place = place_of(draft)
    text = letters(400)
    for end in (3, 4, 9, 200, 201, 150, 20, 20, 0):
        assert place.propose(text[:end], text[end], 8) == text[end + 1 : end + 9]
    other = [*text[:9], text[0], text[0]]
    assert place.propose(other, text[7], 3) == text[8:11]
    assert place.propose(text, text[0], 0) == []


def test_of_a_text_longer_than_its_context_it_has_the_beginning_and_the_end(
    target: LoadedModel, draft: DraftModel
) -> None:
    place = place_of(draft)
    text = letters(3000)
    for end in (500, 505, 511, 512, 700, 1200, 1201, 2900, 2901, 2400, 2401, 100, 2900):
        while not place.catch_up(text[:end]):
            pass
        assert place.propose(text[:end], text[end], 8) == text[end + 1 : end + 9], end


def test_it_reads_a_long_text_in_pieces_and_no_more_than_it_needs(target: LoadedModel, draft: DraftModel) -> None:
    place = place_of(draft)
    text = letters(3000)
    pieces = 1
    while not place.catch_up(text[:2000]):
        pieces += 1
        assert pieces < 10
    assert pieces > 2
    assert place.catch_up(text[:2010])


def test_answers_side_by_side_have_places_of_their_own(target: LoadedModel, draft: DraftModel) -> None:
    first, second = place_of(draft, 1), place_of(draft, 1)
    assert (first.number, second.number) == (1, 0)
    assert draft.place(1, StopFlag(), 1) is None
    text = letters(200)
    for end in range(50, 60):
        assert first.propose(text[:end], text[end], 3) == text[end + 1 : end + 4]
        assert second.propose(text[20:end], text[end + 5], 3) == text[end + 6 : end + 9]
    first.close()
    assert place_of(draft, 0) is first


def test_a_stop_ends_its_computation(target: LoadedModel, draft: DraftModel) -> None:
    flag = StopFlag()
    place = draft.place(0, flag, 1)
    assert place is not None
    text = letters(100)
    flag.set()
    assert place.propose(text[:50], text[50], 8) == []
    place.begin(StopFlag())
    assert place.propose(text[:50], text[50], 8) == text[51:59]


# -- vocabularies


@pytest.mark.parametrize(
    "vocabulary",
    [
        tiny.bpe_vocabulary(pieces=(" dog",)),
        tiny.spm_vocabulary(),
        tiny.bpe_vocabulary(pieces=[str(number) for number in range(999)]),
    ],
    ids=["other words", "another kind", "many more"],
)
def test_a_model_of_another_vocabulary_is_refused(
    target: LoadedModel, tmp_path: Path, vocabulary: tiny.TinyVocabulary
) -> None:
    other = load(tiny.write_model(tmp_path / "other.gguf", vocabulary))
    try:
        with pytest.raises(UnfitDraftError):
            DraftModel(other, target.vocabulary)
    finally:
        other.close()


@pytest.mark.parametrize("which", ["draft", "target"])
def test_vocabularies_may_differ_in_their_marks_and_at_the_end(
    tmp_path: Path, target_path: Path, draft_path: Path, which: str
) -> None:
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_off|>", *(f"<|spare_{index}|>" for index in range(40)))
    longer = load(tiny.write_model(tmp_path / "longer.gguf", tiny.bpe_vocabulary(marks, eos="<|endoftext|>")))
    other = load(draft_path if which == "target" else target_path)
    models = (longer, other) if which == "draft" else (other, longer)
    guessing = DraftModel(models[0], models[1].vocabulary)
    try:
        place = place_of(guessing)
        last = longer.vocabulary.size - 1  # the shorter one has no such token
        guesses = place.propose([65, last, 66], 67, 8)
        assert guesses
        assert all(0 <= token < models[1].vocabulary.size for token in guesses)
    finally:
        guessing.close()
        models[1].close()


def test_a_recurrent_model_is_refused(models: Path, target: LoadedModel) -> None:
    mamba = load(models / "mamba.gguf")
    try:
        with pytest.raises(UnfitDraftError):
            DraftModel(mamba, target.vocabulary)
    finally:
        mamba.close()


# -- answers with its guesses


class Eager:
    """A control that always wants so many guesses, whatever they cost."""

    def __init__(self, count: int) -> None:
        self.count = count

    def length(self) -> int:
        return self.count

    def record(self, drafted: int, accepted: int, seconds: float) -> None: ...

    def observe(self, drafted: int, accepted: int) -> None: ...


def guessing_driver(path: Path, draft: Path, count: int = 5, sequences: int = 1, **fields: Any) -> SessionDriver:
    driver = SessionDriver(path, sequences=sequences, **fields)
    driver.session.use_draft(DraftModel(load(draft, sequences=sequences), driver.model.vocabulary))
    driver.session._draft_control = Eager(count)  # type: ignore[assignment]  # guesses so many, whether that pays or not
    return driver


@pytest.mark.parametrize("step", [1, 2], ids=["right guesses", "wrong guesses"])
def test_greedy_text_is_the_same(tmp_path: Path, target_path: Path, step: int) -> None:
    other = lettered(tmp_path / "other.gguf", layers=1, step=step)
    driver = guessing_driver(target_path, other)
    try:
        without = driver.ask([user("hello")], max_tokens=100, speculate=False)
        guessed = driver.ask([user("hello")], max_tokens=100)
        assert guessed.text == without.text
        assert without.last.usage.completion_tokens == 100
        usage = guessed.last.usage
        assert usage.drafted_tokens > 70
        assert usage.accepted_tokens == (usage.drafted_tokens if step == 1 else 0)
        assert guessed.last.context_tokens == without.last.context_tokens
    finally:
        driver.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["qwen2", "llama-3"])
def test_text_with_a_seed_is_the_same(models: Path, tmp_path: Path, name: str, seed: int) -> None:
    """Sampling takes one random number for each token, guessed or not: the distribution is the model's own."""
    driver = guessing_driver(models / f"{name}.gguf", models / f"{name}.gguf", count=4)
    sampling = {"temperature": 0.3, "seed": seed, "repeat_penalty": 1.1, "top_k": 5}
    try:
        texts = []
        for speculate in (False, True):
            texts.append(driver.ask([user("hello")], max_tokens=200, speculate=speculate, sampling=sampling))
        assert texts[0].text == texts[1].text
        assert 0 < texts[1].last.usage.accepted_tokens < texts[1].last.usage.drafted_tokens
    finally:
        driver.close()


def test_turns_branches_and_long_texts(target_path: Path, draft_path: Path) -> None:
    driver = guessing_driver(target_path, draft_path, context_length=4096)
    try:
        talks = [
            [user("hello")],
            [user("hello"), assistant("world " * 300), user("and on")],
            [user("hello"), assistant("world"), user("and on")],
        ]
        for messages in (*talks, *talks):
            without = driver.ask(messages, "c", max_tokens=40, speculate=False)
            guessed = driver.ask(messages, "c", max_tokens=40)
            assert guessed.text == without.text
            assert guessed.last.usage.accepted_tokens > 10
    finally:
        driver.close()


def test_several_answers_do_not_disturb_each_other(target_path: Path, draft_path: Path) -> None:
    driver = guessing_driver(target_path, draft_path, sequences=3, context_length=512)
    try:
        without = driver.ask([user("hello")], "z", max_tokens=60, speculate=False)
        answers = [driver.begin([user("hello")], name, max_tokens=60) for name in "abc"]
        driver.finish(*answers)
        for answer in answers:
            assert answer.text == without.text
            assert answer.last.usage.accepted_tokens > 20
    finally:
        driver.close()


def test_a_place_is_free_again_after_a_stop(target_path: Path, draft_path: Path) -> None:
    driver = guessing_driver(target_path, draft_path)
    try:
        for _ in range(3):
            stopped = driver.begin([user("hello")], max_tokens=200)
            driver.steps(10)
            stopped.control.stop()
            driver.finish(stopped)
        whole = driver.ask([user("hello")], max_tokens=50)
        assert whole.last.usage.accepted_tokens > 20
    finally:
        driver.close()


# -- through the child


def load_with(child: EngineChild, path: Path, draft: Path | str, **fields: Any) -> Run:
    run = child.ask(Load(0, str(path), threads=1, draft_model=str(draft), **fields))
    assert isinstance(run.last, Loaded), run.last
    return run


def pair(child: EngineChild, text: str, **fields: Any) -> tuple[Run, Run]:
    without = child.generate([user(text)], speculate=False, **fields)
    return without, child.generate([user(text)], **fields)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_draft_model_is_loaded_and_guesses(
    child: EngineChild, target_path: Path, draft_path: Path, temperature: float
) -> None:
    info = load_with(child, target_path, draft_path).last.model
    assert info.plan["draft"]["path"] == str(draft_path)
    assert info.plan["draft"]["used_bytes"] > 0
    without, guessed = pair(child, "hello", max_tokens=100, sampling={"temperature": temperature, "seed": 1})
    assert guessed.text == without.text
    assert guessed.last.usage.drafted_tokens >= guessed.last.usage.accepted_tokens > 0


def test_it_can_be_changed_without_reading_anything_again(
    child: EngineChild, target_path: Path, draft_path: Path
) -> None:
    child.load(target_path)
    child.generate([user("hello")], max_tokens=30, conversation_id="c")
    for draft, is_there in ((draft_path, True), ("", False), (draft_path, True)):
        info = load_with(child, target_path, draft).last.model
        assert ("draft" in info.plan) == is_there
        again = child.generate([user("hello")], max_tokens=3, conversation_id="c")
        assert again.last.usage.reused_tokens == again.last.usage.prompt_tokens - 1


def huge(path: Path) -> Path:
    try:
        return write_huge_model(path)
    except OSError:
        pytest.skip("no files with holes here")


def refusals(folder: Path, models: Path, good: Path) -> Sequence[tuple[Path, dict[str, Any]]]:
    broken = folder / "broken.gguf"
    broken.write_bytes(good.read_bytes()[:5000])
    other = tiny.write_model(folder / "other.gguf", tiny.bpe_vocabulary(pieces=(" dog",)))
    file = {"reason": "file"}
    return (
        (folder / "missing.gguf", {**file, "kind": ErrorKind.FILE_MISSING}),
        (broken, {**file, "kind": ErrorKind.TRUNCATED}),
        (folder, {**file, "kind": ErrorKind.FILE_UNREADABLE}),
        (other, {"reason": "vocabulary"}),
        (models / "mamba.gguf", {"reason": "recurrent"}),
        (huge(folder / "huge.gguf"), {"reason": "memory"}),
    )


def test_one_that_cannot_be_used_is_left_out_with_a_notice(
    child: EngineChild, models: Path, tmp_path: Path, target_path: Path
) -> None:
    for path, expected in refusals(tmp_path, models, target_path):
        run = load_with(child, target_path, path)
        (notice,) = run.of(Notice)
        assert notice.kind is NoticeKind.DRAFT_UNUSED
        assert notice.details["path"] == str(path)
        assert notice.details["reason"] == expected["reason"], path
        if expected["reason"] == "file":
            assert notice.details["error"]["kind"] == expected["kind"]
        if expected["reason"] == "memory":
            assert notice.details["needed_bytes"] > notice.details["free_bytes"] > 0
        assert "draft" not in run.last.model.plan
        assert child.generate([user("hello")], max_tokens=5).text


def test_a_recurrent_model_needs_none(child: EngineChild, models: Path) -> None:
    run = load_with(child, models / "mamba.gguf", models / "qwen2.gguf")
    (notice,) = run.of(Notice)
    assert notice.details["reason"] == "model"


def test_a_model_that_comes_back_still_has_its_draft_model(
    child: EngineChild, models: Path, target_path: Path, draft_path: Path, tmp_path: Path
) -> None:
    load_with(child, target_path, draft_path)
    child.load(models / "qwen2.gguf")
    assert "draft" in load_with(child, target_path, draft_path).last.model.plan
    longer = child.ask(Load(0, str(target_path), 1024, threads=1, draft_model=str(draft_path))).last.model
    assert longer.context_length == 1024
    assert "draft" in longer.plan
    without, guessed = pair(child, "hello", max_tokens=100, sampling={"temperature": 0.0})
    assert guessed.text == without.text


def test_one_that_ended_the_engine_is_not_tried_again(tmp_path: Path, target_path: Path, draft_path: Path) -> None:
    journal = AttemptJournal(tmp_path / "attempts.json")
    other = EngineChild("--attempts", str(tmp_path / "attempts.json"), log_path=tmp_path / "engine.log")
    try:
        with journal.attempt(AttemptKind.DRAFT, str(draft_path), str(draft_path)):
            journal._change(lambda running, failed: ([], running))  # as `settle` does for a process that died
        (notice,) = load_with(other, target_path, draft_path).of(Notice)
        assert notice.details["reason"] == "crashed"
        journal.forget(str(draft_path))
        assert "draft" in load_with(other, target_path, draft_path).last.model.plan
        assert not journal.is_open
    finally:
        other.close()


def test_several_answers_at_once_through_the_child(child: EngineChild, target_path: Path, draft_path: Path) -> None:
    load_with(child, target_path, draft_path, context_length=512)
    fields: dict[str, Any] = {"max_tokens": 100, "sampling": {"temperature": 0.0}}
    wanted = child.generate([user("hello")], speculate=False, **fields)
    asked = [child.send(Generate(0, (user("hello"),), conversation_id=name, **fields)) for name in "bcd"]
    assert {child.collect(number).text for number in asked} == {wanted.text}
