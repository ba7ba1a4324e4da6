from __future__ import annotations

import threading
import time

import pytest

from app.storage.writer import StoreThread


def test_jobs_run_in_order_on_one_other_thread() -> None:
    thread = StoreThread()
    done: list[int] = []
    names: set[str] = set()

    def job(number: int) -> int:
        time.sleep(0.002 if number % 2 else 0)
        done.append(number)
        names.add(threading.current_thread().name)
        return number * 2

    futures = [thread.submit(lambda number=number: job(number)) for number in range(20)]
    assert [future.result(timeout=5) for future in futures] == [number * 2 for number in range(20)]
    assert done == list(range(20))
    assert len(names) == 1
    assert threading.current_thread().name not in names
    thread.close()


def test_an_exception_stays_in_its_future_and_the_thread_goes_on() -> None:
    thread = StoreThread()
    broken = thread.submit(lambda: 1 // 0)
    fine = thread.submit(lambda: "fine")
    with pytest.raises(ZeroDivisionError):
        broken.result(timeout=5)
    assert fine.result(timeout=5) == "fine"
    thread.close()


def test_close_finishes_what_is_queued_and_takes_no_more() -> None:
    before = threading.active_count()
    thread = StoreThread()
    gate = threading.Event()
    done: list[int] = []
    thread.submit(lambda: gate.wait(5))
    for number in range(5):
        thread.submit(lambda number=number: done.append(number))
    opener = threading.Timer(0.05, gate.set)
    opener.start()
    thread.close()
    opener.join()
    assert done == list(range(5))
    with pytest.raises(RuntimeError):
        thread.submit(lambda: None)
    thread.close()
    assert threading.active_count() == before
