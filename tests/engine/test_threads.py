"""The number of threads changes nothing but the speed; a prompt that waits for its turn can be stopped."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.core.adapter import Adapter
from app.core.memory import ContextPlan
from app.engine.worker.backend_libraries import best_cpu_library
from app.engine.worker.binding import LIBRARY_FOLDER, llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from app.engine.worker.thread_pool import ThreadPool, make_thread_pool, uses_openmp
from tests.engine.engine_child import user
from tests.engine.session_driver import SessionDriver
from tests.fixtures.tiny_adapter import pair, write_adapter

WORDS = "the cat sat on the world and told the story of the world to the cat " * 12


@pytest.fixture(scope="module")
def driver(models: Path) -> SessionDriver:
    """Several conversations with a tiny model."""
    return SessionDriver(models / "qwen2.gguf", sequences=3)


def test_the_text_does_not_depend_on_the_threads(driver: SessionDriver) -> None:
    texts = set()
    for number, threads in enumerate((1, 2, 3)):
        llama.llama_set_n_threads(driver.model.context, threads, threads)
        driver.forget()
        texts.add(driver.ask([user(WORDS)], f"same {number}").text)
    assert len(texts) == 1


def test_another_number_in_the_middle_of_an_answer_changes_nothing(driver: SessionDriver) -> None:
    expected = driver.ask([user(WORDS)], "steady").text
    driver.forget()
    answer = driver.begin([user(WORDS)], "changing")
    for threads in (2, 1, 3, 1):
        llama.llama_set_n_threads(driver.model.context, threads, threads)
        driver.steps(3)
    driver.finish(answer)
    assert answer.text == expected


@pytest.mark.parametrize("delay_s", [0.0, 0.0005, 0.001, 0.002, 0.005])
def test_stopping_one_prompt_leaves_the_other_as_it_is(driver: SessionDriver, delay_s: float) -> None:
    expected = driver.ask([user(WORDS)], "alone").text
    driver.forget()
    kept = driver.begin([user(WORDS)], "kept")
    stopped = driver.begin([user("a story: " + WORDS)], "stopped", max_tokens=0)
    timer = threading.Timer(delay_s, stopped.control.stop)  # in the middle of a computation, mostly
    timer.start()
    driver.finish(kept, stopped)
    timer.join()
    assert stopped.is_over
    assert kept.text == expected


def test_threads_of_a_pool_compute_the_same(models: Path) -> None:
    driver = SessionDriver(models / "qwen2.gguf")
    pool = ThreadPool(3)
    try:
        expected = driver.ask([user(WORDS)]).text
        driver.forget()
        pool.attach(driver.model.context)
        answer = driver.begin([user(WORDS)], "pooled")
        for threads in (3, 1, 2):
            llama.llama_set_n_threads(driver.model.context, threads, threads)
            driver.steps(3)
        driver.finish(answer)
        assert answer.text == expected
    finally:
        driver.close()
        pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into a Linux library")
def test_where_there_is_openmp_threads_are_left_to_it(models: Path) -> None:
    library = best_cpu_library(LIBRARY_FOLDER)
    assert library is not None
    data = library.read_bytes()
    assert uses_openmp() == any(name in data for name in (b"libgomp.so", b"libomp.so", b"libiomp5.so"))
    if uses_openmp():
        assert make_thread_pool(2) is None


def test_without_openmp_a_context_keeps_its_threads_and_ends_them(models: Path) -> None:
    if uses_openmp():
        pytest.skip("llama.cpp has OpenMP here; LLAMA_CPP_LIB_PATH can name a build without: -DGGML_OPENMP=OFF")
    process = psutil.Process()
    model = LoadedModel(models / "qwen2.gguf", lambda fraction: True, EngineLog())
    try:
        before = process.num_threads()
        for threads in (3, 2):
            model.open_context(ContextSettings(ContextPlan(256, output_tokens=32), threads))
            expected = before + max(threads, int(llama.llama_n_threads_batch(model.context))) - 1
            for _ in range(3):
                batch = llama.llama_batch_get_one((llama.llama_token * 1)(5), 1)
                assert llama.llama_decode(model.context, batch) == 0
                assert process.num_threads() == expected
            model.close_context()
            assert process.num_threads() == before
    finally:
        model.close()


def test_after_a_change_of_adapters_there_are_as_many_threads_as_there_shall_be(models: Path, tmp_path: Path) -> None:
    """While another program is busy there are fewer: that number is not to become the usual one."""
    driver = SessionDriver(models / "llama-3.gguf", threads=2)
    try:
        driver.ask([user("hello")], max_tokens=1)
        scheduler: Any = driver.session._scheduler
        context = driver.model.context
        for tokens, seconds in ((24, 0.01), (24, 0.05)):
            for length in range(tokens):
                scheduler._tune(seconds, length)
        assert (llama.llama_n_threads(context), llama.llama_n_threads_batch(context)) == (1, 2)  # for a trial
        for length in range(8):
            scheduler._tune(0.01, length)
        assert (llama.llama_n_threads(context), llama.llama_n_threads_batch(context)) == (1, 1)
        file = write_adapter(tmp_path / "adapter.gguf", pair("blk.0.attn_q.weight", 64, 64))
        driver.session.adapt([Adapter(str(file))])
        driver.ask([user("hello")], max_tokens=1)
        assert llama.llama_n_threads(driver.model.context) == 2
    finally:
        driver.close()
