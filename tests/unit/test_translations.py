"""The plural forms in resources/translations are those of the texts in the code (see the README there)."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS, COMPILED = (ROOT / "resources" / "translations" / f"hearth_en.{end}" for end in ("ts", "qm"))
SOURCES = sorted((ROOT / "app").rglob("*.py"))


def run(name: str, *arguments: object) -> None:
    """One of Qt's tools, as PySide6 brings it."""
    tool = shutil.which(name, path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def messages_in(file: Path) -> dict[tuple[str, str], list[str]]:
    """The plural forms by context and text."""
    return {
        (context.findtext("name", ""), message.findtext("source", "")): [
            form.text or "" for form in message.iter("numerusform")
        ]
        for context in ElementTree.parse(file).iter("context")
        for message in context.iter("message")
    }


def test_the_plurals_are_those_of_the_code(tmp_path: Path) -> None:
    fresh = tmp_path / TEXTS.name
    shutil.copy(TEXTS, fresh)
    options = ("-pluralonly", "-source-language", "en_US", "-target-language", "en_US", "-no-obsolete")
    run("pyside6-lupdate", *SOURCES, *options, "-locations", "none", "-ts", fresh)
    assert messages_in(fresh) == messages_in(TEXTS)


def test_every_text_with_a_number_has_its_plural() -> None:
    """Qt's tool finds `self.tr` alone, and says nothing of what it overlooks."""
    found = {
        node.value
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "%n" in node.value
    }
    assert found == {text for _, text in messages_in(TEXTS)}
    assert all(len(forms) == 2 and all(forms) for forms in messages_in(TEXTS).values())


def test_the_compiled_plurals_are_those_of_the_texts(tmp_path: Path) -> None:
    run("pyside6-lrelease", TEXTS, "-qm", tmp_path / "fresh.qm")
    assert (tmp_path / "fresh.qm").read_bytes() == COMPILED.read_bytes()
