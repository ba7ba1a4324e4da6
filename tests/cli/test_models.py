"""`hearth models` as a person has it: real processes against a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.estimated_shape import described_shape
from app.core.fit import need_of
from app.core.gguf_reader import read_prefix
from app.services.fits import PREFIX_BYTES
from tests.cli.hearth import Hearth, files_under
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.planned_models import planned_model
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

REPO = "maker/Tiny-1B-GGUF"
WAIT_S = 30
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    vocabulary = tiny.bpe_vocabulary()
    path = tiny.write_model(tmp_path / "made.gguf", vocabulary, template=tiny.CHATML, context_length=2048)
    return Path(path).read_bytes()


@pytest.fixture
def environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    share = tmp_path / "share"
    share.mkdir()
    return {"HF_ENDPOINT": hub.url, "NO_PROXY": "*", "XDG_DATA_HOME": str(share)}


@pytest.fixture
def run(hearth: Hearth, environment: dict[str, str]) -> Run:
    def models(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return hearth.run("models", *words, environment={**environment, **more})

    return models


@pytest.fixture
def folder(hearth: Hearth) -> Path:
    """Where the model goes when nothing else is said."""
    return hearth.data / "models" / "maker" / "Tiny-1B-GGUF"


def fill(hub: HubServer, model: bytes, **facts: Any) -> str:
    files: dict[str, bytes | Path] = {
        "tiny.Q4_K_M.gguf": model,
        "sub/tiny.Q8_0.gguf": model + b"\0" * 32,
        "README.md": b"# Tiny",
    }
    return hub.add_repo(REPO, files, tags=["gguf", "license:mit"], downloads=12345, **facts)


def test_search_prints_what_the_hub_finds(hub: HubServer, model: bytes, run: Run) -> None:
    fill(hub, model)
    hub.add_repo("maker/Tiny-70B-GGUF", {"a.gguf": model})
    done = run("search", "tiny", "--max-size", "8GB", "--sort", "likes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{REPO}  (12,345 downloads, 10 likes, 1 billion, mit)\n"
    found = json.loads(run("search", "tiny", "--json", "--limit", "1").stdout)
    assert [item["repo"] for item in found] == [REPO]
    nothing = run("search", "no such model")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no GGUF model" in nothing.stderr


def test_search_ends_though_the_hub_always_has_another_page(hub: HubServer, run: Run) -> None:
    link = f'<{hub.url}/api/models?cursor=abc>; rel="next"'
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=200, headers={"Link": link}, body=b"[]"), times=1000)
    done = run("search", "x")
    assert (done.returncode, done.stdout) == (0, "")
    assert len(hub.requests) < 30


def test_info_of_a_repository(hub: HubServer, model: bytes, run: Run) -> None:
    commit = fill(hub, model, gated="manual")
    done = run("info", REPO)
    assert done.returncode == 0
    assert f"Commit: {commit}" in done.stdout
    assert "Access: its author lets people in one by one" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")] == ["Q4_K_M", "Q8_0"]
    told = json.loads(run("info", f"https://huggingface.co/{REPO}", "--json").stdout)
    assert [file["quantization"] for file in told["files"]] == ["Q4_K_M", "Q8_0"]
    assert told["files"][0]["parts"][0]["sha256"] == hashlib.sha256(model).hexdigest()


def test_info_of_a_file_reads_its_header(hub: HubServer, model: bytes, run: Run) -> None:
    fill(hub, model)
    done = run("info", f"{REPO}/tiny.Q4_K_M.gguf")
    assert done.returncode == 0
    assert "Architecture: llama" in done.stdout
    assert "Context: up to 2,048 tokens" in done.stdout
    assert "Memory for 2,048 tokens: Needs" in done.stdout
    assert f"SHA-256: {hashlib.sha256(model).hexdigest()}" in done.stdout
    told = json.loads(run("info", f"{REPO}:q8-0", "--json").stdout)
    assert (told["path"], told["context_length"]) == ("sub/tiny.Q8_0.gguf", 2048)
    assert told["needed_bytes"] > 0


def test_info_tells_the_memory_that_the_window_tells(hub: HubServer, run: Run, hearth: Hearth) -> None:
    data = planned_model("Llama 3.2 3B").whole_header()
    fill(hub, data)
    hearth.data.mkdir()
    (hearth.data / "settings.json").write_text(json.dumps({"model.cache_type": "q4_0"}), "utf-8")
    shape = described_shape(read_prefix(data[:PREFIX_BYTES], len(data)), len(data))
    smaller = json.loads(run("info", f"{REPO}:Q4_K_M", "--json").stdout)
    assert smaller["needed_bytes"] == need_of(shape, 8192, "q4_0").total_bytes
    (hearth.data / "settings.json").unlink()
    devices = json.loads(hearth.run("doctor", "--json").stdout)["engine"]["devices"]
    flash = any(device["flash_attention"] for device in devices)
    told = json.loads(run("info", f"{REPO}:Q4_K_M", "--json").stdout)
    assert told["needed_bytes"] == need_of(shape, 8192, cpu_flash_attention=flash).total_bytes


@pytest.mark.parametrize(
    "reference",
    [f"{REPO}/tiny.Q4_K_M.gguf", f"hf:{REPO}:Q4_K_M", f"https://huggingface.co/{REPO}/blob/main/tiny.Q4_K_M.gguf"],
)
def test_pull_downloads_and_lists(hub: HubServer, model: bytes, run: Run, folder: Path, reference: str) -> None:
    commit = fill(hub, model)
    done = run("pull", reference)
    assert (done.returncode, done.stderr) == (0, "")
    path = folder / "tiny.Q4_K_M.gguf"
    assert done.stdout == f"{path}\n"
    assert path.read_bytes() == model
    assert files_under(folder) == [path.name]
    (listed,) = json.loads(run("list", "--json").stdout)
    assert (listed["path"], listed["repo"], listed["commit"]) == (str(path), REPO, commit)
    assert listed["sha256"] == hashlib.sha256(model).hexdigest()
    assert str(path) in run("list").stdout


def test_pull_into_a_folder_with_json(hub: HubServer, model: bytes, run: Run, tmp_path: Path) -> None:
    fill(hub, model)
    hub.cdn.bytes_per_second = len(model) // 2
    done = run("pull", f"{REPO}:Q8_0", "--folder", str(tmp_path / "here"), "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["event"] for line in lines[:-1]} == {"progress"}
    assert lines[-1]["event"] == "done"
    assert Path(lines[-1]["path"]) == tmp_path / "here" / "sub" / "tiny.Q8_0.gguf"
    assert Path(lines[-1]["path"]).is_file()


def test_pull_of_a_repository_asks_which_file(hub: HubServer, model: bytes, run: Run) -> None:
    fill(hub, model)
    done = run("pull", REPO)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Which file" in done.stderr
    assert "tiny.Q4_K_M.gguf" in done.stderr


def test_pull_of_a_repository_without_models_says_so(hub: HubServer, run: Run) -> None:
    hub.add_repo(REPO, {"README.md": b"# Tiny"}, tags=["gguf"])
    done = run("pull", REPO)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"There is no GGUF file in {REPO}.\n"


def test_the_system_is_quoted_in_its_words(hub: HubServer, model: bytes, run: Run, tmp_path: Path) -> None:
    fill(hub, model)
    (tmp_path / "file").write_text("no folder")
    assert "Not a directory" in run("pull", f"{REPO}:Q4_K_M", "--folder", str(tmp_path / "file" / "below")).stderr


def test_ctrl_c_keeps_what_came_and_the_same_command_goes_on(
    hub: HubServer, hearth: Hearth, run: Run, environment: dict[str, str], model: bytes, folder: Path
) -> None:
    content = model + random.Random(1).randbytes(3_000_000)
    hub.add_repo(REPO, {"tiny.Q4_K_M.gguf": content})
    hub.cdn.bytes_per_second = 400_000
    with hearth.start("models", "pull", f"{REPO}:Q4_K_M", "--json", environment=environment) as process:
        deadline = time.monotonic() + WAIT_S
        while _part_bytes(folder) < 300_000:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    stopped = json.loads(out.splitlines()[-1])
    assert stopped["event"] == "stopped"
    assert 0 < stopped["done_bytes"] < len(content)
    assert "the same command goes on" in err.decode()
    hub.cdn.bytes_per_second = None
    hub.requests.clear()
    done = run("pull", f"{REPO}:Q4_K_M")
    assert done.returncode == 0
    assert (folder / "tiny.Q4_K_M.gguf").read_bytes() == content
    ranges = [request.headers.get("range", "") for request in hub.seen("cdn", "GET")]
    assert ranges
    assert all(wanted and not wanted.startswith("bytes=0-") for wanted in ranges)


def test_what_was_there_before_is_not_counted_as_speed(
    hub: HubServer, hearth: Hearth, environment: dict[str, str], model: bytes, folder: Path
) -> None:
    content = model + random.Random(1).randbytes(6_000_000)
    hub.add_repo(REPO, {"tiny.Q4_K_M.gguf": content})
    for bytes_per_second, lines in ((4_000_000, 1), (200_000, 4)):
        hub.cdn.bytes_per_second = bytes_per_second
        with hearth.start("models", "pull", f"{REPO}:Q4_K_M", "--json", environment=environment) as process:
            assert process.stdout is not None
            deadline = time.monotonic() + WAIT_S
            while bytes_per_second > 1_000_000 and _part_bytes(folder) < 3_000_000:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            told = [json.loads(process.stdout.readline()) for _ in range(lines)]
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WAIT_S)
    assert told[-1]["done_bytes"] > 2_000_000
    assert all(line["bytes_per_second"] < 2_000_000 for line in told)


def test_a_download_ends_with_its_reader(
    hub: HubServer, hearth: Hearth, environment: dict[str, str], model: bytes, folder: Path
) -> None:
    fill(hub, model)
    hub.cdn.bytes_per_second = len(model) // 60
    with hearth.start("models", "pull", f"{REPO}:Q4_K_M", "--json", environment=environment) as process:
        assert process.stdout is not None
        assert b"progress" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(WAIT_S) == 1
    assert not (folder / "tiny.Q4_K_M.gguf").exists()


def _part_bytes(folder: Path) -> int:
    """Real bytes on disk: a part may be made as long as the file at once."""
    if not folder.is_dir():
        return 0
    return sum(file.stat().st_blocks * 512 for file in folder.iterdir())


def test_progress_is_shown_in_a_terminal(
    hub: HubServer, hearth: Hearth, environment: dict[str, str], model: bytes
) -> None:
    fill(hub, model)
    hub.cdn.bytes_per_second = len(model) // 2
    ours, theirs = pty.openpty()
    with hearth.start("models", "pull", f"{REPO}:Q4_K_M", environment=environment, stderr=theirs) as process:
        process.communicate(timeout=WAIT_S)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "% " in shown


def test_a_gated_model_is_explained(hub: HubServer, model: bytes, run: Run, folder: Path) -> None:
    fill(hub, model, gated="auto")
    hub.tokens = {"hf_good": {REPO}}
    refused = run("pull", f"{REPO}:Q4_K_M")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "accept its terms" in refused.stderr
    assert f"{hub.url}/{REPO}" in refused.stderr
    assert "HF_TOKEN" in refused.stderr
    told = json.loads(run("pull", f"{REPO}:Q4_K_M", "--json").stdout.splitlines()[-1])
    assert told["error"]["kind"] == "gated"
    allowed = run("pull", f"{REPO}:Q4_K_M", HF_TOKEN="hf_good")
    assert allowed.returncode == 0
    assert (folder / "tiny.Q4_K_M.gguf").is_file()


@pytest.mark.parametrize(
    ("words", "environment_change", "told"),
    [
        (["search", "x"], {"HF_HUB_OFFLINE": "1"}, "stay offline"),
        (["search", "x"], {"HF_ENDPOINT": "http://127.0.0.1:1"}, "refused the connection"),
        (["info", "maker/none"], {}, "no “maker/none”"),
        (["info", f"{REPO}/none.gguf"], {}, "no file “none.gguf”"),
        (["pull", "nonsense"], {}, "names nothing on the hub"),
        (["search", "x"], {"HF_ENDPOINT": "nonsense:99999"}, "cannot be used"),
        (["rm", "nothing"], {}, "No model on the list"),
    ],
)
def test_errors_are_told_in_words(
    hub: HubServer, model: bytes, run: Run, words: list[str], environment_change: dict[str, str], told: str
) -> None:
    fill(hub, model)
    done = run(*words, **environment_change)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["rm", "nothing"], "no_such_model"),
        (["info", "nonsense"], "not_a_reference"),
        (["info", f"{REPO}:Q2_K"], "not_on_hub"),
    ],
)
def test_what_went_wrong_is_told_to_programs_as_well(
    hub: HubServer, model: bytes, run: Run, words: list[str], kind: str
) -> None:
    fill(hub, model)
    done = run(*words, "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["kind"]) == (1, kind)
    assert done.stderr


def test_programs_are_told_what_to_choose_from(hub: HubServer, model: bytes, run: Run) -> None:
    fill(hub, model)
    done = run("pull", REPO, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["event"]) == (2, "choose")
    assert [file["quantization"] for file in told["files"]] == ["Q4_K_M", "Q8_0"]


def test_several_models_of_a_name_are_told_apart_by_their_paths(run: Run, hearth: Hearth, model: bytes) -> None:
    paths = [hearth.data / "models" / folder / "same.gguf" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_bytes(model)
    refused = run("rm", "same.gguf", "--json")
    assert refused.returncode == 1
    error = json.loads(refused.stdout)["error"]
    assert (error["kind"], sorted(error["details"]["paths"])) == ("several_models", [str(path) for path in paths])
    assert all(str(path) in refused.stderr for path in paths)
    assert run("rm", str(paths[0])).returncode == 0
    assert [path.exists() for path in paths] == [False, True]


def test_without_standard_error_nothing_of_it_gets_into_the_output(
    hub: HubServer, hearth: Hearth, environment: dict[str, str]
) -> None:
    done = hearth.run("models", "search", "nothing", environment=environment, preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (0, "")


def test_nobody_needs_to_read_standard_error(hub: HubServer, hearth: Hearth, environment: dict[str, str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = hearth.run("models", "search", "nothing", environment=environment, stderr=theirs)
    os.close(theirs)
    assert (done.returncode, done.stdout) == (0, "")


def test_an_answer_that_was_seen_is_shown_offline(hub: HubServer, model: bytes, run: Run) -> None:
    fill(hub, model)
    online = run("search", "tiny")
    offline = run("search", "tiny", HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout) == (0, online.stdout)
    assert "could not be asked" in offline.stderr


def test_rm_moves_to_the_trash(hub: HubServer, model: bytes, run: Run, folder: Path, tmp_path: Path) -> None:
    fill(hub, model)
    run("pull", f"{REPO}:Q4_K_M")
    done = run("rm", "tiny.Q4_K_M.gguf")
    assert done.returncode == 0
    assert "in the trash" in done.stderr
    assert not (folder / "tiny.Q4_K_M.gguf").exists()
    assert [file.read_bytes() for file in (tmp_path / "share").rglob("*.gguf")] == [model]
    assert run("list").stdout == ""


def test_rm_can_keep_the_file(hub: HubServer, model: bytes, run: Run, folder: Path) -> None:
    fill(hub, model)
    run("pull", f"{REPO}:Q4_K_M")
    assert run("rm", str(folder / "tiny.Q4_K_M.gguf"), "--keep-file").returncode == 0
    assert (folder / "tiny.Q4_K_M.gguf").exists()
    assert run("list").stdout == ""


def test_adopt_uses_what_other_programs_have(run: Run, model: bytes, tmp_path: Path) -> None:
    cache = tmp_path / "llama.cpp"
    cache.mkdir()
    theirs = cache / "maker_tiny_tiny.Q4_K_M.gguf"
    theirs.write_bytes(model)
    looked = run("adopt", "--dry-run", "--json", LLAMA_CACHE=str(cache))
    assert [item["path"] for item in json.loads(looked.stdout)] == [str(theirs)]
    assert run("list").stdout == ""
    adopted = run("adopt", LLAMA_CACHE=str(cache))
    assert adopted.returncode == 0
    assert str(theirs) in adopted.stdout
    (listed,) = json.loads(run("list", "--json").stdout)
    assert (listed["path"], listed["owner"]) == (str(theirs), "llama_cpp")
    removed = run("rm", str(theirs))
    assert (removed.returncode, theirs.exists()) == (0, True)
    assert "belongs to llama.cpp" in removed.stderr
    assert run("list").stdout == ""
