"""Loads a model with experts by several placements on the first GPU and prints what came of it, as JSON.

A process of its own, since libraries are chosen when the engine is imported: python -m tests.engine.placement_run MODEL
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

from app.core.gpu_choice import chosen_gpus
from app.core.memory import ContextPlan
from app.core.plan import DeviceShare, Placement
from app.engine.worker.binding import initialize, llama
from app.engine.worker.device_list import list_devices
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from tests.fixtures.architectures import ARCHITECTURES, write_architecture

TOKENS = range(30, 80)


def run(path: Path, log: EngineLog, placement: Placement, gpu: str) -> dict[str, Any]:
    """Weights on the GPU in bytes, and the logits behind some tokens."""
    model = LoadedModel(path, lambda fraction: True, log, placement, (gpu,))
    try:
        context = ContextPlan(256, output_tokens=32, flash_attention=placement.gpu_layers > 0)
        model.open_context(ContextSettings(context, 1))
        shares = (DeviceShare("CPU", 0, 0, 0, 0), DeviceShare(gpu, 0, 0, 0, 0))
        on_gpu = log.buffers.used_shares(shares)[1].weights_bytes
        tokens = (ctypes.c_int32 * len(TOKENS))(*TOKENS)
        assert llama.llama_decode(model.context, llama.llama_batch_get_one(tokens, len(TOKENS))) == 0
        count = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model.handle))
        found = ctypes.cast(llama.llama_get_logits_ith(model.context, -1), ctypes.POINTER(ctypes.c_float * count))
        return {"gpu_bytes": on_gpu, "logits": list(found.contents)}
    finally:
        model.close()


def main() -> None:
    log = EngineLog()
    kept = initialize(log.add, log.abort)
    gpus = chosen_gpus(list_devices(), "")
    results = []
    if gpus:
        name, path = sys.argv[1], Path(sys.argv[2])
        layers = ARCHITECTURES[name].layers
        write_architecture(path, ARCHITECTURES[name])
        everything = (layers + 1,)
        for placement in (
            Placement(),
            Placement(layers + 1, everything),
            Placement(layers + 1, everything, host_experts=1),
            Placement(layers + 1, everything, host_experts=layers),
        ):
            results.append(run(path, log, placement, gpus[0].name))
    print(json.dumps(results))
    del kept


if __name__ == "__main__":
    main()
