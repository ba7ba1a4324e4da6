import sys
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, UserError
from app.engine.process_exit import OUT_OF_MEMORY, count_oom_kills, crash_error, last_words, read_tail


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("", ""),
        ("llama_model_loader: loaded meta data\n", ""),
        (
            "2026-11-21 INFO x: y\n/build/ggml/src/ggml.c:4014: GGML_ASSERT(a->ne[0] == b->ne[0]) failed\nAborted",
            "ggml.c:4014: GGML_ASSERT(a->ne[0] == b->ne[0]) failed",
        ),
        (
            "terminate called after throwing an instance of 'std::out_of_range'\n  what():  map::at\n",
            "map::at",
        ),
        ("Fatal Python error: Segmentation fault\n\nThread 0x1:\n  File", "Segmentation fault"),
        ("Traceback (most recent call last):\n  File\nModuleNotFoundError: No module named 'x'\n", None),
    ],
)
def test_the_last_words_are_found(tail: str, words: str | None) -> None:
    expected = "ModuleNotFoundError: No module named 'x'" if words is None else words
    assert last_words(tail) == expected


def test_a_very_long_reason_is_cut() -> None:
    assert len(last_words("GGML_ASSERT(" + "x" * 5000)) == 300


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_signals_have_names() -> None:
    error = crash_error(ErrorKind.ENGINE_CRASHED, 11, by_signal=True, tail="")
    assert error == UserError(ErrorKind.ENGINE_CRASHED, reason="", signal_name="SIGSEGV")
    unnamed = crash_error(ErrorKind.ENGINE_CRASHED, 99, by_signal=True, tail="")
    assert unnamed.string("signal_name") == "signal 99"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_only_the_kernel_says_that_memory_ran_out() -> None:
    killed = crash_error(ErrorKind.ENGINE_CRASHED, 9, by_signal=True, tail="", oom_kills=1)
    assert killed.string("reason") == OUT_OF_MEMORY
    assert crash_error(ErrorKind.ENGINE_CRASHED, 9, by_signal=True, tail="").string("reason") == ""
    assert crash_error(ErrorKind.ENGINE_CRASHED, 11, by_signal=True, tail="", oom_kills=1).string("reason") == ""


def test_exit_codes() -> None:
    error = crash_error(ErrorKind.ENGINE_START_FAILED, 3, by_signal=False, tail="ImportError: libgomp.so.1")
    assert error == UserError(ErrorKind.ENGINE_START_FAILED, reason="ImportError: libgomp.so.1", exit_code=3)


@pytest.mark.parametrize("by_signal", [True, False], ids=["Qt calls it a crash", "it ended by itself"])
def test_windows_status_codes_have_names(by_signal: bool) -> None:
    error = crash_error(ErrorKind.ENGINE_CRASHED, -1073741819, by_signal=by_signal, tail="")
    assert error.string("signal_name") == "ACCESS_VIOLATION"
    unnamed = crash_error(ErrorKind.ENGINE_CRASHED, -1073741676, by_signal=by_signal, tail="")
    assert unnamed.string("signal_name") == "0xC0000094"


def test_the_tail_begins_where_this_child_began(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_bytes(b"of the last child\n" + b"of this one \xff\n")
    assert read_tail(path, 18) == "of this one \ufffd\n"
    assert len(read_tail(path)) == 32
    assert read_tail(tmp_path / "absent") == ""
    path.write_bytes(b"x" * 1_000_000)
    assert len(read_tail(path)) == 16 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel counts them")
def test_the_kernels_counter_is_read() -> None:
    counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    assert count_oom_kills() == int(counters.get("oom_kill", 0))
