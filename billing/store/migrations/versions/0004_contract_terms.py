"""What contracts say of money."""

from alembic import op

from billing.store.migrate import create

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Give contracts their terms."""
    create(op.get_bind(), "contract_terms")
