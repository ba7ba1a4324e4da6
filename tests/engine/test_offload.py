"""Layers on a GPU: whole and partial offload give the processor's text at temperature 0.

Runs with whatever GPU the installed engine sees (CUDA, Metal, Vulkan). Where it sees none, the release engine of the
cache is tried, whose Vulkan backend works on Mesa's lavapipe too: a GPU in software (Debian: mesa-vulkan-drivers).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import NoticeKind
from app.core.events import HOST, Device, Loaded, Notice
from app.core.gpu_choice import GPU_KINDS
from app.engine.protocol import Devices, Load
from app.engine.worker.binding import LIBRARY_FOLDER
from tests.benchmarks.shapes import Shape, write_file
from tests.engine.engine_child import EngineChild, assistant, user
from tests.engine.release_engine import release_libraries
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
BUILTIN = ROOT / "resources" / "models" / "hearth-guide-q8_0.gguf"
ARCHITECTURES = ("qwen2", "llama-2", "llama-3", "gemma", "mamba")
SHAPE = Shape(embedding=256, layers=2, heads=4, kv_heads=2, inner=512, words=2048, context_tokens=256)
ALL_LAYERS, SOME_LAYERS = -1, 2  # as llama.cpp counts: the output, and the last of the layers
COMPILING_S = 300.0  # a GPU in software compiles its programs when they are first used
# Unset, ggml leaves out GPUs in software.
VISIBLE = {"GGML_VK_VISIBLE_DEVICES": os.environ.get("GGML_VK_VISIBLE_DEVICES", "0")}


def gpus_of(child: EngineChild) -> list[Device]:
    return [device for device in child.ask(Devices(0)).last.devices if device.kind in GPU_KINDS and not device.problem]


@pytest.fixture(scope="module")
def gpu_child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineChild]:
    """A running child that sees a GPU; other processes that a test starts see it too."""
    folder = tmp_path_factory.mktemp("gpu")
    child = EngineChild(log_path=folder / "installed.log", timeout_s=COMPILING_S)
    with pytest.MonkeyPatch.context() as environment:
        try:
            if not gpus_of(child):
                environment.setenv("LLAMA_CPP_LIB_PATH", str(release_libraries(folder)))
                for name, value in VISIBLE.items():
                    environment.setenv(name, value)
                child.close()
                child = EngineChild(log_path=folder / "release.log", timeout_s=COMPILING_S)
            if not gpus_of(child):
                pytest.skip("the engine sees no GPU, not even one in software (Debian: mesa-vulkan-drivers)")
            yield child
        finally:
            child.close()


def load(child: EngineChild, path: Path, gpu_layers: int, **fields: Any) -> dict[str, int]:
    """Loads a model; gives how many layers each device has."""
    run = child.ask(Load(0, str(path), threads=1, gpu_layers=gpu_layers, **fields))
    assert isinstance(run.last, Loaded), run.last
    return {share["name"]: share["layers"] for share in run.last.model.plan["devices"]}


def converse(child: EngineChild) -> list[str]:
    """Three answers, each of which continues what is in memory of the ones before."""
    messages = []
    answers = []
    for number, question in enumerate(("How do I stop an answer?", "My name is Ada.", "What is 4 + 5?")):
        messages.append(user(question, f"u{number}"))
        run = child.generate(messages, sampling={"temperature": 0.0}, max_tokens=48, conversation_id="c")
        answers.append(run.text)
        messages.append(assistant(run.text, f"a{number}"))
    return answers


def test_whole_and_partial_offload_give_the_processors_text(gpu_child: EngineChild) -> None:
    gpu = gpus_of(gpu_child)[0].name
    assert load(gpu_child, BUILTIN, 0).get(gpu, 0) == 0
    expected = converse(gpu_child)
    assert all(expected)
    for layers in (ALL_LAYERS, SOME_LAYERS):
        placed = load(gpu_child, BUILTIN, layers)
        assert placed[gpu] > 0
        assert (placed.get("CPU", 0) == 0) == (layers == ALL_LAYERS)
        assert converse(gpu_child) == expected, f"{layers} layers on {gpu}"


def test_other_architectures_and_formats_give_the_processors_logits(
    gpu_child: EngineChild, models: Path, tmp_path: Path
) -> None:
    """Models of noise, in which the likeliest tokens are too close together for a comparison of texts."""
    paths = [Path(shutil.copy(models / f"{name}.gguf", tmp_path)) for name in ARCHITECTURES]
    paths.append(tmp_path / "q4_k_m.gguf")
    write_file(paths[-1], "tiny", SHAPE, "q4_k_m")
    folder = os.environ.get("LLAMA_CPP_LIB_PATH", str(LIBRARY_FOLDER))
    command = [sys.executable, "-m", "tests.engine.logits_run", folder, *map(str, paths)]
    subprocess.run([*command, "--layers", "0", "2", "3"], cwd=ROOT, check=True)
    for path in paths:
        processor, *others = np.load(f"{path}.npy")
        for layers, found in zip(("some", "all"), others, strict=True):
            assert np.isfinite(found).all()
            assert np.corrcoef(processor.ravel(), found.ravel())[0, 1] > 0.999, f"{path.stem}, {layers} layers"


def test_the_processor_alone_can_be_chosen(gpu_child: EngineChild) -> None:
    assert load(gpu_child, BUILTIN, ALL_LAYERS, device="CPU").keys() == {"CPU"}


def test_a_cache_of_another_type_works_on_the_gpu(gpu_child: EngineChild) -> None:
    load(gpu_child, BUILTIN, ALL_LAYERS, cache_type="q8_0")
    assert all(converse(gpu_child))


def test_a_card_that_takes_nothing_gives_way_to_the_processor(
    gpu_child: EngineChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver refuses what should fit, with each of the smaller plans; the last one goes without it.

    After a restart the model is loaded so at once.
    """
    if not gpus_of(gpu_child)[0].name.startswith("Vulkan"):
        pytest.skip("only Vulkan's buffers can be told to be small")
    monkeypatch.setenv("GGML_VK_FORCE_MAX_BUFFER_SIZE", str(1 << 20))
    path = tiny.write_model(
        tmp_path / "roomy.gguf", tiny.bpe_vocabulary(), layers=8, head_size=256, context_length=8192
    )
    for run_number, plans in enumerate((4, 1)):
        log = tmp_path / f"engine-{run_number}.log"
        child = EngineChild(log_path=log, timeout_s=COMPILING_S)
        try:
            fields = {"state_folder": str(tmp_path / "states"), "state_limit_bytes": 1_000_000}
            run = child.ask(Load(0, str(path), threads=1, **fields))
            assert isinstance(run.last, Loaded), run.last
            plan = run.last.model.plan
            assert (plan["gpu_layers"], plan["is_reduced"]) == (0, True)
            assert not any(share["layers"] for share in plan["devices"] if share["name"] != HOST)
            assert log.read_text().count(" plan: ") == plans
            notices = [each for each in run.of(Notice) if each.kind is NoticeKind.PLAN_REDUCED]
            told = [(each.details["wanted_layers"], each.details["used_layers"]) for each in notices]
            assert told == ([(9, 0)] if plans > 1 else [])
            assert child.generate([user("hello")], max_tokens=4).text
        finally:
            child.close()
