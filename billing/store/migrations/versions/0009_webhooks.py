"""Webhooks: endpoints, messages and their deliveries."""

from alembic import op

from billing.store.migrate import create

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make their tables."""
    create(op.get_bind(), "webhooks")
