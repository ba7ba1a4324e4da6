"""What goes wrong with model files and with the engine child: the real engine, real (broken) files, real kills."""

import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import Failed, Finished, FinishReason, Loaded, TextDelta
from app.core.gguf_reader import read_header
from tests.engine.engine_driver import REPOSITORY, EngineDriver
from tests.fixtures.gguf_bytes import (
    STRING,
    VOCABULARY,
    Array,
    Tensor,
    gguf,
    llama_keys,
    llama_tensors,
    tiny_llama,
    write_huge_model,
)
from tests.fixtures.tiny_gguf import write_endless_model

pytestmark = pytest.mark.engine
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")

BROKEN: dict[str, tuple[bytes, ErrorKind]] = {
    "empty": (b"", ErrorKind.FILE_EMPTY),
    "text": (b"This is a shopping list.\n" * 50, ErrorKind.NOT_A_MODEL),
    "web page": (b"<!DOCTYPE html><html>Please log in</html>", ErrorKind.NOT_A_MODEL),
    "zeros": (bytes(100_000), ErrorKind.NOT_A_MODEL),
    "wrong magic": (b"GGUX" + tiny_llama()[4:], ErrorKind.NOT_A_MODEL),
    "old format": (b"tjgg" + tiny_llama()[4:], ErrorKind.OLD_FORMAT),
    "version 1": (gguf(llama_keys(), llama_tensors(), version=1), ErrorKind.OLD_FORMAT),
    "version 99": (gguf(llama_keys(), llama_tensors(), version=99), ErrorKind.UNKNOWN_VERSION),
    "other endianness": (b"GGUF" + struct.pack(">IQQ", 3, 12, 17) + bytes(5000), ErrorKind.OTHER_ENDIANNESS),
    "cut in the header": (tiny_llama()[:3000], ErrorKind.TRUNCATED),
    "cut in the weights": (tiny_llama()[:-1000], ErrorKind.TRUNCATED),
    "no layers": (tiny_llama(llama__block_count=0), ErrorKind.CORRUPT),
    "too many layers": (tiny_llama(llama__block_count=100_000), ErrorKind.CORRUPT),
    "epsilon is no number": (
        tiny_llama(llama__attention__layer_norm_rms_epsilon=float("nan")),
        ErrorKind.CORRUPT,
    ),
    "vocabulary is not UTF-8": (
        tiny_llama(tokenizer__ggml__tokens=Array(STRING, [*VOCABULARY[:-1], b"\xc3\x28"])),
        ErrorKind.CORRUPT,
    ),
    "endless rotation": (tiny_llama(llama__rope__freq_base=-1.0), ErrorKind.CORRUPT),
    "absurd counts": (gguf({}, key_count=1 << 60, tensor_count=1 << 60), ErrorKind.CORRUPT),
    "wrong shape": (
        gguf(llama_keys(), [Tensor("token_embd.weight", (16, 356)), *llama_tensors()[1:]]),
        ErrorKind.CORRUPT,
    ),
    "no shape": (gguf(llama_keys(), [Tensor("token_embd.weight", ()), *llama_tensors()[1:]]), ErrorKind.CORRUPT),
    "tensor missing": (gguf(llama_keys(), llama_tensors()[:-1]), ErrorKind.LOAD_FAILED),
    "unknown architecture": (
        gguf({"general.architecture": "mystery"}, llama_tensors()),
        ErrorKind.UNSUPPORTED_ARCHITECTURE,
    ),
    "vocabulary only": (gguf(llama_keys()), ErrorKind.VOCABULARY_ONLY),
    "embedding model": (gguf({"general.architecture": "bert"}, llama_tensors()), ErrorKind.EMBEDDING_MODEL),
    "encoder and decoder": (gguf({"general.architecture": "t5"}, llama_tensors()), ErrorKind.ENCODER_DECODER),
    "projector": (gguf({"general.architecture": "clip"}, llama_tensors()), ErrorKind.PROJECTOR),
    "adapter": (gguf(llama_keys(general__type="adapter"), llama_tensors()), ErrorKind.ADAPTER),
    "second part": (gguf({**llama_keys(), "split.no": 1, "split.count": 2}), ErrorKind.LEFTOVER_SPLIT),
    "old mixture": (
        gguf(llama_keys(), [*llama_tensors(), Tensor("blk.0.ffn_gate.0.weight", (32, 64))]),
        ErrorKind.OLD_MIXTURE,
    ),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "good.gguf"
    path.write_bytes(tiny_llama(llama__context_length=4096))
    return path


@pytest.fixture
def driver(qapp: object, tmp_path: Path) -> Iterator[EngineDriver]:
    driver = EngineDriver(tmp_path)
    yield driver
    driver.close()


def test_the_previous_model_survives_every_broken_file(driver: EngineDriver, model: Path, tmp_path: Path) -> None:
    assert isinstance(driver.load(model), Loaded)
    pid = driver.client.pid
    path = tmp_path / "broken.gguf"
    for name, (data, kind) in BROKEN.items():
        path.write_bytes(data)
        failed = driver.load(path)
        assert isinstance(failed, Failed), name
        assert failed.error.kind is kind, f"{name}: {failed.error}"
        assert failed.error.string("path") == str(path)
        answer = driver.ask(max_tokens=3)
        assert isinstance(answer, Finished), name
        assert driver.client.pid == pid, name
    for missing in (tmp_path / "absent.gguf", tmp_path):
        failed = driver.load(missing)
        assert isinstance(failed, Failed)
        assert failed.error.kind in (ErrorKind.FILE_MISSING, ErrorKind.FILE_UNREADABLE)
    assert driver.deaths == []


def test_two_hundred_fuzzed_headers_never_kill_the_child(driver: EngineDriver, tmp_path: Path) -> None:
    good = tiny_llama()
    end = read_header(good).data_offset
    rng = random.Random(20261121)
    path = tmp_path / "fuzzed.gguf"
    assert isinstance(driver.load(_written(path, good)), Loaded)
    pid = driver.client.pid
    started = time.monotonic()
    loaded = 0
    for _ in range(200):
        result = driver.load(_written(path, _mutated(rng, good, end)))
        assert isinstance(result, Loaded | Failed)
        if isinstance(result, Loaded):
            loaded += 1
            assert isinstance(driver.ask(max_tokens=2), Finished)
    assert driver.client.pid == pid
    assert driver.deaths == []
    assert 0 < loaded < 200
    assert time.monotonic() - started < 60


def _written(path: Path, data: bytes) -> Path:
    # A new file each time: the last one may still be mapped by the child.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _mutated(rng: random.Random, data: bytes, end: int) -> bytes:
    """The file with up to five mistakes in its header, often in the part before the vocabulary."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(8, rng.choice([700, end]))
        match rng.randrange(4):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                out[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 3, 255, 65535, 2**31 - 1, 2**32 - 1]))
            case 2:
                out[at : at + 4] = struct.pack("<f", rng.choice([float("nan"), float("inf"), -1.0, 0.0, 1e30]))
            case 3:
                out[at : at + 8] = struct.pack("<Q", rng.choice([0, 1 << 40, 1 << 63, (1 << 64) - 1]))
    return bytes(out)


def test_an_absurd_context_is_refused_at_once_with_figures(driver: EngineDriver, tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    path.write_bytes(tiny_llama(llama__context_length=2_000_000_000))
    assert isinstance(driver.load(path), Loaded)  # by default a modest context
    assert driver.client.pid is not None
    before = psutil.Process(driver.client.pid).memory_info().rss
    for wanted in (1_500_000_000, 2_000_000_000):
        started = time.perf_counter()
        failed = driver.load(path, context_length=wanted)
        assert time.perf_counter() - started < 10
        assert isinstance(failed, Failed)
        error = failed.error
        assert error.kind is ErrorKind.NOT_ENOUGH_MEMORY
        assert error.integer("context_length") == wanted
        assert error.integer("needed_bytes") > error.integer("free_bytes") > 0
        assert error.integer("suggested_context_length") > 0
    assert psutil.Process(driver.client.pid).memory_info().rss < before + 50_000_000
    answer = driver.ask(max_tokens=3)
    assert isinstance(answer, Finished)


def test_a_model_larger_than_the_memory_is_refused(driver: EngineDriver, tmp_path: Path) -> None:
    try:
        path = write_huge_model(tmp_path / "huge.gguf")
    except OSError:
        pytest.skip("no files with holes here")
    failed = driver.load(path)
    assert isinstance(failed, Failed)
    assert failed.error.kind is ErrorKind.NOT_ENOUGH_MEMORY
    assert failed.error.integer("suggested_context_length") == 0


@posix
def test_killed_in_the_middle_of_an_answer(driver: EngineDriver, model: Path, tmp_path: Path) -> None:
    driver.load(write_endless_model(tmp_path / "endless.gguf"))
    request_id = driver.send_question("hello world", max_tokens=0)
    driver.wait(lambda: driver.of(request_id, TextDelta))
    assert driver.client.pid is not None
    os.kill(driver.client.pid, signal.SIGKILL)
    driver.wait(lambda: driver.deaths)
    driver.settle(0.2)
    assert driver.deaths == [UserError(ErrorKind.ENGINE_CRASHED, reason="", signal_name="SIGKILL")]
    assert driver.text(request_id)
    assert driver.closing(request_id) is None
    assert isinstance(driver.load(model), Loaded)
    answer = driver.ask(max_tokens=3, sampling={"seed": 1})
    assert isinstance(answer, Finished)
    assert answer.reason is FinishReason.LENGTH


@posix
def test_a_model_file_that_shrinks_under_the_engine(driver: EngineDriver, model: Path) -> None:
    """The weights are mapped: the child dies of it, and that is told like any other death."""
    driver.load(model)
    os.truncate(model, 4096)
    driver.send_question(max_tokens=3)
    driver.wait(lambda: driver.deaths)
    (death,) = driver.deaths
    assert death.kind is ErrorKind.ENGINE_CRASHED
    assert death.string("signal_name") == "SIGBUS"
    model.write_bytes(tiny_llama())
    assert isinstance(driver.load(model), Loaded)


PARENT = """
    import sys
    from pathlib import Path
    from PySide6.QtCore import QCoreApplication
    from app.core.events import TextDelta
    from app.core.messages import Role
    from app.engine.client import EngineClient
    from app.engine.command import engine_command, engine_environment
    from app.engine.protocol import ChatMessage, Generate, Load

    application = QCoreApplication([])
    folder = Path(sys.argv[1])
    client = EngineClient(engine_command(), folder / "engine.log", environment=engine_environment())

    def tell(event):
        if isinstance(event, TextDelta):
            print(client.pid, flush=True)

    client.event_received.connect(tell)
    client.send(Load(1, str(folder / "good.gguf"), threads=1))
    client.send(Generate(2, (ChatMessage("u", Role.USER, "hello"),)))
    application.exec()
"""


@posix
def test_no_engine_outlives_a_killed_window(model: Path, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    try:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.ppid() == parent.pid
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    _, alive = psutil.wait_procs([child], timeout=2.0)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
