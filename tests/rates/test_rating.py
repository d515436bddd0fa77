"""Rating, rule by rule: which row decides, how much bills, what comes beside it, and why an event has no price.

Rows and calls are written as little as they need; `told` says what each call came to.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from rates.cards import Card, instant
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.compiled.shapes import CardTooWideError
from rates.matching import Book, Books
from rates.numbering import COUNTRIES
from rates.products import Product, by_id, read_product
from rates.quantities import QuantityOverflowError
from rates.rating import REASONS, ZERO_RATED, rate
from rates.usage import UsageColumns, encode

START = datetime(2026, 10, 1, tzinfo=UTC)
DIMENSIONS = ("country", "mcc", "mnc", "number_type")


def product(name: str, **changes: object) -> Product:
    table: dict[str, object] = {
        "id": name,
        "name": name,
        "base": "second",
        "units": {"second": 1, "minute": 60},
        "country_of": "to",
        "match": ["to", "from", "mcc", "mnc", "number_type"],
        "required": ["usage"],
        "rules": [rule()],
    }
    found, faults = read_product(table | changes, "test")
    assert found is not None, faults
    return found


def rule(**changes: object) -> dict[str, object]:
    return {
        "effective_from": START - timedelta(days=90),
        "billable": {"status": ["done"]},
        "increments": "1/1",
    } | changes


FEE = {"element": "failed_fee", "per": "event", "when": {"status": ["failed"]}, "exempt": {"error_code": ["30450"]}}
PRODUCTS = by_id(
    [
        product("call"),
        product("bare", rules=[rule(increments="")]),
        product("text", base="segment", units={"segment": 1}, rules=[rule(fees=[FEE], pending={"status": ["queued"]})]),
        product("relay", base="byte", units={"byte": 1}, country_of="", match=["region"]),
        product("billed", required=["usage", "carrier_fee"]),
        product("inbound", country_of="from"),
    ]
)


def card(*rows: dict[str, str], name: str = "list", days: int = 0, ends: int = 0, overlay: bool = False) -> CardTable:
    """A card version from `days` after the start on, without `ends` for ever; rates are numbered by their row."""
    base = {"product": "call", "unit": "second", "prices": "1"}
    cells = [base | row for row in rows]
    columns = {key: [row.get(key, "") for row in cells] for key in sorted({key for row in cells for key in row})}
    made = Card(
        id=name,
        currency="USD",
        effective_from=START + timedelta(days=days),
        effective_to=START + timedelta(days=ends) if ends else None,
        overlay=overlay,
        rows=pa.table({"row": pa.array(range(len(rows)), pa.int32()), **columns}),
    )
    return compile_card(made, PRODUCTS, rate_base={"list": 0, "special": 100, "third": 200}.get(name, 0) + 10 * days)


def book(*cards: CardTable, currency: str = "") -> Book:
    order = list(dict.fromkeys(each.id for each in cards))
    found = lineages(cards)
    return Book(lineages=tuple(found[name] for name in order), currency=currency)


def call(to: str = "+447900123456", caller: str = "", **facts: str | int) -> dict[str, str | int]:
    usual: dict[str, str | int] = {"product": "call", "to": to, "from": caller, "measured": 10, "day": 1}
    return usual | facts


def columns_of(calls: list[dict[str, str | int]]) -> UsageColumns:
    def numbers(key: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([int(str(c[key])[1:]) if str(c[key]).startswith("+") else 0 for c in calls], dtype=np.int64)

    names = {key for c in calls for key in c} - {"product", "to", "from", "measured", "day", "book"}
    texts = {name: encode(str(c.get(name, "")) for c in calls) for name in names}
    texts["to_address"] = encode("" if str(c["to"]).startswith("+") else str(c["to"]) for c in calls)
    products = tuple(dict.fromkeys(str(c["product"]) for c in calls))
    return UsageColumns(
        products=products,
        product=np.array([products.index(str(c["product"])) for c in calls], dtype=np.int16),
        book=np.array([c.get("book", 0) for c in calls], dtype=np.int32),
        occurred_at=np.array([microseconds(START + timedelta(days=int(c["day"]))) for c in calls], dtype=np.int64),
        to=numbers("to"),
        from_=numbers("from"),
        measured=np.array([c["measured"] for c in calls], dtype=np.int64),
        texts=texts,
    )


def told(books: Book | list[Book], *calls: dict[str, str | int]) -> list[int | str]:
    """The rate of each call, or the reason why it has none."""
    made = books if isinstance(books, list) else [books]
    ratings = rate(columns_of(list(calls)), made, PRODUCTS)
    return [int(r) if code == 0 else str(REASONS[code]) for r, code in zip(ratings.rate, ratings.reason, strict=True)]


# ---- which row decides -----------------------------------------------------------------------------------------------


def test_the_longest_destination_prefix_decides() -> None:
    rows = card({"prefixes": "44"}, {"prefixes": "447900 33"}, {"prefixes": "4479"}, {})
    assert [1, 2, 0, 3, 1] == told(
        book(rows), call("+447900123"), call("+44791"), call("+4420"), call("+1202"), call("+33123")
    )


def test_then_the_longest_origin_prefix_and_any_origin_last() -> None:
    rows = card(
        {"prefixes": "44"}, {"prefixes": "44", "origin_prefixes": "3 1"}, {"prefixes": "44", "origin_prefixes": "33"}
    )
    assert [2, 1, 1, 0, 0] == told(
        book(rows), *(call(caller=caller) for caller in ("+33123", "+34123", "+1202", "+4930", ""))
    )


def test_a_longer_destination_stands_before_any_origin() -> None:
    rows = card({"prefixes": "4479"}, {"prefixes": "44", "origin_prefixes": "33"})
    assert [0] == told(book(rows), call(caller="+33123"))


def test_callers_without_a_number_have_their_own_rows_else_those_of_any_origin() -> None:
    rows = card({"prefixes": "44"}, {"prefixes": "44", "origin": "unknown"}, {"prefixes": "1"})
    assert [1, 0, 2] == told(book(rows), call(), call(caller="+1"), call("+1202"))


def test_then_the_dimensions_in_the_products_order_stated_over_any() -> None:
    rows = card({}, {"number_type": "mobile"}, {"mcc": "234"}, {"mcc": "234", "mnc": "1"})
    assert [0, 1, 2, 3, 2, 0] == told(
        book(rows),
        call(),
        call(number_type="mobile"),
        call(number_type="mobile", mcc="234"),
        call(number_type="mobile", mcc="234", mnc="1"),
        call(mcc="234", mnc="01"),
        call(mcc="235"),
    )


def test_a_shorter_prefix_takes_over_where_the_longer_ones_rows_ask_for_something_else() -> None:
    rows = card({"prefixes": "44"}, {"prefixes": "4479", "number_type": "mobile"}, {"prefixes": "447", "country": "IM"})
    assert [0, 1] == told(book(rows), call(), call(number_type="mobile"))


def test_the_country_comes_with_the_number_unless_the_event_states_it() -> None:
    rows = card({"prefixes": "1"}, {"prefixes": "1", "country": "CA"})
    assert [0, 1, 1, 0] == told(
        book(rows),
        call("+12025550123"),
        call("+14165550123"),
        call("+12025550123", country="CA"),
        call("+14165550123", country="US"),
    )


def test_the_country_may_be_that_of_the_caller() -> None:
    rows = card({"product": "inbound"}, {"product": "inbound", "country": "FR"})
    ratings = rate(
        columns_of([call(product="inbound", caller="+33123"), call(product="inbound")]), [book(rows)], PRODUCTS
    )
    assert [1, 0] == ratings.rate.tolist()
    assert ["FR", ""] == [COUNTRIES[code] for code in ratings.country]


def test_whole_texts_match_as_they_stand_and_prefixes_only_numbers() -> None:
    rows = card({"prefixes": "911 sip:a@b", "exact": "true"}, {"prefixes": "9"})
    assert [0, 0, 1, "no_rate"] == told(book(rows), call("911"), call("sip:a@b"), call("+911"), call("912"))


def test_rows_without_a_prefix_take_what_is_no_number_too() -> None:
    assert [0] == told(book(card({})), call("client:x"))


def test_a_row_counts_only_within_its_own_time() -> None:
    turn = instant(START + timedelta(days=2))
    rows = card({"prefixes": "44", "effective_to": turn}, {"prefixes": "44", "effective_from": turn}, {})
    assert [0, 1] == told(book(rows), call(day=1), call(day=2))


def test_a_number_shorter_than_a_prefix_is_not_in_it() -> None:
    assert [1, 0] == told(book(card({"prefixes": "4400"}, {"prefixes": "4"})), call("+44"), call("+4400"))


def test_dimensions_with_more_combinations_than_64_bits_are_refused() -> None:
    rows = [
        {"prefixes": str(n), "mcc": str(n), "mnc": str(n), "origin_prefixes": str(n), "number_type": f"t{n}"}
        for n in range(1000, 9000)
    ]
    with pytest.raises(CardTooWideError):
        card(*rows)


# ---- cards and versions ----------------------------------------------------------------------------------------------


def test_the_first_card_in_which_a_row_matches_decides() -> None:
    special = card({"prefixes": "4"}, name="special")
    assert [100, 1] == told(book(special, card({"prefixes": "4479"}, {})), call(), call("+33123"))


def test_an_overlay_card_yields_to_a_longer_prefix_below_it_and_wins_a_draw() -> None:
    special = card({"prefixes": "44"}, {"prefixes": "33"}, name="special", overlay=True)
    rows = card({"prefixes": "4479"}, {"prefixes": "33"}, {"prefixes": "4"})
    assert [0, 100, 101] == told(book(special, rows), call(), call("+4420"), call("+33123"))


def test_what_lies_below_an_overlay_card_is_what_would_decide_without_it() -> None:
    special, third = card({"prefixes": "447"}, name="special", overlay=True), card({"prefixes": "4479"}, name="third")
    assert [100] == told(book(special, card({"prefixes": "44"}), third), call())


def test_a_blocked_row_decides_and_leaves_the_usage_unrated() -> None:
    special = card({"prefixes": "4479", "blocked": "true"}, name="special")
    assert ["blocked", 0] == told(book(special, card({})), call(), call("+4420"))


def test_the_version_in_force_decides_and_one_that_ended_does_not_bring_back_the_one_before() -> None:
    versions = book(card({}), card({}, days=2, ends=4), card({}, days=6))
    assert ["no_card", 0, 20, "no_card", 60] == told(versions, *(call(day=day) for day in (-1, 1, 2, 5, 6)))


def test_a_row_that_a_new_version_lacks_falls_to_its_parent_prefix() -> None:
    versions = book(card({"prefixes": "44"}, {"prefixes": "4479"}), card({"prefixes": "44"}, days=2))
    assert [1, 20] == told(versions, call(day=1), call(day=2))


def test_many_accounts_with_a_small_card_of_their_own_each_meet_only_theirs() -> None:
    shared = card({"prefixes": "4"}, {})
    own = [
        compile_card(
            Card(
                id=f"own-{n}",
                currency="USD",
                effective_from=START,
                rows=pa.table({"product": ["call"], "prefixes": [f"447{n % 10}"], "unit": ["second"], "prices": ["1"]}),
            ),
            PRODUCTS,
            rate_base=1000 + n,
        )
        for n in range(40)
    ]
    books = [book(each, shared) for each in own]
    calls = [call(f"+447{digit}12", book=n) for n in range(40) for digit in (n % 10, (n + 1) % 10)]
    assert [expected for n in range(40) for expected in (1000 + n, 0)] == told(books, *calls)


def wide(n: int, rows: int, since: int = 0) -> CardTable:
    """Card `n`: no two rows of all such cards share a value, so that together they state too many combinations."""
    values = [str(10_000 + rows * n + i) for i in range(rows)]
    stated = dict.fromkeys(("prefixes", "origin_prefixes", "mcc", "mnc", "number_type"), values)
    plain = {"product": "call", "country": "GB", "unit": "second", "prices": "1"}
    made = Card(
        id=f"wide-{n}",
        currency="USD",
        effective_from=START + timedelta(days=since),
        rows=pa.table(stated | {name: [value] * rows for name, value in plain.items()}),
    )
    return compile_card(made, PRODUCTS, rate_base=rows * n + 100_000 * since)


@pytest.mark.parametrize("rows", [400, 1500])
def test_small_cards_that_are_too_wide_together_are_told_apart_all_the_same(rows: int) -> None:
    """Of 400 rows a few fit one table, of 1,500 not even the two versions of one card."""
    cards = [book(wide(n, rows), wide(n, rows, since=2)) for n in range(17)]

    def calls(n: int) -> list[dict[str, str | int]]:
        value = str(10_000 + rows * n + 7)
        facts = {"mcc": value, "mnc": value, "number_type": value, "country": "GB"}
        asked = [(f"+{value}55", f"+{value}66", day) for day in (1, 3)] + [(f"+{value}55", "+99", 1)]
        books = (n, (n + 1) % 17)
        return [call(to, caller, **facts, day=day, book=at) for to, caller, day in asked for at in books]

    rates = [each for n in range(17) for each in (rows * n + 7, "no_rate", 200_000 + rows * n + 7, *["no_rate"] * 3)]
    assert rates == told(cards, *(each for n in range(17) for each in calls(n)))


def test_of_many_small_cards_one_may_be_the_only_one_with_a_product() -> None:
    cards = [book(card({"product": "text" if n == 7 else "call"}, name=f"own-{n}")) for n in range(40)]
    assert ["no_rate", 0] == told(cards, call(product="text", book=6), call(product="text", book=7))


def test_a_book_in_another_currency_than_the_card_quarantines() -> None:
    assert ["currency_mismatch"] == told(book(card({}), currency="EUR"), call())
    assert [0] == told(book(card({}), currency="USD"), call())


# ---- how much bills, and why not -------------------------------------------------------------------------------------


def billed(row: dict[str, str], *measured: int, of: str = "call") -> list[int]:
    calls = [call(product=of, measured=each) for each in measured]
    return [int(each) for each in rate(columns_of(calls), [book(card({"product": of} | row))], PRODUCTS).billed]


def test_a_rows_increments_stand_before_the_products() -> None:
    assert [0, 60, 60, 66] == billed({"increments": "60/6"}, 0, 1, 60, 61)
    assert [1, 61] == billed({}, 1, 61)


def test_below_the_grace_nothing_bills_and_from_it_on_everything() -> None:
    assert [0, 60] == billed({"increments": "60/60", "grace": "5"}, 4, 5)


def test_time_that_nobody_says_how_to_measure_is_quarantined() -> None:
    rows = card({"product": "bare"}, {"product": "bare", "prefixes": "44", "increments": "6/6"})
    assert [1, "no_increments"] == told(book(rows), call(product="bare"), call("+33123", product="bare"))


def test_more_than_a_row_believes_is_quarantined() -> None:
    assert [0, "max_quantity"] == told(book(card({"max_quantity": "90"})), call(measured=90), call(measured=91))


def test_a_quantity_beyond_64_bits_is_refused() -> None:
    with pytest.raises(QuantityOverflowError):
        billed({"increments": "60/60"}, 2**63 - 10)


def test_nothing_used_is_zero_rated_whatever_else_is_missing() -> None:
    calls = [call(measured=0), call("+33123", measured=0), call(measured=0, book=-1)]
    assert ["zero_quantity"] * 3 == told(book(card({"prefixes": "44", "blocked": "true"})), *calls)


def test_what_is_missing_is_named() -> None:
    assert ["unknown_product", "no_product_rule", "no_contract", "no_rate"] == told(
        book(card({"prefixes": "33"})), call(product="fax"), call(day=-91), call(book=-1), call()
    )


def test_an_event_of_no_known_product_is_quarantined() -> None:
    columns = columns_of([call()])
    unknown = UsageColumns(
        products=columns.products,
        product=np.array([-1], dtype=np.int16),
        book=columns.book,
        occurred_at=columns.occurred_at,
        to=columns.to,
        from_=columns.from_,
        measured=columns.measured,
    )
    assert ["unknown_product"] == [REASONS[code] for code in rate(unknown, [book(card({}))], PRODUCTS).reason]


def test_no_events_have_no_ratings() -> None:
    assert [] == told(book(card({})))


def test_outcomes_bill_wait_or_do_not_bill_and_none_stated_bills() -> None:
    rows = book(card({"product": "text", "unit": "segment"}))
    calls = [call(product="text", status=status) for status in ("done", "", "queued", "failed", "?")]
    assert [0, 0, "pending", "status_not_billable", "status_not_billable"] == told(rows, *calls)
    assert {"pending", "status_not_billable", "zero_quantity"} == {str(reason) for reason in ZERO_RATED}


# ---- what comes beside the usage -------------------------------------------------------------------------------------


def beside(books: Book, *calls: dict[str, str | int]) -> list[tuple[int, int, int]]:
    """Further elements: (event, rate, quantity)."""
    found = rate(columns_of(list(calls)), [books], PRODUCTS)
    return list(zip(found.extra_event.tolist(), found.extra_rate.tolist(), found.extra_billed.tolist(), strict=True))


def test_a_setup_fee_is_due_once_for_an_event_that_bills() -> None:
    rows = book(card({"setup_fee": "0.5", "grace": "5"}))
    assert [(0, 0, 1)] == beside(rows, call(), call(measured=0), call(measured=4))


def test_a_surcharge_is_matched_by_itself_and_measured_by_its_own_row() -> None:
    surcharge = {"element": "surcharge", "origin_prefixes": "1", "increments": "60/60"}
    rows = book(card({}, surcharge, {"element": "surcharge", "prefixes": "33", "unit": "event"}))
    assert [(0, 1, 60), (2, 2, 1)] == beside(rows, call(caller="+1202"), call(), call("+33123", measured=99))


def test_elements_of_one_event_stand_together_in_the_order_of_events() -> None:
    rows = book(card({"setup_fee": "1"}, {"element": "surcharge"}))
    assert [(0, 0, 1), (0, 1, 10), (1, 0, 1), (1, 1, 10)] == beside(rows, call(), call())


def test_an_event_that_lacks_a_required_element_is_quarantined_whole() -> None:
    rows = book(
        card({"product": "billed", "setup_fee": "1"}, {"product": "billed", "element": "carrier_fee", "prefixes": "44"})
    )
    calls = [call(product="billed"), call("+33123", product="billed")]
    assert [0, "no_rate"] == told(rows, *calls)
    assert [(0, 0, 1), (0, 1, 10)] == beside(rows, *calls)


def test_a_failed_event_costs_its_fee_unless_it_is_exempt_or_no_card_prices_it() -> None:
    usage = {"product": "text", "unit": "segment"}
    priced = book(card(usage, {**usage, "element": "failed_fee"}))
    calls = [call(product="text", status="failed"), call(product="text", status="failed", error_code="30450")]
    assert ["status_not_billable"] * 2 == told(priced, *calls)
    assert [(0, 1, 1)] == beside(priced, *calls)
    assert [] == beside(book(card(usage)), *calls)


def test_a_product_without_numbers_matches_what_it_declares() -> None:
    rows = card({"product": "relay", "unit": "byte"}, {"product": "relay", "unit": "byte", "region": "eu"})
    assert [0, 1] == told(book(rows), call("", product="relay", region="us"), call("", product="relay", region="eu"))


def test_books_made_once_and_used_again_rate_as_books_made_for_each_call() -> None:
    plain = [book(card({"prefixes": "44"}), card({}, name="special"))]
    kept = Books(plain)
    for calls in ([call()], [call("+33123"), call()]):
        expected = rate(columns_of(calls), plain, PRODUCTS)
        assert expected.rate.tolist() == rate(columns_of(calls), kept, PRODUCTS).rate.tolist()
