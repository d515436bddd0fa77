"""Law 10: "No query in one customer's context returns or changes a byte of another's." Here: whom a key may see.

For any tree of accounts: each account is seen by the key of who pays for it and by no other customer's; no key of a
customer reports usage, issues bills or manages anything, however it was asked for; what is asked for otherwise is a
fault.
"""

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import Account, AccountId, payer_of
from billing.keys import Grant, Key, Mode, Scope, faults_of
from tests.shop import AT

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


def key(account: str) -> Key:
    return Key(number=1, name="k", mode=Mode.TEST, scopes=frozenset({Scope.READ}), account=account, added_at=AT)


@given(accounts=trees())
def test_an_account_is_seen_by_the_key_of_who_pays_for_it_and_by_no_other(accounts: Mapping[str, Account]) -> None:
    payers = [name for name, account in accounts.items() if account.pays]
    for name in accounts:
        payer = payer_of(name, accounts)
        assert payer is not None
        assert [payer.id] == [each for each in payers if key(each).sees(name, accounts)]


@given(accounts=trees(), stranger=st.sampled_from(["", "a", "a99", "A0", "a0 "]))
def test_what_is_no_account_is_nobodys(accounts: Mapping[str, Account], stranger: str) -> None:
    assert not any(key(name).sees(stranger, accounts) for name in accounts)


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
