from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import ErrorKind, UserError
from app.core.events import HOST
from app.core.gguf_reader import read_header
from app.core.memory import memory_need
from app.core.model_shape import ModelShape, shape_of
from app.core.plan import Budget, EnginePlan, Machine, Wishes
from app.core.planner import fitting_plan, make_plan, repeated_plan, resized_plan, smaller_plan
from app.core.speed import loaded_plan
from tests.fixtures.gguf_bytes import gguf

GIB = 1 << 30
MIB = 1 << 20
NO_WISHES = Wishes()


def dense(layers: int = 32, layer_bytes: int = 130 * MIB) -> ModelShape:
    """A model of 8 billion weights in 4 bits, about."""
    keys = {
        "block_count": layers,
        "embedding_length": 4096,
        "feed_forward_length": 14336,
        "vocab_size": 128256,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
    }
    named = {f"llama.{name}": value for name, value in keys.items()}
    shape = shape_of(read_header(gguf({"general.architecture": "llama", **named})), ())
    return replace(
        shape,
        layer_bytes=(layer_bytes,) * layers,
        expert_bytes=(0,) * layers,
        embedding_bytes=280 * MIB,
        output_bytes=400 * MIB,
        weights_bytes=layers * layer_bytes + 680 * MIB,
    )


def mixture() -> ModelShape:
    """A model of many small experts: 48 layers, of whose weights nine tenths belong to experts."""
    shape = dense(48, 350 * MIB)
    return replace(shape, expert_bytes=(315 * MIB,) * 48, experts_used=8, expert_feed_forward=768)


def plan(shape: ModelShape, machine: Machine, wishes: Wishes = NO_WISHES, trained: int = 131072) -> EnginePlan:
    made = make_plan(shape, trained, machine, wishes)
    totals = {share.device: share.total_bytes for share in made.shares}
    shared = sum(totals.get(gpu.device, 0) for gpu in machine.gpus if gpu.is_shared)
    assert totals[HOST] + shared <= machine.free_bytes
    assert all(totals.get(gpu.device, 0) <= gpu.free_bytes for gpu in machine.gpus)
    return made


def cards(*free_gib: float) -> tuple[Budget, ...]:
    return tuple(Budget(f"GPU{number}", int(each * GIB)) for number, each in enumerate(free_gib))


def test_those_without_flash_attention_are_planned_without() -> None:
    without = replace(dense(), flash_attention=False)
    for machine in (Machine(64 * GIB, 4, cards(24)), Machine(64 * GIB, 4, cpu_flash_attention=True)):
        made = plan(without, machine, Wishes(cache_type="q8_0"))
        assert (made.context.flash_attention, made.context.cache_type) == (False, "f16")
    tight = Machine(plan(without, Machine(64 * GIB, 4)).total_bytes - MIB, 4)
    assert not plan(without, tight).context.flash_attention


def test_those_that_are_right_with_flash_attention_only_are_planned_with_it() -> None:
    only = replace(dense(), only_flash_attention=True)
    for machine in (Machine(64 * GIB, 4), Machine(plan(only, Machine(64 * GIB, 4)).total_bytes - MIB, 4)):
        assert plan(only, machine).context.flash_attention
    assert not plan(dense(), Machine(64 * GIB, 4)).context.flash_attention


def test_windows_are_cached_whole_only_where_that_lets_answers_be_taken_back() -> None:
    machine = Machine(64 * GIB, 4)
    assert plan(dense(), machine).context.whole_window_cache
    compressing = replace(dense(), compressed=(4,) * 32)
    assert not plan(compressing, machine).context.whole_window_cache


def test_by_default_as_long_as_trained_and_at_most_8192() -> None:
    machine = Machine(64 * GIB, 4)
    made = plan(dense(), machine)
    assert (made.context.context_length, made.context.batch_tokens, made.threads) == (8192, 512, 4)
    assert plan(dense(), machine, trained=2048).context.context_length == 2048
    assert plan(dense(), machine, trained=0).context.context_length == 512


def test_a_processor_alone_computes_without_flash_attention_as_long_as_that_fits() -> None:
    made = plan(dense(), Machine(64 * GIB, 4))
    assert not made.context.flash_attention
    assert not made.uses_gpu
    assert plan(dense(), Machine(64 * GIB, 4, cpu_flash_attention=True)).context.flash_attention
    needed = memory_need(dense(), made.context).total_bytes
    assert made.total_bytes == needed
    tight = plan(dense(), Machine(int(6.3 * GIB), 4), Wishes(context_length=8192))
    assert tight.context.batch_tokens < 512
    tightest = plan(dense(), Machine(int(8.9 * GIB), 4), Wishes(context_length=32768))
    assert tightest.context.flash_attention


