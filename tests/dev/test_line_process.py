"""What benchmarks are compared with may end or say nothing: that is told, and nobody waits without end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks.line_process import LineProcess

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def start(tmp_path: Path, program: str) -> LineProcess:
    return LineProcess([sys.executable, "-c", program], tmp_path / "log.txt")


def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    process = start(tmp_path, ECHO)
    for value in ({"prompt": "é"}, [1, 2]):
        process.send(value)
        assert process.next(30.0) == value
    process.close()
    process.close()


def test_one_that_has_ended_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = start(tmp_path, "import sys; sys.exit('no backends are loaded')")
    with pytest.raises(RuntimeError, match="it ended: no backends are loaded"):
        process.next(30.0)
    with pytest.raises(RuntimeError, match="it ended"):
        process.send({})


def test_one_that_says_nothing_is_ended(tmp_path: Path) -> None:
    process = start(tmp_path, "import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(600)")
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="no answer in 2 s: loading"):
        process.next(2.0)
    assert time.monotonic() - started < 60.0
