"""What a look at the disk makes of files that are replaced while it looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.library import NEVER_READ_NS, LibraryModel, Owner
from app.hub.adopt.places import Places
from app.hub.library_scan import look
from app.storage.models import Seen
from tests.fixtures import tiny_gguf as tiny

SHA256, COMMIT = "a" * 64, "c" * 40


def model_file(path: Path, template: str | None = tiny.CHATML) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tiny.write_model(path, tiny.bpe_vocabulary(), template=template)


def listed(path: Path) -> LibraryModel:
    size_bytes = path.stat().st_size
    return LibraryModel(
        str(path), "Tiny", Owner.HEARTH, (str(path),), size_bytes, sha256=SHA256, repo="acme/Tiny-GGUF", commit=COMMIT
    )


@pytest.mark.parametrize("was_read", [True, False])
@pytest.mark.parametrize("is_in_the_middle", [True, False])
def test_a_file_that_was_replaced_has_neither_the_hash_nor_the_commit_of_the_one_before(
    tmp_path: Path, was_read: bool, is_in_the_middle: bool
) -> None:
    """Whether its header was read before or it was only just adopted, and whenever during the scan it happens."""
    path = model_file(tmp_path / "own" / "a.gguf")
    os.utime(path, ns=(1, 1))
    model = listed(path)
    seen = Seen(model.size_bytes, path.stat().st_mtime_ns if was_read else NEVER_READ_NS, SHA256)

    def models() -> Iterator[LibraryModel]:
        if not is_in_the_middle:
            model_file(path, template=None)
        yield model
        if is_in_the_middle:  # the scan has seen how large the file is, but has not read it
            model_file(path, template=None)

    scan = look(models(), path.parent, (), {str(path): seen}, Places(tmp_path, {}, "linux", tmp_path))
    ((found, modified_ns),) = scan.fresh
    assert (found.has_template, found.sha256, found.commit) == (False, "", "")
    assert (found.size_bytes, modified_ns, found.repo) == (path.stat().st_size, path.stat().st_mtime_ns, model.repo)


def test_what_was_adopted_keeps_its_hash_when_its_header_is_read(tmp_path: Path) -> None:
    path = model_file(tmp_path / "own" / "a.gguf")
    model = listed(path)
    seen = {str(path): Seen(model.size_bytes, NEVER_READ_NS, SHA256)}
    scan = look([model], path.parent, (), seen, Places(tmp_path, {}, "linux", tmp_path))
    ((found, _),) = scan.fresh
    assert (found.has_template, found.sha256, found.commit) == (True, SHA256, COMMIT)