def test_several_conversations_only_from_what_would_stay_free() -> None:
    one = memory_need(dense(), plan(dense(), Machine(6 * GIB + 512 * MIB, 4)).context).total_bytes
    for free_gib, sequences in ((6.5, 1), (12, 2), (18, 3), (24, 4), (64, 4)):
        made = plan(dense(), Machine(int(free_gib * GIB), 4))
        assert made.context.sequences == sequences
        assert (made.total_bytes - one) * 4 <= free_gib * GIB - one
    assert plan(dense(), Machine(64 * GIB, 4), Wishes(sequences=1)).context.sequences == 1


def test_by_default_the_context_is_reduced_to_what_fits() -> None:
    made = plan(dense(), Machine(5 * GIB + 256 * MIB, 4))
    assert 512 <= made.context.context_length < 8192
    assert made.context.sequences == 1
    with_more = Machine(5 * GIB + 256 * MIB + 32 * MIB, 4)
    assert plan(dense(), with_more).context.context_length > made.context.context_length


def test_a_wished_length_is_granted_exactly_or_refused_with_figures() -> None:
    assert plan(dense(), Machine(16 * GIB, 4), Wishes(context_length=10_000)).context.context_length == 10_000
    with pytest.raises(UserError) as caught:
        plan(dense(), Machine(8 * GIB, 4), Wishes(context_length=100_000))
    error = caught.value
    assert error.kind is ErrorKind.NOT_ENOUGH_MEMORY
    assert error.integer("free_bytes") == 8 * GIB < error.integer("needed_bytes")
    suggested = error.integer("suggested_context_length")
    assert 8192 < suggested < 100_000
    plan(dense(), Machine(8 * GIB, 4), Wishes(context_length=suggested))


def test_weights_that_do_not_fit_leave_nothing_to_suggest() -> None:
    for wished in (0, 4096):
        with pytest.raises(UserError) as caught:
            plan(dense(), Machine(2 * GIB, 4), Wishes(context_length=wished))
        assert caught.value.integer("suggested_context_length") == 0


def test_all_layers_go_to_a_card_that_holds_them() -> None:
    made = plan(dense(), Machine(16 * GIB, 4, cards(12)))
    assert made.placement.gpu_layers == 33  # the output counts as one
    assert made.placement.tensor_split == (33,)
    host, card = made.shares
    assert (host.layers, card.layers) == (0, 32)
    assert host.weights_bytes == 280 * MIB  # embeddings are looked up in main memory
    assert card.weights_bytes == 32 * 130 * MIB + 400 * MIB
    assert host.cache_bytes == 0 < card.cache_bytes
    assert made.context.flash_attention


def test_a_card_too_small_gets_the_last_layers() -> None:
    made = plan(dense(), Machine(16 * GIB, 4, cards(4)))
    layers = made.placement.gpu_layers
    assert 1 < layers < 33
    host, card = made.shares
    assert (host.layers, card.layers) == (33 - layers, layers - 1)
    assert host.weights_bytes + card.weights_bytes == dense().weights_bytes
    assert card.total_bytes > 3.5 * GIB  # as many as fit
    assert not plan(dense(), Machine(16 * GIB, 4, cards(0.25))).uses_gpu


def test_an_experts_layers_are_kept_as_far_as_they_fit() -> None:
    machine = Machine(16 * GIB, 4, cards(12))
    assert plan(dense(), machine, Wishes(gpu_layers=10)).placement.gpu_layers == 10
    assert not plan(dense(), machine, Wishes(gpu_layers=0)).uses_gpu
    assert plan(dense(), machine, Wishes(gpu_layers=999)).placement.gpu_layers == 33
    small = plan(dense(), Machine(16 * GIB, 4, cards(4)), Wishes(gpu_layers=30))
    assert small.placement == plan(dense(), Machine(16 * GIB, 4, cards(4))).placement


