"""Say what limits usage: triggers, budgets and guards, and releases from guards."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from billing.errors import InputFaultyError
from billing.guards import Guard, Release, guard_faults
from billing.payers import SubjectMissingError
from billing.store.accounts import read_accounts
from billing.store.audit import record
from billing.store.engine import Connection, Engine, rehearsal, transaction
from billing.store.limits import (
    end_guards,
    end_triggers,
    insert_guards,
    insert_release,
    insert_triggers,
    lock_limits,
    raise_limits_version,
    read_guards,
    read_triggers,
)
from billing.triggers import Trigger, trigger_faults
from rates.errors import Fault
from rates.products import Product


class Changed(NamedTuple):
    """How many were new, and how many took the place of one of their name that said something else."""

    added: int
    replaced: int


def set_triggers(
    engine: Engine, triggers: Sequence[Trigger], *, at: datetime, actor: str, dry_run: bool = False
) -> Changed:
    """Set triggers; one that says something else than before ends what it was, and fires anew.

    The same again changes nothing. Raises InputFaultyError.
    """
    _require_once([each.id for each in triggers], "trigger")
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_limits(connection)
        known = {each.trigger.id: each.trigger for each in read_triggers(connection)}
        accounts = read_accounts(connection)
        _require(trigger_faults(triggers, accounts.accounts, accounts.contracts), "triggers")
        new = [each for each in triggers if known.get(each.id) != each]
        if new:
            raise_limits_version(connection)
            end_triggers(connection, [each.id for each in new], at=at, actor=actor)
            insert_triggers(connection, new, at=at, actor=actor)
            _note(connection, "set", "triggers", [each.id for each in new], at=at, actor=actor)
    return _changed([each.id for each in new], known)


def set_guards(
    engine: Engine,
    guards: Sequence[Guard],
    products: Mapping[str, Product],
    *,
    at: datetime,
    actor: str,
    dry_run: bool = False,
) -> Changed:
    """Set guards; one that says something else than before ends what it was. The same again changes nothing.

    Raises InputFaultyError.
    """
    _require_once([each.id for each in guards], "guard")
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_limits(connection)
        known = {each.id: each for each in read_guards(connection, products)}
        accounts = read_accounts(connection)
        _require(guard_faults(guards, accounts.accounts, accounts.contracts), "guards")
        new = [each for each in guards if known.get(each.id) != each]
        if new:
            raise_limits_version(connection, guards=True)
            end_guards(connection, [each.id for each in new], at=at, actor=actor)
            insert_guards(connection, new, at=at, actor=actor)
            _note(connection, "set", "guards", [each.id for each in new], at=at, actor=actor)
    return _changed([each.id for each in new], known)


def remove_trigger(engine: Engine, name: str, *, at: datetime, actor: str) -> None:
    """End a trigger. Raises SubjectMissingError."""
    with transaction(engine) as connection:
        lock_limits(connection)
        if not end_triggers(connection, [name], at=at, actor=actor):
            raise _missing("trigger", name)
        raise_limits_version(connection)
        _note(connection, "remove", "triggers", [name], at=at, actor=actor)


def remove_guard(engine: Engine, name: str, *, at: datetime, actor: str) -> None:
    """End a guard. Raises SubjectMissingError."""
    with transaction(engine) as connection:
        lock_limits(connection)
        if not end_guards(connection, [name], at=at, actor=actor):
            raise _missing("guard", name)
        raise_limits_version(connection, guards=True)
        _note(connection, "remove", "guards", [name], at=at, actor=actor)


def release_guard(
    engine: Engine, release: Release, products: Mapping[str, Product], *, at: datetime, person: str, reason: str
) -> None:
    """Let an account pass a guard. Raises SubjectMissingError."""
    with transaction(engine) as connection:
        lock_limits(connection)
        if release.guard not in {each.id for each in read_guards(connection, products)}:
            raise _missing("guard", release.guard)
        if release.account not in read_accounts(connection).numbers:
            raise _missing("account", release.account)
        insert_release(connection, release, at=at, person=person, reason=reason)
        raise_limits_version(connection)
        details = {"account": release.account, "destination": release.destination, "reason": reason}
        subject = f"guard {release.guard}"
        record(connection, at=at, actor=person, action="release", subject=subject, details=details)


def _changed(new: Sequence[str], known: Mapping[str, object]) -> Changed:
    replaced = sum(name in known for name in new)
    return Changed(len(new) - replaced, replaced)


def _note(connection: Connection, action: str, subject: str, names: Sequence[str], *, at: datetime, actor: str) -> None:
    record(connection, at=at, actor=actor, action=action, subject=subject, details={"names": list(names)})


def _missing(what: str, name: str) -> SubjectMissingError:
    commands = {"trigger": "triggers list", "guard": "guards list", "account": "accounts list"}
    return SubjectMissingError(
        f"there is no such {what}", place=what, value=name, remedy=f"see `tollbook {commands[what]}`"
    )


def _require(faults: Sequence[Fault], place: str) -> None:
    if faults:
        raise InputFaultyError(faults, place=place)


def _require_once(names: Sequence[str], what: str) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    remedy = "give each a name of its own"
    _require([Fault(place=f"{what} {name}", value="", problem="is given twice", remedy=remedy) for name in twice], what)
