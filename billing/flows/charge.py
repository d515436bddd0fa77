"""Add charges and end them: dated, never edited. What is due of them is posted by `flows.post`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing.accounts import Account
from billing.charges import Charge, ChargeMissingError, ChargePostedError, begins_at, ended, twice
from billing.errors import InputFaultyError, PublicationConflictError
from billing.store.accounts import read_accounts
from billing.store.audit import record, record_each
from billing.store.charges import (
    insert_charges,
    insert_end,
    lock_charges,
    posted_dues,
    read_charges,
)
from billing.store.engine import Engine, rehearsal, transaction
from rates.cards import instant
from rates.errors import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """How many charges were new, and how many were known already."""

    added: int
    known: int


def add_charges(engine: Engine, charges: Sequence[Charge], *, at: datetime, actor: str, dry_run: bool = False) -> Added:
    """Add charges. The same charge again changes nothing, also after it has ended. With `dry_run` nothing stays.

    Raises InputFaultyError where an account is unknown or a charge is given twice, PublicationConflictError where
    another charge has the id.
    """
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_charges(connection, exclusive=True)
        if faults := [*twice(charges), *_strangers(charges, read_accounts(connection).accounts)]:
            raise InputFaultyError(faults, place="charges")
        stored = {charge.id: charge for charge in read_charges(connection, {charge.id for charge in charges})}
        for charge in charges:
            if charge.id in stored and not _is_same(charge, stored[charge.id]):
                raise PublicationConflictError(
                    "another charge has this id",
                    place="charge",
                    value=charge.id,
                    remedy="charges are not edited: `tollbook charges end` ends it; give the new one another id",
                )
        new = {charge.id: charge for charge in charges if charge.id not in stored}
        if new:
            insert_charges(connection, [*new.values()], at)
            subjects = [f"charge {name}" for name in new]
            record_each(connection, at=at, actor=actor, action="add", subjects=subjects)
    return Added(added=len(new), known=len(stored))


def end_charge(
    engine: Engine, charge_id: str, ends: datetime, *, at: datetime, actor: str, dry_run: bool = False
) -> tuple[Charge, bool]:
    """End a charge: terms that begin at that instant or after it are not charged. Gives it, and whether it changed.

    It may end sooner than was said before, and not later. With `dry_run` nothing stays. Raises ChargeMissingError, and
    ChargePostedError where such a term was posted already.
    """
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_charges(connection, exclusive=True)
        charge = next(iter(read_charges(connection, [charge_id])), None)
        if charge is None:
            raise ChargeMissingError("is no charge", value=charge_id, remedy="`tollbook charges list` lists them")
        if charge.effective_to <= ends:
            return charge, False
        last = max(posted_dues(connection, charge_id), default=0)
        if last and begins_at(charge, last) >= ends:
            begins = instant(begins_at(charge, last))
            raise ChargePostedError(
                f"its term {last} from {begins} was posted already",
                place="charge",
                value=charge_id,
                remedy=f"end it after {begins}; what was posted stays",
            )
        insert_end(connection, charge_id, ends, at)
        details = {"effective_to": instant(ends)}
        record(connection, at=at, actor=actor, action="end", subject=f"charge {charge_id}", details=details)
    return ended(charge, ends), True


def _is_same(charge: Charge, stored: Charge) -> bool:
    """Whether a charge says what was said, but for an end that was said since."""
    return replace(charge, effective_to=stored.effective_to) == stored and charge.effective_to >= stored.effective_to


def _strangers(charges: Iterable[Charge], accounts: Mapping[str, Account]) -> list[Fault]:
    return [
        Fault(
            place=f"charge {each.id}: account", value=each.account, problem="is not an account", remedy="add it first"
        )
        for each in charges
        if each.account not in accounts
    ]
