"""Accounts, cards and usage."""

from alembic import op

from billing.store.migrate import create

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what usage is stored and rated with."""
    for noun in ("audit", "accounts", "cards", "usage"):
        create(op.get_bind(), noun)
