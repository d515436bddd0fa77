"""Revisions of events that are not in force."""

from alembic import op

from billing.store.migrate import create

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make their tables."""
    create(op.get_bind(), "revisions")