def test_cards_are_filled_evenly() -> None:
    made = plan(dense(), Machine(16 * GIB, 4, cards(12, 6)))
    first, second = made.placement.tensor_split
    assert first + second == 33
    assert first == pytest.approx(22, abs=1)
    assert [share.layers for share in made.shares] == [0, first, second - 1]
    over_both = plan(dense(), Machine(16 * GIB, 4, cards(4, 4)))
    assert over_both.placement.gpu_layers == 33


def test_a_card_with_no_room_takes_nothing_from_the_others() -> None:
    shape = dense()
    made = plan(shape, Machine(64 * GIB, 8, cards(12, 0.05)))
    assert made.placement.tensor_split == (shape.layers + 1, 0)
    _, large, small = made.shares
    assert small.total_bytes == 0
    assert large.weights_bytes == sum(shape.layer_bytes) + shape.output_bytes


@settings(max_examples=80)
@given(
    shape=st.sampled_from([dense(), mixture()]),
    main=st.floats(1, 40),
    free=st.lists(st.floats(0, 24), max_size=3),
    context=st.sampled_from([512, 8192, 32768]),
)
def test_no_device_is_overfilled_and_no_further_card_makes_it_worse(
    shape: ModelShape, main: float, free: list[float], context: int
) -> None:
    def best(*gibs: float) -> EnginePlan | None:
        return fitting_plan(shape, Machine(int(main * GIB), 4, cards(*gibs)), Wishes(context_length=context))

    made = best(*free)
    without_room, with_room = best(*free, 0.01), best(*free, 100)
    assert with_room is None or with_room.placement.gpu_layers == shape.layers + 1
    if made is None:
        return
    budgets = [int(main * GIB), *(int(gib * GIB) for gib in free)]
    assert all(share.total_bytes <= budget for share, budget in zip(made.shares, budgets, strict=False))
    assert sum(share.layers for share in made.shares) == shape.layers
    assert sum(share.weights_bytes for share in made.shares) == shape.weights_bytes
    assert without_room is not None
    assert without_room.placement.gpu_layers == made.placement.gpu_layers
    assert with_room is not None


def test_experts_that_do_not_fit_stay_in_main_memory() -> None:
    made = plan(mixture(), Machine(32 * GIB, 4, cards(8)))
    assert made.placement.gpu_layers == 49  # attention of all layers
    assert 0 < made.placement.host_experts < 48
    host, card = made.shares
    assert host.layers == 0
    assert host.weights_bytes == 280 * MIB + made.placement.host_experts * 315 * MIB
    assert host.weights_bytes + card.weights_bytes == mixture().weights_bytes
    whole = plan(mixture(), Machine(32 * GIB, 4, cards(24)))
    assert whole.placement.host_experts == 0


def test_memory_that_is_shared_is_not_counted_twice() -> None:
    shared = (Budget("iGPU", 8 * GIB, is_shared=True),)
    made = plan(dense(), Machine(8 * GIB, 4, shared))
    assert made.uses_gpu
    assert made.total_bytes <= 8 * GIB


def test_cache_types_are_followed_where_heads_allow() -> None:
    machine = Machine(64 * GIB, 4)
    made = plan(dense(), machine, Wishes(cache_type="q8_0"))
    assert (made.context.cache_type, made.context.flash_attention) == ("q8_0", True)
    odd = replace(dense(), key_length=80)
    assert plan(odd, machine, Wishes(cache_type="q8_0")).context.cache_type == "f16"


def test_a_failed_plan_is_followed_by_smaller_ones() -> None:
    for machine in (Machine(16 * GIB, 4), Machine(16 * GIB, 4, cards(12)), Machine(32 * GIB, 4, cards(6, 6))):
        tried = [plan(dense(), machine)]
        while len(tried) < 4 and (smaller := smaller_plan(dense(), tried[-1], machine, NO_WISHES)) is not None:
            tried.append(smaller)
        assert len(tried) > 2
        for larger, smaller in pairwise(tried):
            fewer_layers = smaller.placement.gpu_layers < larger.placement.gpu_layers
            assert fewer_layers or smaller.total_bytes < larger.total_bytes


def test_a_wished_length_outlasts_other_conversations() -> None:
    wishes = Wishes(context_length=32768)
    for machine in (Machine(64 * GIB, 4), Machine(64 * GIB, 4, cards(40))):
        failed = plan(dense(), machine, wishes)
        assert failed.context.sequences > 1
        smaller = smaller_plan(dense(), failed, machine, wishes)
        assert smaller is not None
        assert (smaller.context.context_length, smaller.context.sequences) == (32768, 1)
        smallest = smaller_plan(dense(), smaller, machine, wishes)
        assert smallest is not None
        assert smallest.total_bytes < smaller.total_bytes


