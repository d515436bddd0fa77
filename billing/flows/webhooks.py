"""Endpoints of webhooks: added, changed, given new secrets, disabled, replayed to. Each is one unit of work."""

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from billing.errors import InputFaultyError
from billing.hosts import PUBLIC_ONLY, Reach
from billing.store import webhooks as store
from billing.store.audit import record
from billing.store.engine import Connection, Engine, rehearsal, transaction
from billing.webhooks import (
    KEPT,
    LONGEST_DESCRIPTION,
    OPEN,
    OVERLAP,
    DeliveryUnknownError,
    Endpoint,
    EndpointAsked,
    EndpointDisabledError,
    EndpointUnchangedError,
    EndpointUnknownError,
    Message,
    MessageType,
    Why,
    types_of,
    url_faults,
)
from rates.errors import Fault

_SECRET_BYTES = 32  # Standard Webhooks: 24 to 64


def add_endpoint(
    engine: Engine,
    asked: EndpointAsked,
    *,
    at: datetime,
    actor: str,
    reach: Reach = PUBLIC_ONLY,
    dry_run: bool = False,
) -> tuple[Endpoint, str]:
    """Add an endpoint; gives it and its secret, which is told only here. Raises InputFaultyError."""
    known = _checked(asked.url, asked.types, asked.description, reach)
    endpoint = Endpoint(
        id=f"ep_{secrets.token_hex(12)}",
        url=asked.url,
        types=known,
        account=asked.account,
        description=asked.description,
        created_at=at,
    )
    secret = _new_secret()
    with (rehearsal if dry_run else transaction)(engine) as connection:
        if not store.insert_endpoint(connection, endpoint, secret):
            remedy = "name one of `tollbook accounts list`, or none for messages of all accounts"
            raise InputFaultyError([Fault(place="account", value=asked.account, problem="is not known", remedy=remedy)])
        facts = {"url": asked.url, "types": [*known], "account": asked.account}
        _audit(connection, endpoint.id, "add", at, actor, facts)
    return endpoint, secret


def change_endpoint(
    engine: Engine,
    id_: str,
    *,
    url: str | None = None,
    types: Sequence[str] | None = None,
    description: str | None = None,
    at: datetime,
    actor: str,
    reach: Reach = PUBLIC_ONLY,
) -> Endpoint:
    """Change what an endpoint says; what is None stays. Raises EndpointUnknownError, InputFaultyError."""
    with transaction(engine) as connection:
        before = _locked(connection, id_)
        known = _checked(
            before.url if url is None else url,
            before.types if types is None else types,
            before.description if description is None else description,
            reach,
        )
        endpoint = replace(
            before,
            url=before.url if url is None else url,
            types=known,
            description=before.description if description is None else description,
        )
        if endpoint != before:
            store.update_endpoint(connection, endpoint)
            _audit(connection, id_, "change", at, actor, {"url": endpoint.url, "types": [*known]})
    return endpoint


def rotate(engine: Engine, id_: str, *, at: datetime, actor: str, overlap: timedelta = OVERLAP) -> str:
    """Give an endpoint a new secret, which is told only here; the one before signs too for the overlap.

    Raises EndpointUnknownError.
    """
    secret = _new_secret()
    with transaction(engine) as connection:
        _locked(connection, id_)
        store.rotate_secret(connection, id_, secret, at + overlap)
        _audit(connection, id_, "rotate", at, actor, {"overlap_seconds": int(overlap.total_seconds())})
    return secret


def disable(engine: Engine, id_: str, *, at: datetime, actor: str) -> int:
    """Send nothing more there; what waited is dead and may be replayed. Gives how much that is.

    Raises EndpointUnknownError, EndpointUnchangedError.
    """
    with transaction(engine) as connection:
        if _locked(connection, id_).disabled_at is not None:
            raise EndpointUnchangedError("is disabled already", value=id_)
        withdrawn = store.disable(connection, id_, Why.ASKED, at)
        _audit(connection, id_, "disable", at, actor, {"withdrawn": withdrawn})
    return withdrawn


