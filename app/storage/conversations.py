"""Conversations and their messages, stored."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, case, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import UpdateBase

from app.core.errors import ErrorKind, UserError
from app.core.messages import Conversation, ConversationId, Message, MessageId, MessageState, utc_now
from app.storage.database import Database
from app.storage.rows import (
    CONVERSATION_COLUMNS,
    MESSAGE_COLUMNS,
    changing_columns,
    conversation_from_row,
    conversation_to_row,
    message_to_row,
    messages_from_rows,
    to_json,
)
from app.storage.tables import ConversationRow, MessageRow


class ConversationStore:
    """Every method is one transaction and raises UserError for faults of the environment.

    Changes of a conversation or message that no longer exists do nothing: it may have been deleted in the meantime.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, conversation: Conversation) -> None:
        """Store a new conversation."""
        with self._database.session() as session:
            session.execute(insert(ConversationRow).values(conversation_to_row(conversation)))

    def list(self, trashed: bool = False) -> builtins.list[Conversation]:
        """The conversations in use, or those in the trash; last changed first."""
        in_trash = ConversationRow.deleted_at.is_not(None)
        query = (
            select(*CONVERSATION_COLUMNS)
            .where(in_trash if trashed else ~in_trash)
            .order_by(ConversationRow.updated_at.desc(), ConversationRow.created_at.desc(), ConversationRow.id.desc())
        )
        with self._database.reading() as session:
            return [conversation_from_row(row) for row in session.execute(query)]

    def get(self, conversation_id: ConversationId) -> Conversation | None:
        """One conversation, also from the trash."""
        query = select(*CONVERSATION_COLUMNS).where(ConversationRow.id == conversation_id)
        with self._database.reading() as session:
            row = session.execute(query).one_or_none()
        return None if row is None else conversation_from_row(row)

    def messages(self, conversation_id: ConversationId) -> builtins.list[Message]:
        """All messages of all branches in creation order: parents come before their children."""
        query = (
            select(*MESSAGE_COLUMNS).where(MessageRow.conversation_id == conversation_id).order_by(MessageRow.position)
        )
        in_portions = query.execution_options(yield_per=200)  # all rows beside all values would inflate the heap
        with self._database.reading() as session:
            return messages_from_rows(session.execute(in_portions))

    def save_exchange(self, conversation: Conversation, messages: Sequence[Message], active_leaf_id: MessageId) -> None:
        """Store new messages together with their conversation, which may be new as well: all of it or nothing.

        Of a conversation that is there already the title (unless a person gave it one) and the draft are taken over.
        """
        stored = replace(conversation, active_leaf_id=active_leaf_id, updated_at=utc_now())
        upsert = sqlite_insert(ConversationRow).values(conversation_to_row(stored))
        new = upsert.excluded
        taken_over = {
            "title": case((ConversationRow.title_is_custom, ConversationRow.title), else_=new.title),
            "draft": new.draft,
            "active_leaf_id": new.active_leaf_id,
            "updated_at": new.updated_at,
        }
        with self._database.session() as session:
            session.execute(upsert.on_conflict_do_update(index_elements=[ConversationRow.id], set_=taken_over))
            session.execute(insert(MessageRow), [message_to_row(message) for message in messages])

    def update_messages(self, messages: Sequence[Message]) -> None:
        """Store parts, state, usage, error and model name of messages again; the rest of them never changes."""
        with self._database.session() as session:
            for message in messages:
                session.execute(
                    update(MessageRow).where(MessageRow.id == message.id).values(changing_columns(message)),
                    execution_options={"synchronize_session": False},
                )

    def set_active_leaf(self, conversation_id: ConversationId, leaf_id: MessageId | None) -> None:
        """Remember which branch is on screen, by its last message."""
        self._change(conversation_id, active_leaf_id=leaf_id)

    def rename(self, conversation_id: ConversationId, title: str, custom: bool) -> None:
        """Give a title; `custom` when a person chose it, so that Hearth leaves it alone from then on."""
        self._change(conversation_id, title=title, title_is_custom=custom)

    def save_draft(self, conversation_id: ConversationId, text: str) -> None:
        """Keep what was typed and not sent."""
        self._change(conversation_id, draft=text)

    def trash(self, conversation_id: ConversationId, now: datetime) -> None:
        """Move to the trash; its place in the order by last change stays."""
        self._change(conversation_id, deleted_at=now)

    def restore(self, conversation_id: ConversationId) -> None:
        """Take back out of the trash, to the place it had."""
        self._change(conversation_id, deleted_at=None)

    def delete_for_ever(self, conversation_id: ConversationId) -> None:
        """Delete a conversation with its messages; their bytes in the file are overwritten, backups keep theirs."""
        self._execute(delete(ConversationRow).where(ConversationRow.id == conversation_id))

    def empty_trash(self, before: datetime) -> builtins.list[ConversationId]:
        """Delete for ever what was moved to the trash before a moment; returns which conversations."""
        old = ConversationRow.deleted_at < before
        with self._database.session() as session:
            gone = [ConversationId(key) for key in session.scalars(select(ConversationRow.id).where(old))]
            session.execute(delete(ConversationRow).where(old), execution_options={"synchronize_session": False})
        return gone

    def interrupt_streaming(self) -> int:
        """Mark the answers that were being written when Hearth ended as interrupted; how many. For start-up only."""
        return self._execute(
            update(MessageRow)
            .where(MessageRow.state == MessageState.STREAMING.value)
            .values(
                state=MessageState.INTERRUPTED.value,
                error=to_json(UserError(ErrorKind.APP_ENDED).to_json()),
            )
        )

    def _change(self, conversation_id: ConversationId, **values: Any) -> None:
        self._execute(update(ConversationRow).where(ConversationRow.id == conversation_id).values(values))

    def _execute(self, statement: UpdateBase) -> int:
        with self._database.session() as session:
            # No identity map is in use, hence nothing to synchronize.
            result = session.execute(statement, execution_options={"synchronize_session": False})
            return cast(CursorResult[Any], result).rowcount
