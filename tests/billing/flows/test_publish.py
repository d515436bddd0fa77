"""Publication: dated, once, and never under usage that was rated already."""

from dataclasses import replace
from datetime import UTC, date, datetime

import psycopg
import pytest

from billing.contracts import Contract
from billing.errors import InputFaultyError, PublicationBackdatedError, PublicationConflictError
from billing.flows.fold import fold
from billing.flows.publish import Status, add_accounts, add_contracts, publish
from billing.flows.release import release
from billing.store.engine import snapshot, transaction
from billing.store.ratebooks import book_version, read_card_versions
from billing.store.ratebooks import read_card as read_published
from rates.cardfile import card_from_table, read_card
from rates.cards import Card, identity
from rates.compiled.shapes import CardTooWideError
from rates.products import read_product
from tests.shop import AT, Shop, account, call, card, outcomes, products

DISAGREES = r"card {}-01T00:00:00Z: tiers\.t: counts otherwise than in card {}-01T00:00:00Z, in fill"
DEAR = "voice.outbound,44,minute,60/60,0.03"


def version(shop: Shop) -> int:
    with snapshot(shop.engine) as connection:
        return book_version(connection)


def test_the_same_card_again_changes_nothing(shop: Shop) -> None:
    first = shop.publish()
    before = version(shop)
    assert (Status.UNCHANGED, first.version) == (shop.publish().status, shop.publish().version)
    assert before == version(shop)


def test_every_change_moves_the_version_of_the_books(shop: Shop) -> None:
    versions = [version(shop)]
    shop.publish()
    versions.append(version(shop))
    add_accounts(shop.engine, [account("acme")], at=AT, actor="finance")
    versions.append(version(shop))
    contract = Contract(account="acme", effective_from=date(2026, 10, 1), cards=("list",))
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    versions.append(version(shop))
    assert [1, 2, 3, 4] == versions


def test_versions_own_blocks_of_ids_that_do_not_meet(shop: Shop) -> None:
    shop.publish(card(f"{DEAR},0.1\nvoice.outbound,4477,minute,60/60,0.05,0.1"))
    shop.publish(card(id_="other"))
    blocks = shop.rows("SELECT rate_base, rates, price_base, prices FROM card_versions ORDER BY 1")
    assert [(1, 2, 1, 3), (3, 1, 4, 1)] == blocks
    assert [(1,), (2,), (3,)] == shop.rows("SELECT rate_id FROM rates ORDER BY 1")
    assert [("usage",), ("usage",), ("setup",), ("usage",)] == shop.rows("SELECT element FROM prices ORDER BY price_id")


def test_a_card_that_is_read_back_is_the_card_that_was_published(shop: Shop) -> None:
    published = card(f"{DEAR},0.1\nvoice.inbound,4477 4478,minute,6/6,0.05,\nvoice.inbound,1,event,,0.05,")
    shop.publish(published)
    with snapshot(shop.engine) as connection:
        (stored,) = read_card_versions(connection, "list")
        back = read_published(connection, stored, products())
    assert identity(published) == identity(back) == stored.hash
    assert published.rows["row"].to_pylist() == back.rows["row"].to_pylist()


def test_a_new_version_rates_usage_from_its_date_and_not_before(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.publish(card(DEAR, since="2026-10-03"))
    shop.post(call(1, occurred_at="2026-10-02T23:59:59.999999Z"), call(2, occurred_at="2026-10-03T00:00:00Z"))
    assert [("call-1", 1), ("call-2", 2)] == shop.rows("SELECT id, price_id FROM events ORDER BY id")


def test_a_version_from_before_usage_that_its_card_has_rated_is_refused(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1, occurred_at="2026-10-05T12:00:00Z"))
    late = card(DEAR, since="2026-10-06")
    for hour in (0, 12):
        backdated = replace(late, effective_from=datetime(2026, 10, 5, hour, tzinfo=UTC))
        with pytest.raises(PublicationBackdatedError):
            shop.publish(backdated)
    assert Status.PUBLISHED == shop.publish(replace(late, effective_from=datetime(2026, 10, 5, 13, tzinfo=UTC))).status


