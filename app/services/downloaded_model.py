"""What the library is told of a model that has just been downloaded."""

from __future__ import annotations

from pathlib import Path

from app.core.digests import SHA256
from app.core.downloads import Download
from app.core.file_names import safe_path
from app.core.library import FoundFile, Owner


def downloaded_model(download: Download) -> FoundFile:
    """A download that is done, as a find with its origin: later it can be asked whether the hub has a newer one.

    Its hash was checked while it was written, so nobody needs to read the file again to know it.
    """
    paths = tuple(str(Path(download.folder) / safe_path(file.path)) for file in download.files)
    first = download.files[0]
    is_whole = len(paths) == 1 and SHA256.fullmatch(first.sha256) is not None
    return FoundFile(
        Owner.HEARTH,
        paths,
        download.total_bytes,
        sha256=first.sha256 if is_whole else "",
        repo=first.repo,
        commit=first.commit,
    )
