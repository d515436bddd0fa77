from datetime import UTC, datetime

import pytest

from billing.accounts import Account, AccountId, Suspension, change_faults, check_tree, payer_of, read_account

ACME: dict[str, object] = {"id": "acme", "currency": "USD"}


def accounts(*each: dict[str, object]) -> dict[str, Account]:
    found: dict[str, Account] = {}
    for table in each:
        account, faults = read_account(table, "account.toml")
        assert account is not None, faults
        found[account.id] = account
    return found


def test_a_root_pays_and_a_subaccount_does_not_unless_it_says_so() -> None:
    tree = accounts(ACME, {"id": "below", "parent": "acme"}, ACME | {"id": "own", "parent": "below", "pays": True})
    assert ["acme", "acme", "own"] == [payer.id for name in tree if (payer := payer_of(name, tree)) is not None]
    assert [] == check_tree(tree)
    assert payer_of("nobody", tree) is None


def test_all_facts_are_read() -> None:
    address = ["1 High Street", "London"]
    facts: dict[str, object] = {"zone": "Europe/London", "name": "Acme Ltd", "address": address, "tax_id": "GB1"}
    (account,) = accounts(ACME | facts | {"language": "en", "legal_entity": "uk"}).values()
    assert (
        Account(
            id=AccountId("acme"),
            currency="USD",
            zone="Europe/London",
            name="Acme Ltd",
            address=("1 High Street", "London"),
            tax_id="GB1",
            language="en",
            legal_entity="uk",
        )
        == account
    )


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"parent": "acme"}, "parent"),
        ({"currency": ""}, "currency"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "XAU"}, "currency"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"pays": "yes"}, "pays"),
        ({"nmae": "Acme"}, "nmae"),
    ],
)
def test_a_fault_says_where_it_is(changes: dict[str, object], place: str) -> None:
    account, faults = read_account(ACME | changes, "account.toml")
    assert account is None
    assert f"account.toml: {place}" in {fault.place for fault in faults}


def test_a_tree_that_does_not_hold_together_is_refused() -> None:
    free = {"pays": False, "currency": ""}
    unknown = accounts(ACME | {"id": "a", "parent": "nobody"})
    circle = accounts(*(ACME | {"id": name, "parent": above} for name, above in ("ab", "bc", "ca")))
    unpaid = accounts({"id": "a", **free}, {"id": "b", "parent": "a", **free})
    two = accounts(ACME, {"id": "b", "parent": "acme", "currency": "EUR"})
    found = [[fault.problem for fault in check_tree(tree)] for tree in (unknown, circle, unpaid, two)]
    assert [
        ["is not an account"],
        ["leads back to the account itself"] * 3,
        ["nobody pays for it"] * 2,
        ["its payer acme is billed in USD"],
    ] == found


def test_whom_a_circle_leads_back_to_is_found_nonetheless() -> None:
    circle = accounts(*({"id": name, "parent": above, "pays": False} for name, above in ("ab", "ba")))
    assert payer_of("a", circle) is None


FEBRUARY, MARCH, APRIL = (datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4))


def suspended(*each: tuple[str, str]) -> dict[str, object]:
    return {"suspended": [{key: at for key, at in zip(("from", "to"), one, strict=True) if at} for one in each]}


def test_when_an_account_was_suspended_is_read() -> None:
    (account,) = accounts(ACME | suspended(("2026-02-01", "2026-03-01"), ("2026-04-01", ""))).values()
    assert (Suspension(FEBRUARY, MARCH), Suspension(APRIL)) == account.suspended


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (ACME | suspended(("2026-03-01", "2026-02-01")), "suspended[0].to"),
        (ACME | suspended(("", "2026-02-01")), "suspended[0].from"),
        (ACME | suspended(("2026-02-01", ""), ("2026-03-01", "")), "suspended"),
        (ACME | suspended(("2026-02-01", "2026-03-01"), ("2026-03-01", "")), "suspended"),
        (ACME | {"suspended": [{"since": "2026-02-01"}]}, "suspended[0].since"),
        ({"id": "below", "parent": "acme"} | suspended(("2026-02-01", "")), "suspended"),
    ],
)
def test_a_suspension_that_cannot_be_is_refused_at_its_key(table: dict[str, object], place: str) -> None:
    account, faults = read_account(table, "account.toml")
    assert account is None
    assert f"account.toml: {place}" in {fault.place for fault in faults}


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ([("2026-02-01", "2026-03-01"), ("2026-04-01", "")], True),
        ([("2026-02-01", "2026-03-01"), ("2026-04-01", "2026-05-01")], True),
        ([("2026-01-01", "2026-01-02"), ("2026-02-01", "2026-03-01"), ("2026-04-01", "")], True),
        ([("2026-02-01", "2026-03-02"), ("2026-04-01", "")], False),
        ([("2026-02-01", "2026-03-01"), ("2026-04-02", "")], False),
        ([("2026-04-01", "")], False),
        ([], False),
    ],
)
def test_a_suspension_that_was_told_stays_and_only_gets_its_end(after: list[tuple[str, str]], kept: bool) -> None:  # noqa: FBT001
    stored = accounts(ACME | suspended(("2026-02-01", "2026-03-01"), ("2026-04-01", "")))
    changed, faults = read_account(ACME | suspended(*after), "account.toml")
    assert changed is not None, faults
    wrong = list(change_faults([changed], stored))
    assert kept == (not wrong)
    assert all("account acme: suspended" == fault.place for fault in wrong)
