"""Downloads: the queue outlives the program."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of downloads."""
    op.execute(_TABLE)


_TABLE = """
    CREATE TABLE downloads (
        id TEXT NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        repo TEXT NOT NULL,
        quantization TEXT NOT NULL,
        folder TEXT NOT NULL,
        files TEXT NOT NULL,
        state TEXT NOT NULL,
        done_bytes INTEGER NOT NULL,
        total_bytes INTEGER NOT NULL,
        error TEXT,
        path TEXT NOT NULL,
        replaces BOOLEAN DEFAULT 0 NOT NULL,
        changed_at INTEGER NOT NULL,
        CONSTRAINT pk_downloads PRIMARY KEY (id)
    )
"""
