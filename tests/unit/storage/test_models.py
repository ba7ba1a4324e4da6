from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.library import NEVER_READ_NS, LibraryModel, Owner
from app.core.template_check import TemplateLook, TemplateState, named_template
from app.storage import models
from app.storage.database import Database
from app.storage.models import ModelFileStore, ModelUse, Seen

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
SMALL = LibraryModel(
    "/models/small.gguf",
    "Small",
    Owner.HEARTH,
    ("/models/small.gguf",),
    12_000_000,
    "llama",
    2_000_000,
    "Q8_0",
    2048,
    has_template=True,
    licence="mit",
    added_at=NOON,
)
PULLED = LibraryModel("/blobs/sha256-1", "llama3.2:3b", Owner.OLLAMA, ("/blobs/sha256-1",), 5, sha256="a" * 64)


@pytest.fixture
def store(database: Database) -> ModelFileStore:
    return ModelFileStore(database)


def use(path: str, name: str, at: datetime) -> ModelUse:
    return ModelUse(path, name, 2**41, "qwen3", 2**37, at)


def names(store: ModelFileStore) -> list[str]:
    return [model.name for model in store.list()]


def test_what_was_loaded_is_in_the_library_last_used_first(store: ModelFileStore) -> None:
    assert store.list() == []
    store.remember(use("/models/a.gguf", "A", NOON))
    store.remember(use("/models/\udcff b.gguf", "Ä", LATER))
    (first, second) = store.list()
    assert (first.path, first.name, first.last_used_at, first.owner) == (
        "/models/\udcff b.gguf",
        "Ä",
        LATER,
        Owner.HEARTH,
    )
    assert (second.size_bytes, second.architecture, second.parameters) == (2**41, "qwen3", 2**37)
    store.remember(use("/models/a.gguf", "A again", LATER + timedelta(hours=1)))
    assert names(store) == ["A again", "Ä"]
    store.forget("/models/a.gguf")
    store.forget("/never/seen.gguf")
    assert names(store) == ["Ä"]


def test_what_is_found_comes_back_as_it_was(store: ModelFileStore) -> None:
    split = replace(SMALL, path="/m/b-1.gguf", parts=("/m/b-1.gguf", "/m/b-2.gguf"), name="Big", repo="a/b", commit="c")
    store.add([(SMALL, 7), (split, 8)], NOON)
    assert store.list() == [split, SMALL]  # never used: by name
    assert store.seen() == {SMALL.path: Seen(12_000_000, 7), split.path: Seen(12_000_000, 8)}


def test_what_a_person_did_outlives_another_look_at_the_file(store: ModelFileStore) -> None:
    store.add([(SMALL, 7)], NOON)
    store.rename(SMALL.path, "Mine")
    store.set_template(SMALL.path, "{{ x }}")
    store.remember(use(SMALL.path, "Small", LATER))
    store.set_hash(SMALL.path, "b" * 64)
    store.add([(replace(SMALL, size_bytes=2**41, quantization="Q4_0"), 7)], LATER)
    (model,) = store.list()
    assert (model.name, model.quantization, model.last_used_at) == ("Mine", "Q4_0", LATER)
    assert (model.added_at, model.sha256) == (NOON, "b" * 64)
    assert store.templates() == {SMALL.path: "{{ x }}"}
    store.rename(SMALL.path, "")
    store.set_template(SMALL.path, None)
    assert names(store) == ["Small"]
    assert store.templates() == {}


def test_the_hash_of_a_file_that_has_changed_is_forgotten(store: ModelFileStore) -> None:
    store.add([(SMALL, 7)], NOON)
    store.set_hash(SMALL.path, "b" * 64)
    store.add([(SMALL, 8)], LATER)
    assert store.list()[0].sha256 == ""


