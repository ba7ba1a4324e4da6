from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState
from app.core.library import FoundFile, Owner
from app.services.downloaded_model import downloaded_model


def test_the_library_learns_where_a_model_came_from(tmp_path: Path) -> None:
    file = DownloadFile("maker/tiny", "Q4/tiny:1.gguf", "c" * 40, "a" * 64, 7)
    done = Download(DownloadId("1"), "Tiny", "maker/tiny", "Q4", (file,), str(tmp_path), DownloadState.DONE, 7, 7)
    path = str(tmp_path / "Q4" / "tiny_1.gguf")
    assert downloaded_model(done) == FoundFile(
        Owner.HEARTH, (path,), 7, sha256="a" * 64, repo="maker/tiny", commit="c" * 40
    )
    split = replace(done, files=(replace(file, path="a.gguf"), replace(file, path="b.gguf")), total_bytes=14)
    found = downloaded_model(split)
    assert found.parts == (str(tmp_path / "a.gguf"), str(tmp_path / "b.gguf"))
    assert (found.sha256, found.size_bytes) == ("", 14)
