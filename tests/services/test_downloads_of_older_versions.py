"""A download that an older version of Hearth had begun goes on where it was."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.downloads import DownloadState
from tests.hub.hub_server import HubServer
from tests.services.download_queue import CONTENT, Start, hub, start

__all__ = ["hub", "start"]

STORED_SCHEMAS = sorted((Path(__file__).parents[1] / "unit" / "storage").glob("stored_schema_*.sql"))
WITH_DOWNLOADS = [script for script in STORED_SCHEMAS if "CREATE TABLE downloads" in script.read_text("utf-8")]
RECEIVED_BYTES = 600_000
INSERTED = """
INSERT INTO downloads (id, position, name, repo, quantization, folder, files, state, done_bytes, total_bytes, path,
                       replaces, changed_at)
VALUES ('cccccccccccccccccccccccccccccccc', 0, 'One', 'maker/one', 'Q8_0', ?, ?, 'queued', ?, ?, '', 0,
        1795262400000000)
"""


def leave_half_a_download(data: Path, script: Path, commit: str) -> Path:
    """What a version with that database has on the disk when it ends in the middle; the file that is to come of it."""
    target = data / "models" / "maker" / "one" / "one.gguf"
    target.parent.mkdir(parents=True)
    digest = hashlib.sha256(CONTENT).hexdigest()
    named = {"repo": "maker/one", "path": "one.gguf", "commit": commit, "sha256": digest, "size_bytes": len(CONTENT)}
    with closing(sqlite3.connect(data / "hearth.db")) as connection, connection:
        connection.executescript(script.read_text("utf-8"))
        connection.execute("DELETE FROM downloads")
        values = (str(target.parent), json.dumps([named]), RECEIVED_BYTES, len(CONTENT))
        connection.execute(INSERTED, values)
    journal = {"format": 1, "digest": digest, "size_bytes": len(CONTENT), "done": [[0, RECEIVED_BYTES]]}
    target.with_name("one.gguf.part").write_bytes(CONTENT[:RECEIVED_BYTES])
    target.with_name("one.gguf.part.json").write_text(json.dumps(journal))
    return target


@pytest.mark.parametrize("script", WITH_DOWNLOADS, ids=lambda script: script.stem)
def test_it_goes_on_after_an_update(script: Path, start: Start, hub: HubServer, tmp_path: Path) -> None:
    commit = hub.add_repo("maker/one", {"one.gguf": CONTENT})
    target = leave_half_a_download(tmp_path / "data", script, commit)
    queue = start()
    queue.until(lambda: bool(queue.finished))
    assert target.read_bytes() == CONTENT
    assert queue.states() == [DownloadState.DONE]
    assert hub.seen("cdn")[-1].headers["range"] == f"bytes={RECEIVED_BYTES}-"


def test_there_are_databases_of_older_versions() -> None:
    assert len(WITH_DOWNLOADS) > 1
