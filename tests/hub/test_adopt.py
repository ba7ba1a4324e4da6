"""What other programs keep is found in their own folder layouts, made here as each of them leaves them on disk."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from app.core.library import FoundFile, Owner
from app.hub.adopt import gpt4all, hub_cache, jan, llama_cpp, lm_studio, ollama, text_generation_webui
from app.hub.adopt.places import Places
from app.hub.adopt.programs import FINDERS, find_everywhere, find_new
from app.hub.folder_scan import scan_folder

BYTES = b"GGUF" + bytes(60)
HASHES = ("a" * 64, "b" * 64, "c" * 64)
COMMIT = "d" * 40

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")


def put(path: Path, content: bytes | str = BYTES) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home", {}, "linux", tmp_path)


def on(places: Places, system: str, **environment: str) -> Places:
    return Places(places.home, environment, system, places.root)


# --- folders ---


def test_parts_of_a_split_model_are_one_and_incomplete_ones_are_left_out(tmp_path: Path) -> None:
    parts = [put(tmp_path / f"big-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    put(tmp_path / "half-00001-of-00002.gguf")
    single = put(tmp_path / "sub" / "one.GGUF")
    assert scan_folder(tmp_path, Owner.HEARTH) == [
        FoundFile(Owner.HEARTH, tuple(parts), 3 * len(BYTES)),
        FoundFile(Owner.HEARTH, (single,), len(BYTES)),
    ]


@pytest.mark.parametrize(
    "name", ["mmproj-model-f16.gguf", "llava-mmproj.gguf", "ggml-vocab-llama.gguf", "x.imatrix.gguf", ".hidden.gguf"]
)
def test_what_is_no_model_is_left_out(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    put(tmp_path / "empty.gguf", b"")
    put(tmp_path / "model.gguf.part")
    put(tmp_path / ".hidden" / "model.gguf")
    assert scan_folder(tmp_path, Owner.HEARTH) == []


def test_only_so_deep_and_never_in_circles(tmp_path: Path) -> None:
    near = put(tmp_path / "a" / "near.gguf")
    put(tmp_path / "a" / "b" / "far.gguf")
    if sys.platform != "win32":
        (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert [found.path for found in scan_folder(tmp_path, Owner.HEARTH, max_depth=1)] == [near]


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert scan_folder(tmp_path / "nowhere", Owner.HEARTH) == []


@needs_links
def test_a_link_into_nothing_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nothing")
    assert scan_folder(tmp_path, Owner.HEARTH) == []


# --- LM Studio ---


@pytest.mark.parametrize("home", [".lmstudio", ".cache/lm-studio"])
def test_lm_studio(places: Places, home: str) -> None:
    path = put(places.home / home / "models" / "acme" / "Tiny-GGUF" / "tiny-Q4_K_M.gguf")
    put(places.home / home / "models" / "acme" / "Tiny-GGUF" / "mmproj-tiny.gguf")
    assert list(lm_studio.find(places)) == [FoundFile(Owner.LM_STUDIO, (path,), len(BYTES), repo="acme/Tiny-GGUF")]


def test_lm_studio_elsewhere(places: Places, tmp_path: Path) -> None:
    put(places.home / ".lmstudio-home-pointer", f"{tmp_path / 'studio'}\n")
    put(tmp_path / "studio" / "settings.json", json.dumps({"downloadsFolder": str(tmp_path / "drive")}))
    own = put(tmp_path / "studio" / "models" / "a" / "b" / "own.gguf")
    moved = put(tmp_path / "drive" / "c" / "d" / "moved.gguf")
    assert [(found.path, found.repo) for found in lm_studio.find(places)] == [(moved, "c/d"), (own, "a/b")]


# --- Ollama ---


def manifest(*layers: tuple[str, str]) -> str:
    types = {"model": "application/vnd.ollama.image.model", "template": "application/vnd.ollama.image.template"}
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "layers": [{"mediaType": types[kind], "digest": f"sha256:{digest}", "size": 64} for kind, digest in layers],
        }
    )


def test_ollama(places: Places) -> None:
    folder = places.home / ".ollama" / "models"
    blobs = [put(folder / "blobs" / f"sha256-{digest}") for digest in HASHES]
    names = folder / "manifests" / "registry.ollama.ai"
    put(names / "library" / "llama3.2" / "3b", manifest(("model", HASHES[0]), ("template", HASHES[1])))
    put(names / "library" / "llama3.2" / "latest", manifest(("model", HASHES[0])))  # the same file again
    put(names / "somebody" / "own" / "latest", manifest(("model", HASHES[1])))
    put(folder / "manifests" / "hf.co" / "acme" / "Tiny-GGUF" / "Q8_0", manifest(("model", HASHES[2])))
    put(names / "library" / "cloud" / "latest", manifest(("template", HASHES[1])))
    put(names / "library" / "gone" / "latest", manifest(("model", "e" * 64)))
    put(names / "library" / "broken" / "latest", "{")
    put(names / "library" / "strange" / "latest", json.dumps({"layers": [7, {"mediaType": None}]}))
    put(names / "library" / "evil" / "latest", manifest(("model", "../../../secret")))
    assert {(found.name, found.path, found.sha256, found.repo) for found in ollama.find(places)} == {
        ("Tiny-GGUF:Q8_0", blobs[2], HASHES[2], "acme/Tiny-GGUF"),
        ("llama3.2:3b", blobs[0], HASHES[0], ""),
        ("somebody/own:latest", blobs[1], HASHES[1], ""),
    }


def test_ollama_elsewhere_and_as_a_service(places: Places, tmp_path: Path) -> None:
    for folder in (tmp_path / "drive", tmp_path / "usr" / "share" / "ollama" / ".ollama" / "models"):
        put(folder / "blobs" / f"sha256-{HASHES[0]}")
        put(folder / "manifests" / "registry.ollama.ai" / "library" / "m" / "latest", manifest(("model", HASHES[0])))
    found = list(ollama.find(on(places, "linux", OLLAMA_MODELS=str(tmp_path / "drive"))))
    assert [Path(each.path).parent.parent for each in found] == [
        tmp_path / "drive",
        tmp_path / "usr" / "share" / "ollama" / ".ollama" / "models",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no colons in names")
def test_ollama_of_before_2024(places: Places) -> None:
    folder = places.home / ".ollama" / "models"
    blob = put(folder / "blobs" / f"sha256:{HASHES[0]}")
    put(folder / "manifests" / "registry.ollama.ai" / "library" / "old" / "latest", manifest(("model", HASHES[0])))
    assert [found.path for found in ollama.find(places)] == [blob]


# --- Jan ---


def test_jan(places: Places, tmp_path: Path) -> None:
    data = places.home / ".config" / "Jan" / "data"
    own = put(data / "llamacpp" / "models" / "acme" / "tiny" / "model.gguf")
    put(
        data / "llamacpp" / "models" / "acme" / "tiny" / "model.yml",
        f"embedding: false\nmodel_path: llamacpp/models/acme/tiny/model.gguf\nmodel_sha256: {HASHES[0]}\n"
        "name: Tiny\nsize_bytes: 64\n",
    )
    imported = put(tmp_path / "elsewhere" / "my model.gguf")
    put(data / "llamacpp" / "models" / "mine" / "model.yml", f"model_path: '{imported}'\nname: 'My model'\n")
    put(data / "llamacpp" / "models" / "gone" / "model.yml", "model_path: /nowhere/x.gguf\nname: Gone\n")
    put(data / "llamacpp" / "models" / "odd" / "model.yml", "\x00\xff: [")
    older = put(data / "models" / "old" / "old.gguf")
    assert {(found.path, found.name, found.sha256) for found in jan.find(places)} == {
        (own, "Tiny", HASHES[0]),
        (imported, "My model", ""),
        (older, "", ""),
    }


def test_jan_elsewhere(places: Places, tmp_path: Path) -> None:
    put(places.home / ".config" / "Jan" / "settings.json", json.dumps({"data_folder": str(tmp_path / "drive")}))
    parts = [put(tmp_path / "drive" / "llamacpp" / "models" / "x" / f"m-0000{n}-of-00002.gguf") for n in (1, 2)]
    put(tmp_path / "drive" / "llamacpp" / "models" / "x" / "model.yml", f"model_path: {parts[0]}\nname: Split\n")
    assert [(found.parts, found.name) for found in jan.find(places)] == [(tuple(parts), "Split")]


# --- the others ---


@pytest.mark.parametrize(
    ("system", "folder"),
    [
        ("linux", ".local/share/nomic.ai/GPT4All"),
        ("darwin", "Library/Application Support/nomic.ai/GPT4All"),
        ("win32", "AppData/Local/nomic.ai/GPT4All"),
        ("linux", ".cache/gpt4all"),
    ],
)
def test_gpt4all(places: Places, system: str, folder: str) -> None:
    path = put(places.home / folder / "Meta-Llama-3-8B-Instruct.Q4_0.gguf")
    assert list(gpt4all.find(on(places, system))) == [FoundFile(Owner.GPT4ALL, (path,), len(BYTES))]


def test_gpt4all_elsewhere(places: Places, tmp_path: Path) -> None:
    put(places.home / ".config" / "nomic.ai" / "GPT4All.ini", f"[General]\nmodelPath={tmp_path / 'drive'}\n")
    path = put(tmp_path / "drive" / "m.gguf")
    assert [found.path for found in gpt4all.find(places)] == [path]


@needs_links
def test_the_cache_of_the_hub(places: Places) -> None:
    repository = places.home / ".cache" / "huggingface" / "hub" / "models--acme--Tiny--v2-GGUF"
    put(repository / "blobs" / HASHES[0])
    for commit in (COMMIT, "e" * 40):
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "tiny.gguf").symlink_to(repository / "blobs" / HASHES[0])
    put(repository / "snapshots" / COMMIT / "sub" / "other.gguf")
    put(places.home / ".cache" / "huggingface" / "hub" / "datasets--a--b" / "snapshots" / COMMIT / "x.gguf")
    found = {Path(each.path).name: each for each in hub_cache.find(places)}
    assert sorted(found) == ["other.gguf", "tiny.gguf"]
    assert {each.repo for each in found.values()} == {"acme/Tiny--v2-GGUF"}
    assert found["tiny.gguf"].sha256 == HASHES[0]
    assert found["tiny.gguf"].commit in (COMMIT, "e" * 40)
    assert found["other.gguf"].sha256 == ""


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE"])
def test_the_cache_of_the_hub_elsewhere(places: Places, tmp_path: Path, variable: str) -> None:
    path = put(tmp_path / "drive" / "models--a--b" / "snapshots" / COMMIT / "m.gguf")
    (found,) = hub_cache.find(on(places, "win32", **{variable: str(tmp_path / "drive")}))
    assert (found.path, found.repo, found.commit) == (path, "a/b", COMMIT)


@pytest.mark.parametrize("below", ["user_data/models", "models"])
def test_text_generation_webui(places: Places, below: str) -> None:
    program = places.home / "Downloads" / "text-generation-webui-main"
    put(program / "server.py", "")
    path = put(program / below / "some-model" / "m.gguf")
    put(places.home / "text-generation-webui-not" / "models" / "m.gguf")  # without the program
    assert [found.path for found in text_generation_webui.find(places)] == [path]


@pytest.mark.parametrize(
    ("system", "folder"),
    [
        ("linux", ".cache/llama.cpp"),
        ("darwin", "Library/Caches/llama.cpp"),
        ("win32", "AppData/Local/llama.cpp"),
    ],
)
def test_llama_cpp(places: Places, system: str, folder: str) -> None:
    path = put(places.home / folder / "acme_Tiny-GGUF_tiny.gguf")
    put(Path(path + ".json"), json.dumps({"etag": "x", "url": "https://hub/acme/Tiny-GGUF/resolve/main/tiny.gguf"}))
    without = put(places.home / folder / "other.gguf")
    assert [(found.path, found.repo) for found in llama_cpp.find(on(places, system))] == [
        (path, "acme/Tiny-GGUF"),
        (without, ""),
    ]


# --- all ---


def test_a_file_that_two_programs_know_comes_once(places: Places, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    put(shared / "a" / "b" / "m.gguf")
    put(places.home / ".lmstudio" / "settings.json", json.dumps({"downloadsFolder": str(shared)}))
    put(places.home / ".config" / "Jan" / "settings.json", json.dumps({"data_folder": str(tmp_path / "jan")}))
    put(tmp_path / "jan" / "llamacpp" / "models" / "m" / "model.yml", f"model_path: {shared / 'a' / 'b' / 'm.gguf'}\n")
    assert [found.owner for found in find_everywhere(places)] == [Owner.LM_STUDIO]


@needs_links
def test_a_file_that_two_programs_share_by_a_link_comes_once(places: Places) -> None:
    blob = Path(put(places.home / ".ollama" / "models" / "blobs" / f"sha256-{HASHES[0]}"))
    put(
        places.home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "1b",
        manifest(("model", HASHES[0])),
    )
    link = places.home / ".lmstudio" / "models" / "a" / "b" / "m.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert [found.path for found in find_everywhere(places)] == [str(link)]
    assert find_new(places, [str(blob)], []) == []


@needs_links
def test_another_snapshot_of_a_known_file_is_nothing_new(places: Places) -> None:
    repository = places.home / ".cache" / "huggingface" / "hub" / "models--acme--Tiny"
    put(repository / "blobs" / HASHES[0])
    paths = []
    for number, commit in enumerate((COMMIT, "e" * 40)):
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "tiny.gguf").symlink_to(repository / "blobs" / HASHES[0])
        os.utime(repository / "snapshots" / commit, ns=(number, number))
        paths += [found.path for found in find_new(places, paths, [])]
    assert len(paths) == 1


def test_of_copies_the_first_is_offered_and_none_of_what_is_known(places: Places) -> None:
    for name in ("registry.ollama.ai/library/tiny/1b", "registry.ollama.ai/library/other/latest"):
        digest = HASHES["other" in name]
        put(places.home / ".ollama" / "models" / "blobs" / f"sha256-{digest}")
        put(places.home / ".ollama" / "models" / "manifests" / name, manifest(("model", digest)))
    models = places.home / ".config" / "Jan" / "data" / "llamacpp" / "models" / "t"
    put(models / "model.gguf")
    put(models / "model.yml", f"model_path: llamacpp/models/t/model.gguf\nmodel_sha256: {HASHES[0]}\nname: Tiny\n")
    assert len(find_everywhere(places)) == 3
    assert [found.name for found in find_new(places, [], [])] == ["other:latest", "tiny:1b"]
    assert [found.name for found in find_new(places, [], [HASHES[1], ""])] == ["tiny:1b"]


def test_a_folder_that_is_named_relative_to_what_nobody_knows_is_passed_over(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cache" / "models--a--b" / "snapshots" / COMMIT / "m.gguf")
    monkeypatch.chdir(tmp_path)
    assert find_everywhere(on(places, "linux", HF_HUB_CACHE="cache")) == []


@needs_links
def test_programs_that_lead_in_circles_come_to_an_end(places: Places) -> None:
    program = places.home / "text-generation-webui"
    path = put(program / "models" / "m.gguf")
    put(program / "server.py", "")
    (program / "text-generation-webui").symlink_to(program)
    (program / "models" / "again").symlink_to(program / "models")
    (program / "models" / "self.gguf").symlink_to(program / "models" / "self.gguf")
    (places.home / "textgen-link").symlink_to(program)
    assert [found.path for found in find_everywhere(places)] == [path]


def test_nothing_installed_is_nothing_found(places: Places) -> None:
    assert find_everywhere(places) == []
    assert set(FINDERS) == set(Owner) - {Owner.HEARTH}


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything, Windows has no modes"
)
def test_folders_that_may_not_be_read_are_passed_over(places: Places) -> None:
    closed = places.home / ".lmstudio" / "models" / "closed"
    put(closed / "x" / "m.gguf")
    path = put(places.home / ".lmstudio" / "models" / "open" / "x" / "m.gguf")
    closed.chmod(0)
    try:
        assert [found.path for found in find_everywhere(places)] == [path]
    finally:
        closed.chmod(0o755)