def enable(engine: Engine, id_: str, *, at: datetime, actor: str) -> datetime:
    """Send there again; gives since when nothing was. What was told meanwhile is replayed if somebody asks for it.

    Raises EndpointUnknownError, EndpointUnchangedError.
    """
    with transaction(engine) as connection:
        since = _locked(connection, id_).disabled_at
        if since is None:
            raise EndpointUnchangedError("is enabled already", value=id_)
        store.enable(connection, id_)
        _audit(connection, id_, "enable", at, actor, {})
    return since


def remove(engine: Engine, id_: str, *, at: datetime, actor: str) -> None:
    """Forget an endpoint and its secrets; what was sent there stays known. Raises EndpointUnknownError."""
    with transaction(engine) as connection:
        _locked(connection, id_)
        store.disable(connection, id_, Why.REMOVED, at)
        _audit(connection, id_, "remove", at, actor, {})


def send_test(engine: Engine, id_: str, *, at: datetime, actor: str) -> str:
    """Have a test message sent there in the next round; its id. Raises EndpointUnknownError, EndpointDisabledError."""
    with transaction(engine) as connection:
        _enabled(connection, id_)
        data = {"endpoint": id_, "by": actor}
        message = Message(type=MessageType.TEST, subject=secrets.token_hex(12), account="", at=at, data=data)
        return store.emit_to(connection, id_, message)


def replay_message(engine: Engine, id_: str, message: str, *, at: datetime, actor: str) -> bool:
    """Send one message there again, with the same id; False where it is under way already.

    Raises EndpointUnknownError, EndpointDisabledError, DeliveryUnknownError.
    """
    with transaction(engine) as connection:
        _enabled(connection, id_)
        before = store.replay_message(connection, id_, message, at)
        if before is None:
            problem, remedy = "was never to be sent there", f"`tollbook webhooks deliveries {id_}` lists what was"
            raise DeliveryUnknownError(problem, value=message, remedy=remedy)
        if before in OPEN:
            return False
        _audit(connection, id_, "replay", at, actor, {"message": message})
    return True


def replay_between(
    engine: Engine,
    id_: str,
    since: datetime,
    until: datetime,
    *,
    at: datetime,
    actor: str,
    delivered: bool = False,
) -> int:
    """Send there what was told within `[since, until)` and did not arrive, also what was never tried; gives how many.

    With `delivered` also what arrived. What was told longer ago than is kept is not sent: whether it arrived is not
    known any more. Raises EndpointUnknownError, EndpointDisabledError.
    """
    with transaction(engine) as connection:
        _enabled(connection, id_)
        count = store.replay_between(connection, id_, max(since, at - KEPT), until, at, delivered=delivered)
        if count:
            facts = {"since": since.isoformat(), "until": until.isoformat(), "messages": count}
            _audit(connection, id_, "replay", at, actor, facts)
    return count


def unknown(id_: str) -> EndpointUnknownError:
    """That there is no such endpoint."""
    return EndpointUnknownError("is not an endpoint", value=id_, remedy="`tollbook webhooks list` has all")


def _checked(url: str, types: Sequence[str], description: str, reach: Reach) -> tuple[MessageType, ...]:
    known, faults = types_of(types)
    faults.extend(url_faults(url, reach))
    if len(description) > LONGEST_DESCRIPTION or not (description.isprintable() or not description):
        problem, remedy = "cannot be kept", f"write one line of at most {LONGEST_DESCRIPTION} characters"
        faults.append(Fault(place="description", value=description, problem=problem, remedy=remedy))
    if faults:
        raise InputFaultyError(faults, place="webhook endpoint")
    return known


def _new_secret() -> str:
    return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode('ascii')}"


def _locked(connection: Connection, id_: str) -> Endpoint:
    found = store.lock_endpoint(connection, id_)
    if found is None:
        raise unknown(id_)
    return found


def _enabled(connection: Connection, id_: str) -> Endpoint:
    found = _locked(connection, id_)
    if found.disabled_at is not None:
        raise EndpointDisabledError("is disabled", value=id_, remedy=f"`tollbook webhooks enable {id_}` first")
    return found


def _audit(
    connection: Connection, id_: str, what: str, at: datetime, actor: str, details: Mapping[str, object]
) -> None:
    record(connection, at=at, actor=actor, action=f"webhooks.{what}", subject=id_, details=details)
