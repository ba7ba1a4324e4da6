"""From blank and from every stored schema to today's."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DatabaseError

from app.core.errors import ErrorKind, UserError
from app.core.messages import MessageState, ReasoningPart, Role, TextPart, UnknownPart, Usage
from app.storage import migrations
from app.storage.backups import list_backups
from app.storage.connection import Access, connect, engine_for
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.models import ModelFileStore
from app.storage.schema import SCHEMA, Schema, stored_schema
from app.storage.tables import Base

STORED_SCHEMAS = sorted(Path(__file__).parent.glob("stored_schema_*.sql"))
NEXT_STEP = """
from alembic import op
import sqlalchemy as sa

revision, down_revision, branch_labels, depends_on = "{version:04d}", "{before:04d}", None, None

def upgrade():
    {body}
"""


def restore_stored(script: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script.read_text(encoding="utf-8"))


def schema_with_a_next_step(folder: Path, body: str) -> Schema:
    """Today's schema and one more step, as a later release would have it."""
    folder.mkdir()
    for step in SCHEMA.step_folders[0].glob("v*.py"):
        shutil.copy(step, folder)
    version = SCHEMA.version + 1
    code = NEXT_STEP.format(version=version, before=SCHEMA.version, body=body)
    (folder / "next.py").write_text(code)
    return Schema(version, (folder,))


def rows_of(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_the_migrations_make_exactly_the_tables_of_the_orm(path: Path, database: Database) -> None:
    engine = engine_for(path)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_known_version_is_the_last_step_and_steps_are_one_line() -> None:
    folder = Path(migrations.__file__).parent
    script = ScriptDirectory(str(folder), version_locations=[str(path) for path in SCHEMA.step_folders])
    (head,) = script.get_heads()
    assert int(head) == SCHEMA.version
    steps = [step.revision for step in script.walk_revisions()]
    assert steps == [f"{version:04d}" for version in range(SCHEMA.version, 0, -1)]


def test_migrations_know_nothing_of_todays_classes() -> None:
    steps = [step for folder in SCHEMA.step_folders for step in folder.glob("v*.py")]
    assert len(steps) == SCHEMA.version
    for step in steps:
        assert "from app" not in step.read_text(encoding="utf-8")
        assert "import app" not in step.read_text(encoding="utf-8")


def test_every_schema_ever_released_has_a_stored_example() -> None:
    assert len(STORED_SCHEMAS) == SCHEMA.version


@pytest.mark.parametrize("script", STORED_SCHEMAS, ids=lambda script: script.stem)
def test_a_stored_schema_opens_with_everything_in_it(script: Path, path: Path, backups: Path) -> None:
    restore_stored(script, path)
    database = Database.open(path, backups)
    store = ConversationStore(database)
    first, second = store.list()
    assert (first.title, first.title_is_custom, first.draft) == ("Über Bäume", True, "and then")
    assert (second.title, second.model_path, second.system_prompt) == ("", "/models/small.gguf", "Be brief.")
    assert [found.title for found in store.list(trashed=True)] == ["Old"]
    question, answer, other_answer = store.messages(first.id)
    assert question.parts == (TextPart("What is a tree? 🌳"),)
    assert answer.parent_id == other_answer.parent_id == question.id
    assert answer.parts == (ReasoningPart("Hm."), TextPart("A plant."))
    assert answer.usage == Usage(12, 3, 2, 100.0, 200.0, 150.0)
    assert (answer.role, answer.model_name) == (Role.ASSISTANT, "Small")
    assert other_answer.state is MessageState.FAILED
    assert other_answer.error == {"kind": "decode_failed", "details": {"reason": "x"}}
    assert other_answer.parts == (UnknownPart({"kind": "hologram", "data": [1]}),)
    assert first.active_leaf_id == answer.id
    assert "Small" in [model.name for model in ModelFileStore(database).list()]
    assert Database.check_file(database.path) == []
    database.close()


def test_an_older_schema_is_backed_up_then_brought_up(path: Path, backups: Path, tmp_path: Path) -> None:
    restore_stored(STORED_SCHEMAS[-1], path)
    later = schema_with_a_next_step(
        tmp_path / "steps",
        'op.add_column("conversations", sa.Column("colour", sa.Text(), server_default="grey", nullable=False))',
    )
    Database.open(path, backups, later).close()

    assert rows_of(path, "SELECT DISTINCT colour FROM conversations") == [("grey",)]
    assert rows_of(path, "SELECT count(*) FROM messages") == [(3,)]
    (backup,) = list_backups(backups)
    with closing(connect(backup.path, Access.READ)) as connection:
        found = stored_schema(connection)
    assert found is not None
    assert found.version == SCHEMA.version
    assert rows_of(backup.path, "SELECT count(*) FROM messages") == [(3,)]

    Database.open(path, backups, later).close()
    assert list_backups(backups) == [backup]
    with pytest.raises(UserError) as caught:
        Database.open(path, backups)
    assert caught.value.kind is ErrorKind.DATABASE_TOO_NEW


def test_a_step_that_rebuilds_a_table_keeps_the_rows_that_point_to_it(
    path: Path, backups: Path, tmp_path: Path
) -> None:
    restore_stored(STORED_SCHEMAS[-1], path)
    later = schema_with_a_next_step(
        tmp_path / "steps",
        'batch = op.batch_alter_table("conversations", recreate="always")\n'
        "    with batch as table:\n"
        '        table.alter_column("draft", new_column_name="unsent")',
    )
    Database.open(path, backups, later).close()
    assert rows_of(path, "SELECT count(*) FROM messages") == [(3,)]
    assert rows_of(path, "SELECT unsent FROM conversations ORDER BY updated_at DESC LIMIT 1") == [("and then",)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('op.drop_table("model_files"); raise ZeroDivisionError', ZeroDivisionError),
        ('op.drop_table("model_files"); op.execute("DELETE FROM nothing")', DatabaseError),
        ("op.execute(\"UPDATE messages SET conversation_id = 'gone'\")", RuntimeError),
    ],
)
def test_a_step_that_breaks_changes_nothing(
    path: Path, backups: Path, tmp_path: Path, body: str, expected: type[Exception]
) -> None:
    restore_stored(STORED_SCHEMAS[-1], path)
    before = list(sqlite_dump(path))
    with pytest.raises(expected):
        Database.open(path, backups, schema_with_a_next_step(tmp_path / "steps", body))
    assert list(sqlite_dump(path)) == before
    assert len(list_backups(backups)) == 1
    Database.open(path, backups).close()


def test_no_room_during_a_migration_says_so_and_changes_nothing(path: Path, backups: Path, tmp_path: Path) -> None:
    restore_stored(STORED_SCHEMAS[-1], path)
    before = list(sqlite_dump(path))
    body = (
        'op.drop_table("model_files")\n'
        '    op.get_bind().exec_driver_sql("PRAGMA max_page_count = 40").scalar_one()\n'
        '    op.execute("CREATE TABLE large AS SELECT zeroblob(1000000) AS zeros")'
    )
    with pytest.raises(UserError) as caught:
        Database.open(path, backups, schema_with_a_next_step(tmp_path / "steps", body))
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert list(sqlite_dump(path)) == before


def sqlite_dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
