"""Recurring and one-off charges, and when accounts were suspended."""

from alembic import op

from billing.store.migrate import create

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables of charges."""
    create(op.get_bind(), "charges")
