"""What waits, asked of the store: one row for each thing that is missing, whoever called, whenever."""

from dataclasses import replace
from datetime import UTC, datetime

from billing.periods import Period
from billing.store.engine import snapshot, transaction
from billing.store.queries.waiting import Lacking, Waiting, waiting_usage
from rates.products import Product
from rates.rating import CODES, Reason
from tests.shop import OCTOBER, SOURCE, Shop, call, products

PRODUCTS = products()
JAPAN, FRANCE = "+81312345678", "+33123456789"


def waiting(
    shop: Shop, *accounts: str, period: Period | None = None, known: dict[str, Product] | None = None
) -> list[Waiting]:
    with snapshot(shop.engine) as connection:
        return waiting_usage(connection, known or PRODUCTS, accounts=accounts or None, period=period)


def without_a_rate(shop: Shop, *events: dict[str, object], reason: Reason = Reason.NO_RATE) -> None:
    """Usage that waits for a rate, or for what else of a row: nothing here rates it."""
    shop.post(*events)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE quarantine SET reason = %s", [CODES[reason]])


def lacking(shop: Shop, *events: dict[str, object], **known: Product) -> list[tuple[Lacking, int]]:
    without_a_rate(shop, *events)
    return [(each.lacking, each.events) for each in waiting(shop, known={**PRODUCTS, **known})]


def test_of_an_account_that_is_missing_all_events_of_a_product_are_one_row_with_the_first_to_look_at(
    shop: Shop,
) -> None:
    shop.post(call(2, occurred_at="2026-10-03T00:00:00Z"), call(1), call(3, account="beta"))
    acme, beta = waiting(shop)
    assert (Reason.UNKNOWN_ACCOUNT, "voice.outbound", Lacking(account="acme"), 2, 1, ("acme",)) == acme[:6]
    assert (datetime(2026, 10, 2, 10, 11, 12, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)) == acme[6:8]
    assert (SOURCE, "call-1") == acme[8:]
    assert (Lacking(account="beta"), 1) == (beta.lacking, beta.events)


def test_a_rate_is_missing_for_a_country_and_code_whoever_called(shop: Shop) -> None:
    events = [call(n, to=f"+8131234567{n}", account=f"a{n % 3}") for n in range(6)]
    without_a_rate(shop, *events, call(7, to=FRANCE, account="b"), call(8, to="+33987654321", account="c"))
    japan, france = waiting(shop)
    assert (Lacking(code="81", country="JP"), 6, 3, ()) == (japan.lacking, japan.events, japan.accounts, japan.named)
    assert (Lacking(code="33", country="FR"), 2, ("b", "c")) == (france.lacking, france.accounts, france.named)


def test_what_blocks_or_does_not_measure_is_a_row_for_a_destination_too(shop: Shop) -> None:
    without_a_rate(shop, call(1, to=JAPAN), reason=Reason.BLOCKED)
    assert [Lacking(code="81", country="JP")] == [each.lacking for each in waiting(shop)]


def test_parts_of_a_shared_code_are_told_apart_and_codes_without_a_country_are_as_long_as_is_known(shop: Shop) -> None:
    numbers = ["+77011234567", "+74951234567", "+14165550123", "+18005550123", "+883510012345", "+999123456"]
    found = lacking(shop, *(call(n, to=to) for n, to in enumerate(numbers)))
    expected = {("7", "KZ"), ("7", "RU"), ("1", "CA"), ("1800", ""), ("883", ""), ("999", "")}
    assert expected == {(each.code, each.country) for each, _ in found}


def test_the_number_that_is_rated_decides_and_a_country_that_was_stated_is_told(shop: Shop) -> None:
    events = [
        call(1, to=FRANCE, rated_to=JAPAN),
        call(2, to=JAPAN),
        call(3, to=JAPAN, country="JP"),
        call(4, to=JAPAN, country="US"),
    ]
    expected = [(Lacking(code="81", country="JP"), 3), (Lacking(code="81", country="US"), 1)]
    assert expected == lacking(shop, *events)


def test_what_is_no_number_is_one_row_and_each_short_code_its_own(shop: Shop) -> None:
    events = [call(1, to="00442079460000"), call(2, to=None), call(3, to="sip:alice"), call(4, to="112")]
    assert [(Lacking(address=""), 3), (Lacking(address="112"), 1)] == lacking(shop, *events)


