"""Vectors and ranks from real files, beside a chat model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind
from app.core.events import Embedded, Event, Failed, Finished, Ranked, Unloaded
from app.core.gguf_reader import read_header
from app.engine.protocol import Embed, Load, Rank, Unload
from app.engine.worker import encoder
from app.engine.worker.backend import RequestControl
from app.engine.worker.llama_backend import LlamaBackend
from tests.engine.engine_child import EngineChild, user
from tests.fixtures import tiny_encoder
from tests.fixtures.gguf_bytes import EMBEDDING, Tensor, damaged, gguf, llama_keys, llama_tensors, write_huge_model
from tests.fixtures.tiny_encoder import write_bert

pytestmark = pytest.mark.engine
TEXTS = ("the cat sat on the dog", "hello world", "moon", "", "the dog ran on the moon " * 5)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    write_bert(folder / "words.gguf", context_length=64)
    write_bert(folder / "noise.gguf", context_length=1024, noise=0.2)
    write_bert(folder / "silent-about-pooling.gguf", pooling=None)
    write_bert(folder / "cls.gguf", pooling=tiny_encoder.CLS, noise=0.2)
    write_bert(folder / "ranks.gguf", pooling=tiny_encoder.RANK, noise=0.2, classifier=True)
    write_bert(folder / "no-classifier.gguf", pooling=tiny_encoder.RANK, noise=0.2)
    last = gguf(llama_keys(llama__pooling_type=tiny_encoder.LAST), llama_tensors())
    (folder / "decoder.gguf").write_bytes(last)
    return folder


def embed(child: EngineChild, path: Path, texts: Sequence[str]) -> Any:
    return child.ask(Embed(0, str(path), tuple(texts))).last


def vectors(child: EngineChild, path: Path, *texts: str) -> tuple[tuple[float, ...], ...]:
    event = embed(child, path, texts)
    assert isinstance(event, Embedded), event
    assert len(event.vectors) == len(texts)
    return event.vectors


def rank(child: EngineChild, path: Path, query: str, documents: Sequence[str]) -> Any:
    return child.ask(Rank(0, str(path), query, tuple(documents))).last


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(first, second, strict=True))


class TestVectors:
    @pytest.mark.parametrize("name", ["words", "noise", "cls", "decoder", "silent-about-pooling"])
    def test_they_have_length_1(self, name: str, child: EngineChild, encoders: Path) -> None:
        for vector in vectors(child, encoders / f"{name}.gguf", *TEXTS):
            assert math.sqrt(cosine(vector, vector)) == pytest.approx(1.0, abs=1e-4)

    @pytest.mark.parametrize("name", ["words", "noise", "cls", "decoder"])
    def test_many_texts_at_once_give_the_same_as_one_by_one(
        self, name: str, child: EngineChild, encoders: Path
    ) -> None:
        path = encoders / f"{name}.gguf"
        together = vectors(child, path, *TEXTS, *reversed(TEXTS), *TEXTS * 10)
        for text, vector in zip((*TEXTS, *reversed(TEXTS)), together, strict=False):
            (alone,) = vectors(child, path, text)
            assert cosine(vector, alone) == pytest.approx(1.0, abs=1e-4)

    def test_the_same_text_has_the_same_vector(self, child: EngineChild, encoders: Path) -> None:
        path = encoders / "noise.gguf"
        assert vectors(child, path, "the cat") == vectors(child, path, "the cat")

    def test_texts_that_share_words_are_nearer(self, child: EngineChild, encoders: Path) -> None:
        near, text, far = vectors(child, encoders / "words.gguf", "the cat ran", "the cat sat", "hello moon")
        assert cosine(near, text) > cosine(far, text) + 0.1

    def test_a_vector_is_the_mean_of_the_words(self, child: EngineChild, encoders: Path) -> None:
        """Each word is an axis and [CLS] and [SEP] are two more: of four tokens, three are shared."""
        first, second = vectors(child, encoders / "words.gguf", "cat dog", "cat moon")
        assert cosine(first, second) == pytest.approx(3 / 4, abs=0.02)  # the norm takes the mean off each

    def test_order_matters_where_positions_do(self, child: EngineChild, encoders: Path) -> None:
        first, second = vectors(child, encoders / "noise.gguf", "the cat sat", "sat cat the")
        assert cosine(first, second) < 0.9999

    def test_no_texts(self, child: EngineChild, encoders: Path) -> None:
        assert embed(child, encoders / "words.gguf", ()).vectors == ()

    def test_tokens_are_counted(self, child: EngineChild, encoders: Path) -> None:
        assert embed(child, encoders / "words.gguf", ("the cat", "moon")).tokens == 2 + 2 + 1 + 2

    def test_the_marks_of_a_model_are_text(self, child: EngineChild, encoders: Path) -> None:
        """Nobody can end a text early by writing [SEP]."""
        plain, marked = vectors(child, encoders / "words.gguf", "cat", "cat [SEP]")
        assert cosine(plain, marked) < 0.99

    def test_the_context_grows_with_the_text(self, child: EngineChild, encoders: Path) -> None:
        path = encoders / "noise.gguf"
        (before,) = vectors(child, path, "the cat")
        long, again = vectors(child, path, "the cat sat on the moon " * 150, "the cat")
        assert cosine(long, long) == pytest.approx(1.0, abs=1e-4)
        assert cosine(before, again) == pytest.approx(1.0, abs=1e-4)

    def test_a_text_that_is_too_long_is_refused(self, child: EngineChild, encoders: Path) -> None:
        error = embed(child, encoders / "words.gguf", ("cat", "the cat " * 40)).error
        assert error.kind is ErrorKind.TEXT_TOO_LONG
        assert (error.details["number"], error.details["tokens"], error.details["limit_tokens"]) == (2, 82, 64)
        vectors(child, encoders / "words.gguf", "the " * 62)


class TestRanks:
    def test_scores_belong_to_their_documents(self, child: EngineChild, encoders: Path) -> None:
        path, documents = encoders / "ranks.gguf", ["the cat sat", "hello world", "moon", "dog"]
        event = rank(child, path, "cat", documents)
        assert isinstance(event, Ranked), event
        assert len(set(event.scores)) == len(documents)
        # Few tokens are computed by other kernels than many, with other last digits, which noise for weights magnifies.
        rounding = 0.05
        in_order = sorted(event.scores)
        assert all(above - below > 2 * rounding * abs(above) for below, above in pairwise(in_order))
        turned = rank(child, path, "cat", documents[::-1])
        assert turned.scores[::-1] == pytest.approx(event.scores, rel=rounding)
        alone = [rank(child, path, "cat", [each]).scores[0] for each in documents]
        assert alone == pytest.approx(event.scores, rel=rounding)

    def test_the_query_counts(self, child: EngineChild, encoders: Path) -> None:
        path = encoders / "ranks.gguf"
        assert rank(child, path, "cat", ["the moon"]).scores != rank(child, path, "dog", ["the moon"]).scores

    def test_query_and_document_cannot_be_swapped(self, child: EngineChild, encoders: Path) -> None:
        path = encoders / "ranks.gguf"
        assert rank(child, path, "cat", ["moon"]).scores != rank(child, path, "moon", ["cat"]).scores

    def test_no_documents(self, child: EngineChild, encoders: Path) -> None:
        assert rank(child, encoders / "ranks.gguf", "cat", []).scores == ()

    def test_a_pair_that_is_too_long(self, child: EngineChild, encoders: Path) -> None:
        error = rank(child, encoders / "ranks.gguf", "cat", ["moon", "the cat " * 40]).error
        assert (error.kind, error.details["number"]) == (ErrorKind.TEXT_TOO_LONG, 2)


class TestBesideAChatModel:
    def test_the_chat_goes_on(self, child: EngineChild, models: Path, encoders: Path) -> None:
        child.load(models / "qwen2.gguf")
        talk = [user("one")]
        first = child.generate(talk, sampling={"temperature": 0}, max_tokens=8)
        vectors(child, encoders / "words.gguf", "the cat")
        assert isinstance(rank(child, encoders / "ranks.gguf", "cat", ["moon"]), Ranked)
        again = child.generate(talk, sampling={"temperature": 0}, max_tokens=8)
        assert isinstance(again.last, Finished)
        assert again.text == first.text

    def test_it_needs_none(self, child: EngineChild, encoders: Path) -> None:
        assert isinstance(child.ask(Unload(0)).last, Unloaded)
        vectors(child, encoders / "words.gguf", "the cat")

    def test_another_file_takes_its_place(self, child: EngineChild, encoders: Path) -> None:
        for name in ("words", "decoder", "words"):
            vectors(child, encoders / f"{name}.gguf", "the cat")

    def test_a_file_that_was_replaced_is_read_anew(self, child: EngineChild, tmp_path: Path) -> None:
        path = write_bert(tmp_path / "bert.gguf", noise=0.2)
        (before,) = vectors(child, path, "the cat")
        path.unlink()
        write_bert(path)
        (after,) = vectors(child, path, "the cat")
        assert cosine(before, after) < 0.999

    @pytest.mark.logs_warnings  # llama.cpp's about a vocabulary of 66 tokens
    def test_a_chat_model_that_nobody_uses_makes_room(
        self, backend: LlamaBackend, models: Path, encoders: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[Event] = []
        for name in ("gemma", "qwen2"):
            backend.load(Load(1, str(models / f"{name}.gguf"), threads=1), events.append, RequestControl())
        assert len(backend._models()) == 2
        monkeypatch.setattr(encoder, "usable_bytes", lambda: 0 if len(backend._models()) > 1 else 1 << 30)
        backend.embed(Embed(2, str(encoders / "words.gguf"), ("the cat",)), events.append, RequestControl())
        assert isinstance(events[-1], Embedded)
        (left,) = backend._models()
        assert left.info.architecture == "qwen2"


class TestRefusals:
    def test_a_chat_model_makes_no_vectors(self, child: EngineChild, models: Path) -> None:
        path = models / "qwen2.gguf"
        assert embed(child, path, ["x"]).error.kind is ErrorKind.NO_EMBEDDING_MODEL
        assert rank(child, path, "x", ["y"]).error.kind is ErrorKind.NO_RERANKER

    def test_vectors_and_ranks_are_two_things(self, child: EngineChild, encoders: Path) -> None:
        assert embed(child, encoders / "ranks.gguf", ["x"]).error.kind is ErrorKind.NO_EMBEDDING_MODEL
        for name in ("words", "no-classifier"):
            assert rank(child, encoders / f"{name}.gguf", "x", ["y"]).error.kind is ErrorKind.NO_RERANKER

    def test_an_embedding_model_does_not_chat(self, child: EngineChild, encoders: Path) -> None:
        for name in ("words", "ranks", "decoder"):
            error = child.ask(Load(0, str(encoders / f"{name}.gguf"))).last.error
            assert error.kind is ErrorKind.EMBEDDING_MODEL, name

    def test_files_that_are_none(self, child: EngineChild, encoders: Path, tmp_path: Path) -> None:
        (tmp_path / "cut.gguf").write_bytes((encoders / "words.gguf").read_bytes()[:-500])
        (tmp_path / "text.gguf").write_text("hello")
        cases = {
            tmp_path / "cut.gguf": ErrorKind.TRUNCATED,
            tmp_path / "text.gguf": ErrorKind.NOT_A_MODEL,
            tmp_path / "none.gguf": ErrorKind.FILE_MISSING,
            tmp_path: ErrorKind.FILE_UNREADABLE,
        }
        for path, kind in cases.items():
            error = embed(child, path, ["x"]).error
            assert (error.kind, error.details["path"]) == (kind, str(path))
        vectors(child, encoders / "words.gguf", "still there")

    def test_a_model_larger_than_the_memory(
        self, child: EngineChild, models: Path, encoders: Path, tmp_path: Path
    ) -> None:
        """Refused by its header, before llama.cpp reads anything; what is in use stays."""
        child.load(models / "qwen2.gguf")
        classifier = Tensor("cls.weight", (EMBEDDING, EMBEDDING))
        path = tmp_path / "huge.gguf"
        for pooling, more in ((tiny_encoder.LAST, ()), (tiny_encoder.RANK, (classifier,))):
            try:
                write_huge_model(path, more, llama__pooling_type=pooling)
            except OSError:
                pytest.skip("no files with holes here")
            ask = Rank(0, str(path), "x", ("y",)) if more else Embed(0, str(path), ("x",))
            error = child.ask(ask).last.error
            assert (error.kind, error.details["path"]) == (ErrorKind.NOT_ENOUGH_MEMORY, str(path))
            assert error.integer("needed_bytes") > 1 << 40 > error.integer("free_bytes") > 0
        vectors(child, encoders / "words.gguf", "the cat")
        assert isinstance(child.generate([user("one")], max_tokens=2).last, Finished)

    @pytest.mark.parametrize("name", ["noise", "decoder"])
    def test_damaged_headers_do_not_end_the_child(
        self, name: str, child: EngineChild, encoders: Path, tmp_path: Path
    ) -> None:
        data = (encoders / f"{name}.gguf").read_bytes()
        path = tmp_path / "damaged.gguf"
        for seed in range(40):
            path.write_bytes(damaged(data, read_header(data).data_offset, seed))
            assert isinstance(embed(child, path, ["the cat"]), Embedded | Failed)

    @pytest.mark.parametrize("name", ["bos", "seperator", "mask", "unknown", "padding"])
    def test_special_tokens_that_are_not_there(self, name: str, child: EngineChild, tmp_path: Path) -> None:
        path = write_bert(tmp_path / "bert.gguf", special={name: 5000})
        assert embed(child, path, ["x"]).error.kind is ErrorKind.CORRUPT

    def test_a_model_of_no_numbers(self, child: EngineChild, tmp_path: Path) -> None:
        path = write_bert(tmp_path / "bert.gguf", bad_number=True)
        assert embed(child, path, ["cat"]).error.kind is ErrorKind.DECODE_FAILED
