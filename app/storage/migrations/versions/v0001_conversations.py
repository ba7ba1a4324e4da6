"""The first schema: conversations, their messages, known model files."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of an empty file, and mark it as Hearth's ("HRTH")."""
    for statement in _STATEMENTS:
        op.execute(statement)


_STATEMENTS = (
    "PRAGMA application_id = 1213355080",
    """
    CREATE TABLE conversations (
        id TEXT NOT NULL,
        title TEXT NOT NULL,
        title_is_custom BOOLEAN DEFAULT 0 NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        deleted_at INTEGER,
        draft TEXT NOT NULL,
        active_leaf_id TEXT,
        model_path TEXT,
        system_prompt TEXT,
        CONSTRAINT pk_conversations PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_conversations_deleted_at_updated_at ON conversations (deleted_at, updated_at)",
    """
    CREATE TABLE messages (
        position INTEGER NOT NULL,
        id TEXT NOT NULL,
        conversation_id TEXT NOT NULL,
        parent_id TEXT,
        role TEXT NOT NULL,
        state TEXT NOT NULL,
        parts TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        model_name TEXT,
        usage TEXT,
        error TEXT,
        CONSTRAINT pk_messages PRIMARY KEY (position),
        CONSTRAINT uq_messages_id UNIQUE (id),
        CONSTRAINT fk_messages_conversation_id
            FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE,
        CONSTRAINT fk_messages_parent_id FOREIGN KEY (parent_id) REFERENCES messages (id)
    )
    """,
    "CREATE INDEX ix_messages_conversation_id ON messages (conversation_id)",
    "CREATE INDEX ix_messages_parent_id ON messages (parent_id)",
    "CREATE INDEX ix_messages_streaming ON messages (state) WHERE state = 'streaming'",
    """
    CREATE TABLE model_files (
        path TEXT NOT NULL,
        name TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        architecture TEXT NOT NULL,
        parameters INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL,
        CONSTRAINT pk_model_files PRIMARY KEY (path)
    )
    """,
    "CREATE INDEX ix_model_files_last_used_at ON model_files (last_used_at)",
    """
    CREATE TABLE meta (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        CONSTRAINT pk_meta PRIMARY KEY (key)
    )
    """,
)
