"""Law 10: "No query in one customer's context returns or changes a byte of another's." Here: whom a key may see.

For any tree of accounts: each account is seen by the key of who pays for it and by no other customer's; no key of a
customer reports usage, issues bills or manages anything, however it was asked for; what is asked for otherwise is a
fault.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.accounts import Account, AccountId, payer_of
from billing.keys import Grant, Scope, faults_of
from billing.store.accounts import insert_accounts
from billing.store.engine import rehearsal
from billing.store.queries.accounts import account_page
from billing.store.queries.sight import account_seen, names_paid
from tests.shop import AT, Shop

SCOPES = st.frozensets(st.sampled_from(Scope))


@st.composite
def trees(draw: st.DrawFn) -> Mapping[str, Account]:
    """Some trees of accounts whose roots pay; those below may pay by themselves."""
    accounts: dict[str, Account] = {}
    for number in range(draw(st.integers(1, 12))):
        parent = draw(st.sampled_from(["", *accounts]))
        name = AccountId(f"a{number}")
        accounts[name] = Account(id=name, parent=parent, pays=not parent or draw(st.booleans()))
    return accounts


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(accounts=trees())
def test_an_account_is_seen_by_the_key_of_who_pays_for_it_and_by_no_other(
    shop: Shop, accounts: Mapping[str, Account]
) -> None:
    """As the door asks the database: of one account, and of all that are a customer's."""
    payers = {name: payer.id for name in accounts if (payer := payer_of(name, accounts)) is not None}
    with rehearsal(shop.engine) as connection:
        insert_accounts(
            connection, [replace(each, currency="USD" if each.pays else "") for each in accounts.values()], AT
        )
        seen = {name: found.payer for name in accounts if (found := account_seen(connection, name)) is not None}
        assert payers == seen
        assert [None] * 4 == [account_seen(connection, stranger) for stranger in ("", "a99", "A0", "a0 ")]
        for root in set(payers.values()):
            own = {name for name in accounts if payers[name] == root}
            assert own == {*names_paid(connection, root)}
            assert own == {each.account.id for each in account_page(connection, payer=root, limit=100)}


@given(
    accounts=trees(),
    name=st.sampled_from(["a0", "a1", "a2", "a99", ""]),
    scopes=SCOPES,
    source=st.sampled_from(["", "s"]),
)
def test_a_customers_key_that_would_do_more_than_read_is_a_fault(
    accounts: Mapping[str, Account], name: str, scopes: frozenset[Scope], source: str
) -> None:
    grant = Grant(name="k", scopes=scopes, source=source, account=name, expires_at=AT + timedelta(days=1))
    if not [*faults_of(grant, accounts, AT)]:
        if name:
            assert (True, frozenset({Scope.READ}), "") == (accounts[name].pays, scopes, source)
        else:
            assert scopes
            assert not source or Scope.INGEST in scopes
