"""Who pays for an account, asked of the database without reading all of them: what decides who may see it."""

from typing import NamedTuple

from billing.store.engine import Connection

DEEPEST = 100
"""Levels of a tree of accounts that are climbed."""


class Seen(NamedTuple):
    """An account and who pays for it, by name and number; `payer` "" and `payer_number` 0 where nobody does.

    `root`: it pays for itself.
    """

    account: str
    number: int
    payer: str
    payer_number: int

    @property
    def root(self) -> bool:
        """Whether it pays for itself."""
        return self.account == self.payer


def account_seen(connection: Connection, account: str) -> Seen | None:
    """An account and who pays for it now; None where there is no such account."""
    rows = connection.execute(_UPWARDS, {"account": account, "deepest": DEEPEST}).fetchall()
    if not rows:
        return None
    number, name, pays = rows[-1]
    return Seen(account, rows[0][0], name if pays else "", number if pays else 0)


_UPWARDS = """
WITH RECURSIVE up AS (
    SELECT account_id, id, parent_id, pays, 0 AS height FROM accounts WHERE id = %(account)s
    UNION ALL
    SELECT above.account_id, above.id, above.parent_id, above.pays, height + 1
    FROM up JOIN accounts AS above ON above.account_id = up.parent_id
    WHERE NOT up.pays AND height < %(deepest)s
)
SELECT account_id, id, pays FROM up ORDER BY height
"""


def names_paid(connection: Connection, payer: str) -> list[str]:
    """An account, which need not be known, and those that it pays for."""
    rows = connection.execute(_DOWNWARDS, {"payer": payer})
    return [payer, *(name for (name,) in rows if name != payer)]


_DOWNWARDS = """
WITH RECURSIVE paid AS (
    SELECT account_id, id FROM accounts WHERE id = %(payer)s AND pays
    UNION ALL
    SELECT below.account_id, below.id FROM accounts AS below JOIN paid ON below.parent_id = paid.account_id
    WHERE NOT below.pays
)
SELECT id FROM paid ORDER BY id
"""
