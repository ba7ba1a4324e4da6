"""Models on another computer: a real RPC server of llama.cpp, in a process of its own on this one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, NoticeKind
from app.core.events import Device, DeviceTested, Failed, Loaded, Notice, TextDelta
from app.core.remote import REMOTE_KIND, remote_device
from app.engine import protocol
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.protocol import Devices, Generate, Load
from app.engine.worker.backend_libraries import library_path
from app.engine.worker.rpc_probe import PROBE_LIMIT_S
from tests.engine.engine_child import EngineChild, assistant, user
from tests.engine.release_engine import release_libraries
from tests.engine.rpc_server import RpcServer, free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="needs the release engine, and reads /proc"),
]

BUILTIN = Path(__file__).parents[2] / "resources" / "models" / "hearth-guide-q8_0.gguf"
ALL_LAYERS, SOME_LAYERS = -1, 2


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_libraries(tmp_path_factory.mktemp("release"))


@pytest.fixture
def server(libraries: Path, tmp_path: Path) -> Iterator[RpcServer]:
    server = RpcServer(libraries, tmp_path / "server.log")
    yield server
    server.kill()


@contextmanager
def child_with(libraries: Path, folder: Path, *arguments: str) -> Iterator[EngineChild]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LLAMA_CPP_LIB_PATH", str(libraries))
        child = EngineChild(*arguments, log_path=folder / "engine.log")
    try:
        yield child
    finally:
        child.close()


@pytest.fixture
def child(libraries: Path, tmp_path: Path) -> Iterator[EngineChild]:
    with child_with(libraries, tmp_path, "--attempts", str(tmp_path / "attempts.json")) as child:
        yield child


def others(child: EngineChild, *servers: str) -> list[Device]:
    """The devices of other computers that the child lists."""
    return [device for device in child.ask(Devices(0, servers)).last.devices if device.kind == REMOTE_KIND]


def load(child: EngineChild, device: str, gpu_layers: int = ALL_LAYERS) -> dict[str, int]:
    """Loads the built-in model; gives how many layers each device has."""
    run = child.ask(Load(0, str(BUILTIN), threads=1, device=device, gpu_layers=gpu_layers))
    assert isinstance(run.last, Loaded), run.last
    return {share["name"]: share["layers"] for share in run.last.model.plan["devices"]}


def converse(child: EngineChild) -> list[str]:
    """Three answers, each of which continues what is in memory of the ones before."""
    messages: list[Any] = []
    for number, question in enumerate(("How do I stop an answer?", "My name is Ada.", "What is 4 + 5?")):
        messages.append(user(question, f"u{number}"))
        run = child.generate(messages, sampling={"temperature": 0.0}, max_tokens=32, conversation_id="c")
        messages.append(assistant(run.text, f"a{number}"))
    return [message.text for message in messages[1::2]]


def test_all_and_some_layers_elsewhere_give_the_processors_text(
    child: EngineChild, server: RpcServer, libraries: Path
) -> None:
    name = remote_device(server.address, 0)
    (device,) = others(child, server.address)
    assert (device.name, device.description, device.problem) == (name, server.address, "")
    assert 0 < device.free_bytes <= device.total_bytes
    mapped = Path(f"/proc/{child.process.pid}/maps")
    assert load(child, "CPU") == {"CPU": load(child, "CPU")["CPU"]}
    expected = converse(child)
    assert all(expected)
    assert str(library_path(libraries, "rpc")) not in mapped.read_text("utf-8")
    for layers in (ALL_LAYERS, SOME_LAYERS):
        placed = load(child, name, layers)
        assert placed[name] > 0
        assert (placed.get("CPU", 0) == 0) == (layers == ALL_LAYERS)
        assert converse(child) == expected, f"{layers} layers"
    (device,) = others(child, server.address)  # while it serves this child and nobody else
    assert not device.problem
    assert device.total_bytes


def test_it_is_measured_and_is_never_the_engines_own_choice(child: EngineChild, server: RpcServer) -> None:
    others(child, server.address)
    assert remote_device(server.address, 0) not in load(child, "")
    tested = child.ask(protocol.TestDevice(0, remote_device(server.address, 0), str(BUILTIN))).last
    assert isinstance(tested, DeviceTested)
    assert tested.generation_tokens_per_second > 0


def test_what_is_planned_is_what_it_takes(child: EngineChild, server: RpcServer) -> None:
    run = child.ask(Load(0, str(BUILTIN), threads=1, device=remote_device(server.address, 0)))
    share = run.last.model.plan["devices"][1]
    assert share["name"] == remote_device(server.address, 0)
    assert share["used_bytes"] == pytest.approx(share["planned_bytes"], rel=0.03)


def test_nobody_there_and_nobody_talking_are_told_in_time(child: EngineChild, server: RpcServer) -> None:
    absent = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        start = time.monotonic()
        found = {device.description: device.problem for device in others(child, absent, silent, server.address)}
        assert time.monotonic() - start < 3 * PROBE_LIMIT_S
        assert found == {absent: "unreachable", silent: "silent", server.address: ""}
        for address, problem in found.items():
            if not problem:
                continue
            run = child.ask(Load(0, str(BUILTIN), threads=1, device=remote_device(address, 0)))
            assert isinstance(run.last, Loaded)  # on this computer
            (notice,) = run.of(Notice)
            assert notice.kind is NoticeKind.SERVER_UNUSED
            assert (notice.details["server"], notice.details["problem"]) == (address, problem)
            failed = child.ask(protocol.TestDevice(0, remote_device(address, 0), str(BUILTIN))).last
            assert failed.error.kind is ErrorKind.SERVER_UNUSABLE
    assert child.generate([user("hello")], max_tokens=4).text


def test_a_server_that_serves_somebody_else_is_not_waited_for(
    child: EngineChild, server: RpcServer, libraries: Path, tmp_path: Path
) -> None:
    load(child, remote_device(server.address, 0))
    with child_with(libraries, tmp_path) as other:
        assert [device.problem for device in others(other, server.address)] == ["silent"]
    assert child.generate([user("hello")], max_tokens=4).text


def test_a_server_lost_in_the_middle_is_named_and_not_tried_again(
    child: EngineChild, server: RpcServer, libraries: Path, tmp_path: Path
) -> None:
    name = remote_device(server.address, 0)
    load(child, name)
    request = child.send(Generate(0, (user("Tell me all."),), {"temperature": 0.0}, max_tokens=2000))
    child.wait_for(TextDelta)
    server.kill()
    events: list[Any] = []
    while (event := child.next_event()) is not None:
        events.append(event)
    lost = events[-1]
    assert isinstance(lost, Failed)
    assert lost.request_id == 0 != request
    assert (lost.error.kind, lost.error.string("server")) == (ErrorKind.SERVER_LOST, server.address)
    server.start()
    journal = AttemptJournal(tmp_path / "attempts.json")
    with child_with(libraries, tmp_path, "--attempts", str(tmp_path / "attempts.json")) as fresh:
        assert name in journal.failed(AttemptKind.DEVICE)
        assert [device.problem for device in others(fresh, server.address)] == ["crashed"]
        assert name not in load(fresh, name)
        assert fresh.generate([user("hello")], max_tokens=4).text
        journal.forget()  # "Try it again"
        assert name in load(fresh, name)


def test_a_finished_answer_leaves_nothing_in_the_journal(child: EngineChild, server: RpcServer, tmp_path: Path) -> None:
    load(child, remote_device(server.address, 0))
    assert child.generate([user("hello")], max_tokens=4).text
    child.ask(Devices(0))  # begun when the answer is put away
    assert not AttemptJournal(tmp_path / "attempts.json").is_open


def test_a_server_lost_while_nobody_asks_does_not_end_a_load_elsewhere_unexplained(
    child: EngineChild, server: RpcServer
) -> None:
    load(child, remote_device(server.address, 0))
    server.kill()
    child.send(Load(0, str(BUILTIN), threads=1, device="CPU", context_length=512))
    events = []
    while (event := child.next_event()) is not None:
        events.append(event)
    assert events[-1].error.kind is ErrorKind.SERVER_LOST
    assert not events[-1].error.string("path")


@pytest.mark.parametrize("servers", [("nowhere",), ("::1:50052",), ("a b:1",), ("host:99999",)])
def test_addresses_that_are_none_are_refused(child: EngineChild, servers: tuple[str, ...]) -> None:
    assert child.ask(Devices(0, servers)).last.error.kind is ErrorKind.SERVER_ADDRESS_INVALID


def run_hearth(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments, "--data-dir", str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_line_asks_and_looks_at_a_server(
    server: RpcServer, libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(libraries))
    question = ("ask", "What is 4 + 5?", "--temperature", "0")
    here = run_hearth(tmp_path / "data", *question)
    there = run_hearth(tmp_path / "data", *question, "--rpc", server.address)
    assert here.stdout
    assert (there.stdout, there.stderr, there.returncode) == (here.stdout, "", 0)
    absent = f"127.0.0.1:{free_port()}"
    found = run_hearth(tmp_path / "data", "doctor", "--json", "--rpc", server.address, "--rpc", absent)
    devices = {device["description"]: device for device in json.loads(found.stdout)["engine"]["devices"]}
    assert devices[server.address]["generation_tokens_per_second"] > 0
    assert "cannot be reached" in devices[absent]["problem_in_words"]
    server.kill()
    alone = run_hearth(tmp_path / "data", *question, "--rpc", server.address)
    assert alone.stdout == here.stdout
    assert f"on this computer instead of {server.address}" in alone.stderr
    assert run_hearth(tmp_path / "data", *question, "--rpc", "[::1]:50052").returncode == 2
