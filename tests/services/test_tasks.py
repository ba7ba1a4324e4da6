from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.services.tasks import MAX_THREADS, Tasks

WAIT_S = 10


@pytest.fixture
def tasks(qapp: object) -> Iterator[Tasks]:
    tasks = Tasks()
    yield tasks
    tasks.shut_down()


def test_results_come_to_the_thread_that_asked(tasks: Tasks, qtbot: QtBot) -> None:
    got: list[tuple[str, str]] = []

    def work() -> str:
        return threading.current_thread().name

    tasks.run(work, lambda worker: got.append((worker, threading.current_thread().name)))
    qtbot.waitUntil(lambda: bool(got))
    worker, here = got[0]
    assert worker.startswith("hearth-task-")
    assert here == threading.current_thread().name


def test_a_user_error_comes_to_on_failed(tasks: Tasks, qtbot: QtBot) -> None:
    got: list[UserError] = []

    def work() -> None:
        raise UserError(ErrorKind.OFFLINE)

    tasks.run(work, None, got.append)
    qtbot.waitUntil(lambda: bool(got))
    assert got == [UserError(ErrorKind.OFFLINE)]


def test_a_bug_is_reported_and_nobody_waits_for_ever(
    tasks: Tasks, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    failed: list[UserError] = []
    done: list[int] = []
    tasks.run(lambda: 1 // 0, done.append, failed.append)
    tasks.run(lambda: 7, done.append)
    qtbot.waitUntil(lambda: bool(failed and done))
    assert reported[0].exc_type is ZeroDivisionError
    assert (failed, done) == ([UserError(ErrorKind.UNEXPECTED, reason="ZeroDivisionError")], [7])


def test_a_cancelled_task_calls_nobody(tasks: Tasks, qtbot: QtBot) -> None:
    begun, go_on = threading.Event(), threading.Event()
    got: list[object] = []

    def work() -> int:
        begun.set()
        go_on.wait(WAIT_S)
        return 1

    task = tasks.run(work, got.append, got.append)
    assert begun.wait(WAIT_S)
    task.cancel()
    go_on.set()
    tasks.run(lambda: 2, got.append)
    qtbot.waitUntil(lambda: 2 in got)
    assert got == [2]


def test_cancelled_in_time_it_is_not_even_begun(tasks: Tasks, qtbot: QtBot) -> None:
    go_on = threading.Event()
    done: list[str] = []
    for _ in range(MAX_THREADS):
        tasks.run(lambda: go_on.wait(WAIT_S), lambda _: done.append("blocker"))
    ran: list[int] = []
    tasks.run(lambda: ran.append(1)).cancel()
    tasks.run(lambda: None, lambda _: done.append("last"))
    go_on.set()
    qtbot.waitUntil(lambda: len(done) == MAX_THREADS + 1)
    assert ran == []


def test_work_runs_side_by_side_up_to_the_limit(tasks: Tasks, qtbot: QtBot) -> None:
    together = threading.Barrier(MAX_THREADS)  # passed only when all are there at once
    done: list[int] = []
    for _ in range(MAX_THREADS):
        tasks.run(lambda: together.wait(WAIT_S), done.append)
    qtbot.waitUntil(lambda: len(done) == MAX_THREADS)
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("hearth-task-")}
    for _ in range(20):
        tasks.run(lambda: 0, done.append)
    qtbot.waitUntil(lambda: len(done) == MAX_THREADS + 20)
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("hearth-task-")} == names


def test_without_work_there_is_no_thread(qapp: object) -> None:
    before = threading.active_count()
    tasks = Tasks()
    assert threading.active_count() == before
    tasks.shut_down()
    tasks.shut_down()


def test_whoever_waits_is_let_go_on_the_main_thread(tasks: Tasks, qtbot: QtBot) -> None:
    """Widgets must not die in another thread, so no other thread may hold what holds them."""
    died_in: list[str] = []

    class Waiter:
        def __init__(self) -> None:
            self.got: list[int] = []
            weakref.finalize(self, lambda: died_in.append(threading.current_thread().name))

        def take(self, number: int) -> None:
            self.got.append(number)

    for round_number in range(50):
        tasks.run(lambda: 1, Waiter().take)
        qtbot.waitUntil(lambda wanted=round_number + 1: len(died_in) == wanted)
    assert set(died_in) == {threading.current_thread().name}


def test_the_end_does_not_wait_for_what_hangs(qapp: object, qtbot: QtBot) -> None:
    tasks = Tasks()
    begun, go_on = threading.Event(), threading.Event()
    got: list[object] = []

    def hang() -> None:
        begun.set()
        go_on.wait(WAIT_S)

    tasks.run(hang, got.append)
    assert begun.wait(WAIT_S)
    tasks.shut_down(patience_s=0.01)
    late = tasks.run(lambda: 1, got.append)
    assert late.is_cancelled
    go_on.set()
    qtbot.wait(20)
    assert got == []
