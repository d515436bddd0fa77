"""Answers that are given again to whoever asks the same again."""

from alembic import op

from billing.store.migrate import create

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make their table."""
    create(op.get_bind(), "repeats")
