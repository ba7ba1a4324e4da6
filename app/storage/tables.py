"""The tables as SQLAlchemy knows them. What really makes them are the migrations; a test keeps both equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from sqlalchemy import Dialect, ForeignKey, Index, Integer, MetaData, Text, TypeDecorator, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.storage.failures import DamageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a stored moment must know its time zone")
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The aware moment in UTC that `to_microseconds` counted."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Moment(TypeDecorator[datetime]):
    """An aware moment, stored as microseconds since 1970 in UTC: exact, and sorts as a number."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        try:
            return None if value is None else from_microseconds(value)
        except (TypeError, OverflowError) as problem:
            raise DamageError("a moment that is none") from problem


class AnyText(TypeDecorator[str]):
    """Any Python string, as TEXT; one with lone surrogates (SQLite refuses them) as a BLOB in the same column.

    Lone surrogates come from pasted texts and from file names that are not UTF-8.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | bytes | None:
        if value is None or value.isascii():
            return value
        encoded = value.encode("utf-8", "surrogatepass")
        try:
            encoded.decode("utf-8")
        except UnicodeDecodeError:
            return encoded
        return value

    def process_result_value(self, value: str | bytes | None, dialect: Dialect) -> str | None:
        return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


FreeText = Annotated[str, mapped_column(AnyText)]  # what a person or a file may have chosen


class Base(DeclarativeBase):
    """All tables; the names of constraints follow one rule."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, datetime: Moment}  # noqa: RUF012  SQLAlchemy reads it as a class attribute


class ConversationRow(Base):
    """A conversation without its messages. See `core.messages.Conversation` for what the columns mean.

    `active_leaf_id` is no foreign key: it would close a circle with `messages`, and the tree bears a missing leaf.
    """

    __tablename__ = "conversations"
    __table_args__ = (Index("ix_conversations_deleted_at_updated_at", "deleted_at", "updated_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[FreeText]
    title_is_custom: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    draft: Mapped[FreeText]
    active_leaf_id: Mapped[str | None]
    model_path: Mapped[FreeText | None]
    system_prompt: Mapped[FreeText | None]


class MessageRow(Base):
    """A node of a conversation's tree. `position` grows with every message: creation order, parents before children.

    `parts`, `usage` and `error` hold JSON. Messages go with their conversation; a parent that still has children stays.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_conversation_id", "conversation_id"),
        Index("ix_messages_parent_id", "parent_id"),  # asked for every message that is deleted
        Index("ix_messages_streaming", "state", sqlite_where=text("state = 'streaming'")),
    )

    position: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("messages.id"))
    role: Mapped[str]
    state: Mapped[str]
    parts: Mapped[str]
    created_at: Mapped[datetime]
    model_name: Mapped[FreeText | None]
    usage: Mapped[str | None]
    error: Mapped[str | None]


class ModelFileRow(Base):
    """A model file of the library; its bytes stay where they are. See `core.library.LibraryModel` for the columns.

    `parts` holds a JSON list, empty where `path` is the only part. `modified_ns` (0: never looked at) and `size_bytes`
    tell whether the header was read of the file as it is now. `template` is what the person put in place of the file's.
    `is_hidden`: taken off the list, and not to be offered again. `template_state` and `template_used` are what the
    version of Hearth in `template_looked_by` found of the template in the file; that is empty where none has looked.
    """

    __tablename__ = "model_files"
    __table_args__ = (Index("ix_model_files_last_used_at", "last_used_at"),)

    path: Mapped[FreeText] = mapped_column(primary_key=True)
    name: Mapped[FreeText]
    given_name: Mapped[FreeText] = mapped_column(server_default=text("''"))
    owner: Mapped[str]
    parts: Mapped[str]
    size_bytes: Mapped[int]
    modified_ns: Mapped[int]
    architecture: Mapped[FreeText]
    parameters: Mapped[int]
    quantization: Mapped[FreeText]
    context_length: Mapped[int]
    has_template: Mapped[bool]
    licence: Mapped[FreeText]
    sha256: Mapped[str]
    repo: Mapped[FreeText]
    revision: Mapped[FreeText]
    template: Mapped[FreeText | None]
    added_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    is_hidden: Mapped[bool] = mapped_column(server_default=false())
    template_state: Mapped[str] = mapped_column(server_default=text("''"))
    template_used: Mapped[FreeText] = mapped_column(server_default=text("''"))
    template_looked_by: Mapped[str] = mapped_column(server_default=text("''"))


class ModelFolderRow(Base):
    """A folder whose models are in the library, wherever they came from."""

    __tablename__ = "model_folders"

    path: Mapped[FreeText] = mapped_column(primary_key=True)
    added_at: Mapped[datetime]


class DownloadRow(Base):
    """A download, over or not. See `core.downloads.Download` for what the columns mean.

    `position` is the order of the list; gaps are allowed. `files` and `error` hold JSON.
    """

    __tablename__ = "downloads"

    id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    name: Mapped[FreeText]
    repo: Mapped[FreeText]
    quantization: Mapped[FreeText]
    folder: Mapped[FreeText]
    files: Mapped[str]
    state: Mapped[str]
    done_bytes: Mapped[int]
    total_bytes: Mapped[int]
    error: Mapped[str | None]
    path: Mapped[FreeText]
    replaces: Mapped[bool] = mapped_column(server_default=false())
    changed_at: Mapped[datetime]


class MetaRow(Base):
    """Facts about the database itself, by name."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[FreeText]
