import json
from pathlib import Path

import pytest

from app.core.past_runs import PastRun
from app.services.speed_history import SpeedHistory, read_history, write_history


def run(model: str, seen: float = 10.0, device: str = "CPU") -> PastRun:
    return PastRun(model, "Q4_K_M", {device: 4_000_000_000}, seen)


def test_a_history_survives_the_program(tmp_path: Path) -> None:
    history = SpeedHistory((run("a"), run("b", 3.5)), 2.5e10)
    path = tmp_path / "cache" / "speeds.json"
    write_history(path, history)
    assert read_history(path) == history
    assert read_history(tmp_path / "absent.json") == SpeedHistory()


def test_of_a_model_the_latest_runs_are_kept_and_of_others_all() -> None:
    history = SpeedHistory()
    for number in range(8):
        history = history.with_run(run("often", 10.0 + number)).with_run(run("often", 90.0 + number, "CUDA0"))
    history = history.with_run(run("once"))
    seen = [each.seen for each in history.runs if each.model == "often" and "CPU" in each.read_bytes]
    assert seen == [13.0, 14.0, 15.0, 16.0, 17.0]
    assert len(history.runs) == 5 + 5 + 1


def test_the_same_figures_twice_are_two_runs() -> None:
    history = SpeedHistory()
    for _ in range(7):
        history = history.with_run(run("same"))
    assert len(history.runs) == 5


def test_a_history_does_not_grow_without_end() -> None:
    history = SpeedHistory()
    for number in range(300):
        history = history.with_run(run(f"model {number}"))
    assert len(history.runs) == 200
    assert history.runs[-1].model == "model 299"


def test_what_was_learnt_before_the_file_was_read_comes_after_it() -> None:
    earlier = SpeedHistory((run("a", 1.0),), 1e10)
    found = SpeedHistory((run("a", 2.0),)).joined_to(earlier)
    assert [each.seen for each in found.runs] == [1.0, 2.0]
    assert found.copy_bandwidth == 1e10
    assert SpeedHistory((), 3e10).joined_to(earlier).copy_bandwidth == 3e10
    assert SpeedHistory((), 5e9).joined_to(earlier).copy_bandwidth == 1e10  # other programs only make it less


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    write_history(tmp_path / "cache" / "speeds.json", SpeedHistory((run("a"),)))
    assert read_history(tmp_path / "cache" / "speeds.json") == SpeedHistory()


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "speeds.json"
    path.write_text("[" * 2_000_000)
    assert read_history(path) == SpeedHistory()


@pytest.mark.parametrize("place", ["copy_bandwidth", "seen", "read_bytes"])
def test_figures_that_no_number_can_hold_make_no_sense(tmp_path: Path, place: str) -> None:
    known: dict[str, object] = {"model": "m", "quantization": "", "read_bytes": {"CPU": 10**9}, "seen": 2.0}
    data: dict[str, object] = {"version": 2, "copy_bandwidth": 1e9, "runs": [known]}
    path = tmp_path / "speeds.json"
    path.write_text(json.dumps(data))
    assert len(read_history(path).runs) == 1
    if place == "copy_bandwidth":
        data["copy_bandwidth"] = 10**400
    else:
        known[place] = {"CPU": 10**400} if place == "read_bytes" else 10**400
    path.write_text(json.dumps(data))
    assert read_history(path).runs == ()
