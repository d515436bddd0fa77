"""Keys of the service, and whether a deployment is live or a test."""

from alembic import op

from billing.store.migrate import create

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make their tables."""
    create(op.get_bind(), "keys")
