"""On a processor with two kinds of cores single tokens are computed on the fast ones; everything else is free.

Which cores there are is told by a folder that stands for /sys; which processors a thread may use is read from the
system.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.events import Finished, Loaded
from app.core.memory import ContextPlan
from app.engine.protocol import Load
from app.engine.worker.affinity import FastCores, LinuxBinding
from app.engine.worker.batch import Batch
from app.engine.worker.binding import llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from app.engine.worker.thread_pool import uses_openmp
from tests.engine.engine_child import EngineChild, user

if sys.platform != "linux":
    pytest.skip("reads Linux's /proc", allow_module_level=True)

USABLE = sorted(os.sched_getaffinity(0))
FAST, SLOW = USABLE[:-1], USABLE[-1:]
LIMIT_S = 60.0

needs_two = pytest.mark.skipif(len(USABLE) < 2, reason="there is one processor: it cannot be of two kinds")
needs_openmp = pytest.mark.skipif(not uses_openmp(), reason="llama.cpp is built without OpenMP here")


def write_sysfs(folder: Path, slow: Sequence[int]) -> None:
    """All processors of this computer as cores, some of them slow."""
    for number in USABLE:
        processor = folder / "devices" / "system" / "cpu" / f"cpu{number}"
        (processor / "topology").mkdir(parents=True)
        (processor / "topology" / "thread_siblings_list").write_text(f"{number}\n")
        (processor / "cpu_capacity").write_text("400\n" if number in slow else "1024\n")


@contextmanager
def child_with(monkeypatch: pytest.MonkeyPatch, folder: Path, slow: Sequence[int]) -> Iterator[EngineChild]:
    write_sysfs(folder, slow)
    monkeypatch.setenv("HEARTH_SYSFS", str(folder))
    child = EngineChild()
    try:
        yield child
    finally:
        child.close()


def allowed(process: int) -> dict[int, frozenset[int]]:
    """Where each thread of a process may run now."""
    found = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            found[int(task.name)] = frozenset(os.sched_getaffinity(int(task.name)))
        except ProcessLookupError:  # it has just ended
            continue
    return found


class Watch:
    """Looks again and again where the threads of a process may run."""

    def __init__(self, process: int) -> None:
        self.seen: defaultdict[int, set[frozenset[int]]] = defaultdict(set)
        self._process = process
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def bound(self) -> dict[int, set[frozenset[int]]]:
        """The threads that could not always run anywhere."""
        return {task: places for task, places in list(self.seen.items()) if places != {frozenset(USABLE)}}

    def _look(self) -> None:
        while not self._is_over.is_set():
            for task, places in allowed(self._process).items():
                self.seen[task].add(places)


def load(child: EngineChild, model: Path, threads: int = 0) -> dict[str, Any]:
    """Load a model; returns its plan."""
    loaded = child.ask(Load(0, str(model), threads=threads)).last
    assert isinstance(loaded, Loaded), loaded
    return loaded.model.plan


def answer(child: EngineChild) -> None:
    last = child.generate([user("the cat sat on the world")], sampling={"temperature": 0.0}, max_tokens=200).last
    assert isinstance(last, Finished), last


@needs_two
def test_threads_that_write_are_kept_on_the_fast_cores_and_the_others_are_free(
    monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path
) -> None:
    with child_with(monkeypatch, tmp_path, SLOW) as child:
        plan = load(child, models / "qwen2.gguf")
        assert (plan["threads"], plan["fast_cores"], plan["cores"]) == (len(FAST), len(FAST), len(USABLE))
        with Watch(child.process.pid) as watch:
            deadline = time.monotonic() + LIMIT_S
            while len(watch.bound) < len(FAST) and time.monotonic() < deadline:
                answer(child)
        assert len(watch.bound) == len(FAST)
        assert len(watch.seen) > len(FAST)
        assert set().union(*watch.bound.values()) <= {frozenset(FAST), frozenset(USABLE)}
        # Between two answers only OpenMP's threads are bound, not the one that they compute for.
        assert sum(places == frozenset(FAST) for places in allowed(child.process.pid).values()) == len(FAST) - 1


def test_nothing_is_bound_where_all_cores_are_alike(
    monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path
) -> None:
    with child_with(monkeypatch, tmp_path, ()) as child:
        assert "fast_cores" not in load(child, models / "qwen2.gguf")
        with Watch(child.process.pid) as watch:
            for _ in range(3):
                answer(child)
        assert watch.seen
        assert not watch.bound


@needs_two
def test_more_threads_than_there_are_fast_cores_are_free(
    monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path
) -> None:
    with child_with(monkeypatch, tmp_path, SLOW) as child:
        assert "fast_cores" not in load(child, models / "qwen2.gguf", threads=len(USABLE))
    binding = LinuxBinding(FastCores(1, 2, frozenset(FAST)))
    with binding.computing(2, 2):
        assert os.sched_getaffinity(0) == set(USABLE)


@needs_two
def test_the_processors_that_the_child_was_given_are_respected(
    monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path
) -> None:
    os.sched_setaffinity(0, SLOW)  # a child may run where the thread may that starts it
    try:
        context = child_with(monkeypatch, tmp_path, SLOW)
        child = context.__enter__()
    finally:
        os.sched_setaffinity(0, USABLE)
    try:
        assert "fast_cores" not in load(child, models / "qwen2.gguf")
        with Watch(child.process.pid) as watch:
            answer(child)
        assert set().union(*watch.seen.values()) == {frozenset(SLOW)}
    finally:
        context.__exit__(None, None, None)


@needs_two
def test_who_may_run_on_no_fast_core_stays_where_it_is() -> None:
    binding = LinuxBinding(FastCores(1, 2, frozenset(FAST)))

    def compute() -> set[int]:
        os.sched_setaffinity(0, SLOW)
        with binding.computing(1, 1):
            return os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as worker:
        assert worker.submit(compute).result() == set(SLOW)


@needs_two
@needs_openmp
def test_threads_come_and_go_and_those_that_write_are_bound(models: Path) -> None:
    """Whether a prompt comes first, and after more or fewer threads wrote for a while."""
    model = LoadedModel(models / "qwen2.gguf", lambda fraction: True, EngineLog())
    model.open_context(ContextSettings(ContextPlan(256, output_tokens=32), 3))
    binding = LinuxBinding(FastCores(3, 5, frozenset(FAST)))
    before = set(allowed(os.getpid()))

    def compute(tokens: int, writing: int, reading: int) -> list[frozenset[int]]:
        """Where OpenMP's threads may run after a decode on the calling thread, which is then free."""
        assert model.context is not None
        llama.llama_set_n_threads(model.context, writing, reading)
        batch = Batch(8)
        batch.add([5] * tokens, 0, 0, all_logits=False)
        llama.llama_memory_clear(llama.llama_get_memory(model.context), False)
        with binding.computing(writing if tokens == 1 else reading, writing):
            assert batch.decode(model.context) == 0
        assert os.sched_getaffinity(0) == set(USABLE)
        wanted = max(writing if tokens == 1 else reading, 1) - 1
        deadline = time.monotonic() + LIMIT_S
        while len(found := members()) > wanted and time.monotonic() < deadline:
            time.sleep(0.001)  # those that are too many are just ending
        return found

    def members() -> list[frozenset[int]]:
        mine = {threading.get_native_id(), *before}
        return sorted((places for task, places in allowed(os.getpid()).items() if task not in mine), key=len)

    fast, free = frozenset(FAST), frozenset(USABLE)
    with ThreadPoolExecutor(1) as worker:
        for tokens, writing, reading, expected in (
            (8, 4, 5, [free] * 4),  # more write than there are fast cores
            (8, 3, 5, [fast, fast, free, free]),
            (1, 3, 5, [fast, fast]),
            (8, 3, 5, [fast, fast, free, free]),
            (1, 2, 2, [fast]),  # another program is busy
            (8, 2, 2, [fast]),
            (8, 3, 5, [fast, fast, free, free]),
            (1, 3, 5, [fast, fast]),
        ):
            assert worker.submit(compute, tokens, writing, reading).result(LIMIT_S) == expected
    model.close()