def test_a_hash_that_was_computed_before_the_first_whole_look_is_kept(store: ModelFileStore) -> None:
    store.add([(SMALL, NEVER_READ_NS)], NOON)
    store.set_hash(SMALL.path, "b" * 64)
    store.add([(SMALL, 7)], LATER)
    assert store.list()[0].sha256 == "b" * 64


def test_a_split_model_that_was_loaded_has_all_its_parts(store: ModelFileStore) -> None:
    first, second = "/m/big-00001-of-00002.gguf", "/m/big-00002-of-00002.gguf"
    store.remember(use(first, "Big", NOON))
    assert store.list()[0].parts == (first, second)


def test_what_another_program_calls_its_file_stays_its_name(store: ModelFileStore) -> None:
    store.add([(PULLED, 1)], NOON)
    store.remember(use(PULLED.path, "Meta Llama", LATER))
    (model,) = store.list()
    assert (model.name, model.owner, model.sha256) == ("llama3.2:3b", Owner.OLLAMA, "a" * 64)


def test_what_was_taken_off_the_list_stays_off_it_until_it_is_wanted(store: ModelFileStore) -> None:
    store.add([(SMALL, 7), (PULLED, 1)], NOON)
    store.hide([SMALL.path, PULLED.path])
    store.add([(SMALL, 7)], LATER)
    assert store.list() == []
    assert SMALL.path in store.seen()
    store.add([(SMALL, 7)], LATER, show=True)
    assert names(store) == ["Small"]
    store.remember(use(PULLED.path, "x", LATER))
    assert sorted(names(store)) == ["Small", "llama3.2:3b"]


def test_a_moved_file_keeps_what_is_known_of_it(store: ModelFileStore) -> None:
    store.add([(SMALL, 7), (replace(SMALL, path="/new/s.gguf", parts=("/new/s.gguf",)), 7)], NOON)
    store.rename(SMALL.path, "Mine")
    for _ in range(2):  # told again, after Hearth was killed
        store.move(SMALL.path, ["/new/s.gguf"])
    (model,) = store.list()
    assert (model.path, model.name, model.parts) == ("/new/s.gguf", "Mine", ("/new/s.gguf",))


def test_folders_are_watched_until_they_are_not(store: ModelFileStore) -> None:
    store.add_folder("/models", NOON)
    store.add_folder("/drive", LATER)
    store.add_folder("/models", LATER)
    assert store.folders() == ["/models", "/drive"]
    store.remove_folder("/models")
    store.remove_folder("/never")
    assert store.folders() == ["/drive"]


def test_what_was_found_of_a_template_is_kept_until_the_file_or_hearth_changes(
    store: ModelFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[TemplateState, str]:
        (model,) = store.list()
        return model.template_state, model.template_used

    store.add([(SMALL, 5)], NOON)
    assert found() == (TemplateState.UNKNOWN, "")
    size_bytes = SMALL.size_bytes
    store.note_templates([TemplateLook(SMALL.path, size_bytes + 1, TemplateState.MISSING, "chatml")])
    assert found() == (TemplateState.UNKNOWN, ""), "that was seen of the file before it was replaced"
    store.note_templates(
        [
            TemplateLook(SMALL.path, size_bytes, TemplateState.REPLACED, "vicuna"),
            TemplateLook("/none", 1, TemplateState.GOOD),
        ]
    )
    store.add([(SMALL, 5)], LATER)
    assert found() == (TemplateState.REPLACED, "vicuna")
    store.set_template(SMALL.path, named_template("koala"))
    assert found() == (TemplateState.REPLACED, "koala")
    store.set_template(SMALL.path, "{{ messages }}")
    assert found() == (TemplateState.GOOD, "")
    store.set_template(SMALL.path, None)
    with monkeypatch.context() as patch:
        patch.setattr(models, "__version__", "99")
        assert found() == (TemplateState.UNKNOWN, "")
    assert found() == (TemplateState.REPLACED, "vicuna")
    store.add([(SMALL, 6)], LATER)
    assert found() == (TemplateState.UNKNOWN, "")
