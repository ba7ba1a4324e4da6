from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.storage.database import Database
from app.storage.models import ModelFile, ModelFileStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_model_files_are_listed_last_used_first_and_known_once(database: Database) -> None:
    store = ModelFileStore(database)
    assert store.list() == []
    small = ModelFile("/models/small.gguf", "Small", 12_000_000, "llama", 2_000_000, NOON)
    large = ModelFile("/models/\udcff large.gguf", "Groß", 2**41, "qwen3", 2**37, NOON + timedelta(hours=1))
    store.remember(small)
    store.remember(large)
    assert store.list() == [large, small]

    used_again = replace(small, name="Renamed", size_bytes=1, last_used_at=NOON + timedelta(hours=2))
    store.remember(used_again)
    assert store.list() == [used_again, large]

    store.forget(large.path)
    store.forget("/never/seen.gguf")
    assert store.list() == [used_again]
