"""Invoices."""

from alembic import op

from billing.store.migrate import create

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create drafts, final invoices, and the numbers that they get."""
    create(op.get_bind(), "invoices")
