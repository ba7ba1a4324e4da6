"""Verdicts from this computer's own memory and speed, and what answers teach. The engine and the model are real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import UserError
from app.core.estimated_shape import ListedFigures
from app.core.events import HOST, Device, DevicesListed, DeviceTested
from app.core.fit import FitKind
from app.core.gguf_reader import read_prefix
from app.core.speed import COPY_EFFICIENCY, SELF_TEST_BYTES, model_key
from app.services import fits as fits_module
from app.services import hardware
from app.services.fits import ASSUMED_BYTES_PER_S, FitService, trained_context
from app.services.profile import Profile
from app.services.tasks import Tasks
from tests.fixtures.planned_models import planned_model
from tests.services.conftest import WAIT_MS, StartProfile
from tests.services.person import say

GIB = 1 << 30
MakeFits = Callable[..., FitService]


@pytest.fixture
def make_fits(qtbot: QtBot, tmp_path: Path) -> Iterator[MakeFits]:
    made: list[Tasks] = []

    def make(profile: Profile, file: str = "speeds.json") -> FitService:
        tasks = Tasks(profile.engine)
        made.append(tasks)
        return FitService(
            tasks,
            profile.settings,
            profile.engine,
            profile.models,
            profile.hardware.choice,
            tmp_path / file,
            profile.engine,
        )

    yield make
    for tasks in made:
        tasks.shut_down()


def kept(tmp_path: Path) -> dict[str, object]:
    try:
        return dict(json.loads((tmp_path / "speeds.json").read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def test_this_computers_memory(start_profile: StartProfile, make_fits: MakeFits) -> None:
    profile = start_profile()
    machine = make_fits(profile).machine()
    total = psutil.virtual_memory().total
    assert 0 < machine.free_bytes <= machine.total_bytes <= total
    assert machine.gpus == ()


def test_smaller_numbers_for_a_conversation_need_less_memory_at_once(
    qtbot: QtBot, start_profile: StartProfile, make_fits: MakeFits
) -> None:
    profile = start_profile()
    fits = make_fits(profile)
    before = fits.judge(planned_model("Llama 3.2 3B").shape, 4096).need.cache_bytes
    with qtbot.waitSignal(fits.changed):
        profile.settings.set_value("model.cache_type", "q4_0")
    assert fits.judge(planned_model("Llama 3.2 3B").shape, 4096).need.cache_bytes < before


def test_cards_count_with_what_the_loaded_model_would_give_back(
    start_profile: StartProfile, make_fits: MakeFits
) -> None:
    profile = start_profile()
    fits = make_fits(profile)
    card = Device("Vulkan0", "Shiny card", "gpu", 6 * GIB, 8 * GIB)
    broken = Device("CUDA0", "Broken card", "gpu", 0, 8 * GIB, problem="driver_too_old")
    processor = Device(HOST, "Processor", "cpu", 8 * GIB, 16 * GIB)
    profile.hardware.choice.take(DevicesListed(0, (processor, card, broken), "", {}))
    (gpu,) = fits.machine().gpus
    assert (gpu.name, gpu.free_bytes, gpu.total_bytes, gpu.is_shared) == ("Shiny card", 6 * GIB, 8 * GIB, False)
    verdict = fits.judge(planned_model("Llama 3.2 3B").shape, 4096)
    assert (verdict.kind, verdict.gpu_name) == (FitKind.ON_GPU, "Shiny card")


def test_speed_is_measured_in_the_background_and_kept(
    qtbot: QtBot, start_profile: StartProfile, make_fits: MakeFits, tmp_path: Path
) -> None:
    profile = start_profile()
    fits = make_fits(profile)
    assert fits.speed().bandwidths == {}
    qtbot.waitUntil(lambda: HOST in fits.speed().bandwidths, timeout=WAIT_MS)
    found = fits.speed().bandwidths[HOST]
    assert 1e8 < found < 1e13
    qtbot.waitUntil(lambda: kept(tmp_path).get("copy_bandwidth") == found / COPY_EFFICIENCY, timeout=WAIT_MS)
    row = fits.judge_row(ListedFigures(1000))
    assert row.tokens_per_second is not None
    again = make_fits(profile)
    with qtbot.waitSignal(again.changed, timeout=WAIT_MS):
        again.prepare()
    assert again.speed().bandwidths[HOST] == found


@pytest.mark.logs_warnings
def test_a_computer_that_cannot_be_measured_is_taken_for_a_slow_one(
    qtbot: QtBot,
    start_profile: StartProfile,
    make_fits: MakeFits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing would be recommended to it, and nobody told why."""
    monkeypatch.setattr("app.services.fits.measure_copy_bandwidth", lambda: 0.0)
    fits = make_fits(start_profile())
    fits.speed()
    qtbot.waitUntil(lambda: HOST in fits.speed().bandwidths, timeout=WAIT_MS)
    assert fits.speed().bandwidths == {HOST: ASSUMED_BYTES_PER_S * COPY_EFFICIENCY}
    assert kept(tmp_path).get("copy_bandwidth") in (None, 0.0)  # the next run measures


@pytest.mark.parametrize(("kept_before", "is_bettered"), [(1.0, True), (1e15, False)])
def test_what_a_busy_machine_made_of_its_speed_is_measured_again(
    qtbot: QtBot,
    start_profile: StartProfile,
    make_fits: MakeFits,
    tmp_path: Path,
    kept_before: float,
    is_bettered: bool,
) -> None:
    """The best counts: other programs only ever make it less."""
    (tmp_path / "speeds.json").write_text(json.dumps({"version": 2, "copy_bandwidth": kept_before, "runs": []}))
    profile = start_profile()
    fits = make_fits(profile)
    fits.speed()
    qtbot.waitUntil(lambda: fits.speed().bandwidths.get(HOST) == kept_before * COPY_EFFICIENCY, timeout=WAIT_MS)
    if is_bettered:
        qtbot.waitUntil(lambda: fits.speed().bandwidths[HOST] > 1e8, timeout=WAIT_MS)
    else:
        qtbot.waitUntil(lambda: not fits._tasks._tasks, timeout=WAIT_MS)  # it was measured
        assert fits.speed().bandwidths[HOST] == kept_before * COPY_EFFICIENCY