@pytest.mark.parametrize("folded", [False, True])
def test_a_version_from_before_usage_that_another_card_of_the_contract_has_rated_is_refused(
    shop: Shop, *, folded: bool
) -> None:
    """Drawn again or explained, the usage would have another price than the one it was rated at."""
    shop.publish()
    shop.publish(card("voice.outbound,33,minute,60/60,0.05", id_="deal"))
    shop.admit("acme", cards=("deal", "list"))
    shop.post(call(1, occurred_at="2026-10-05T12:00:00Z"))
    if folded:
        fold(shop.engine)
    late = card(DEAR, since="2026-10-06", id_="deal")
    backdated = replace(late, effective_from=datetime(2026, 10, 4, 12, tzinfo=UTC))
    with pytest.raises(PublicationBackdatedError, match=r"call-1 .*such as 2026-10-06T00:00:00Z"):
        shop.publish(backdated)
    for hour in (0, 12):
        with pytest.raises(PublicationBackdatedError, match="1 rated event would be charged otherwise"):
            shop.publish(replace(late, effective_from=datetime(2026, 10, 5, hour, tzinfo=UTC)))
    assert Status.PUBLISHED == shop.publish(replace(late, effective_from=datetime(2026, 10, 5, 13, tzinfo=UTC))).status


def test_what_a_contract_with_the_card_does_not_cover_stands_in_no_way(shop: Shop) -> None:
    shop.publish()
    shop.publish(card("voice.outbound,33,minute,60/60,0.05", id_="deal"))
    shop.admit("acme", cards=("deal", "list"))
    shop.admit("acme", cards=("list",), since=date(2026, 10, 5))
    shop.admit("acme", cards=("deal", "list"), since=date(2026, 10, 8))
    shop.admit("other")
    shop.post(
        call(1, occurred_at="2026-10-02T12:00:00Z"),
        call(2, occurred_at="2026-10-05T00:00:00Z"),
        call(3, occurred_at="2026-10-07T23:59:59Z"),
        call(4, account="other", occurred_at="2026-10-09T00:00:00Z"),
    )
    since = datetime(2026, 10, 2, 13, tzinfo=UTC)
    assert Status.PUBLISHED == shop.publish(replace(card(DEAR, id_="deal"), effective_from=since)).status
    shop.post(call(5, occurred_at="2026-10-08T00:00:00Z"))
    with pytest.raises(PublicationBackdatedError, match=r"call-5 .*such as 2026-10-09T00:00:00Z"):
        shop.publish(card(DEAR.replace("0.03", "0.04"), since="2026-10-07", id_="deal"))


def test_a_fee_alone_is_usage_that_was_rated(shop: Shop) -> None:
    failed = "product,element,unit,price\nsms.outbound,failed_fee,event,0.001\n"
    head = 'id = "list"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\nrates = "rates.csv"\n'
    rates = failed.replace("sms.outbound,", "sms.outbound,usage,segment,0.01\nsms.outbound,", 1)
    found, faults = read_card(head, {"rates.csv": rates.encode()}, products())
    assert found is not None, faults
    shop.publish(found)
    shop.admit("acme")
    message = {"product": "sms.outbound", "duration_seconds": None, "segments": 1, "status": "failed"}
    assert ["accepted"] == outcomes(shop.post(call(1, **message, occurred_at="2026-10-05T12:00:00Z")))
    assert [(None,)] == shop.rows("SELECT price_id FROM events")
    dearer, faults = read_card(head, {"rates.csv": rates.replace("0.001", "0.002").encode()}, products())
    assert dearer is not None, faults
    begun = datetime(2026, 10, 5, 12, tzinfo=UTC)
    with pytest.raises(PublicationBackdatedError, match=r"failed_fee 0\.001 USD .* before, failed_fee 0\.002 USD"):
        shop.publish(replace(dearer, effective_from=begun))
    assert 1 == shop.publish(replace(found, effective_from=begun)).moved


def test_usage_that_waits_for_a_price_lets_the_card_begin_before_it_and_is_then_let_out(shop: Shop) -> None:
    shop.publish(card("voice.outbound,33,minute,60/60,0.05"))
    shop.admit("acme")
    assert ["quarantined"] == outcomes(shop.post(call(1, occurred_at="2026-10-05T12:00:00Z")))
    assert Status.PUBLISHED == shop.publish(card(DEAR, since="2026-10-04")).status
    assert 1 == sum(release(shop.engine, products(), at=AT, actor="finance").released.values())
    assert [(1, 120)] == [row[5:] for row in shop.totals()]


