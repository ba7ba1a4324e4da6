"""What ends a process that stands still inside one step of the interpreter, seen from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.engine.process_exit import last_words

REPOSITORY = Path(__file__).resolve().parents[3]

PATIENT = """
import time
from app.engine.worker.last_resort import LastResort
resort = LastResort(0.3)
for _ in range(3):
    with resort.watching(), resort.watching():
        pass
time.sleep(1)
print("still here")
"""
# Lists that hold one list twice, forty deep: their text would have 2**40 parts, and is made in one step.
STUCK = """
from app.engine.worker import template_renderer
template_renderer._LAST_RESORT = template_renderer.LastResort(0.5)
source = (
    "{% set n = namespace(x=['a']) %}{% for i in range(40) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}"
)
template_renderer.ChatTemplate(source, "", "").render([], add_generation_prompt=True)
print("still here")
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


def test_work_that_ends_in_time_ends_nothing_else() -> None:
    assert run(PATIENT).stdout == "still here\n"


def test_a_template_in_a_step_without_end_ends_the_process_and_leaves_word() -> None:
    ended = run(STUCK)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert last_words(ended.stderr) == "Timeout (0:00:00.500000)!"
    assert 'File "<template>"' in ended.stderr
