"""Devices, their problems and plans in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import Device, ModelInfo
from app.engine.worker.device_list import StartReport, kind_of_problem, missing_devices
from app.services.explain import explain
from app.services.explain_devices import explain_problem, plan_details, plan_sentence
from app.services.explanation import ActionKind

GB = 1024**3  # as memory is told
CPU = Device("CPU", "Some Processor", "cpu", 9 * GB, 16 * GB)
GPU = Device("Vulkan0", "Some Card", "gpu", 6 * GB, 8 * GB)


def model(**plan: Any) -> ModelInfo:
    whole = {
        "context_length": 8192,
        "batch_tokens": 512,
        "flash_attention": False,
        "sequences": 3,
        "cache_type": "f16",
        "threads": 2,
        "layers": 24,
        "devices": [{"name": "CPU", "layers": 24, "planned_bytes": GB, "used_bytes": GB * 12 // 10}],
        **plan,
    }
    return ModelInfo("/m.gguf", "Some model", "llama", "llama 1B", GB, 1, 8192, 8192, "file", plan=whole)


def test_a_plan_for_the_processor() -> None:
    assert plan_sentence(model(), (CPU,)) == (
        "“Some model” runs on the processor with 2 threads; room for 8,192 tokens in each of 3 chats at once. "
        "It takes 1.2 GB of 16 GB memory."
    )
    assert "with one thread;" in plan_sentence(model(threads=1), (CPU,))


def test_threads_that_are_kept_on_fast_cores() -> None:
    hybrid = model(threads=4, fast_cores=4, cores=12)
    assert "runs on the processor with 4 threads (kept on the performance cores, 4 of 12); " in plan_sentence(
        hybrid, (CPU,)
    )
    assert dict(plan_details(hybrid))["Threads"] == "4 (kept on the performance cores, 4 of 12)"
    assert dict(plan_details(model()))["Threads"] == "2"


def test_a_plan_for_a_card_and_the_processor_together() -> None:
    shares = [
        {"name": "CPU", "layers": 8, "planned_bytes": GB},
        {"name": "Vulkan0", "layers": 16, "planned_bytes": 5 * GB},
    ]
    assert plan_sentence(model(devices=shares, sequences=1), (GPU, CPU)) == (
        "“Some model” runs on Some Card (16 of 24 layers; the rest on the processor with 2 threads); "
        "room for 8,192 tokens. It takes 1.0 GB of 16 GB memory and 5.0 GB of 8.0 GB graphics memory."
    )


def test_a_model_that_stays_in_memory_beside_another_is_told() -> None:
    large = {"path": "/large.gguf", "name": "Large model", "used_bytes": 12 * GB}
    told = plan_sentence(model(beside=large), (CPU,))
    assert told.endswith(
        " “Large model” was used before and stays in memory as well (12 GB), to be back at once, until the room is "
        "needed."
    )
    assert dict(plan_details(model(beside=large)))["Model kept beside it"] == "Large model, 12 GB"


def test_a_plan_that_is_smaller_than_it_should_be_says_so() -> None:
    assert "did not load" not in plan_sentence(model(is_reduced=False), (CPU,))
    words = " More should have fit and did not load; Hearth tries that again after a day, or when more memory is free."
    assert plan_sentence(model(is_reduced=True), (CPU,)) == plan_sentence(model(), (CPU,)) + words


def test_figures_for_experts() -> None:
    figures = dict(plan_details(model()))
    assert figures["Context"] == "8,192 × 3"
    assert figures["Cache type"] == "f16"
    assert figures["Flash attention"] == "off"
    assert figures["CPU"] == "24 layers, 1.0 GB planned, 1.2 GB used"


def test_figures_tell_what_guesses_ahead() -> None:
    assert "Guesses ahead" not in dict(plan_details(model()))
    drafted = model(draft={"path": "/d.gguf", "name": "Small", "used_bytes": GB // 2})
    assert dict(plan_details(drafted))["Guesses ahead"] == "Small, 512 MB"
    heads = model(heads={"used_bytes": GB // 4})
    assert dict(plan_details(heads))["Guesses ahead"] == "the model's own heads, 256 MB"


def test_a_model_without_a_plan_has_no_words() -> None:
    bare = ModelInfo("/m.gguf", "Some model", "llama", "", 0, 0, 1, 1, "file")
    assert (plan_sentence(bare, ()), plan_details(bare)) == ("", [])


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("libvulkan.so.1: cannot open shared object file: No such file or directory", "driver_missing"),
        ("libcuda.so.1: cannot open shared object file: No such file or directory", "driver_missing"),
        ("vulkan-1.dll could not be found", "driver_missing"),
        ("libcublas.so.13: cannot open shared object file: No such file or directory", "library_missing"),
        ("libggml-cuda.so: undefined symbol: cublasCreate_v2", "library_missing"),
        ("libggml-vulkan.so: file too short", "library_missing"),
        ("dlopen: Library not loaded: @rpath/libfoo.dylib", "library_missing"),
        ("CUDA driver version is insufficient for CUDA runtime version", "driver_too_old"),
        ("Vulkan 1.2 required", "driver_too_old"),
        ("libggml-vulkan.so: undefined symbol: vkGetPhysicalDeviceFeatures2", "driver_too_old"),
        ("no CUDA-capable device is detected", "no_card"),
        ("out of memory", "not_enough_memory"),
        ("the backend did not start", "not_started"),
        ("crashed", "crashed"),
    ],
)
def test_every_reason_has_a_kind_and_words(reason: str, kind: str) -> None:
    assert kind_of_problem(reason) == kind
    (device,) = missing_devices({"vulkan": reason})
    assert (device.name, device.problem) == ("Vulkan", kind)
    assert explain_problem(device).endswith((".", ")"))
    assert explain_problem(CPU) == ""


def test_what_backends_say_while_they_start() -> None:
    report = StartReport()
    report.add("ggml_vulkan: 0 = Some Card (RADV NAVI33) (radv) | uma: 0 | fp16: 1 | bf16: 0")
    report.add(
        "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version"
    )
    report.is_over = True
    report.add("ggml_cuda_init: failed to initialize ROCm: later")
    card = replace(GPU, description="Some Card (RADV NAVI33)")
    assert report.driver_of(card) == "radv"
    assert report.driver_of(CPU) == ""
    cuda = {"cuda": "CUDA driver version is insufficient for CUDA runtime version"}
    assert report.errors_beside([CPU]) == cuda
    assert report.errors_beside([GPU, CPU]) == cuda, "another backend works"
    assert report.errors_beside([replace(GPU, name="CUDA0"), CPU]) == {}


def test_a_driver_is_told_with_its_version() -> None:
    report = StartReport()
    report.add("ggml_vulkan: 0 = Some Card (radv) | uma: 0 | fp16: 1 | bf16: 0")
    report.vulkan_drivers = {
        ("Some Card", "AMD open-source driver"): "2023.Q4.3",
        ("Some Card", "radv"): "Mesa 25.2.1",
        ("Other Card", "radv"): "Mesa 25.2.1",
    }
    assert report.driver_of(GPU) == "radv Mesa 25.2.1"
    assert report.driver_of(replace(GPU, name="CUDA0")) == ""
    assert report.driver_of(replace(GPU, description="Third Card")) == "radv", "as far as it is known"


def test_a_driver_without_a_card_is_told_and_no_card_at_all_is_not() -> None:
    report = StartReport()
    report.add("ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected")
    report.add("ggml_vulkan: No devices found.")
    assert report.errors_beside([CPU]) == {"cuda": "no CUDA-capable device is detected"}


def test_a_missing_driver_is_named_for_those_who_need_it() -> None:
    lacking = "{}: cannot open shared object file: No such file or directory"
    cuda, vulkan = missing_devices({"cuda": lacking.format("libcuda.so.1"), "vulkan": lacking.format("libvulkan.so.1")})
    assert explain_problem(cuda).startswith("There is no NVIDIA driver.")
    assert explain_problem(vulkan).startswith("Vulkan is not installed.")
    assert "vulkan-loader" in explain_problem(vulkan)


def test_the_card_of_a_crash_offers_the_processor_where_a_file_was_loaded() -> None:
    loading = explain(UserError(ErrorKind.DEVICE_CRASHED, device="Some Card", path="/m/big.gguf", reason="it broke"))
    assert "big.gguf" in loading.text
    assert "it broke" in loading.text
    assert [(a.kind, a.value) for a in loading.actions][:2] == [
        (ActionKind.USE_PROCESSOR, "/m/big.gguf"),
        (ActionKind.RETRY_DEVICE, "/m/big.gguf"),
    ]
    starting = explain(UserError(ErrorKind.DEVICE_CRASHED, device="", name="Vulkan0", path=""))
    assert "starting the graphics card" in starting.text
    assert "Vulkan0" not in starting.text
    assert ActionKind.USE_PROCESSOR not in {action.kind for action in starting.actions}
