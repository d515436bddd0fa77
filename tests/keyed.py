"""Keys for tests: what they are granted, and tokens that are made of numbers."""

from datetime import datetime

from billing.flows.keys import add_key
from billing.keys import Grant, Issued, Mode, Scope
from billing.store.engine import Engine
from tests.shop import AT


def secret(number: int) -> bytes:
    """32 bytes that are another key's for another number."""
    return number.to_bytes(32)


def grant(name: str = "switch-1", *scopes: Scope, **facts: object) -> Grant:
    """What a key is to be: without scopes one that reports usage, with an `account` a customer's."""
    default = Scope.READ if "account" in facts else Scope.INGEST
    return Grant(name=name, scopes=frozenset(scopes or {default}), **facts)  # type: ignore[arg-type]


def add(
    engine: Engine,
    number: int,
    of: Grant | None = None,
    *,
    at: datetime = AT,
    mode: Mode = Mode.TEST,
    dry: bool = False,
) -> Issued:
    """Add a key made of a number."""
    return add_key(engine, of or grant(), secret(number), mode=mode, at=at, actor="operator", dry_run=dry)
