"""Answers that follow a grammar: what is refused, what comes out, and with which probabilities."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import Failed, Finished, FinishReason
from app.core.sampling import Sampling
from app.engine.worker import binding
from app.engine.worker.gbnf import GrammarError, check_grammar
from app.engine.worker.grammar import Grammar
from app.engine.worker.sampler import SamplerChain
from app.engine.worker.vocabulary import Vocabulary
from tests.engine.engine_child import EngineChild, Run, assistant, user
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.grammar_matcher import GrammarMatcher

pytestmark = pytest.mark.engine
llama = binding.llama
GREEDY = {"temperature": 0}

BROKEN = {
    "nothing": "  \n",
    "no root": 'start ::= "a"',
    "an open literal": 'root ::= "a',
    "an open class": "root ::= [a-z",
    "an open group": 'root ::= ("a"',
    "a closed group": 'root ::= "a")',
    "an unknown escape": 'root ::= "\\q"',
    "an unknown rule": "root ::= a b",
    "no name": '::= "a"',
    "no definition": "root",
    "a repetition of nothing": "root ::= *",
    "a repetition of emptiness": 'root ::= ""*',
    "fewer than least": 'root ::= "a"{3,2}',
    "a broken repetition": 'root ::= "a"{x}',
    "too many repetitions": 'root ::= "a"{1,100000}',
    "repetitions in repetitions": 'root ::= ("a"{0,100} "b"){0,100}',
    "left recursion": 'root ::= root "a" | "b"',
    "left recursion in a circle": 'root ::= a\na ::= b "x"\nb ::= a | "y"',
    "left recursion behind what may be empty": 'root ::= a root "x" | "y"\na ::= b\nb ::= "q" | ""',
    "left recursion behind a repetition": 'root ::= "a"? root "b" | "c"',
    "emptiness without end": 'root ::= ("a"?)*',
    "deep": "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000,
    "huge": 'root ::= "' + "a" * 1_000_000 + '"',
    "swelling": "root ::= " + f'"{"a" * 4000}"{{2000}} ' * 10,
    "a zero character": 'root ::= "a\0b"',
    "an unknown token": "root ::= <|no such token|>",
}


class TestCheck:
    @pytest.mark.parametrize("name", [name for name in BROKEN if name != "an unknown token"])
    def test_what_is_wrong_is_told(self, name: str) -> None:
        with pytest.raises(GrammarError) as caught:
            check_grammar(BROKEN[name])
        assert len(str(caught.value)) < 200

    def test_what_passes_is_usable(self, tmp_path: Path) -> None:
        grammars = [
            'root ::= "a"',
            'root ::=\n  "a" |\n  "b" # a word\n\n\n# more\nother-1 ::= [^a-z\\]\\-\\x41\\u00e9] .',
            'root ::= ("a" | ("b"\n "c"))+ d{2} d{2,}\nd ::= [0-9]',
            'root ::= a? b* c{0,3}\r\na ::= []\r\nb ::= [b]\r\nc ::= "x"',
            'root ::= ("a"{0,40} "b"){0,40}',
            'root ::= <[5]> !<[6]> "x" <|im_end|>',
            'root ::= "' + "é猫\U0001f600" * 100 + '"',
            'root ::= "a"{2000}',
        ]
        matcher = GrammarMatcher(tmp_path)
        for grammar in grammars:
            check_grammar(grammar)
            assert matcher.is_usable(grammar), grammar
        matcher.close()

    def test_long_chains_take_no_time(self) -> None:
        rules = "\n".join(f"r{n} ::= r{n + 1}" for n in range(15_000))
        assert check_grammar(f'root ::= r0\n{rules}\nr15000 ::= ""').rules == 15_002


def bound(child: EngineChild, **fields: Any) -> Run:
    return child.generate([user("go")], **{"max_tokens": 300, **fields})


class TestAnswers:
    @pytest.fixture(autouse=True)
    def model(self, child: EngineChild, models: Path) -> None:
        child.load(models / "qwen2.gguf")

    @pytest.mark.parametrize("name", BROKEN)
    def test_a_broken_grammar_is_refused(self, name: str, child: EngineChild) -> None:
        refused = bound(child, grammar=BROKEN[name]).last
        assert isinstance(refused, Failed)
        assert refused.error.kind is ErrorKind.GRAMMAR_UNUSABLE
        assert refused.error.details["reason"]

    @pytest.mark.parametrize(
        "sampling", [{}, GREEDY, {"mirostat": 1}, {"mirostat": 2}, {"top_k": 1}, {"typical_p": 0.5}]
    )
    def test_answers_follow_it(self, sampling: dict[str, Any], child: EngineChild) -> None:
        for seed in range(8):
            run = bound(child, grammar='root ::= ("yes" | "no") [!?]{2,3}', sampling={**sampling, "seed": seed})
            assert run.last.reason is FinishReason.END
            assert run.text.rstrip("!?") in ("yes", "no")
            assert 2 <= len(run.text.lstrip("yesno")) <= 3

    def test_answers_follow_a_schema(self, child: EngineChild) -> None:
        schema = {
            "type": "object",
            "properties": {"age": {"type": "integer", "minimum": 3, "maximum": 120}, "tags": {"enum": [["a"], []]}},
            "required": ["age", "tags"],
        }
        for seed in range(8):
            run = bound(child, json_schema=json.dumps(schema), sampling={"seed": seed})
            assert run.last.reason is FinishReason.END
            value = json.loads(run.text)
            assert 3 <= value["age"] <= 120
            assert value["tags"] in (["a"], [])

    def test_any_json(self, child: EngineChild) -> None:
        for seed in range(8):
            run = bound(child, json_schema="{}", sampling={"seed": seed, "temperature": 2}, max_tokens=400)
            if run.last.reason is FinishReason.END:
                json.loads(run.text)

    def test_the_same_seed_gives_the_same_answer(self, child: EngineChild) -> None:
        texts = {bound(child, grammar="root ::= [a-z]{20}", sampling={"seed": 7}).text for _ in range(3)}
        assert len(texts) == 1

    def test_characters_of_several_bytes(self, child: EngineChild) -> None:
        assert bound(child, grammar='root ::= "猫é" [α-γ]{3} "\\U0001F600"').text.startswith("猫é")

    def test_a_schema_that_is_refused(self, child: EngineChild) -> None:
        error = bound(child, json_schema='{"not": {}}').last.error
        assert error.kind is ErrorKind.SCHEMA_UNUSABLE
        assert "not" in str(error.details["reason"])

    def test_a_grammar_and_a_schema(self, child: EngineChild) -> None:
        error = bound(child, grammar='root ::= "a"', json_schema="{}").last.error
        assert error.kind is ErrorKind.GRAMMAR_UNUSABLE

    def test_a_grammar_that_explodes_ends_the_answer_alone(self, child: EngineChild) -> None:
        """Each character doubles the ways in which it could have been read."""
        error = bound(child, grammar='root ::= "a" root "b" | "a" root "c" | "d"', logit_bias={"64": 1000.0}).last.error
        assert error.kind is ErrorKind.GRAMMAR_UNUSABLE
        assert isinstance(bound(child, max_tokens=2).last, Finished)

    def test_an_empty_answer(self, child: EngineChild) -> None:
        run = bound(child, grammar='root ::= ""')
        assert (run.text, run.last.reason) == ("", FinishReason.END)

    def test_an_answer_that_goes_on(self, child: EngineChild) -> None:
        talk = [user("go"), assistant('{"a": tr')]
        grammar = {"json_schema": '{"properties":{"a":{"type":"boolean"}},"required":["a"]}'}
        run = child.generate(talk, continue_last=True, max_tokens=60, **grammar)
        assert json.loads('{"a": tr' + run.text) == {"a": True}
        refused = child.generate([user("go"), assistant("Well,")], continue_last=True, **grammar).last
        assert refused.error.kind is ErrorKind.GRAMMAR_UNUSABLE

    def test_control_tokens_are_no_text(self, child: EngineChild) -> None:
        """Their names are never shown: an answer made of them would be empty."""
        run = bound(child, grammar='root ::= "<|im_start|>"')
        assert run.text == "<|im_start|>"


def test_sentence_pieces_go_on(child: EngineChild, models: Path) -> None:
    child.load(models / "llama-2.gguf")
    run = child.generate([user("go"), assistant("the ca")], continue_last=True, grammar='root ::= "the cat" [!?]')
    assert run.text in ("t!", "t?")


def test_thinking_is_free(child: EngineChild, tmp_path: Path) -> None:
    """The prompt opened it, so that the answer begins after its end."""
    words = tiny.bpe_vocabulary(pieces=("Hm", "</think>", "maybe"))
    after = tiny.chain(tiny.byte_token("\n"), "Hm", "</think>", "maybe")
    template = tiny.CHATML.replace("assistant\n'", "assistant\n<think>\n'")
    child.load(tiny.write_model(tmp_path / "thinker.gguf", words, template=template, successors=after))
    run = child.generate([user("go")], grammar='root ::= "yes" | "no"', max_tokens=20, sampling=GREEDY)
    assert run.reasoning.strip() == "Hm"
    assert run.text.strip() in ("yes", "no")


def thinker(path: Path, *said: str, marks: tuple[str, ...] = ("<think>", "</think>")) -> Path:
    """A model that says this first; its marks are tokens of their own."""
    words = tiny.bpe_vocabulary(pieces=("Hm", "maybe", "analysis", "final"), user_defined=marks)
    template = "{# " + " ".join(marks) + " <|channel|>analysis<|message|> #}" + tiny.CHATML
    return tiny.write_model(path, words, template=template, successors=tiny.chain(tiny.byte_token("\n"), *said))


def test_thinking_that_the_model_begins_is_free(child: EngineChild, tmp_path: Path) -> None:
    child.load(thinker(tmp_path / "thinker.gguf", "<think>", "Hm", "</think>", "maybe"))
    run = child.generate([user("go")], grammar='root ::= "yes" | "no"', max_tokens=20, sampling=GREEDY)
    assert (run.reasoning.strip(), run.last.reason) == ("Hm", FinishReason.END)
    assert run.text.strip() in ("yes", "no")


def test_channels(child: EngineChild, tmp_path: Path) -> None:
    """As gpt-oss has them: the answer has a mark of its own."""
    marks = ("<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>")  # or <|end|> would end the answer
    child.load(thinker(tmp_path / "a.gguf", "<|channel|>", "final", "<|message|>", "maybe", marks=marks))
    run = child.generate([user("go")], grammar='root ::= "yes" | "no"', max_tokens=20, sampling=GREEDY)
    assert run.text.strip() in ("yes", "no")
    child.load(thinker(tmp_path / "b.gguf", "<|channel|>", "analysis", "<|message|>", "Hm", "<|end|>", marks=marks))
    run = child.generate([user("go")], grammar='root ::= "yes" | "no"', max_tokens=20, sampling=GREEDY)
    assert run.reasoning.strip() == "Hm"
    assert run.text.strip() in ("yes", "no")


def test_no_mark_that_is_written_in_letters(child: EngineChild, tmp_path: Path) -> None:
    """An answer may begin with the same characters."""
    child.load(thinker(tmp_path / "letters.gguf", "<", "t"))
    run = child.generate([user("go")], grammar='root ::= "<" [a-z]{3} ">"', max_tokens=20, sampling=GREEDY)
    assert (run.reasoning, len(run.text)) == ("", 5)


@dataclass
class Logits:
    """A context with the logits of one token, to be sampled from as often as one likes."""

    vocabulary: Vocabulary
    context: Any
    values: list[float]

    def draws(self, count: int, grammar: str, **sampling: float) -> Counter[int]:
        chosen: Counter[int] = Counter()
        for seed in range(count):
            chain = SamplerChain(
                Sampling().merged(sampling), seed, self.vocabulary, 64, grammar=Grammar(grammar, self.vocabulary)
            )
            chosen[chain.sample(self.context, -1)] += 1
            chain.close()
        return chosen


@pytest.fixture(scope="module")
def logits(models: Path) -> Iterator[Logits]:
    callbacks = binding.initialize(lambda level, text: None, lambda message: None, ())
    model = llama.llama_model_load_from_file(bytes(models / "qwen2.gguf"), llama.llama_model_default_params())
    parameters = llama.llama_context_default_params()
    parameters.n_ctx, parameters.n_threads = 64, 1
    context = llama.llama_init_from_model(model, parameters)
    vocabulary = Vocabulary(llama.llama_model_get_vocab(model))
    prompt = (llama.llama_token * 3)(10, 20, 30)
    assert llama.llama_decode(context, llama.llama_batch_get_one(prompt, 3)) == 0
    row = llama.llama_get_logits_ith(context, -1)
    yield Logits(vocabulary, context, row[: vocabulary.size])
    llama.llama_free(context)
    llama.llama_model_free(model)
    del callbacks


def likeliest(logits: Logits, count: int) -> list[int]:
    return sorted(range(logits.vocabulary.size), key=lambda token: -logits.values[token])[:count]


def distance(found: Counter[int], weights: dict[int, float]) -> float:
    """Half the sum of all differences between frequencies and probabilities, in units of what chance makes of it."""
    total, count = sum(weights.values()), found.total()
    halves = sum(abs(found[t] / count - weights.get(t, 0.0) / total) for t in found.keys() | weights.keys()) / 2
    return halves / math.sqrt(len(weights) / count)


OFF = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temperature": 1.0}
DRAWS = 3000
_CHANCE = 0.6  # 0.4 is expected for equal probabilities


class TestDistribution:
    """The draws are those of the model's own distribution, less what is forbidden: nothing else is shifted."""

    @pytest.mark.parametrize("letters", ["a-z", "a", "a-m", "!-~"])
    def test_without_truncation(self, letters: str, logits: Logits) -> None:
        found = logits.draws(DRAWS, f"root ::= [{letters}] .*", **OFF)
        low, high = letters[0], letters[-1]
        weights = {
            token: math.exp(logits.values[token])
            for token in range(logits.vocabulary.size)
            if (piece := logits.vocabulary.piece(token)) and low <= piece.decode("latin-1")[0] <= high
        }
        assert found.keys() <= weights.keys()
        assert distance(found, weights) < _CHANCE

    def test_after_truncation(self, logits: Logits) -> None:
        """Of the 60 likeliest tokens, those that begin with a letter or blank."""
        kept = likeliest(logits, 60)
        allowed = [
            t for t in kept if (piece := logits.vocabulary.piece(t)) and (chr(piece[0]).isalpha() or piece[0] == 32)
        ]
        allowed = [t for t in allowed if logits.vocabulary.piece(t)[0] < 128]
        assert 5 < len(allowed) < 55
        found = logits.draws(DRAWS, "root ::= [a-zA-Z ] .*", **{**OFF, "top_k": 60})
        assert distance(found, {token: math.exp(logits.values[token]) for token in allowed}) < _CHANCE

    def test_when_the_samplers_leave_nothing_that_is_allowed(self, logits: Logits) -> None:
        """Then the grammar comes first and the samplers choose among what it allows."""
        kept = set(likeliest(logits, 2))
        others = [t for t in range(256) if t not in kept and len(logits.vocabulary.piece(t)) == 1]
        letters = [t for t in others if logits.vocabulary.piece(t).isalpha()]
        best = sorted(letters, key=lambda token: -logits.values[token])[:2]
        text = "".join(logits.vocabulary.piece(token).decode() for token in letters)
        found = logits.draws(500, f"root ::= [{text}]", **{**OFF, "top_k": 2})
        assert distance(found, {token: math.exp(logits.values[token]) for token in best}) < _CHANCE

    def test_greedy_is_the_likeliest_that_is_allowed(self, logits: Logits) -> None:
        letters = [t for t in range(256) if logits.vocabulary.piece(t).isalpha()]
        found = logits.draws(1, "root ::= [a-zA-Z]", temperature=0)
        assert found == Counter({max(letters, key=lambda token: logits.values[token]): 1})

    def test_no_token_can_follow(self, logits: Logits) -> None:
        with pytest.raises(UserError) as caught:
            logits.draws(1, "root ::= <[999999]>")
        assert caught.value.kind is ErrorKind.GRAMMAR_UNUSABLE