def test_messages_lack_a_network_if_it_was_stated_and_what_a_product_is_not_matched_on_parts_nothing(
    shop: Shop,
) -> None:
    message = {"product": "sms.outbound", "duration_seconds": None, "segments": 1, "status": "sent"}
    networks = [call(n, **message, to=f"+8131234567{n}", mcc="440", mnc="10") for n in range(3)]
    plain = [call(4, **message, to=JAPAN), call(5, **message, to=JAPAN, region="kanto")]
    mobile = call(6, to=JAPAN, number_type="mobile", mcc="440")
    expected = [
        (Lacking(dimensions={"mcc": "440", "mnc": "10"}), 3),
        (Lacking(code="81", country="JP"), 2),
        (Lacking(code="81", country="JP", dimensions={"number_type": "mobile"}), 1),
    ]
    assert expected == lacking(shop, *networks, *plain, mobile)


def test_a_product_without_a_called_number_lacks_what_was_stated_of_its_dimensions(shop: Shop) -> None:
    relay = replace(PRODUCTS["voice.outbound"], match=("region", "package"))
    from_ = replace(PRODUCTS["voice.inbound"], match=("from",))
    events = [call(1, region="eu", to=JAPAN), call(2, product="voice.inbound", **{"from": JAPAN, "to": FRANCE})]
    found = lacking(shop, *events, **{"voice.outbound": relay, "voice.inbound": from_})
    assert [(Lacking(code="81", country="JP"), 1), (Lacking(dimensions={"region": "eu"}), 1)] == found


def test_dimensions_that_a_product_declares_itself_are_told(shop: Shop) -> None:
    without_a_rate(shop, call(1, to=JAPAN))
    with transaction(shop.engine) as connection:
        connection.execute("""UPDATE quarantine SET attributes = '{"queue":"night"}'""")
    (found,) = waiting(shop)
    assert Lacking(code="81", country="JP", dimensions={"queue": "night"}) == found.lacking


def test_what_events_bring_does_not_tell_what_is_missing_apart_and_packages_do(shop: Shop) -> None:
    message = {"product": "sms.outbound", "duration_seconds": None, "segments": 1, "status": "sent", "to": JAPAN}
    brought = [call(n, **message, charges={"carrier_fee": f"0.0{n}"}) for n in (1, 2)]
    lookup = call(3, product="lookup", duration_seconds=None, packages=["sim_swap", "caller_name"], to=JAPAN)
    expected = [
        (Lacking(code="81", country="JP"), 2),
        (Lacking(code="81", country="JP", dimensions={"packages": "caller_name sim_swap"}), 1),
    ]
    assert expected == lacking(shop, *brought, lookup)


def test_what_came_too_late_waits_by_its_month(shop: Shop) -> None:
    days = ["2025-01-03", "2025-01-05", "2025-02-01"]
    shop.post(*(call(n, occurred_at=f"{day}T00:00:00Z") for n, day in enumerate(days)))
    found = [(each.reason, each.lacking, each.events) for each in waiting(shop)]
    assert [(Reason.TOO_OLD, Lacking(month="2025-01"), 2), (Reason.TOO_OLD, Lacking(month="2025-02"), 1)] == found


def test_a_month_and_some_accounts_can_be_asked_for(shop: Shop) -> None:
    """A month is half open: its first instant is in it, that of the next one is not."""
    instants = ["2026-09-30T23:59:59Z", "2026-10-01T00:00:00Z", "2026-10-15T00:00:00Z", "2026-11-01T00:00:00Z"]
    shop.post(*(call(n, occurred_at=instant) for n, instant in enumerate(instants[:3])), call(9, account="beta"))
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE quarantine SET occurred_at = %s WHERE id = 'call-2'", [instants[3]])
    assert [("acme", 1), ("beta", 1)] == [(each.lacking.account, each.events) for each in waiting(shop, period=OCTOBER)]
    assert [("acme", 3)] == [(each.lacking.account, each.events) for each in waiting(shop, "acme", "gamma")]
    assert [] == waiting(shop, "beta", period=OCTOBER.next())


def test_the_reasons_come_in_their_order_and_most_events_first(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1, product="new"), call(2, to=JAPAN), *(call(n, to=FRANCE) for n in (3, 4)), call(5, account="who"))
    found = [(str(each.reason), each.product, each.lacking.country, each.events) for each in waiting(shop)]
    expected = [
        ("unknown_account", "voice.outbound", "", 1),
        ("unknown_product", "new", "", 1),
        ("no_rate", "voice.outbound", "FR", 2),
        ("no_rate", "voice.outbound", "JP", 1),
    ]
    assert expected == found
