"""Log-probabilities with alternatives, and biased tokens."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import Finished, TextDelta, TokenScored
from app.engine.worker.binding import llama
from app.engine.worker.conversation_memory import ConversationMemory
from app.engine.worker.sequence import ContextSequence
from tests.engine.engine_child import EngineChild, Run, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine
GREEDY = {"temperature": 0}
VOCABULARY = tiny.bpe_vocabulary()


@pytest.fixture(autouse=True)
def model(child: EngineChild, models: Path) -> None:
    child.load(models / "qwen2.gguf")


def ask(child: EngineChild, **fields: Any) -> Run:
    return child.generate([user("go")], **{"max_tokens": 12, **fields})


def some_scores(run: Run) -> list[TokenScored]:
    found = scores(run)
    assert found
    return found


def scores(run: Run) -> list[TokenScored]:
    assert isinstance(run.last, Finished), run.last
    return run.of(TokenScored)


class TestScores:
    def test_every_token_of_the_text_has_one(self, child: EngineChild) -> None:
        run = ask(child, alternatives=2, sampling={"seed": 1})
        assert len(scores(run)) == run.last.usage.completion_tokens
        assert "".join(score.chosen.text for score in scores(run)).encode()[:1] == run.text.encode()[:1]
        assert all(len(score.others) == 2 for score in scores(run))

    def test_nothing_is_told_unasked(self, child: EngineChild) -> None:
        assert scores(ask(child)) == []

    def test_the_others_come_likeliest_first_without_the_chosen_one(self, child: EngineChild) -> None:
        for score in some_scores(ask(child, alternatives=5, sampling={"temperature": 5.0, "min_p": 0, "seed": 3})):
            values = [other.log_probability for other in score.others]
            assert values == sorted(values, reverse=True)
            assert score.chosen.token not in [other.token for other in score.others]

    def test_greedy_chooses_the_likeliest(self, child: EngineChild) -> None:
        for score in some_scores(ask(child, alternatives=1, sampling=GREEDY)):
            assert score.chosen.log_probability >= score.others[0].log_probability

    def test_probabilities_add_up_to_1(self, child: EngineChild) -> None:
        run = ask(child, alternatives=100, max_tokens=3)
        for score in some_scores(run):
            told = [score.chosen, *score.others]
            assert len({each.token for each in told}) == 101
            assert 0.5 < sum(math.exp(each.log_probability) for each in told) <= 1.0001

    def test_they_are_what_the_logits_say(self, child: EngineChild, tmp_path: Path) -> None:
        """This model normalizes embeddings of one 1 and zeros, and its logits are the result: one √width and zeros."""
        child.load(tiny.write_endless_model(tmp_path / "endless.gguf"))
        width = -(-len(VOCABULARY.tokens) // 64) * 64
        for score in some_scores(ask(child, alternatives=1, sampling=GREEDY, max_tokens=3)):
            assert score.chosen.log_probability == pytest.approx(0.0, abs=1e-5)
            assert score.others[0].log_probability == pytest.approx(-math.sqrt(width), rel=0.003)

    def test_they_are_the_models_own(self, child: EngineChild) -> None:
        """What is chosen by other rules is scored by the same ones."""
        plain = scores(ask(child, alternatives=1, sampling=GREEDY, max_tokens=1))[0]
        for fields in (
            {"sampling": {**GREEDY, "repeat_penalty": 2.0}},
            {"sampling": {"temperature": 3.0, "seed": 1}},
            {"logit_bias": {str(plain.chosen.token): 5.0}},
        ):
            (score,) = scores(ask(child, alternatives=100, max_tokens=1, **fields))
            told = {each.token: each.log_probability for each in (score.chosen, *score.others)}
            assert told[plain.chosen.token] == pytest.approx(plain.chosen.log_probability, abs=1e-4)

    def test_the_text_does_not_change(self, child: EngineChild) -> None:
        with_scores = ask(child, alternatives=3, sampling={"seed": 5})
        assert with_scores.text == ask(child, sampling={"seed": 5}).text

    def test_with_a_grammar(self, child: EngineChild) -> None:
        run = ask(child, alternatives=1, grammar='root ::= "ab" [c-e]{3}')
        assert "".join(score.chosen.text for score in scores(run)) == run.text

    def test_a_score_comes_before_its_text(self, child: EngineChild) -> None:
        run = ask(child, alternatives=1, grammar='root ::= "a"')
        kinds = [type(event) for event in run.events if isinstance(event, TokenScored | TextDelta)]
        assert kinds == [TokenScored, TextDelta]

    @pytest.mark.parametrize("count", [-1, 101, 10**9])
    def test_counts_that_are_refused(self, count: int, child: EngineChild) -> None:
        assert ask(child, alternatives=count).last.error.kind is ErrorKind.BAD_REQUEST


class TestBias:
    def test_a_token_is_forced(self, child: EngineChild) -> None:
        token = VOCABULARY.id_of("&")
        assert ask(child, logit_bias={str(token): 1000.0}, max_tokens=4).text == "&&&&"

    def test_a_token_is_forbidden(self, child: EngineChild) -> None:
        first = scores(ask(child, alternatives=1, sampling=GREEDY, max_tokens=1))[0]
        forbidden = {str(first.chosen.token): -1000.0}
        other = scores(ask(child, alternatives=1, sampling=GREEDY, max_tokens=1, logit_bias=forbidden))[0]
        assert other.chosen.token == first.others[0].token

    def test_several_at_once(self, child: EngineChild) -> None:
        wanted = {str(VOCABULARY.id_of(text)): 1000.0 for text in "xyz"}
        assert set(ask(child, logit_bias=wanted, max_tokens=30, sampling={"seed": 1}).text) <= set("xyz")

    def test_with_a_grammar(self, child: EngineChild) -> None:
        bias = {str(VOCABULARY.id_of("q")): 1000.0}
        assert ask(child, logit_bias=bias, grammar="root ::= [a-z]{3}").text == "qqq"

    def test_an_end_that_is_forbidden(self, child: EngineChild) -> None:
        bias = {str(VOCABULARY.id_of(text)): -1000.0 for text in ("<|im_end|>", "<|endoftext|>")}
        assert ask(child, logit_bias=bias, max_tokens=100).last.usage.completion_tokens == 100

    @pytest.mark.parametrize(
        "bias",
        [
            {"x": 1.0},
            {"-1": 1.0},
            {"1000000": 1.0},
            {"9" * 5000: 1.0},
            {"": 1.0},
            {"²": 1.0},
            {"1": 1.0, "01": 1.0},
            {"1": float("nan")},
            {"1": float("inf")},
            {"1": 1e30},
        ],
    )
    def test_what_is_refused(self, bias: dict[str, float], child: EngineChild) -> None:
        error = ask(child, logit_bias=bias).last.error
        assert error.kind is ErrorKind.BAD_REQUEST
        assert "logit_bias" in str(error.details["reason"])


@pytest.mark.parametrize("fields", [{}, {"grammar": "root"}], ids=["without memory", "without a grammar"])
def test_an_answer_that_does_not_begin_leaves_no_scorer(
    models: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    def fail(*_: object) -> ContextSequence:
        raise MemoryError

    opened: set[int | None] = set()
    closed: set[int | None] = set()
    make, close = llama.llama_sampler_init_top_k, llama.llama_sampler_free

    def make_noted(count: int) -> Any:
        sampler = make(count)
        opened.add(ctypes.cast(sampler, ctypes.c_void_p).value)
        return sampler

    def close_noted(sampler: Any) -> None:
        closed.add(ctypes.cast(sampler, ctypes.c_void_p).value)
        close(sampler)

    driver = SessionDriver(models / "qwen2.gguf", context_length=512)
    with monkeypatch.context() as patch:
        patch.setattr(ConversationMemory, "take", fail)
        patch.setattr(llama, "llama_sampler_init_top_k", make_noted)
        patch.setattr(llama, "llama_sampler_free", close_noted)
        with pytest.raises((MemoryError, UserError)):
            driver.begin([user("go")], alternatives=2, **fields)
    driver.close()
    assert opened <= closed
    assert opened or fields, "the scorer has a sampler of this kind"
