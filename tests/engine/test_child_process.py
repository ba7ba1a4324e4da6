"""The child as a process: it survives nonsense, and never survives its parent."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.core.errors import ErrorKind
from app.core.events import Counted, Failed, Ready, TemplateChecked, Unloaded
from app.engine.process_exit import last_words
from app.engine.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    CheckTemplate,
    Count,
    Devices,
    Generate,
    Shutdown,
    decode_event,
    encode,
)
from tests.engine.engine_child import TIMEOUT_S, EngineChild, user
from tests.engine.engine_driver import write_script
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.tiny_gguf import byte_token, chain

pytestmark = pytest.mark.engine


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[EngineChild]:
    """A child of this test's own, which may be ended."""
    running = EngineChild(log_path=tmp_path / "engine.log")
    yield running
    running.close()


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers for a long time."""
    return tiny.write_model(
        tmp_path_factory.mktemp("endless") / "endless.gguf",
        tiny.bpe_vocabulary(),
        template=tiny.CHATML,
        successors=chain(byte_token("\n"), "a", "b", "a"),
        context_length=65536,
        layers=8,
    )


def test_it_says_that_it_is_ready(child: EngineChild) -> None:
    assert isinstance(child.ready, Ready)
    assert child.ready.protocol == PROTOCOL_VERSION
    assert child.ready.pid == child.process.pid
    assert "llama.cpp" in child.ready.engine


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists what a process has loaded")
def test_a_child_for_templates_loads_no_engine(tmp_path: Path) -> None:
    child = EngineChild("--backend", "none", "--idle", log_path=tmp_path / "engine.log")
    assert isinstance(child.ask(CheckTemplate(0, template=tiny.CHATML)).last, TemplateChecked)
    assert child.ask(Devices(0)).last.error.kind is ErrorKind.BAD_REQUEST
    loaded = {Path(each.path).name for each in psutil.Process(child.process.pid).memory_maps()}
    child.close()
    assert "libc.so.6" in loaded
    assert not [name for name in loaded if "llama" in name or "ggml" in name or "vulkan" in name]


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b"nonsense", 0),
        (b"[1, 2]", 0),
        (b'"text"', 0),
        (b"{}", 0),
        (b'{"type": "dance", "id": 7}', 7),
        (b'{"type": "load", "id": 8}', 8),
        (b'{"type": "load", "id": "x", "path": "y"}', 0),
        (b'{"type": "generate", "id": 9, "messages": [{"id": 1}]}', 9),
        (b'{"type": "generate", "id": 9, "messages": {}}', 9),
        (b'{"type": "loaded", "id": 3}', 3),
        (b"\xff\xfe\x00", 0),
        (b"[" * 100_000, 0),
        (b'{"id": true}', 0),
    ],
)
def test_a_bad_line_is_answered(child: EngineChild, line: bytes, request_id: int) -> None:
    child.write(line + b"\n")
    answer = child.next_event()
    assert isinstance(answer, Failed)
    assert (answer.request_id, answer.error.kind) == (request_id, ErrorKind.BAD_REQUEST)


def test_unknown_fields_and_blank_lines_are_ignored(child: EngineChild) -> None:
    child.write(b"\n  \r\n" + b'{"type": "unload", "id": 5, "colour": "blue"}\r\n')
    assert child.next_event().request_id == 5


def test_a_line_without_end_is_not_held_in_memory(fresh: EngineChild) -> None:
    part = b"x" * (1024 * 1024)
    for _ in range(3 * MAX_LINE_BYTES // len(part)):
        fresh.write(part)
    fresh.write(b"\n")
    assert fresh.next_event().error.kind is ErrorKind.BAD_REQUEST
    assert psutil.Process(fresh.process.pid).memory_info().rss < 3 * MAX_LINE_BYTES
    assert isinstance(fresh.ask(Count(0, ())).last, Failed)  # no model; but it listens


def test_it_survives_a_thousand_broken_lines(child: EngineChild, models: Path) -> None:
    """Requests with bytes changed, dropped and doubled, from a fixed seed."""
    child.load(models / "qwen2.gguf")
    chance = random.Random(20)
    good = encode(Generate(1000, (user("Hi"), user("you")), {"seed": 1.5, "top_k": 3}, max_tokens=1))
    for _ in range(1000):
        line = bytearray(good[:-1])
        for _ in range(chance.randint(1, 4)):
            line = line or bytearray(b"{")
            place = chance.randrange(len(line))
            match chance.randrange(4):
                case 0:
                    line[place] = chance.randrange(256)
                case 1:
                    del line[place]
                case 2:
                    line[place:place] = line[place : place + chance.randrange(20)]
                case _:
                    del line[place:]
                    line += b"}"
        child.write(bytes(line).replace(b"shutdown", b"") + b"\n")
    last = child.send(Count(0, (user("Hi"),)))
    while not (isinstance(event := child.next_event(), Counted) and event.request_id == last):
        assert event is not None


def test_what_libraries_print_is_not_an_event() -> None:
    source = """
