from __future__ import annotations

from pathlib import Path

import pytest

from app.services.download_folder import download_folder, repo_folder

OWN = Path("/data/models")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("", OWN),
        ("  ", OWN),
        (" /drive/models ", Path("/drive/models")),
        ("~/models", Path.home() / "models"),
        ("~nobody whom this computer knows/models", Path("~nobody whom this computer knows/models")),
    ],
)
def test_what_a_person_may_type(chosen: str, expected: Path) -> None:
    assert download_folder(chosen, OWN) == expected


@pytest.mark.parametrize(
    ("repo", "inside"), [("maker/Tiny", "maker/Tiny"), ("gpt2", "gpt2"), ("../..", "_/_"), ("a:b/con", "a_b/_con")]
)
def test_a_repository_stays_inside(repo: str, inside: str) -> None:
    assert repo_folder(OWN, repo) == OWN / inside
