import tracemalloc

import gguf
import pytest

from app.core.quantizations import (
    FileGroup,
    Quality,
    Quantization,
    group_files,
    quantization_named,
    quantization_of,
    quantization_of_type,
    split_paths,
)

_FILE_TYPES = [kind.name.partition("_")[2] for kind in gguf.LlamaFileType if kind.name != "GUESSED"]


@pytest.mark.parametrize("name", _FILE_TYPES)
def test_every_file_type_of_llama_cpp_has_its_name(name: str) -> None:
    found = quantization_of(f"Some-Model-7B-{name}.gguf")
    assert found is not None
    assert found.name == name.removesuffix("_MOE")


@pytest.mark.parametrize("kind", list(gguf.LlamaFileType), ids=lambda kind: kind.name)
def test_the_numbers_of_file_types_are_llama_cpps(kind: gguf.LlamaFileType) -> None:
    found = quantization_of_type(int(kind))
    name = kind.name.partition("_")[2].removesuffix("_MOE")
    assert (found.name if found else "") == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("llama-2-7b-chat.Q4_K_M.gguf", "Q4_K_M"),
        ("mistral-7b-instruct-v0.2.q5_0.gguf", "Q5_0"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("UD-IQ2_M/DeepSeek-R1-UD-IQ2_M-00001-of-00005.gguf", "UD-IQ2_M"),
        ("UD-TQ1_0/Kimi-K2-00001-of-00005.gguf", "UD-TQ1_0"),
        ("BF16/model-00001-of-00009.gguf", "BF16"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4"),
        ("model-fp16.gguf", "F16"),
        ("model_IQ4_XS.gguf", "IQ4_XS"),
        ("phi-2-q3-k-s.gguf", "Q3_K_S"),
        ("Meta-Llama-3-8B.Q3_K.gguf", "Q3_K_M"),
        ("distilled-f16-Q8_0.gguf", "Q8_0"),
        ("Q4_0/extra-IQ3_XXS.gguf", "IQ3_XXS"),
        ("ggml-model-i2_s.gguf", ""),
        ("Q8model.gguf", ""),
        ("hearth.gguf", ""),
        ("", ""),
    ],
)
def test_names_as_publishers_write_them(path: str, name: str) -> None:
    found = quantization_of(path)
    assert (found.name if found else "") == name


def test_quality_in_plain_steps() -> None:
    steps = {
        "IQ1_S": Quality.SMALLEST,
        "UD-Q2_K_XL": Quality.SMALLER,
        "Q3_K_M": Quality.SMALLER,
        "MXFP4": Quality.BALANCED,
        "Q4_0": Quality.BALANCED,
        "Q4_K_M": Quality.BALANCED,
        "Q5_K_M": Quality.HIGH,
        "Q6_K": Quality.HIGH,
        "Q8_0": Quality.BEST,
        "BF16": Quality.BEST,
    }
    named = {name: quantization_named(name) for name in steps}
    assert {name: found.quality for name, found in named.items() if found} == steps
    assert quantization_named("Q4_K_M.gguf") is None
    assert quantization_named("q4_k_m") == Quantization("Q4_K_M", 4.89)


def test_bits_follow_quality() -> None:
    order = ["IQ1_S", "IQ2_XXS", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "F32"]
    bits = [found.bits_per_weight for name in order if (found := quantization_named(name))]
    assert bits == sorted(bits)
    assert len(bits) == len(order)


def test_parts_of_a_split_file_are_one_model() -> None:
    files = [
        ("README.md", 100),
        ("Q8_0/big-Q8_0-00002-of-00003.gguf", 20),
        ("small-Q4_0.gguf", 7),
        ("Q8_0/big-Q8_0-00001-of-00003.gguf", 10),
        ("Q8_0/big-Q8_0-00003-of-00003.gguf", 30),
        ("other/big-Q8_0-00001-of-00003.gguf", 1),
        ("unknown-Q4_0.GGUF", None),
        ("odd-00004-of-00002.gguf", 3),
    ]
    big = tuple(f"Q8_0/big-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3))
    assert group_files(files) == (
        FileGroup(big, 60, True),
        FileGroup(("small-Q4_0.gguf",), 7, True),
        FileGroup(("other/big-Q8_0-00001-of-00003.gguf",), None, False),
        FileGroup(("unknown-Q4_0.GGUF",), None, True),
        FileGroup(("odd-00004-of-00002.gguf",), 3, True),
    )
    first = group_files(files)[0]
    assert (first.path, first.is_complete) == (big[0], True)
    assert first.quantization == quantization_named("Q8_0")
    assert not group_files(files)[2].is_complete
    assert split_paths(big[1]) == big
    assert split_paths("small-Q4_0.gguf") == ("small-Q4_0.gguf",)


def test_a_split_file_that_claims_many_parts_takes_no_room_for_them() -> None:
    tracemalloc.start()
    groups = group_files((f"model{number}-00001-of-99999.gguf", 1) for number in range(1000))
    taken_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not any(group.is_complete for group in groups)
    assert taken_bytes < 10_000_000