import os
from app.core.events import Unloaded
from app.engine.worker.channel import EventWriter, take_over_stdout
writer = EventWriter(take_over_stdout())
print("noise", flush=True)
os.write(1, b"noise")
os.system("echo noise")
writer.write(Unloaded(1))
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True)
    assert decode_event(done.stdout) == Unloaded(1)
    assert done.stderr.count(b"noise") == 3


def test_the_reason_of_an_abort_is_logged_before_the_end() -> None:
    source = """
import logging, ctypes
logging.basicConfig()
from app.engine.worker import binding
from app.engine.worker.engine_log import EngineLog
log = EngineLog()
kept = binding.initialize(log.add, log.abort)
abort = binding.ggml_function("ggml_abort", None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
abort(b"file.c", 7, b"out of luck")
"""
    environment = os.environ | {"GGML_NO_BACKTRACE": "1"}
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, env=environment, check=False)
    assert done.returncode != 0
    assert b"ggml aborts: file.c:7: out of luck" in done.stderr


def test_a_fault_beside_all_requests_ends_it_instead_of_leaving_it_deaf(tmp_path: Path) -> None:
    source = """
import sys
from app.engine.worker import main
from app.engine.worker.scripted_backend import ScriptedBackend
def rest(backend):
    raise RuntimeError("a fault of ours")
ScriptedBackend.rest = rest
main._REST_AFTER_S = 0.05
main.main(["--backend", "scripted:" + sys.argv[1]])
"""
    command = [sys.executable, "-c", source, str(write_script(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(encode(Devices(1)))
        process.stdin.flush()
        try:
            code = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        assert process.stderr is not None
        log = process.stderr.read().decode()
    assert code > 0
    assert last_words(log) == "RuntimeError: a fault of ours"


def test_the_log_holds_no_words_of_conversations(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    running = EngineChild(log_path=log)
    try:
        running.load(models / "qwen2.gguf")
        running.generate([user("xylophone")], max_tokens=20)
        running.write(b'{"type": "generate", "id": 99, "messages": [{"text": "xylophone"}]}\n')
        running.next_event()
        running.generate([user("xylophone " * 5000)])
    finally:
        running.close()
    assert "xylophone" not in log.read_text()


def test_end_of_input_ends_it(fresh: EngineChild, endless: Path) -> None:
    fresh.load(endless)
    fresh.send(Generate(0, (user("Hi"),)))
    fresh.next_event()
    assert fresh.process.stdin is not None
    fresh.process.stdin.close()
    assert fresh.ends_within(5) < 2.0
    assert fresh.process.returncode == 0


def test_shutdown_ends_it(fresh: EngineChild, endless: Path) -> None:
    fresh.load(endless)
    fresh.send(Generate(0, (user("Hi"),)))
    fresh.next_event()
    fresh.write(encode(Shutdown()))
    assert fresh.ends_within(5) < 2.0
    assert fresh.process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_in_a_terminal_is_the_parents_business(fresh: EngineChild) -> None:
    fresh.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert fresh.ask(Devices(0)).last.devices


_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "app.engine.worker.main"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
child.stdout.readline()
for line in sys.argv[1:]:
    child.stdin.write(line.encode() + b"\\n")
child.stdin.flush()
while b"text_delta" not in child.stdout.readline():
    pass
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("keeps_pipe_open", [False, True], ids=["pipe closes", "pipe stays open"])
def test_the_parents_violent_end_ends_it(endless: Path, keeps_pipe_open: bool) -> None:
    """Also when another process holds the pipe, so that no end of input comes."""
    if keeps_pipe_open and sys.platform != "linux":
        pytest.skip("the kernel's own signal is Linux's; elsewhere the watching thread does it")
    requests = [
        {"type": "load", "id": 1, "path": str(endless), "threads": 1},
        {"type": "generate", "id": 2, "messages": [{"id": "u", "role": "user", "text": "Hi"}]},
    ]
    source = _PARENT
    if keeps_pipe_open:
        holder = 'subprocess.Popen(["sleep", "20"], pass_fds=[child.stdin.fileno()], close_fds=True)'
        source = source.replace("print(child.pid, flush=True)", f"h = {holder}; print(child.pid, h.pid, flush=True)")
    parent = subprocess.Popen(
        [sys.executable, "-c", source, *map(json.dumps, requests)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    orphan = psutil.Process(pids[0])
    parent.kill()
    parent.wait()
    parent.stdout.close()
    start = time.monotonic()
    try:
        while not _is_over(orphan) and time.monotonic() - start < 5:
            time.sleep(0.01)
    finally:
        for pid in pids[1:]:
            os.kill(pid, signal.SIGKILL)
    assert time.monotonic() - start < 10


def _is_over(process: psutil.Process) -> bool:
    """Whether it has ended; whoever inherited it may not have noticed yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
