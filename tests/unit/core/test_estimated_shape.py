"""What the first 64 KiB tell, against what the whole header does."""

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.estimated_shape import ListedFigures, described_shape, listed_shape
from app.core.fit import MachineMemory, judge, need_of
from app.core.gguf_reader import read_header, read_prefix
from app.core.memory import suits_small_attention
from app.core.speed import SpeedModel
from tests.fixtures.gguf_bytes import STRING, Array, gguf, llama_keys, llama_tensors, tiny_llama
from tests.fixtures.planned_models import PLANNED_MODELS, planned_model

PREFIX_BYTES = 64 * 1024
PLENTY = MachineMemory(1 << 45, 1 << 45)
SPEED = SpeedModel({"CPU": 4e10})
KINDS = (
    *("Llama 3.2 3B", "Qwen2.5 0.5B", "Qwen3 30B-A3B", "Mixtral 8x7B", "Gemma 3 4B", "Falcon 7B"),
    *("Mamba 2.8B", "LFM2 1.2B", "gpt-oss 20B"),
)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("context", [2048, 32_768])
def test_the_need_is_known_within_half_a_percent(name: str, context: int) -> None:
    data = planned_model(name).whole_header()
    header = read_header(data, 1 << 45)
    size_bytes = header.needed_bytes
    exact = described_shape(header, size_bytes)
    part = read_prefix(data[:PREFIX_BYTES], size_bytes)
    assert not part.is_complete
    estimate = described_shape(part, size_bytes)
    wanted, found = need_of(exact, context), need_of(estimate, context)
    assert found.total_bytes == pytest.approx(wanted.total_bytes, rel=0.005)
    assert (found.cache_bytes, found.compute_bytes) == (wanted.cache_bytes, wanted.compute_bytes)
    speeds = [judge(shape, context, PLENTY, SPEED).tokens_per_second for shape in (exact, estimate)]
    assert speeds[1] == pytest.approx(speeds[0], rel=0.15)
    assert sum(estimate.layer_bytes) + estimate.embedding_bytes <= estimate.weights_bytes


def test_a_whole_header_is_not_estimated() -> None:
    data = tiny_llama()
    header = read_header(data)
    assert described_shape(header, len(data)).weights_bytes == sum(tensor.size_bytes for tensor in header.tensors)


def test_the_first_part_of_a_split_model_counts_the_others() -> None:
    data = gguf(llama_keys() | {"split.no": 0, "split.count": 3}, llama_tensors())
    header = read_header(data)
    whole = 40 * len(data)
    assert described_shape(header, whole).weights_bytes == whole - header.data_offset


@pytest.mark.parametrize("layers", [0, 513, 4_000_000_000])
def test_layers_without_sense_are_refused(layers: int) -> None:
    data = tiny_llama(llama__block_count=layers)
    with pytest.raises(UserError) as caught:
        described_shape(read_prefix(data[:2000], len(data)), len(data))
    assert caught.value.kind is ErrorKind.CORRUPT


def test_a_row_of_a_list_comes_near() -> None:
    """Current models with grouped heads: older ones keep up to four times as much."""
    for name in ("Llama 3.1 8B", "Qwen3 4B", "Command R7B", "Qwen3 30B-A3B", "EXAONE 4 32B"):
        shape = planned_model(name).shape
        row = listed_shape(ListedFigures(shape.weights_bytes))
        assert need_of(row, 8192).total_bytes == pytest.approx(need_of(shape, 8192).total_bytes, rel=0.15)


def test_a_row_that_knows_the_cache_is_nearer() -> None:
    shape = planned_model("OLMo 2 7B").shape  # every head has keys and values of its own
    per_token = 2 * 2 * 32 * 4096
    row = listed_shape(ListedFigures(shape.weights_bytes, 7_000_000_000, None, 32, per_token))
    assert need_of(row, 8192).cache_bytes == need_of(shape, 8192).cache_bytes
    assert need_of(row, 8192).total_bytes == pytest.approx(need_of(shape, 8192).total_bytes, rel=0.1)


@pytest.mark.parametrize("parameters", range(500_000_000, 40_000_000_000, 1_300_000_000))
def test_a_row_has_heads_as_models_have_them(parameters: int) -> None:
    """Odd ones would be computed without flash attention, which takes up to 0.8 GB more."""
    row = listed_shape(ListedFigures(parameters // 2, parameters))
    assert suits_small_attention(row.head_lengths)
    assert need_of(row, 8192, cpu_flash_attention=True).compute_bytes < need_of(row, 8192).compute_bytes
    usual = 131_072 * (parameters / 8e9) ** 0.45
    assert need_of(row, 8192).cache_bytes == pytest.approx(usual * 8192, rel=0.03)


def test_a_mixture_in_a_list_is_fast_by_its_active_parameters() -> None:
    dense = listed_shape(ListedFigures(18_000_000_000, 30_000_000_000))
    mixture = listed_shape(ListedFigures(18_000_000_000, 30_000_000_000, 3_000_000_000))
    speeds = [judge(shape, 4096, PLENTY, SPEED).tokens_per_second or 0 for shape in (dense, mixture)]
    assert 3 < speeds[1] / speeds[0] < 10


@pytest.mark.parametrize("size_bytes", [1, 1000, 10**6, 10**9, 10**12, 1 << 44])
@pytest.mark.parametrize("parameters", [None, 1, 10**15])
def test_any_figures_make_a_shape(size_bytes: int, parameters: int | None) -> None:
    shape = listed_shape(ListedFigures(size_bytes, parameters, 1, None, 1))
    assert need_of(shape, 4096).weights_bytes == size_bytes
    assert judge(shape, 4096, PLENTY, SPEED).layers == shape.layers


def test_every_planned_model_has_a_prefix_to_judge_by() -> None:
    for model in PLANNED_MODELS:
        assert described_shape(model.header, model.header.needed_bytes) == model.shape


def test_weights_at_full_precision_are_known_as_such() -> None:
    """F32 is number 0 of the file types: that is not the same as none."""
    keys = llama_keys(general__file_type=0) | {"end": Array(STRING, [b"x"] * 1000)}
    data = gguf(keys)
    shape = described_shape(read_prefix(data[:-5000], len(data)), 1 << 24)
    assert shape.embedding_bytes == 4 * shape.embedding * shape.vocabulary
