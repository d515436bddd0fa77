"""Make keys of the service, replace them and end them. A new key's token is returned once, and kept nowhere.

What tokens are made of, 32 bytes that nobody can guess, is an argument, as the time is.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from billing.errors import InputFaultyError
from billing.flows.ingest import require_free
from billing.keys import (
    LIVE_AT_ONCE,
    Grant,
    Issued,
    Key,
    KeyConflictError,
    KeyMissingError,
    KeyUnclearError,
    Mode,
    digest,
    faults_of,
    live,
    new_token,
    past_faults,
    settled,
)
from billing.periods import ALWAYS
from billing.store.accounts import read_accounts
from billing.store.audit import record
from billing.store.engine import Connection, Engine, rehearsal, snapshot, transaction
from billing.store.keys import insert_end, insert_key, lock_keys, note_mode, read_keys, read_mode
from rates.cards import instant

_LISTS = "`tollbook keys list` lists them"


def mode_of(engine: Engine, said: Mode | None, otherwise: Mode | None = None) -> Mode:
    """What this deployment is: as noted, else as said, else `otherwise`. Notes nothing. Raises ModeMismatchError."""
    with snapshot(engine) as connection:
        return settled(said, read_mode(connection), otherwise)


def settle_mode(engine: Engine, said: Mode | None, at: datetime, *, otherwise: Mode | None = None) -> Mode:
    """The same, and note it for good if nobody has: what a service does first. Raises ModeMismatchError."""
    mode = mode_of(engine, said, otherwise)
    with transaction(engine) as connection:
        return _noted(connection, mode, at)


def add_key(
    engine: Engine, grant: Grant, secret: bytes, *, mode: Mode, at: datetime, actor: str, dry_run: bool = False
) -> Issued:
    """Make a key. With `dry_run` nothing stays.

    Raises InputFaultyError with all that is wrong with the grant, SourceReservedError, ModeMismatchError, and
    KeyConflictError where a key of the name is live: that one is rotated.
    """
    require_free(grant.source or None)
    with (rehearsal if dry_run else transaction)(engine) as connection:
        _noted(connection, mode, at)
        if faults := [*faults_of(grant, read_accounts(connection).accounts, at)]:
            raise InputFaultyError(faults, place="key")
        lock_keys(connection)
        if _live(connection, grant.name, at):
            problem, remedy = "is the name of a live key", "rotate or revoke that one, or give this one another name"
            raise KeyConflictError(problem, place="key", value=grant.name, remedy=remedy)
        issued = _issue(connection, grant, secret, mode, at)
        _record(connection, "add", issued.key, at, actor)
    return issued


def rotate_key(
    engine: Engine,
    name: str,
    secret: bytes,
    *,
    old_ends: datetime,
    at: datetime,
    actor: str,
    expires_at: datetime | None = None,
    dry_run: bool = False,
) -> Issued:
    """Make another key of a name that opens the same; the one before ends at `old_ends`, or sooner as was said before.

    Without `expires_at` it lives as long as the one before was meant to. With `dry_run` nothing stays. Raises
    KeyMissingError where no key of the name is live, KeyConflictError where two are, InputFaultyError for an instant in
    the past.
    """
    if faults := [*past_faults(at, expires=expires_at or ALWAYS, old_ends=old_ends)]:
        raise InputFaultyError(faults, place="key")
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_keys(connection)
        found = _live(connection, name, at)
        if not found:
            raise KeyMissingError("is the name of no live key", place="key", value=name, remedy=_LISTS)
        if len(found) >= LIVE_AT_ONCE:
            problem = f"has {len(found)} live keys, and that is as many as may be at once"
            remedy = f"wait until one ends, or revoke one: {_numbered(found)}"
            raise KeyConflictError(problem, place="key", value=name, remedy=remedy)
        (old,) = found
        expires = expires_at or _as_long(old, at)
        grant = Grant(name=name, scopes=old.scopes, source=old.source, account=old.account, expires_at=expires)
        issued = _issue(connection, grant, secret, old.mode, at)
        insert_end(connection, old.number, "replaced", old_ends)
        before = replace(old, replaced_at=min(old.replaced_at, old_ends))
        _record(connection, "rotate", issued.key, at, actor, before)
    return replace(issued, before=before)


def revoke_key(
    engine: Engine, asked: str, *, at: datetime, actor: str, every: bool = False, dry_run: bool = False
) -> list[Key]:
    """Revoke the live key of a name, or the one of a number; `every`: all live keys of the name. Gives what it revoked.

    That is nothing where all that was asked for have ended. Each process refuses them within a second. With `dry_run`
    nothing stays. Raises KeyMissingError, and KeyUnclearError where two keys of the name are live.
    """
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_keys(connection)
        named = [key for key in read_keys(connection).values() if asked in {key.name, str(key.number)}]
        if not named:
            raise KeyMissingError("is the name or number of no key", place="key", value=asked, remedy=_LISTS)
        found = live(named, at)
        if len(found) > 1 and not every:
            remedy = f"name one by its number, or revoke all of them (--all): {_numbered(found)}"
            raise KeyUnclearError(f"has {len(found)} live keys", place="key", value=asked, remedy=remedy)
        revoked = [replace(key, revoked_at=at) for key in found]
        for key in revoked:
            insert_end(connection, key.number, "revoked", at)
            _record(connection, "revoke", key, at, actor)
    return revoked


def _noted(connection: Connection, mode: Mode, at: datetime) -> Mode:
    """Note the mode, if none is; whoever was first has said it. Raises ModeMismatchError."""
    if (noted := read_mode(connection)) is None:
        note_mode(connection, mode, at)
        noted = read_mode(connection)
    return settled(mode, noted, None)


def _live(connection: Connection, name: str, at: datetime) -> list[Key]:
    return live((key for key in read_keys(connection).values() if key.name == name), at)


def _as_long(key: Key, at: datetime) -> datetime:
    """When a key expires that is made at an instant and lives as long as another was meant to."""
    lifetime = key.expires_at - key.added_at
    return ALWAYS if key.expires_at == ALWAYS or ALWAYS - at <= lifetime else at + lifetime


def _issue(connection: Connection, grant: Grant, secret: bytes, mode: Mode, at: datetime) -> Issued:
    token = new_token(mode, secret)
    return Issued(key=insert_key(connection, grant, digest(token.text), at), token=token)


def _record(connection: Connection, action: str, key: Key, at: datetime, actor: str, before: Key | None = None) -> None:
    """Add to the audit log what was done to a key, and what it opens; never what it is."""
    details: dict[str, object] = {
        "number": key.number,
        "scopes": sorted(key.scopes),
        "source": key.source,
        "account": key.account,
        "expires_at": "" if key.expires_at == ALWAYS else instant(key.expires_at),
    }
    if before is not None:
        details |= {"before": before.number, "before_ends_at": instant(before.ends_at)}
    record(connection, at=at, actor=actor, action=action, subject=f"key {key.name}", details=details)


def _numbered(keys: Sequence[Key]) -> str:
    return ", ".join(f"{key.number} of {instant(key.added_at.replace(microsecond=0))}" for key in keys)
