"""Models with experts on a GPU: experts that stay in main memory change where weights lie, and nothing else.

Runs with the installed engine's GPU, else with the release engine on Mesa's lavapipe, as in `test_offload`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.release_engine import release_libraries

pytestmark = pytest.mark.engine
TIMEOUT_S = 120.0


def placements(name: str, folder: Path, libraries: Path | None) -> list[dict[str, Any]]:
    environment = dict(os.environ)
    if libraries is not None:
        environment["LLAMA_CPP_LIB_PATH"] = str(libraries)
        environment.setdefault("GGML_VK_VISIBLE_DEVICES", "0")
    command = [sys.executable, "-m", "tests.engine.placement_run", name, str(folder / "model.gguf")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.parametrize("name", ["llama with experts", "qwen3moe"])
def test_experts_in_main_memory_change_nothing_but_where_weights_lie(tmp_path: Path, name: str) -> None:
    results = placements(name, tmp_path, None) or placements(name, tmp_path, release_libraries(tmp_path))
    if not results:
        pytest.skip("the engine sees no GPU, not even one in software (Debian: mesa-vulkan-drivers)")
    on_gpu = [result["gpu_bytes"] for result in results]
    assert on_gpu[0] == 0
    assert on_gpu[1] > on_gpu[2] > on_gpu[3] > 0
    processor, *others = (result["logits"] for result in results)
    for logits in others:
        assert logits == pytest.approx(processor, abs=0.05)
