"""What drafts took from bills of other months."""

from alembic import op

from billing.store.migrate import create

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make their table."""
    create(op.get_bind(), "carried")
