"""The engine client with a real child process that plays from a script."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PySide6.QtCore import QTimer

from app.core.errors import ErrorKind, UserError
from app.core.events import (
    Counted,
    DevicesListed,
    Failed,
    Finished,
    FinishReason,
    LoadCancelled,
    Loaded,
    Loading,
    PromptProgress,
    PromptStarted,
    Ready,
    ReasoningDelta,
    TextDelta,
    Unloaded,
)
from app.core.messages import Role
from app.engine import client as client_module
from app.engine.client import EngineClient, joined
from app.engine.command import engine_command, engine_environment
from app.engine.protocol import PROTOCOL_VERSION, ChatMessage, Generate
from tests.engine.engine_driver import EngineDriver, write_script

pytestmark = pytest.mark.engine
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")

ANSWERS: list[dict[str, Any]] = [
    {"when": "^long", "text": "word ", "repeat": 2000, "tokens_per_second": 100},
    {"when": "^flood", "text": "word ", "repeat": 20000},
    {"when": "^hang", "text": "one two three", "hang_at_token": 2},
    {"when": "^segfault", "text": "one two three", "crash": {"at_token": 2, "signal": "SIGSEGV"}},
    {"when": "^leave", "text": "one two three", "crash": {"at_token": 2, "exit_code": 7}},
    {"when": "^fail", "error": {"kind": "decode_failed", "details": {"reason": "made up"}}},
    {"when": "^break", "text": "one two", "error": {"kind": "decode_failed", "details": {"reason": "late"}}},
    {"when": "^think", "reasoning": "Hmm. ", "text": "Done.", "first_token_ms": 50, "prompt_steps": 5},
    {"when": "^limit", "text": "one two three", "finish": "length"},
    {"when": "", "text": "Hello there, friend."},
]
LOADS: list[dict[str, Any]] = [
    {"path": "broken", "error": {"kind": "corrupt", "details": {"reason": "made up"}}},
    {"path": "slow", "duration_ms": 10_000},
    {"path": "abort", "crash": {"signal": "SIGABRT"}},
    {"name": "Scripted", "context_length": 50_000},
]


@pytest.fixture
def driver(qapp: object, tmp_path: Path) -> Iterator[EngineDriver]:
    script = write_script(tmp_path, answers=ANSWERS, loads=LOADS)
    driver = EngineDriver(tmp_path, f"scripted:{script}")
    yield driver
    driver.close()


@pytest.fixture
def loaded(driver: EngineDriver) -> EngineDriver:
    assert isinstance(driver.load("/model.gguf"), Loaded)
    return driver


def test_the_first_request_starts_the_child(driver: EngineDriver) -> None:
    assert not driver.client.is_running
    assert driver.client.pid is None
    loaded = driver.load("/model.gguf", context_length=1234)
    assert isinstance(loaded, Loaded)
    assert (loaded.model.path, loaded.model.context_length) == ("/model.gguf", 1234)
    ready = driver.events[0]
    assert isinstance(ready, Ready)
    assert driver.client.is_running
    assert driver.client.pid == ready.pid != os.getpid()


def test_every_request_is_answered_in_order(loaded: EngineDriver) -> None:
    assert isinstance(loaded.ask(), Finished)
    assert loaded.text(2) == "Hello there, friend."
    counted = loaded.count("three little words")
    assert isinstance(counted, Counted)
    assert counted.tokens == 3
    assert isinstance(loaded.devices(), DevicesListed)
    assert isinstance(loaded.unload(), Unloaded)
    failed = loaded.ask()
    assert isinstance(failed, Failed)
    assert failed.error.kind is ErrorKind.NO_MODEL


def test_an_answer_with_thinking_and_prompt_progress(loaded: EngineDriver) -> None:
    finished = loaded.ask("think about it")
    assert isinstance(finished, Finished)
    (started,) = loaded.of(finished.request_id, PromptStarted)
    assert started.prompt_tokens == 3
    progress = loaded.of(finished.request_id, PromptProgress)
    assert [p.done_tokens for p in progress][-1] == 3
    assert progress[0].remaining_ms > progress[-1].remaining_ms == 0
    assert [e.text for e in loaded.of(finished.request_id, ReasoningDelta)] == ["Hmm. "]
    assert loaded.text(finished.request_id) == "Done."
    assert finished.usage.first_token_ms >= 50


def test_reasons_to_end(loaded: EngineDriver) -> None:
    limited = loaded.ask("limit")
    assert isinstance(limited, Finished)
    assert limited.reason is FinishReason.LENGTH
    shortened = loaded.ask("hi", max_tokens=2)
    assert isinstance(shortened, Finished)
    assert (shortened.reason, loaded.text(shortened.request_id)) == (FinishReason.LENGTH, "Hello there,")
    failed = loaded.ask("fail")
    assert failed == Failed(failed.request_id, UserError(ErrorKind.DECODE_FAILED, reason="made up"))
    broken = loaded.ask("break")
    assert isinstance(broken, Failed)
    assert loaded.text(broken.request_id) == "one two"
    loaded.load("/model.gguf", context_length=4)
    full = loaded.ask("long, please")
    assert isinstance(full, Finished)
    assert (full.reason, full.context_tokens) == (FinishReason.CONTEXT_FULL, 4)


def test_continuing_gives_the_rest(loaded: EngineDriver) -> None:
    request_id = loaded.client.next_id()
    messages = (ChatMessage("u", Role.USER, "hi"), ChatMessage("a", Role.ASSISTANT, "Hello there,"))
    loaded.client.send(Generate(request_id, messages, continue_last=True))
    loaded.end_of(request_id)
    assert loaded.text(request_id) == " friend."


def test_messages_that_do_not_fit_fall_out(loaded: EngineDriver) -> None:
    loaded.load("/model.gguf", context_length=10)
    request_id = loaded.client.next_id()
    messages = (
        ChatMessage("s", Role.SYSTEM, "be brief"),
        ChatMessage("u1", Role.USER, "one two three four five"),
        ChatMessage("a1", Role.ASSISTANT, "six seven eight"),
        ChatMessage("u2", Role.USER, "nine"),
    )
    loaded.client.send(Generate(request_id, messages))
    loaded.end_of(request_id)
    assert loaded.of(request_id, PromptStarted)[0].first_visible_id == "a1"


def test_stop_keeps_the_text_and_is_quick(loaded: EngineDriver) -> None:
    request_id = loaded.send_question("long")
    loaded.wait(lambda: len(loaded.text(request_id)) > 50)
    asked_at = time.perf_counter()
    loaded.client.stop(request_id)
    finished = loaded.end_of(request_id)
    assert time.perf_counter() - asked_at < 10  # only that it is not forgotten; the benchmark has the figure
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.STOPPED
    assert loaded.text(request_id).split() == ["word"] * finished.usage.completion_tokens
    loaded.client.stop(request_id)  # it is over: nothing happens
    loaded.client.stop(999)
    loaded.settle(2.3)
    assert loaded.deaths == []


def test_a_load_can_be_cancelled(driver: EngineDriver) -> None:
    request_id = driver.send_load("/slow.gguf")
    driver.wait(lambda: driver.of(request_id, Loading))
    driver.client.stop(request_id)
    assert isinstance(driver.end_of(request_id), LoadCancelled)


def test_a_failed_load_leaves_the_previous_model(loaded: EngineDriver) -> None:
    failed = loaded.load("/broken.gguf")
    assert failed == Failed(failed.request_id, UserError(ErrorKind.CORRUPT, reason="made up"))
    assert isinstance(loaded.ask(), Finished)


def test_stopping_what_waits_does_not_cost_what_runs_its_life(loaded: EngineDriver) -> None:
    running = loaded.send_question("long")
    waiting = loaded.send_question("hi")
    loaded.wait(lambda: loaded.text(running))
    loaded.client.stop(waiting)
    loaded.settle(2.5)
    assert loaded.deaths == []
    loaded.client.stop(running)
    first, second = loaded.end_of(running), loaded.end_of(waiting)
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert second.reason is FinishReason.STOPPED


def test_a_child_that_ignores_stop_is_killed_after_two_seconds(loaded: EngineDriver) -> None:
    request_id = loaded.send_question("hang")
    loaded.wait(lambda: loaded.text(request_id) == "one two")
    asked_at = time.perf_counter()
    loaded.client.stop(request_id)
    loaded.wait(lambda: loaded.deaths)
    assert time.perf_counter() - asked_at > 1.9
    assert loaded.deaths == [UserError(ErrorKind.ENGINE_UNRESPONSIVE)]
    assert not loaded.client.is_running
    assert loaded.closing(request_id) is None


def test_no_time_runs_while_the_child_still_starts(driver: EngineDriver) -> None:
    request_id = driver.send_load("/slow.gguf")
    driver.client.stop(request_id)
    assert not driver.client._stop_timer.isActive()
    assert isinstance(driver.end_of(request_id), LoadCancelled)


@posix
def test_a_killed_child_is_told_once_and_the_text_so_far_is_there(loaded: EngineDriver) -> None:
    request_id = loaded.send_question("long")
    loaded.wait(lambda: len(loaded.text(request_id)) > 100)
    assert loaded.client.pid is not None
    os.kill(loaded.client.pid, signal.SIGKILL)
    loaded.wait(lambda: loaded.deaths)
    loaded.settle(0.3)
    (death,) = loaded.deaths
    assert death.kind is ErrorKind.ENGINE_CRASHED
    assert death.string("signal_name") == "SIGKILL"
    assert len(loaded.text(request_id)) > 100
    assert loaded.closing(request_id) is None
    assert not loaded.client.is_running


@posix
def test_after_a_death_the_next_request_starts_afresh(loaded: EngineDriver) -> None:
    first_pid = loaded.client.pid
    loaded.send_question("segfault")
    loaded.wait(lambda: loaded.deaths)
    assert isinstance(loaded.load("/model.gguf"), Loaded)
    assert isinstance(loaded.ask(), Finished)
    assert loaded.client.pid != first_pid
    assert len(loaded.deaths) == 1


@posix
@pytest.mark.parametrize(("question", "signal_name", "exit_code"), [("segfault", "SIGSEGV", 0), ("leave", "", 7)])
def test_a_crash_says_how(loaded: EngineDriver, question: str, signal_name: str, exit_code: int) -> None:
    request_id = loaded.send_question(question)
    loaded.wait(lambda: loaded.deaths)
    (death,) = loaded.deaths
    assert death.kind is ErrorKind.ENGINE_CRASHED
    assert (death.string("signal_name"), death.integer("exit_code")) == (signal_name, exit_code)
    assert loaded.text(request_id) == "one two"  # what was written before the end still arrives


@posix
def test_a_crash_while_loading(driver: EngineDriver) -> None:
    driver.send_load("/abort.gguf")
    driver.wait(lambda: driver.deaths)
    assert driver.deaths[0].string("signal_name") == "SIGABRT"
    assert "Aborted" in driver.deaths[0].string("reason")  # from the log: what faulthandler wrote


def test_a_program_that_is_not_there(qapp: object, tmp_path: Path) -> None:
    driver = EngineDriver(tmp_path)
    driver.client._command = [str(tmp_path / "absent")]
    driver.send_question()
    driver.wait(lambda: driver.deaths)
    assert driver.deaths[0].kind is ErrorKind.ENGINE_START_FAILED
    assert driver.deaths[0].string("reason")
    driver.close()


def test_a_backend_that_does_not_start(qapp: object, tmp_path: Path) -> None:
    driver = EngineDriver(tmp_path, f"scripted:{tmp_path / 'absent.json'}")
    driver.send_question()
    driver.wait(lambda: driver.deaths)
    (death,) = driver.deaths
    assert death.kind is ErrorKind.ENGINE_START_FAILED
    assert "absent.json" in death.string("reason")
    driver.close()


def test_a_mistake_in_a_script_is_named(qapp: object, tmp_path: Path) -> None:
    driver = EngineDriver(tmp_path, f"scripted:{write_script(tmp_path, answers=[{'txet': 'x'}])}")
    driver.send_question()
    driver.wait(lambda: driver.deaths)
    assert "txet" in driver.deaths[0].string("reason")
    driver.close()


@pytest.mark.logs_warnings
def test_garbage_between_the_events_is_passed_over(
    qapp: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client_module, "MAX_LINE_BYTES", 200_000)
    program = tmp_path / "garbage.py"
    program.write_text(
        "import sys\n"
        "out = sys.stdout.buffer\n"
        f'out.write(b\'{{"type":"ready","protocol":{PROTOCOL_VERSION},"engine":"x","pid":1}}\\n\')\n'
        "out.write(b'x' * 300000 + b'\\n')\n"
        "out.write(b'hello\\n' + bytes(range(256)) + b'\\n{}\\n[]\\n' + b'[' * 100000 + b'\\n')\n"
        'out.write(b\'{"type":"unloaded","request_id":1,"new":[1]}\\n\')\n'
        "out.flush()\n"
        "sys.stdin.readline()\n"
        "sys.stdin.readline()\n"
    )
    driver = EngineDriver(tmp_path)
    driver.client._command = [sys.executable, str(program)]
    assert isinstance(driver.unload(), Unloaded)
    assert driver.deaths == []
    assert "it is too long" in caplog.text
    driver.close()


def test_another_protocol_is_refused(qapp: object, tmp_path: Path) -> None:
    program = tmp_path / "future.py"
    program.write_text('print(\'{"type":"ready","protocol":99,"engine":"x","pid":1}\', flush=True)\ninput()\ninput()\n')
    driver = EngineDriver(tmp_path)
    driver.client._command = [sys.executable, str(program)]
    driver.send_question()
    driver.wait(lambda: driver.deaths)
    assert driver.deaths == [UserError(ErrorKind.ENGINE_START_FAILED, reason="protocol 99")]
    driver.close()


def test_a_flood_of_tokens_leaves_the_main_thread_free(loaded: EngineDriver) -> None:
    gaps: list[float] = []
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(now - last)
        last = now

    timer = QTimer(interval=1)
    timer.timeout.connect(tick)
    timer.start()
    finished = loaded.ask("flood")
    timer.stop()
    assert isinstance(finished, Finished)
    assert loaded.text(finished.request_id) == "word " * 20_000
    deltas = loaded.of(finished.request_id, TextDelta)
    assert len(deltas) < 10_000  # those that came together were joined
    assert sorted(gaps)[int(len(gaps) * 0.99)] < 0.1


def test_shutdown_is_bounded_and_leaves_nothing(loaded: EngineDriver) -> None:
    assert loaded.client.pid is not None
    child = psutil.Process(loaded.client.pid)
    loaded.send_question("hang")
    loaded.settle(0.2)
    started = time.perf_counter()
    loaded.client.shutdown(timeout_ms=500)
    assert time.perf_counter() - started < 20
    assert not child.is_running()
    assert loaded.deaths == []
    assert not loaded.client.is_running
    loaded.client.shutdown()  # again: nothing to do


def test_a_receiver_may_shut_down_in_the_middle(loaded: EngineDriver) -> None:
    def shut_down_at_first_text(event: object) -> None:
        if isinstance(event, TextDelta):
            loaded.client.shutdown()

    loaded.client.event_received.connect(shut_down_at_first_text)
    request_id = loaded.send_question("long")
    loaded.wait(lambda: not loaded.client.is_running)
    count = len(loaded.events)
    loaded.settle(0.2)
    assert len(loaded.events) == count
    assert loaded.closing(request_id) is None
    assert loaded.deaths == []


def test_the_log_is_rotated_and_never_in_the_way(qapp: object, tmp_path: Path) -> None:
    script = write_script(tmp_path)
    driver = EngineDriver(tmp_path, f"scripted:{script}")
    driver.log_path.parent.mkdir(parents=True)
    driver.log_path.write_bytes(b"old\n" * 500_000)
    assert isinstance(driver.load("/model.gguf"), Loaded)
    assert driver.log_path.with_name("engine.log.1").stat().st_size == 2_000_000
    assert driver.log_path.stat().st_size < 10_000
    driver.close()
    (tmp_path / "file").write_text("")
    command = engine_command(f"scripted:{script}")
    client = EngineClient(command, tmp_path / "file" / "engine.log", environment=engine_environment())
    seen: list[object] = []
    client.event_received.connect(seen.append)
    client.send(Generate(client.next_id(), ()))
    driver.wait(lambda: seen)
    client.shutdown()
    client.deleteLater()


def test_the_child_has_its_own_environment(qapp: object, tmp_path: Path) -> None:
    driver = EngineDriver(tmp_path, f"scripted:{write_script(tmp_path)}", {"HEARTH_TEST": "ü"})
    driver.load("/model.gguf")
    assert driver.client.pid is not None
    environment = psutil.Process(driver.client.pid).environ()
    assert environment["GOMP_SPINCOUNT"] == "1000"
    assert "glibc.malloc.hugetlb=1" in environment["GLIBC_TUNABLES"]
    assert environment["HEARTH_TEST"] == "ü"
    assert "GOMP_SPINCOUNT" not in os.environ
    driver.close()


def test_deltas_are_joined_only_with_their_own_kind() -> None:
    sent = [
        TextDelta(1, "a"),
        TextDelta(1, "b"),
        ReasoningDelta(1, "c"),
        ReasoningDelta(1, "d"),
        TextDelta(2, "e"),
        TextDelta(1, "f"),
        Unloaded(3),
        TextDelta(1, "g"),
    ]
    assert list(joined(sent)) == [
        TextDelta(1, "ab"),
        ReasoningDelta(1, "cd"),
        TextDelta(2, "e"),
        TextDelta(1, "f"),
        Unloaded(3),
        TextDelta(1, "g"),
    ]