def test_a_card_that_has_rated_nothing_since_may_begin_in_the_past(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    assert Status.PUBLISHED == shop.publish(card(DEAR, since="2026-10-01", id_="other")).status


def test_one_card_has_one_currency_and_one_version_from_an_instant(shop: Shop) -> None:
    shop.publish()
    with pytest.raises(PublicationConflictError, match="another version is published"):
        shop.publish(card(DEAR))
    with pytest.raises(PublicationConflictError, match="in USD"):
        shop.publish(replace(card(DEAR, since="2026-11-01"), currency="EUR"))


@pytest.mark.parametrize("table", ["card_versions", "rates", "prices", "audit_log"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_was_published_cannot_be_changed(shop: Shop, table: str, change: str) -> None:
    shop.publish()
    column = {"audit_log": "actor", "card_versions": "head"}.get(table, "prices")
    with pytest.raises(psycopg.errors.RestrictViolation), transaction(shop.engine) as connection:
        connection.execute(change.format(table, column, column).encode())


def test_no_session_can_switch_the_refusal_off(shop: Shop) -> None:
    # "A": also where session_replication_role is replica, as it is for restores and logical replication.
    assert [("A",)] == shop.rows("SELECT DISTINCT tgenabled::text FROM pg_trigger WHERE tgname LIKE '%stay%'")


def test_publications_are_in_the_audit_log(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    assert [
        ("finance", "publish", "card list@2026-10-01T00:00:00Z"),
        ("finance", "add", "account acme"),
        ("finance", "add", "contract acme"),
    ] == shop.rows("SELECT actor, action, subject FROM audit_log ORDER BY entry")


def test_what_is_said_about_an_account_may_change_and_its_place_may_not(shop: Shop) -> None:
    add_accounts(shop.engine, [account("acme"), account("below", parent="acme")], at=AT, actor="finance")
    renamed = account("acme", name="Acme Ltd", zone="Europe/Paris", address=("1 High Street", "London"))
    assert Status.PUBLISHED == add_accounts(shop.engine, [renamed], at=AT, actor="finance").status
    assert Status.UNCHANGED == add_accounts(shop.engine, [renamed], at=AT, actor="finance").status
    with pytest.raises(InputFaultyError, match="below: parent: was acme"):
        add_accounts(shop.engine, [account("below")], at=AT, actor="finance")


def test_accounts_come_with_their_parents_in_any_order(shop: Shop) -> None:
    tree = [account("c", parent="b"), account("b", parent="a"), account("a")]
    add_accounts(shop.engine, tree, at=AT, actor="finance")
    assert [("a", None), ("b", "a"), ("c", "b")] == shop.rows(
        "SELECT a.id, p.id FROM accounts a LEFT JOIN accounts p ON p.account_id = a.parent_id ORDER BY 1"
    )
    with pytest.raises(InputFaultyError, match="is not an account"):
        add_accounts(shop.engine, [account("d", parent="nobody")], at=AT, actor="finance")


def test_a_contract_names_cards_and_accounts_that_are_there_in_one_currency(shop: Shop) -> None:
    shop.publish()
    add_accounts(shop.engine, [account("acme"), account("euro", currency="EUR")], at=AT, actor="finance")
    wrong = [
        Contract(account="nobody", effective_from=date(2026, 10, 1), cards=("list",)),
        Contract(account="acme", effective_from=date(2026, 10, 1), cards=("list", "missing")),
        Contract(account="euro", effective_from=date(2026, 10, 1), cards=("list",)),
    ]
    with pytest.raises(InputFaultyError) as raised:
        add_contracts(shop.engine, wrong, products(), at=AT, actor="finance")
    day = "from 2026-10-01"
    assert [f"contract nobody {day}", f"contract acme {day}: cards", f"contract euro {day}: cards"] == [
        f.place for f in raised.value.faults
    ]


def test_a_contract_does_not_begin_under_usage_that_it_would_rate_otherwise(shop: Shop) -> None:
    shop.publish()
    shop.publish(card(DEAR, id_="dear"))
    shop.admit("acme")
    add_accounts(shop.engine, [account("below", parent="acme", pays=False, currency="")], at=AT, actor="finance")
    shop.post(call(1, account="below", occurred_at="2026-10-05T12:00:00Z"))

    def begin(day: date, card_id: str = "dear") -> Status:
        contract = Contract(account="acme", effective_from=day, cards=(card_id,))
        return add_contracts(shop.engine, [contract], products(), at=AT, actor="finance").status

    assert Status.UNCHANGED == begin(date(2026, 10, 1), "list")
    refused = r"contract acme .*2026-10-05.* 0\.03 USD .*let it begin later, such as 2026-10-06$"
    with pytest.raises(PublicationBackdatedError, match=refused):
        begin(date(2026, 10, 5))
    assert Status.PUBLISHED == begin(date(2026, 10, 6))
    with pytest.raises(PublicationBackdatedError, match="it could not begin later, for another one follows"):
        begin(date(2026, 10, 5))
    assert ["accepted"] == outcomes(shop.post(call(2, account="below", occurred_at="2026-10-06T00:00:00Z")))
    assert Status.PUBLISHED == begin(date(2026, 10, 5), "list")


def test_a_contract_of_an_account_that_does_not_pay_is_refused_and_says_who_pays(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    add_accounts(shop.engine, [account("below", parent="acme", pays=False, currency="")], at=AT, actor="finance")
    below = Contract(account="below", effective_from=date(2026, 11, 1), cards=("list",))
    with pytest.raises(InputFaultyError, match="usage of below is paid by acme, which does not resell on 2026-11-01"):
        add_contracts(shop.engine, [below], products(), at=AT, actor="finance")


def test_what_is_given_twice_counts_once_unless_it_differs(shop: Shop) -> None:
    shop.publish()
    add_accounts(shop.engine, [account("acme"), account("acme")], at=AT, actor="finance")
    with pytest.raises(InputFaultyError, match="is given twice, and differs"):
        add_accounts(shop.engine, [account("b"), account("b", name="B")], at=AT, actor="finance")
    first = Contract(account="acme", effective_from=date(2026, 10, 1), cards=("list",))
    shop.publish(card(id_="other"))
    with pytest.raises(PublicationConflictError, match="another contract begins on this day"):
        add_contracts(shop.engine, [first, replace(first, cards=("other",))], products(), at=AT, actor="finance")
    assert Status.PUBLISHED == add_contracts(shop.engine, [first, first], products(), at=AT, actor="finance").status
    with pytest.raises(PublicationConflictError, match="another contract begins on this day"):
        add_contracts(shop.engine, [replace(first, cards=("other",))], products(), at=AT, actor="finance")


def test_a_card_that_no_table_can_hold_is_refused_and_not_met_by_the_next_import(shop: Shop) -> None:
    names = [f"d{n}" for n in range(9)]
    table = {"id": "wide", "name": "Wide", "base": "request", "units": {"request": 1}, "required": ["usage"]}
    rules = [{"effective_from": "2024-01-01T00:00:00Z", "billable": {}}]
    wide, _ = read_product({**table, "match": ["to", *names], "rules": rules}, "wide")
    assert wide is not None
    rate = {"product": "wide", "unit": "request", "price": "1"}
    rows = [{**rate, "prefixes": [str(44000 + n)], **dict.fromkeys(names, str(n))} for n in range(200)]
    head = {"id": "wide", "currency": "USD", "effective_from": datetime(2026, 10, 1, tzinfo=UTC), "rate": rows}
    of = {**products(), "wide": wide}
    found, faults = card_from_table(head, {}, of)
    assert found is not None, faults
    with pytest.raises(CardTooWideError):
        publish(shop.engine, found, of, at=AT, actor="finance")
    assert [] == shop.rows("SELECT card_id FROM card_versions")


def counting(id_: str, *, since: str = "2026-10-01", product: str = "voice.outbound") -> Card:
    """A card with a schedule `t` that usage of some products fills."""
    schedule = {"up_to": ["3"], "unit": "minute", "fill": [{"product": [product]}]}
    rate = {"product": "voice.outbound", "prefixes": ["44"], "unit": "minute", "increments": "60/60", "tiers": "t"}
    head = {"id": id_, "currency": "USD", "effective_from": datetime.fromisoformat(f"{since}T00:00:00Z")}
    table = {**head, "tiers": {"t": schedule}, "rate": [{**rate, "prices": ["0.02", "0.01"]}]}
    found, faults = card_from_table(table, {}, products())
    assert found is not None, faults
    return found


def test_a_version_counts_what_the_versions_before_it_count(shop: Shop) -> None:
    shop.publish(counting("list"))
    with pytest.raises(InputFaultyError, match=DISAGREES.format("list@2026-11", "list@2026-10")):
        shop.publish(counting("list", since="2026-11-01", product="voice.*"))
    assert Status.PUBLISHED == shop.publish(counting("list", since="2026-11-01")).status


def test_cards_of_one_contract_count_the_same(shop: Shop) -> None:
    """Also over two contracts of one month, for the counter runs on; apart from each other they may differ."""
    shop.publish(counting("list"))
    shop.publish(counting("other", product="voice.*"))
    shop.admit("acme")
    shop.admit("bolt", cards=("other",))
    for cards, day in ((("list", "other"), date(2026, 11, 1)), (("other",), date(2026, 10, 20))):
        contract = Contract(account="acme", effective_from=day, cards=cards)
        with pytest.raises(InputFaultyError, match=DISAGREES.format("other@2026-10", "list@2026-10")):
            add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    contract = Contract(account="acme", effective_from=date(2026, 11, 1), cards=("other",))
    assert Status.PUBLISHED == add_contracts(shop.engine, [contract], products(), at=AT, actor="finance").status


def test_a_card_counts_what_the_cards_beside_it_in_a_contract_count(shop: Shop) -> None:
    shop.publish(counting("list"))
    shop.publish(card(id_="special"))
    shop.admit("acme", cards=("list", "special"))
    with pytest.raises(InputFaultyError, match=DISAGREES.format("special@2026-11", "list@2026-10")):
        shop.publish(counting("special", since="2026-11-01", product="voice.*"))
    assert Status.PUBLISHED == shop.publish(counting("special", since="2026-11-01")).status
