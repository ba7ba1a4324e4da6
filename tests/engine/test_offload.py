"""Layers on a GPU: whole and partial offload give the processor's text at temperature 0.

Runs with whatever GPU the installed engine sees (CUDA, Metal, Vulkan). Where it sees none, the release engine of the
cache is tried, whose Vulkan backend works on Mesa's lavapipe too: a GPU in software (Debian: mesa-vulkan-drivers).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.events import Device, Loaded
from app.engine.protocol import Devices, Load
from app.engine.worker.device_list import GPU_KINDS
from tests.engine.engine_child import EngineChild, assistant, user
from tests.engine.release_engine import release_libraries

pytestmark = pytest.mark.engine

MODELS = ("qwen2", "llama-2", "llama-3", "gemma", "mamba")
ALL_LAYERS, LAYERS = -1, 2
GREEDY = {"temperature": 0.0}


def gpus_of(child: EngineChild) -> list[Device]:
    return [device for device in child.ask(Devices(0)).last.devices if device.kind in GPU_KINDS]


@pytest.fixture(scope="module")
def gpu_child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineChild]:
    """A running child that sees a GPU."""
    folder = tmp_path_factory.mktemp("gpu")
    child = EngineChild(log_path=folder / "installed.log")
    with pytest.MonkeyPatch.context() as environment:
        try:
            if not gpus_of(child):
                environment.setenv("LLAMA_CPP_LIB_PATH", str(release_libraries(folder)))
                if "GGML_VK_VISIBLE_DEVICES" not in os.environ:
                    environment.setenv("GGML_VK_VISIBLE_DEVICES", "0")  # or ggml would leave out a GPU in software
                child.close()
                child = EngineChild(log_path=folder / "release.log")
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
    """Two answers, of which the second continues what is in memory of the first."""
    question = user("hello world, the cat sat on the world " * 6, "u1")
    first = child.generate([question], sampling=GREEDY, max_tokens=24, conversation_id="c").text
    messages = [question, assistant(first, "a1"), user("and the cat?", "u2")]
    return [first, child.generate(messages, sampling=GREEDY, max_tokens=24, conversation_id="c").text]


@pytest.mark.parametrize("name", MODELS)
def test_whole_and_partial_offload_give_the_processors_text(gpu_child: EngineChild, models: Path, name: str) -> None:
    path = models / f"{name}.gguf"
    gpu = gpus_of(gpu_child)[0].name
    assert load(gpu_child, path, 0).get(gpu, 0) == 0
    expected = converse(gpu_child)
    assert all(expected)
    for layers in (ALL_LAYERS, LAYERS, 1):
        placed = load(gpu_child, path, layers)
        assert placed[gpu] > 0
        assert (placed.get("CPU", 0) == 0) == (layers == ALL_LAYERS)
        assert converse(gpu_child) == expected, f"{layers} layers on {gpu}"


def test_the_processor_alone_can_be_chosen(gpu_child: EngineChild, models: Path) -> None:
    placed = load(gpu_child, models / "qwen2.gguf", ALL_LAYERS, device="CPU")
    assert placed.keys() == {"CPU"}


def test_a_cache_of_another_type_works_on_the_gpu(gpu_child: EngineChild, models: Path) -> None:
    load(gpu_child, models / "qwen2.gguf", ALL_LAYERS, cache_type="q8_0")
    first, second = converse(gpu_child)
    assert first
    assert second
