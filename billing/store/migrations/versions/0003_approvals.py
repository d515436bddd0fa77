"""Approvals."""

from alembic import op

from billing.store.migrate import create

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create what was signed, and by whom."""
    create(op.get_bind(), "approvals")
