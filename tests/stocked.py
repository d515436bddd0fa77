"""A small shop in which there is one of everything that routes tell of, and a key of each kind to ask them with."""

from datetime import UTC, datetime
from secrets import token_bytes

from billing.accounts import Account, AccountId
from billing.flows.approve import approve
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.keys import add_key
from billing.flows.publish import add_accounts
from billing.keys import SECRET_BYTES, Grant, Mode, Scope
from billing.store.engine import Engine
from tests.answering import keys
from tests.invoicing import CLOSED, card
from tests.shop import AT, OCTOBER, SOURCE, Shop, call, products

CUSTOMER, ANOTHER = "acme", "zen"
SWITCH, EVERYTHING = "switch", "everything"
"""Keys of a source: one that reports usage, and one that may do all there is."""


def stock(engine: Engine) -> Shop:
    """Two customers, one with an account below it: usage, an issued month and a drawn one, and what waits."""
    shop = Shop(engine=engine)
    shop.publish(card())
    shop.admit(CUSTOMER, ANOTHER)
    add_accounts(engine, [Account(id=AccountId("acme-sub"), parent=CUSTOMER, pays=False)], at=AT, actor="test")
    mine = [call(n, occurred_at=f"2026-10-{n:02}T10:00:00Z", duration_seconds="600") for n in range(2, 7)]
    shop.post(*mine, call(80, account="acme-sub"), call(90, account=ANOTHER), at=CLOSED)
    draw_up(engine, products(), OCTOBER, CLOSED, write=True, actor="First")
    approve(engine, OCTOBER, CLOSED, approver="Second")
    finalize(engine, OCTOBER, CLOSED, actor="First")
    later = [
        call(100, occurred_at="2026-11-02T10:00:00Z"),
        call(101, account=ANOTHER, occurred_at="2026-11-02T10:00:00Z"),
        call(102, to="+81312345678", occurred_at="2026-11-02T10:00:00Z"),
        call(103, account=ANOTHER, to="+81312345678", occurred_at="2026-11-02T10:00:00Z"),
        call(104, account="nobody", occurred_at="2026-11-02T10:00:00Z"),
    ]
    shop.post(*later, at=CLOSED)
    return shop


def tokens(engine: Engine, *customers: str) -> dict[str, str]:
    """Tokens of keys that are good now, by name: of each scope, for everything, a switch's, each customer's."""
    at = datetime.now(UTC)
    switch = Grant(name=SWITCH, scopes=frozenset({Scope.INGEST}), source=SOURCE)
    everything = Grant(name=EVERYTHING, scopes=frozenset(Scope), source=SOURCE)
    return {
        grant.name: add_key(engine, grant, token_bytes(SECRET_BYTES), mode=Mode.TEST, at=at, actor="test").token.text
        for grant in [*keys(*(customers or (CUSTOMER, ANOTHER))), switch, everything]
    }
