"""Triggers, budgets and guards, and how usage stands to them."""

from alembic import op

from billing.store.migrate import create

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make their tables."""
    create(op.get_bind(), "limits")
