"""The engine's wheel: pinned by hash, written so that pip accepts it, named for what it depends on."""

import base64
import csv
import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from devtools.console import SetupError
from devtools.engine import ENGINE_LOCK, Engine, has_avx2, platform_tag, read_pin
from devtools.wheel import write_wheel

ROOT = Path(__file__).parents[2]


def write_small_wheel(folder: Path) -> Path:
    (folder / "module.py").write_text("VALUE = 42\n")
    (folder / "library.so").write_bytes(bytes(range(256)))
    (folder / "metadata").write_text("Metadata-Version: 2.1\nName: small_engine\nVersion: 1.2.3\n")
    (folder / "license").write_text("do what you like\n")
    path = folder / f"small_engine-1.2.3-7-py3-none-{platform_tag()}.whl"
    write_wheel(
        path,
        name="small_engine",
        version="1.2.3",
        tag=f"py3-none-{platform_tag()}",
        build="7",
        files={
            "small_engine/__init__.py": folder / "module.py",
            "small_engine/lib/library.so": folder / "library.so",
            "METADATA": folder / "metadata",
            "licenses/LICENSE": folder / "license",
        },
    )
    return path


def test_pip_installs_the_wheel(tmp_path: Path) -> None:
    wheel = write_small_wheel(tmp_path)
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target"]
    subprocess.run([*pip, target, wheel], check=True)
    assert (target / "small_engine" / "lib" / "library.so").read_bytes() == bytes(range(256))
    assert (target / "small_engine-1.2.3.dist-info" / "licenses" / "LICENSE").exists()
    probe = "import small_engine; print(small_engine.VALUE)"
    shown = subprocess.check_output([sys.executable, "-c", probe], cwd=target, text=True)
    assert shown == "42\n"


def test_the_record_holds_the_hash_of_every_other_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_small_wheel(tmp_path)) as archive:
        record = "small_engine-1.2.3.dist-info/RECORD"
        rows = list(csv.reader(archive.read(record).decode().splitlines()))
        assert {name for name, _, _ in rows} == set(archive.namelist())
        for name, digest, size in rows:
            if name != record:
                content = archive.read(name)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_the_same_files_give_the_same_wheel(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = write_small_wheel(tmp_path / "a"), write_small_wheel(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_the_pinned_source_is_the_version_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pin = read_pin(ENGINE_LOCK.read_text())
    assert f"llama-cpp-python=={pin.version}" in project["dependencies"]


@pytest.mark.parametrize(
    "lock",
    [
        "",
        "llama-cpp-python==0.3.36\n",
        f"llama-cpp-python==0.3.36 \\\n    --hash=sha256:{'0' * 63}\n",
        f"other==1 \\\n    --hash=sha256:{'0' * 64}\n",
    ],
)
def test_a_lock_without_version_and_hash_is_refused(lock: str) -> None:
    with pytest.raises(SetupError, match="does not pin"):
        read_pin(lock)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu sse4_2 avx avx2 bmi2\n", True),
        ("flags\t\t: fpu sse4_2 avx\n", False),
        ("Features\t: fp asimd\n", True),  # not x86: the options do not apply
    ],
)
def test_processors_without_avx2_get_their_own_engine(cpuinfo: str, expected: bool) -> None:
    assert has_avx2(cpuinfo) is expected


def test_the_name_in_the_cache_tells_version_recipe_and_platform(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert re.match(rf"{re.escape(engine.pin.version)}-r\d+-{platform_tag()}", engine.key)
    assert engine.wheel.is_relative_to(tmp_path)
    assert not engine.is_built()
