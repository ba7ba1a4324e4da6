"""What was found of each model file's chat template, and by which version of Hearth."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has looked yet."""
    for name in ("template_state", "template_used", "template_looked_by"):
        op.execute(f"ALTER TABLE model_files ADD COLUMN {name} TEXT DEFAULT '' NOT NULL")