def test_the_last_plan_leaves_the_cards_out_where_main_memory_is_enough() -> None:
    failed = plan(dense(), Machine(32 * GIB, 4, cards(12)))
    for free_bytes, uses_gpu in ((32 * GIB, False), (3 * GIB, True)):
        last = smaller_plan(dense(), failed, Machine(free_bytes, 4, cards(12)), NO_WISHES, is_last=True)
        assert last is not None
        assert last.uses_gpu == uses_gpu


@pytest.mark.parametrize("shape", [dense(), mixture()], ids=["dense", "mixture"])
@pytest.mark.parametrize("gpus", [(), cards(12), cards(6, 6)], ids=["no card", "a card", "two cards"])
def test_what_was_loaded_after_failures_is_planned_again(shape: ModelShape, gpus: tuple[Budget, ...]) -> None:
    """From the record of it, also when compute buffers have been found a little larger meanwhile."""
    machine = Machine(64 * GIB, 4, gpus)
    best = former = plan(shape, machine)
    factors = {(device, flash): 1.05 for device in (HOST, "GPU0", "GPU1") for flash in (False, True)}
    for tries_left in (3, 2, 1):
        smaller = smaller_plan(shape, former, machine, NO_WISHES, is_last=tries_left == 1)
        assert smaller is not None
        former = smaller
        record = loaded_plan(former.to_json())
        assert record is not None
        again = repeated_plan(shape, record, best, machine, NO_WISHES)
        assert again is not None
        assert (again.placement.gpu_layers, again.context.context_length, again.context.sequences) == (
            former.placement.gpu_layers,
            former.context.context_length,
            1,
        )
        corrected = repeated_plan(shape, record, best, replace(machine, compute_factors=factors), NO_WISHES)
        assert corrected is not None
        assert corrected.placement.gpu_layers == former.placement.gpu_layers
        for share, allowed in zip(again.shares[1:], former.shares[1:], strict=True):
            assert share.total_bytes <= allowed.total_bytes * 17 // 16
        assert repeated_plan(shape, record, again, machine, NO_WISHES) is None  # it is not said to be less than itself
        assert repeated_plan(shape, record, best, Machine(GIB, 4), NO_WISHES) is None


def test_what_was_loaded_after_failures_is_no_matter_where_still_less_is_free() -> None:
    large, small = (Machine(32 * GIB, 4, cards(free)) for free in (12, 3))
    former = smaller_plan(dense(), plan(dense(), large), large, NO_WISHES)
    assert former is not None
    assert plan(dense(), small).placement.gpu_layers < former.placement.gpu_layers
    assert repeated_plan(dense(), former, plan(dense(), small), small, NO_WISHES) is None


def test_what_was_found_corrects_the_next_plan() -> None:
    plain, corrected = (
        plan(dense(), Machine(64 * GIB, 4, compute_factors=factors)) for factors in ({}, {(HOST, False): 1.25})
    )
    assert corrected.shares[0].compute_bytes == int(plain.shares[0].compute_bytes * 1.25)
    other = plan(dense(), Machine(64 * GIB, 4, compute_factors={(HOST, True): 1.25}))
    assert other.shares == plain.shares


def test_a_context_grows_at_the_cost_of_other_conversations() -> None:
    machine = Machine(24 * GIB, 4)
    made = plan(dense(), machine)
    assert made.context.sequences == 4
    grown = resized_plan(dense(), made, machine, 32768)
    assert grown.context.context_length == 32768
    assert 1 <= grown.context.sequences < 4
    assert grown.context.flash_attention == made.context.flash_attention  # else states could not be moved
    with pytest.raises(UserError) as caught:
        resized_plan(dense(), made, machine, 1_000_000)
    assert caught.value.integer("suggested_context_length") == 8192


def test_a_plan_can_be_told() -> None:
    told = plan(mixture(), Machine(32 * GIB, 4, cards(8))).to_json()
    assert (told["context_length"], told["layers"], told["gpu_layers"]) == (8192, 48, 49)
    assert [device["name"] for device in told["devices"]] == ["CPU", "GPU0"]
    assert all(device["planned_bytes"] > 0 for device in told["devices"])
