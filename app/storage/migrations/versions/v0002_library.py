"""The library: more is known of each model file, files of other programs are in it, and folders are watched."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of model files anew, since a file need not have been used any more, and fill it from the old."""
    for statement in _STATEMENTS:
        op.execute(statement)


_STATEMENTS = (
    "DROP INDEX ix_model_files_last_used_at",
    "ALTER TABLE model_files RENAME TO old_model_files",
    """
    CREATE TABLE model_files (
        path TEXT NOT NULL,
        name TEXT NOT NULL,
        given_name TEXT DEFAULT '' NOT NULL,
        owner TEXT NOT NULL,
        parts TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        architecture TEXT NOT NULL,
        parameters INTEGER NOT NULL,
        quantization TEXT NOT NULL,
        context_length INTEGER NOT NULL,
        has_template BOOLEAN NOT NULL,
        licence TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        repo TEXT NOT NULL,
        revision TEXT NOT NULL,
        template TEXT,
        added_at INTEGER NOT NULL,
        last_used_at INTEGER,
        is_hidden BOOLEAN DEFAULT 0 NOT NULL,
        CONSTRAINT pk_model_files PRIMARY KEY (path)
    )
    """,
    """
    INSERT INTO model_files (
        path, name, owner, parts, size_bytes, modified_ns, architecture, parameters, quantization, context_length,
        has_template, licence, sha256, repo, revision, added_at, last_used_at
    )
    SELECT path, name, 'hearth', '[]', size_bytes, 0, architecture, parameters, '', 0, 0, '', '', '', '',
        last_used_at, last_used_at
    FROM old_model_files
    """,
    "DROP TABLE old_model_files",
    "CREATE INDEX ix_model_files_last_used_at ON model_files (last_used_at)",
    """
    CREATE TABLE model_folders (
        path TEXT NOT NULL,
        added_at INTEGER NOT NULL,
        CONSTRAINT pk_model_folders PRIMARY KEY (path)
    )
    """,
)