def test_the_self_test_says_more_than_copying(
    qtbot: QtBot, start_profile: StartProfile, make_fits: MakeFits, tmp_path: Path
) -> None:
    profile = start_profile()
    fits = make_fits(profile)
    profile.hardware.choice.record(DeviceTested(0, HOST, 100.0, 20.0))
    with qtbot.waitSignal(fits.changed, timeout=WAIT_MS):
        assert fits.speed().bandwidths[HOST] == 20.0 * SELF_TEST_BYTES
    assert kept(tmp_path).get("copy_bandwidth") in (None, 0.0)  # nothing was measured for nothing


def test_answers_teach_what_is_expected_of_a_model(
    qtbot: QtBot, build: Callable[..., Profile], make_fits: MakeFits, tmp_path: Path
) -> None:
    profile = build()
    fits = make_fits(profile)
    profile.start(None)
    qtbot.waitUntil(lambda: bool(profile.hardware.choice.devices), timeout=WAIT_MS)
    profile.hardware.choice.record(DeviceTested(0, HOST, 100.0, 20.0))  # before its own self-test begins
    say(qtbot, profile, "Tell me about yourself, please, in many words.")
    qtbot.waitUntil(lambda: bool(kept(tmp_path).get("runs")), timeout=WAIT_MS)
    info = profile.models.info
    assert info is not None
    path = Path(info.path)
    key = model_key(path.name, info.size_bytes)
    (run,) = fits.speed().runs
    assert (run.read_bytes.keys(), run.model, run.quantization) == ({HOST}, key, "Q8_0")
    prefix = path.read_bytes()[: 64 * 1024]
    header = read_prefix(prefix, info.size_bytes)
    before = make_fits(profile, "none.json").judge_header(header, info.size_bytes, info.context_length)
    after = fits.judge_header(header, info.size_bytes, info.context_length, path.name)
    assert before.tokens_per_second is not None
    assert after.tokens_per_second is not None
    factor = min(max(run.seen * run.read_bytes[HOST] / (20.0 * SELF_TEST_BYTES), 0.1), 10.0)
    assert after.tokens_per_second == pytest.approx(before.tokens_per_second * factor, rel=0.01)


@pytest.mark.parametrize(("tested", "is_doubted"), [(0.001, True), (1e6, False)])
def test_a_self_test_that_answers_prove_wrong_is_made_again(
    qtbot: QtBot,
    build: Callable[..., Profile],
    make_fits: MakeFits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tested: float,
    is_doubted: bool,
) -> None:
    monkeypatch.setattr(fits_module, "_BEYOND_CACHES_BYTES", 0)  # the model is a small one
    monkeypatch.setattr(hardware, "SELF_TEST_DELAY_MS", 50)
    profile = build()
    make_fits(profile)
    choice = profile.hardware.choice
    profile.start(None)
    qtbot.waitUntil(lambda: HOST in choice.speeds, timeout=WAIT_MS)
    choice.record(DeviceTested(0, HOST, 100.0, tested))  # in place of what it was
    say(qtbot, profile, "Tell me about yourself, please, in many words.")
    qtbot.waitUntil(lambda: bool(kept(tmp_path).get("runs")), timeout=WAIT_MS)
    if is_doubted:
        qtbot.waitUntil(lambda: choice.speeds[HOST].generation > tested, timeout=WAIT_MS)
    assert choice.due == ()
    assert (choice.speeds[HOST].retested_s > 0) is is_doubted


def test_a_header_without_layers_is_told_apart(start_profile: StartProfile, make_fits: MakeFits) -> None:
    fits = make_fits(start_profile())
    model = planned_model("Qwen3 4B")
    size = model.header.needed_bytes
    assert trained_context(model.header) == 131_072
    assert fits.judge_header(model.header, size).context_length == 8192
    assert fits.judge_header(model.header, size, 4096).context_length == 4096
    nothing = read_prefix(model.whole_header()[:24], size)
    with pytest.raises(UserError):
        fits.judge_header(nothing, size)
    assert trained_context(nothing) == 0


def test_the_file_of_past_speeds_may_be_anything(
    qtbot: QtBot, start_profile: StartProfile, make_fits: MakeFits, tmp_path: Path
) -> None:
    profile = start_profile()
    good: dict[str, object] = {"model": "m", "quantization": "", "read_bytes": {"CPU": 10**9}, "seen": 2.0}
    wrong = [good | {"seen": 0}, good | {"read_bytes": "x"}, good | {"read_bytes": {}}, {}, 7]
    wrong += [good | {"read_bytes": {"CPU": 0}}, good | {"seen": float("nan")}]
    cases = (
        ("nonsense", 0),
        ("[]", 0),
        (json.dumps({"version": 2, "copy_bandwidth": 1e9, "runs": [good, *wrong]}), 1),
        (json.dumps({"version": 99, "copy_bandwidth": 1e9, "runs": [good]}), 0),
    )
    for number, (text, runs) in enumerate(cases):
        (tmp_path / f"{number}.json").write_text(text, "utf-8")
        fits = make_fits(profile, f"{number}.json")
        with qtbot.waitSignal(fits.changed, timeout=WAIT_MS):
            fits.prepare()
        assert len(fits.speed().runs) == runs
