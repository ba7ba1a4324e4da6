"""LoRA adapters that change what a model says, in a child that survives those that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.adapter import Adapter
from app.core.errors import ErrorKind, NoticeKind
from app.core.events import Adapted, Failed, Loaded, Loading, Notice, PromptStarted
from app.core.gguf_reader import read_header
from app.engine.protocol import Adapt, Load
from tests.engine.engine_child import EngineChild, user
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.gguf_bytes import damaged
from tests.fixtures.tiny_adapter import pair, redirection, write_adapter
from tests.fixtures.tiny_gguf import byte_token, chain

pytestmark = pytest.mark.engine

VOCABULARY = tiny.bpe_vocabulary(pieces=("Hello", " wo", "rld", "Bye"))
WORLD, CAT = byte_token(" world"), byte_token(" cat")
SCRIPT = chain(byte_token("\n"), "Hello", WORLD)
WIDTH, HEIGHT = 64, 64  # of blk.0.attn_q.weight in the model of noise


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapters") / "talker.gguf"
    return tiny.write_model(path, VOCABULARY, template=tiny.CHATML, successors=SCRIPT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {
        "bye": write_adapter(folder / "bye.gguf", redirection(VOCABULARY, byte_token("\n"), "Bye")),
        "cat": write_adapter(folder / "cat.gguf", redirection(VOCABULARY, "Hello", CAT)),
        "bye-cat": write_adapter(folder / "bye-cat.gguf", redirection(VOCABULARY, "Bye", CAT)),
    }


def adapt(child: EngineChild, *adapters: Adapter) -> Any:
    return child.ask(Adapt(0, adapters)).last


def said(child: EngineChild, **fields: Any) -> str:
    return child.generate([user("go")], sampling={"temperature": 0}, max_tokens=10, **fields).text


class TestUse:
    def test_an_adapter_changes_the_text_and_goes_again(
        self, child: EngineChild, model: Path, files: dict[str, Path]
    ) -> None:
        child.load(model)
        assert said(child) == "Hello world"
        assert isinstance(adapt(child, Adapter(str(files["cat"]))), Adapted)
        assert said(child) == "Hello cat"
        assert isinstance(adapt(child), Adapted)
        assert said(child) == "Hello world"

    def test_several_work_together(self, child: EngineChild, model: Path, files: dict[str, Path]) -> None:
        child.load(model)
        adapt(child, Adapter(str(files["bye"])), Adapter(str(files["bye-cat"])))
        assert said(child) == "Bye cat"
        adapt(child, Adapter(str(files["bye-cat"])))
        assert said(child) == "Hello world"

    def test_scales(self, child: EngineChild, model: Path, files: dict[str, Path]) -> None:
        child.load(model)
        for scale, text in ((0.0, "Hello world"), (0.1, "Hello world"), (1.0, "Hello cat"), (-1.0, "Hello world")):
            adapt(child, Adapter(str(files["cat"]), scale))
            assert said(child) == text, scale

    def test_the_same_one_twice_counts_twice(self, child: EngineChild, model: Path, files: dict[str, Path]) -> None:
        child.load(model)
        adapt(child, Adapter(str(files["cat"]), 0.2))
        assert said(child) == "Hello world"
        adapt(child, Adapter(str(files["cat"]), 0.2), Adapter(str(files["cat"]), 0.2))
        assert said(child) == "Hello cat"

    def test_alpha_and_rank_scale_it(self, child: EngineChild, model: Path, tmp_path: Path) -> None:
        child.load(model)
        weak = write_adapter(tmp_path / "weak.gguf", redirection(VOCABULARY, "Hello", CAT), adapter__lora__alpha=0.1)
        bare = write_adapter(tmp_path / "bare.gguf", redirection(VOCABULARY, "Hello", CAT), adapter__lora__alpha=None)
        adapt(child, Adapter(str(weak)))
        assert said(child) == "Hello world"
        adapt(child, Adapter(str(bare)))
        assert said(child) == "Hello cat"

    def test_what_was_read_counts_no_more(self, child: EngineChild, models: Path, tmp_path: Path) -> None:
        child.load(models / "llama-3.gguf")
        before = said(child)
        path = write_adapter(tmp_path / "noise.gguf", pair("blk.0.attn_q.weight", WIDTH, HEIGHT, rank=4))
        adapt(child, Adapter(str(path), 2.0))
        run = child.generate([user("go")], sampling={"temperature": 0}, max_tokens=10)
        assert run.of(PromptStarted)[0].reused_tokens == 0
        fresh = child.ask(Load(0, str(models / "llama-3.gguf"), threads=1, adapters=(Adapter(str(path), 2.0),)))
        assert isinstance(fresh.last, Loaded), fresh.last
        assert said(child) == run.text != before

    def test_using_the_same_again_forgets_nothing(
        self, child: EngineChild, model: Path, files: dict[str, Path]
    ) -> None:
        child.load(model)
        adapt(child, Adapter(str(files["cat"])))
        said(child)
        adapt(child, Adapter(str(files["cat"])))
        run = child.generate([user("go")], max_tokens=1)
        assert run.of(PromptStarted)[0].reused_tokens > 0

    def test_a_file_that_was_replaced_is_read_anew(self, child: EngineChild, model: Path, tmp_path: Path) -> None:
        child.load(model)
        path = write_adapter(tmp_path / "lora.gguf", redirection(VOCABULARY, "Hello", CAT))
        adapt(child, Adapter(str(path)))
        write_adapter(path, redirection(VOCABULARY, byte_token("\n"), "Bye"))
        adapt(child, Adapter(str(path)))
        assert said(child) == "Bye"

    def test_a_load_with_adapters(self, child: EngineChild, model: Path, files: dict[str, Path]) -> None:
        run = child.ask(Load(0, str(model), threads=1, adapters=(Adapter(str(files["cat"])),)))
        assert isinstance(run.last, Loaded), run.last
        assert said(child) == "Hello cat"

    def test_a_load_with_an_unfit_one_is_without_any_and_says_so(
        self, child: EngineChild, model: Path, models: Path, files: dict[str, Path], tmp_path: Path
    ) -> None:
        cat = Adapter(str(files["cat"]))
        run = child.ask(Load(0, str(models / "qwen2.gguf"), threads=1, adapters=(cat,)))
        assert isinstance(run.last, Loaded), run.last
        assert "adapters" not in run.last.model.plan
        (notice,) = run.of(Notice)
        assert (notice.kind, notice.details["kind"]) == (NoticeKind.ADAPTERS_UNUSED, ErrorKind.ADAPTER_UNFIT)
        gone = Adapter(str(tmp_path / "gone.gguf"))
        (notice,) = child.ask(Load(0, str(model), threads=1, adapters=(cat, gone))).of(Notice)
        assert notice.details["details"]["path"] == gone.path
        assert said(child) == "Hello world"

    def test_another_load_with_other_ones_does_not_load_the_model_again(
        self, child: EngineChild, model: Path, files: dict[str, Path]
    ) -> None:
        child.ask(Load(0, str(model), threads=1))
        plain = said(child)
        run = child.ask(Load(0, str(model), threads=1, adapters=(Adapter(str(files["cat"]), 1.5),)))
        assert run.of(Loading) == []
        assert run.last.model.plan["adapters"] == [{"path": str(files["cat"]), "scale": 1.5}]
        assert said(child) == "Hello cat"
        again = child.ask(Load(0, str(model), threads=1))
        assert again.of(Loading) == []
        assert "adapters" not in again.last.model.plan
        assert said(child) == plain


def _renamed(suffix_from: str, suffix_to: str) -> dict[str, Any]:
    whole = pair("blk.0.attn_q.weight", WIDTH, HEIGHT)
    return {name.replace(suffix_from, suffix_to): array for name, array in whole.items()}


def _with(name: str, array: Any) -> dict[str, Any]:
    return {**pair("blk.0.attn_q.weight", WIDTH, HEIGHT), name: array}


A, B = "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"
UNFIT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another architecture": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"architecture": "qwen2"}),
    "no adapter": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"general__type": "model"}),
    "type that is a number": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"general__type": 1}),
    "another kind of adapter": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"adapter__type": "control_vector"}),
    "alpha that is a text": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"adapter__lora__alpha": "1"}),
    "alpha that is whole": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"adapter__lora__alpha": 1}),
    "alpha of 64 bits": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"adapter__lora__alpha": np.float64(1.0)}),
    "alpha that is none": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"adapter__lora__alpha": float("nan")}),
    "aLoRA": (pair("blk.0.attn_q.weight", WIDTH, HEIGHT), {"adapter__alora__invocation_tokens": [1, 2]}),
    "nothing in it": ({}, {}),
    "only norms": ({"blk.0.attn_norm.weight": np.ones(64, dtype=np.float32)}, {}),
    "unknown tensor": (pair("blk.0.attn_x.weight", WIDTH, HEIGHT), {}),
    "layer that is not there": (pair("blk.7.attn_q.weight", WIDTH, HEIGHT), {}),
    "another suffix": (_renamed(".lora_a", ".lora_c"), {}),
    "only A": ({A: np.ones((1, WIDTH), dtype=np.float32)}, {}),
    "only B": ({B: np.ones((HEIGHT, 1), dtype=np.float32)}, {}),
    "A too wide": (_with(A, np.ones((1, 96), dtype=np.float32)), {}),
    "B too high": (_with(B, np.ones((96, 1), dtype=np.float32)), {}),
    "ranks that differ": (_with(A, np.ones((2, WIDTH), dtype=np.float32)), {}),
    "transposed": (_with(A, np.ones((WIDTH, 1), dtype=np.float32)), {}),
    "three dimensions": (_with(A, np.ones((2, 1, WIDTH), dtype=np.float32)), {}),
    "whole numbers": (_with(A, np.ones((1, WIDTH), dtype=np.int32)), {}),
    "double precision": (_with(A, np.ones((1, WIDTH), dtype=np.float64)), {}),
    "for a vector": (pair("blk.0.attn_norm.weight", 64, 1), {}),
    "embedding of other ranks": (
        {
            "token_embd.weight.lora_a": np.ones((8, 2), dtype=np.float32),
            "token_embd.weight.lora_b": np.ones((64, 3), dtype=np.float32),
        },
        {},
    ),
}


class TestMisfits:
    @pytest.mark.parametrize("case", UNFIT)
    def test_what_does_not_fit_is_refused(self, case: str, child: EngineChild, models: Path, tmp_path: Path) -> None:
        child.load(models / "llama-3.gguf")
        tensors, keys = UNFIT[case]
        path = write_adapter(tmp_path / "lora.gguf", tensors, **keys)
        refused = adapt(child, Adapter(str(path)))
        assert isinstance(refused, Failed)
        assert refused.error.kind is ErrorKind.ADAPTER_UNFIT
        assert refused.error.details["path"] == str(path)
        assert refused.error.details["reason"]
        child.generate([user("go")], max_tokens=2)

    def test_an_embedding_that_is_the_output_too(self, child: EngineChild, models: Path, tmp_path: Path) -> None:
        child.load(models / "gemma.gguf")
        rows = len(tiny.spm_vocabulary(controls=("<start_of_turn>", "<end_of_turn>")).tokens)
        tensors = {
            "token_embd.weight.lora_a": np.ones((rows, 2), dtype=np.float32),
            "token_embd.weight.lora_b": np.ones((64, 2), dtype=np.float32),
        }
        path = write_adapter(tmp_path / "lora.gguf", tensors, architecture="gemma")
        assert adapt(child, Adapter(str(path))).error.kind is ErrorKind.ADAPTER_UNFIT
        child.generate([user("go")], max_tokens=2)

    def test_an_embedding_of_its_own_can_be_changed(self, child: EngineChild, model: Path, tmp_path: Path) -> None:
        child.load(model)
        count = len(VOCABULARY.tokens)
        tensors = {
            "token_embd.weight.lora_a": np.zeros((count, 2), dtype=np.float32),
            "token_embd.weight.lora_b": np.zeros((-(-count // 64) * 64, 2), dtype=np.float32),
        }
        newline, hello = VOCABULARY.id_of(byte_token("\n")), VOCABULARY.id_of("Hello")
        tensors["token_embd.weight.lora_a"][newline, 0] = 1.0
        tensors["token_embd.weight.lora_b"][hello, 0] = 20.0  # a line feed looks like "Hello"
        path = write_adapter(tmp_path / "lora.gguf", tensors)
        assert isinstance(adapt(child, Adapter(str(path))), Adapted)
        assert said(child) == "world"

    @pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.9, 0.999])
    def test_a_truncated_file(self, kept: float, child: EngineChild, models: Path, tmp_path: Path) -> None:
        child.load(models / "llama-3.gguf")
        path = write_adapter(tmp_path / "lora.gguf", pair("blk.0.attn_q.weight", WIDTH, HEIGHT, rank=8))
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * kept)])
        kinds = {ErrorKind.FILE_EMPTY, ErrorKind.TRUNCATED}
        assert adapt(child, Adapter(str(path))).error.kind in kinds

    def test_damaged_headers_do_not_end_the_child(self, child: EngineChild, models: Path, tmp_path: Path) -> None:
        child.load(models / "llama-3.gguf")
        path = write_adapter(tmp_path / "lora.gguf", pair("blk.0.attn_q.weight", WIDTH, HEIGHT, rank=4))
        data = path.read_bytes()
        for seed in range(80):
            path.write_bytes(damaged(data, read_header(data).data_offset, seed))
            assert isinstance(adapt(child, Adapter(str(path))), Adapted | Failed)
            child.generate([user("go")], max_tokens=1)

    def test_files_that_are_no_adapters(self, child: EngineChild, models: Path, tmp_path: Path) -> None:
        child.load(models / "llama-3.gguf")
        text = tmp_path / "text.gguf"
        text.write_text("hello")
        cases = {
            text: ErrorKind.NOT_A_MODEL,
            tmp_path: ErrorKind.FILE_UNREADABLE,
            tmp_path / "none.gguf": ErrorKind.FILE_MISSING,
            models / "llama-3.gguf": ErrorKind.ADAPTER_UNFIT,
        }
        for path, kind in cases.items():
            refused = adapt(child, Adapter(str(path)))
            assert refused.error.kind is kind, path
            assert refused.error.details["path"] == str(path)

    def test_a_scale_that_is_none(self, child: EngineChild, model: Path, files: dict[str, Path]) -> None:
        child.load(model)
        for scale in (float("nan"), float("inf"), 1e30):
            assert adapt(child, Adapter(str(files["cat"]), scale)).error.kind is ErrorKind.BAD_REQUEST

    def test_a_refusal_leaves_those_in_use(
        self, child: EngineChild, model: Path, files: dict[str, Path], tmp_path: Path
    ) -> None:
        child.load(model)
        adapt(child, Adapter(str(files["cat"])))
        unfit = write_adapter(tmp_path / "lora.gguf", pair("blk.0.attn_x.weight", WIDTH, HEIGHT))
        assert isinstance(adapt(child, Adapter(str(files["bye"])), Adapter(str(unfit))), Failed)
        assert said(child) == "Hello cat"

    def test_without_a_model(self, files: dict[str, Path]) -> None:
        child = EngineChild()
        try:
            assert adapt(child, Adapter(str(files["cat"]))).error.kind is ErrorKind.NO_MODEL
        finally:
            child.close()
