"""Charges with what was posted of them, for people."""

from datetime import datetime
from typing import NamedTuple

from billing.accounts import Suspension
from billing.charges import Charge, suspensions_of
from billing.store.accounts import read_accounts
from billing.store.charges import NOTHING, posted, posted_dues, read_charges
from billing.store.engine import Connection


class ListedCharge(NamedTuple):
    """A charge, how many times it was posted, and when whoever pays for it was suspended."""

    charge: Charge
    posted: int
    suspended: tuple[Suspension, ...]


class ShownCharge(NamedTuple):
    """A charge, its dues that were posted with their instants, and when whoever pays for it was suspended."""

    charge: Charge
    posted: dict[int, datetime]
    suspended: tuple[Suspension, ...]


def listed_charges(connection: Connection) -> list[ListedCharge]:
    """All charges, in the order of their ids."""
    accounts, known = read_accounts(connection).accounts, posted(connection)
    return [
        ListedCharge(charge, known.get(charge.id, NOTHING).dues, suspensions_of(charge, accounts))
        for charge in read_charges(connection)
    ]


def shown_charge(connection: Connection, charge_id: str) -> ShownCharge | None:
    """A charge; None where there is none of that id."""
    found = read_charges(connection, [charge_id])
    if not found:
        return None
    suspended = suspensions_of(found[0], read_accounts(connection).accounts)
    return ShownCharge(found[0], posted_dues(connection, charge_id), suspended)
