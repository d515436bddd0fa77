"""Adjustments of months that were billed before."""

from alembic import op

from billing.store.migrate import create

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create what adjusts a month, what has billed it, and what is held back."""
    create(op.get_bind(), "adjustments")
