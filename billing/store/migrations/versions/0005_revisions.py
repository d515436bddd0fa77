"""Revisions of events that are not in force."""

from alembic import op

from billing.store.migrate import create

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make their tables."""
    create(op.get_bind(), "revisions")
