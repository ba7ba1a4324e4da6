"""The ways to build the engine: told apart in the cache, complete or refused, and only where they can be built."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import profiles
from devtools.console import SetupError
from devtools.engine import Engine, _find_libraries
from devtools.profiles import (
    AMX_HEADER,
    DEV,
    PROFILES,
    QUANTIZED_PRODUCTS_HEADER,
    RELEASE,
    SHORT_WAITS_HEADER,
    SMALL_ATTENTION_HEADER,
    SMALL_BATCHES_HEADER,
    compiler_options,
    require_system,
)

ROOT = Path(__file__).parents[2]
README = ROOT / "packaging" / "engine" / "README.md"


def test_every_profile_has_a_wheel_of_its_own(tmp_path: Path) -> None:
    engines = [Engine(tmp_path, profile) for profile in PROFILES.values()]
    assert len({engine.key for engine in engines}) == len({engine.wheel.name for engine in engines}) == len(PROFILES)
    # The build tag of a wheel's file name begins with a digit.
    assert all(re.fullmatch(r"llama_cpp_python-[^-]+-\d+[a-z]*-py3-none-\w+\.whl", it.wheel.name) for it in engines)


def test_only_the_profile_for_development_asks_whether_this_processor_has_avx2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devtools.engine.has_avx2", lambda _: False)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert "noavx2" in Engine(tmp_path, DEV).key
    assert "noavx2" not in Engine(tmp_path, RELEASE).key


def test_the_profile_for_development_stays_small() -> None:
    assert not DEV.has_variants
    assert not DEV.uses_vulkan
    assert "-DGGML_BACKEND_DL=OFF" in DEV.options


@pytest.mark.parametrize(("system", "refused"), [("linux", "metal"), ("darwin", "release"), ("win32", "metal")])
def test_a_profile_of_another_system_is_refused_with_the_right_one(
    monkeypatch: pytest.MonkeyPatch, system: str, refused: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(SetupError, match="For this system: dev or") as caught:
        require_system(PROFILES[refused])
    assert refused not in str(caught.value).partition("For this system")[2]


def test_an_incomplete_build_is_refused_and_told_what_it_lacks(tmp_path: Path) -> None:
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    for name in ("llama", "ggml", "ggml-base", "ggml-cpu-haswell", "ggml-rpc", "other"):
        (tmp_path / f"lib{name}{suffix}").touch()
    with pytest.raises(SetupError, match="left no ggml-vulkan in"):
        _find_libraries(tmp_path, RELEASE)
    (tmp_path / f"libggml-vulkan{suffix}").touch()
    found = {path.stem for path in _find_libraries(tmp_path, RELEASE)}
    assert "libggml-cpu-haswell" in found
    assert "libother" not in found


def test_each_compiler_is_given_the_headers_that_are_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(profiles.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("CFLAGS", "-w")
    monkeypatch.setenv("CXXFLAGS", "-g")
    headers = (SMALL_BATCHES_HEADER, SMALL_ATTENTION_HEADER, SHORT_WAITS_HEADER)
    for_c = "-DCMAKE_C_FLAGS=-w " + " ".join(f"-include {header}" for header in headers)
    for_cpp = f"-include {QUANTIZED_PRODUCTS_HEADER}"
    assert all(header.exists() for header in (*headers, AMX_HEADER, QUANTIZED_PRODUCTS_HEADER))
    assert compiler_options(DEV) == (for_c, f"-DCMAKE_CXX_FLAGS=-g {for_cpp}")
    assert compiler_options(RELEASE) == (for_c, f"-DCMAKE_CXX_FLAGS=-g -include {AMX_HEADER} {for_cpp}")
    monkeypatch.setattr(profiles.platform, "machine", lambda: "aarch64")
    assert compiler_options(RELEASE) == compiler_options(DEV)
    monkeypatch.setattr(sys, "platform", "win32")
    assert compiler_options(RELEASE) == ()


def test_every_option_has_its_reason_in_the_readme() -> None:
    text = README.read_text("utf-8")
    options = {option for profile in PROFILES.values() for option in profile.options}
    names = {option.removeprefix("-D").partition("=")[0] for option in options}
    assert {name for name in names if name not in text} == set()
    assert {name for name in PROFILES if f"`{name}`" not in text} == set()


def test_the_command_line_knows_the_profiles() -> None:
    shown = subprocess.check_output([sys.executable, ROOT / "dev.py", "engine", "--help"], text=True)
    assert "{" + ",".join(PROFILES) + "}" in shown
