"""The independent re-rater on worked examples: every expected figure is derived by hand in a comment beside it.

The small card of most examples: calls to +1 at 0.01 per minute, each rounded up to the minute (60/60).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing import verifier
from billing.verifier_cards import match_indexed, match_linear
from billing.verifier_counters import bounds_of, cut, next_tier, tier_reached
from billing.verifier_events import RatedEvent, Reason, rate_event
from billing.verifier_lines import Difference, compare
from billing.verifier_traits import traits_of
from billing.verifier_usage import (
    CardFaultError,
    InputFaultError,
    apply_increments,
    count_segments,
    plain,
    read_usage,
    shortest,
    to_step,
)

Raw = Mapping[str, object]

MINUTES = {"second": 1, "minute": 60}
COMPLETED = {"effective_from": "2020-01-01T00:00:00Z", "billable": {"status": ["completed"]}}
VOICE_OUT = {
    "id": "voice.outbound", "base": "second", "units": MINUTES, "country_of": "to", "required": ["usage"],
    "match": ["to", "from", "number_type"], "measure": "duration_seconds", "rules": [COMPLETED],
}  # fmt: skip
VOICE_IN = {
    "id": "voice.inbound", "base": "second", "units": MINUTES, "country_of": "to", "required": ["usage"],
    "match": ["to", "from", "number_type"], "measure": "duration_seconds", "rules": [COMPLETED],
}  # fmt: skip
SMS_FEE = {
    "element": "failed_fee", "per": "event",
    "when": {"status": ["failed"]}, "exempt": {"error_code": ["30450", "21408"]},
}  # fmt: skip
SMS_RULES = [
    {"effective_from": "2020-01-01T00:00:00Z", "billable": {"status": ["sent", "delivered", "failed"]}},
    {
        "effective_from": "2026-10-15T00:00:00Z", "billable": {"status": ["sent", "delivered"]},
        "pending": {"status": ["queued", "sending"]}, "fees": [SMS_FEE],
    },
]  # fmt: skip
SMS_OUT = {
    "id": "sms.outbound", "base": "segment", "units": {"segment": 1}, "country_of": "to", "required": ["usage"],
    "match": ["to", "from", "mcc", "mnc", "number_type"], "measure": "segments", "rules": SMS_RULES,
}  # fmt: skip
SMS_IN = {**SMS_OUT, "id": "sms.inbound", "country_of": "from", "rules": []}
PRODUCTS: list[Raw] = [VOICE_OUT, VOICE_IN, SMS_OUT, SMS_IN]
ACCOUNTS: list[Raw] = [{"id": "a", "currency": "USD"}]
CONTRACTS: list[Raw] = [{"account": "a", "effective_from": "2026-01-01", "cards": ["list"]}]
TERMS: dict[str, Sequence[Raw]] = {"products": PRODUCTS, "accounts": ACCOUNTS, "contracts": CONTRACTS}
PLAN = {"1": "US", "1416": "CA", "44": "GB"}


def row(**keys: object) -> dict[str, object]:
    """A rate; calls to +1 at 0.01 per minute unless said otherwise."""
    plain_row = {"product": "voice.outbound", "prefixes": ["1"], "unit": "minute", "increments": "60/60"}
    return plain_row | ({} if "prices" in keys else {"price": "0.01"}) | keys


def card(*rates: Raw, **head: object) -> dict[str, object]:
    """A card version of `list` in USD from the first of October."""
    return {"id": "list", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z", "rate": list(rates)} | head


def call(number: int = 0, **keys: object) -> dict[str, object]:
    """A call of one minute by account a, `number` seconds after the start of October the 2nd."""
    return {
        "source": "s", "id": f"{number:03d}", "account": "a", "product": "voice.outbound", "to": "+14155550123",
        "occurred_at": f"2026-10-02T00:{number // 60:02d}:{number % 60:02d}Z", "quantity": "60",
    } | keys  # fmt: skip


def rate(events: Sequence[Raw], *cards: Raw, **terms: Sequence[Raw]) -> dict[str, Any]:
    """What the verifier makes of October."""
    said = TERMS | terms
    return verifier.rate(
        period="2026-10", events=events, cards=cards, plan=PLAN, used=None, before=None, states=None, **said
    )


def lines(events: Sequence[Raw], *cards: Raw, **terms: Sequence[Raw]) -> list[dict[str, Any]]:
    """The lines of the only account."""
    [account] = rate(events, *cards, **terms)["accounts"]
    found: list[dict[str, Any]] = account["lines"]
    return found


def amounts(events: Sequence[Raw], *cards: Raw, **terms: Sequence[Raw]) -> dict[str, str]:
    """`element/tier/unit price` -> `quantity amount`, a compact view of the lines."""
    return {
        f"{line['element']}/{line['tier']}/{line['unit_price']}": f"{line['quantity']} {line['amount']}"
        for line in lines(events, *cards, **terms)
    }


def total(events: Sequence[Raw], *cards: Raw, **terms: Sequence[Raw]) -> str:
    [account] = rate(events, *cards, **terms)["accounts"]
    return str(account["total"])


def reason(event: Raw, *cards: Raw, **terms: Sequence[Raw]) -> str:
    """Why the only event is on no line, with the list it is on."""
    result = rate([event], *cards, **terms)
    assert [] == result["accounts"]
    [(name, item)] = [(name, item) for name in ("quarantined", "zero_rated") for item in result[name]]
    return f"{name} {item['reason']}"


def rated(event: Raw, *cards: Raw, **terms: Sequence[Raw]) -> RatedEvent | Reason:
    return rate_event(event, verifier.read_terms(cards=cards, plan=PLAN, **(TERMS | terms)))


def priced_at(event: Raw, *cards: Raw, **terms: Sequence[Raw]) -> str:
    """The unit price of the usage of one event."""
    return next(str(line["unit_price"]) for line in lines([event], *cards, **terms) if line["element"] == "usage")


# --- lines ------------------------------------------------------------------------------------------------------------


def test_two_legs_each_rounded_up_to_the_minute() -> None:
    """80 s -> 120 s each; 2 x 120 s = 240 s = 4 minutes at 0.01 = 0.04 exactly."""
    expected = {
        "product": "voice.outbound", "element": "usage", "country": "US", "destination": "United States", "tier": "",
        "events": 2, "quantity": "4", "unit": "minute", "unit_price": "0.01", "amount": "0.04", "residual": "0",
        "base_quantity": "240", "base_unit": "second", "origin_period": "2026-10",
        "cards": ["list@2026-10-01T00:00:00Z"],
    }  # fmt: skip
    usage = [call(1, quantity="80"), call(2, quantity="80")]
    result = rate(usage, card(row(destination="United States")))
    assert {
        "period": "2026-10",
        "currency": "USD",
        "accounts": [{"account": "a", "currency": "USD", "lines": [expected], "total": "0.04"}],
        "quarantined": [],
        "zero_rated": [],
        "rejected": [],
    } == result


@pytest.mark.parametrize(
    ("currency", "seconds", "amount", "residual"),
    [
        ("USD", 40, "0.01", "-1/300"),  # 40/60 x 0.01 = 1/150; - 1/100 = -1/300
        ("USD", 30, "0.01", "-1/200"),  # 0.005, half away from zero
        ("USD", 29, "0.00", "29/6000"),  # 29/60 x 0.01 = 29/6000 = 0.00483
        ("JPY", 2999, "0", "2999/6000"),  # 2999/60 x 0.01 = 0.4998
        ("JPY", 3000, "1", "-1/2"),  # 50 x 0.01 = 0.5
        ("KWD", 90, "0.020", "-1/200"),  # 0.015 in steps of 0.010
        ("KWD", 84, "0.010", "1/250"),  # 0.014
        ("CLF", 1, "0.0002", "-1/30000"),  # 0.00016…
    ],
)
def test_a_line_is_rounded_once_half_away_from_zero_to_its_currency(
    currency: str, seconds: int, amount: str, residual: str
) -> None:
    usage = [call(quantity=str(seconds))]
    accounts = [{"id": "a", "currency": currency}]
    [line] = lines(usage, card(row(increments="1/1"), currency=currency), accounts=accounts)
    assert (amount, residual) == (line["amount"], line["residual"])


def test_calls_are_summed_before_the_line_is_rounded() -> None:
    """Ten calls of 20 s: each alone 1/300 -> 0.00; together 200 s = 1/30 = 0.0333 -> 0.03."""
    usage = [call(n, quantity="20") for n in range(10)]
    [line] = lines(usage, card(row(increments="1/1")))
    assert ("3.333333", "200", "0.03", "1/300") == tuple(
        line[key] for key in ("quantity", "base_quantity", "amount", "residual")
    )


def test_the_total_is_the_sum_of_rounded_lines() -> None:
    """Two lines of 0.005 exactly: 0.01 + 0.01 = 0.02, not 0.01."""
    rows = [row(increments="1/1", destination="x"), row(increments="1/1", destination="y", prefixes="44")]
    usage = [call(1, quantity="30"), call(2, quantity="30", to="+442071838750")]
    assert total(usage, card(*rows)) == "0.02"


def test_lines_meet_over_prefixes_and_card_versions_that_say_the_same() -> None:
    """One key: two prefixes of one destination and price, two versions of the card: 3 minutes, 0.03."""
    first = card(row(destination="US"), row(destination="US", prefixes="1415"), effective_to="2026-10-10T00:00:00Z")
    second = card(row(destination="US"), effective_from="2026-10-10T00:00:00Z")
    usage = [call(1), call(2, to="+12125550123"), call(3, occurred_at="2026-10-10T00:00:00Z")]
    [line] = lines(usage, first, second)
    assert (3, "0.03") == (line["events"], line["amount"])
    assert ["list@2026-10-01T00:00:00Z", "list@2026-10-10T00:00:00Z"] == line["cards"]


def test_a_price_per_event_counts_events() -> None:
    """Two calls of 61 s at 0.05 each: quantity 2, 0.10."""
    [line] = lines([call(1, quantity="61"), call(2, quantity="61")], card(row(unit="event", price="0.05")))
    assert ("2", "2", "event", "0.10") == tuple(line[k] for k in ("quantity", "base_quantity", "base_unit", "amount"))


def test_figures_do_not_depend_on_the_order_of_arrival() -> None:
    usage = [call(n, quantity=str(n * 7)) for n in range(30)]
    tiered = card(row(prices=["0.03", "0.01"], tiers="t"), tiers={"t": schedule(["5"])})
    assert rate(usage, tiered) == rate(usage[::-1], tiered)


# --- identity, payer, outcome -----------------------------------------------------------------------------------------


def test_the_highest_revision_wins_in_any_order_and_of_equals_the_first() -> None:
    old, new, late = call(quantity="60"), call(quantity="120", revision=2), call(quantity="180", revision=2)
    assert total([new, old, late], card(row())) == "0.02"
    assert total([old, new, late], card(row())) == "0.02"


def test_a_void_event_leaves_nothing() -> None:
    void = {"source": "s", "id": "000", "revision": 3, "void": True}
    result = rate([void, call(0), call(0, revision=2)], card(row()))
    assert ([], [], [], []) == tuple(result[k] for k in ("accounts", "quarantined", "zero_rated", "rejected"))


def test_the_same_id_of_two_sources_is_two_events() -> None:
    assert total([call(0), call(0, source="other")], card(row())) == "0.02"


def test_a_month_is_half_open_in_utc() -> None:
    """23:59:59Z on the 31st and 01:00+01:00 on the 1st are October; 00:00Z on November the 1st is not."""
    moments = ["2026-10-01T01:00:00+01:00", "2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-09-30T23:59:59Z"]
    assert total([call(n, occurred_at=at) for n, at in enumerate(moments)], card(row())) == "0.02"


def test_the_nearest_payer_pays_and_its_contract_decides() -> None:
    """Below a: team (does not pay) and shop (pays). Team's call is a's at 0.01, shop's is shop's at 0.02."""
    accounts = [
        *ACCOUNTS,
        {"id": "team", "parent": "a"},
        {"id": "shop", "parent": "a", "pays": True, "currency": "USD"},
    ]
    contracts = [*CONTRACTS, {"account": "shop", "effective_from": "2026-01-01", "cards": ["dear"]}]
    usage = [call(1, account="team"), call(2, account="shop")]
    result = rate(usage, card(row()), card(row(price="0.02"), id="dear"), accounts=accounts, contracts=contracts)
    found = {one["account"]: one["total"] for one in result["accounts"]}
    assert {"a": "0.01", "shop": "0.02"} == found


EUR = card(row(), currency="EUR")
NOT_YET = card(row(), effective_from="2026-10-03T00:00:00Z")


@pytest.mark.parametrize(
    ("expected", "event", "offer", "terms"),
    [
        ("quarantined unknown_account", call(account="b"), card(row()), {}),
        ("quarantined no_payer", call(), card(row()), {"accounts": [{"id": "a", "pays": False}]}),
        ("quarantined no_payer", call(), card(row()), {"accounts": [{"id": "a", "parent": "gone"}]}),
        ("quarantined unknown_product", call(product="fax"), card(row()), {}),
        ("quarantined no_product_rule", call(occurred_at="2019-12-31T23:59:59Z"), card(row()), {"period": "2019-12"}),
        ("quarantined no_contract", call(), card(row()), {"contracts": []}),
        ("quarantined no_card", call(), NOT_YET, {}),
        ("quarantined no_rate", call(to="+442071838750"), card(row()), {}),
        ("quarantined blocked", call(), card(row(blocked=True)), {}),
        ("quarantined currency_mismatch", call(), EUR, {}),
        ("quarantined no_increments", call(), card(row(increments="")), {}),
        ("quarantined max_quantity", call(quantity="61"), card(row(max_quantity="60")), {}),
        ("zero_rated status_not_billable", call(status="busy", account="a"), card(row()), {}),
        ("zero_rated zero_quantity", call(quantity="0", status="completed"), card(row()), {}),
        ("zero_rated zero_quantity", call(quantity="5"), card(row(grace="6")), {}),
        ("zero_rated zero_quantity", call(quantity="0", to="+442071838750"), card(row()), {}),
        ("zero_rated status_not_billable", call(status="busy"), card(row()), {"contracts": []}),
    ],
)
def test_what_is_on_no_line_says_why(expected: str, event: Raw, offer: Raw, terms: dict[str, Any]) -> None:
    if terms.pop("period", None):
        assert Reason.NO_PRODUCT_RULE is rated(event, offer)
    else:
        assert expected == reason(event, offer, **terms)


def test_a_call_as_long_as_the_grace_and_the_maximum_is_charged_in_full() -> None:
    assert total([call(quantity="60")], card(row(grace="60", max_quantity="60"))) == "0.01"


def sms(number: int = 0, **keys: object) -> dict[str, object]:
    """A message of one segment on October the 20th, when failures bring a fee."""
    message = {"product": "sms.outbound", "quantity": "1", "occurred_at": f"2026-10-20T00:00:{number:02d}Z"}
    return call(number) | message | keys


SMS_CARD = card(
    row(product="sms.outbound", unit="segment", price="0.0079", increments="", prefixes=""),
    row(product="sms.outbound", unit="event", price="0.001", increments="", prefixes="", element="failed_fee"),
)


def test_the_product_rule_in_force_when_it_happened_decides_what_bills() -> None:
    """Until the 15th a failed message bills its segment, 0.0079; from then a fee of 0.001 and nothing else."""
    before, after = sms(1, status="failed", occurred_at="2026-10-14T23:59:59Z"), sms(2, status="failed")
    assert amounts([before], SMS_CARD) == {"usage//0.0079": "1 0.01"}
    assert amounts([after], SMS_CARD) == {"failed_fee//0.001": "1 0.00"}


def test_a_fee_has_exempt_error_codes_and_needs_a_row() -> None:
    failed = sms(status="failed", error_code="30450")
    assert reason(failed, SMS_CARD) == "zero_rated status_not_billable"
    only_usage = card(row(product="sms.outbound", unit="segment", increments="", prefixes=""))
    assert reason(sms(status="failed"), only_usage) == "zero_rated status_not_billable"


def test_pending_messages_wait_and_delivered_ones_bring_no_fee() -> None:
    assert reason(sms(status="queued"), SMS_CARD) == "zero_rated pending"
    assert amounts([sms(status="delivered")], SMS_CARD) == {"usage//0.0079": "1 0.01"}


# --- measuring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "increments", "billable"),
    [
        (0, "60/60", 0), (1, "60/60", 60), (60, "60/60", 60), (61, "60/60", 120),
        (1, "30/6", 30), (30, "30/6", 30), (31, "30/6", 36), (36, "30/6", 36), (37, "30/6", 42),
        (121, "120/60", 180), (7, "1/1", 7), (1, "0/6", 6),
    ],
)  # fmt: skip
def test_increments(seconds: int, increments: str, billable: int) -> None:
    assert billable == apply_increments(seconds, increments)


@pytest.mark.parametrize("increments", ["60", "60/0", "a/b", "60/60/60", "-1/6", ""])
def test_increments_that_are_none_are_a_fault(increments: str) -> None:
    with pytest.raises(CardFaultError):
        apply_increments(10, increments)


@pytest.mark.parametrize(
    ("message", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),  # 153 + 8
        ("€" * 80, 1),  # 160 septets
        ("a" * 152 + "€" * 77, 3),  # 152 (a pair does not fit) + 76 pairs + 1 pair
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("😀" * 35, 1),  # 70 units
        ("😀" * 67, 3),  # 33 pairs to a part of 67: 33 + 33 + 1
        ("`", 1),
        ("`" * 71, 2),  # not in GSM-7
    ],
)
def test_segments(message: str, segments: int) -> None:
    assert segments == count_segments(message)


def test_fractions_of_a_second_round_up_first() -> None:
    """60.001 s is 61 s, two minutes at 60/60."""
    event = call(duration_seconds="60.001")
    del event["quantity"]
    assert total([event], card(row())) == "0.02"


@pytest.mark.parametrize(
    "bad",
    [
        {"quantity": "60", "duration_seconds": "61"}, {"quantity": "1.5"}, {"quantity": 1.5}, {"quantity": ""},
        {"quantity": "-1"}, {"quantity": "1e3"}, {"occurred_at": "2026-10-02T00:00:00"}, {"product": ""},
        {"occurred_at": "yesterday"}, {"charges": {"carrier_fee": "NaN"}}, {"revision": "x"},
        {"revision": "0"}, {"revision": 2**31}, {"revision": "1.5"}, {"void": True}, {"void": "perhaps"},
    ],
)  # fmt: skip
def test_a_malformed_event_is_rejected_and_hides_no_other(bad: dict[str, object]) -> None:
    result = rate([call(1), call(2, **bad)], card(row()))
    assert [("s", "002")] == [(one["source"], one["id"]) for one in result["rejected"]]
    assert 1 == len(result["accounts"])


# --- matching ---------------------------------------------------------------------------------------------------------


def test_the_longest_destination_prefix_wins_and_is_reported() -> None:
    rows = [row(), row(prefixes=["1416", "1415"], price="0.02"), row(prefixes="", price="0.09")]
    answer = rated(call(), card(*rows))
    assert isinstance(answer, RatedEvent)
    [part] = answer.parts
    match = part.match
    assert ("list@2026-10-01T00:00:00Z", 2, "1415", 60) == (
        match.card.name, match.row.number, match.prefix, part.quantity,
    )  # fmt: skip
    assert priced_at(call(to="+12125550123"), card(*rows)) == "0.01"
    assert priced_at(call(to="+442071838750"), card(*rows)) == "0.09"


def test_origin_decides_after_destination_and_unknown_callers_have_their_row() -> None:
    rows = [
        row(prefixes="1415", price="0.01"), row(price="0.02", origin_prefixes="44 49"),
        row(prefixes="1415", price="0.03", origin_prefixes="4"), row(prefixes="1415", price="0.04", origin="unknown"),
    ]  # fmt: skip
    origins = {"+442071838750": "0.03", "+33123456789": "0.01", "anonymous": "0.04", "": "0.04", "+0": "0.04"}
    assert origins == {one: priced_at(call() | {"from": one}, card(*rows)) for one in origins}
    assert priced_at(call(to="+12125550123") | {"from": "+4930901820"}, card(row(), rows[1])) == "0.02"
    assert priced_at(call() | {"from": "anonymous"}, card(row(), rows[1])) == "0.01"


def test_one_card_tells_calls_from_different_origins_apart() -> None:
    """In one run: from +44 at 0.02, from +1 at 0.01; what is remembered of the first does not price the second."""
    usage = [call(1) | {"from": "+442071838750"}, call(2) | {"from": "+14155550100"}]
    found = amounts(usage, card(row(), row(price="0.02", origin_prefixes="44")))
    assert {"usage//0.01": "1 0.01", "usage//0.02": "1 0.02"} == found


def test_other_dimensions_are_exact_over_any_in_the_order_of_the_product() -> None:
    """sms.outbound declares mcc, mnc, number_type: a row with mcc beats one with number_type, mcc and mnc beat both."""
    base = {"product": "sms.outbound", "unit": "segment", "increments": "", "prefixes": ""}
    rows = [
        row(**base, price="0.01"), row(**base, price="0.02", number_type="short"), row(**base, price="0.03", mcc="310"),
        row(**base, price="0.04", mcc="310", mnc="01"), row(**base, price="0.05", country="US"),
    ]  # fmt: skip
    asked: list[tuple[dict[str, str], str]] = [
        ({"to": ""}, "0.01"),
        ({"number_type": "short"}, "0.02"),
        ({"number_type": "short", "mcc": "310"}, "0.03"),
        ({"mcc": "310", "mnc": "1"}, "0.03"),  # an mnc is a string: 1 is not 01
        ({"mcc": "310", "mnc": "01"}, "0.04"),
        ({}, "0.05"),  # the country of +1415 by the numbering plan; it decides last
    ]
    for traits, price in asked:
        assert price == priced_at(sms() | traits, card(*rows)), traits


def test_country_is_stated_or_that_of_the_number_by_the_plan() -> None:
    rows = [row(country="CA", price="0.02"), row(country="US")]
    assert priced_at(call(to="+14165550123"), card(*rows)) == "0.02"
    assert priced_at(call(to="+14155550123"), card(*rows)) == "0.01"
    assert priced_at(call(to="+14155550123", country="CA"), card(*rows)) == "0.02"
    inbound = [row(product="sms.inbound", unit="segment", increments="", prefixes="", country="GB")]
    assert priced_at(sms(product="sms.inbound") | {"from": "+442071838750"}, card(*inbound)) == "0.01"


def test_the_ported_number_is_matched_where_the_event_gives_one() -> None:
    rows = [row(), row(prefixes="44", price="0.02")]
    assert priced_at(call(rated_to="+442071838750"), card(*rows)) == "0.02"


def test_a_longer_prefix_that_does_not_fit_otherwise_gives_way() -> None:
    """1415 asks another number type, 14155 ended, 141555 has not begun: the call falls to 1."""
    rows = [
        row(), row(prefixes="1415", price="0.02", number_type="mobile"),
        row(prefixes="14155", price="0.03", effective_to="2026-10-02T00:00:00Z"),
        row(prefixes="141555", price="0.04", effective_from="2026-10-02T00:00:01Z"),
    ]  # fmt: skip
    assert priced_at(call(0), card(*rows)) == "0.01"
    assert priced_at(call(0, number_type="mobile"), card(*rows)) == "0.02"
    assert priced_at(call(0, occurred_at="2026-10-01T23:59:59Z"), card(*rows)) == "0.03"
    assert priced_at(call(1), card(*rows)) == "0.04"


def test_short_numbers_match_whole_or_not_at_all() -> None:
    rows = [row(prefixes="9"), row(prefixes="911", exact="true", price="0.02"), row(prefixes="+1415", exact=True)]
    assert priced_at(call(to="911"), card(*rows)) == "0.02"
    assert reason(call(to="9"), card(*rows)) == "quarantined no_rate"
    assert reason(call(to="+14155550123"), card(*rows)) == "quarantined no_rate"
    assert priced_at(call(to="911"), card(*rows, row(prefixes="", price="0.03"))) == "0.02"
    assert priced_at(call(to="sip:x@example.com"), card(*rows, row(prefixes="", price="0.03"))) == "0.03"


def test_a_whole_number_beats_its_longest_prefix() -> None:
    rows = [row(prefixes="14155550123"), row(prefixes="+14155550123", exact=True, price="0.02")]
    assert priced_at(call(), card(*rows)) == "0.02"


def test_two_rows_that_fit_equally_well_are_a_card_fault() -> None:
    with pytest.raises(CardFaultError, match=r"rate\[1\] and rate\[2\]"):
        rate([call()], card(row(), row(price="0.02")))
    assert total([call()], card(row(prefixes="1 1"))) == "0.01"


def test_a_row_of_a_csv_has_strings_and_empty_cells() -> None:
    cells = {
        "product": "voice.outbound", "element": "", "country": "", "destination": "US", "prefixes": "1 7",
        "origin_prefixes": "", "origin": "", "exact": "", "number_type": "", "unit": "minute", "price": "0.01",
        "prices": "", "tiers": "", "increments": "60/60", "setup_fee": "", "max_quantity": "", "grace": "",
        "free_units": "", "block": "", "effective_from": "", "effective_to": "", "blocked": "false", "steps": "",
    }  # fmt: skip
    assert total([call()], card(cells)) == "0.01"


# --- versions and priority --------------------------------------------------------------------------------------------


def test_the_version_in_force_when_it_happened_prices_it_whatever_arrives_first() -> None:
    versions = [
        card(row(price="0.02"), effective_from="2026-10-02T00:00:10Z"),
        card(row(price="0.01")),
        card(row(price="0.03"), effective_from="2026-10-02T00:00:20Z", effective_to="2026-10-02T00:00:30Z"),
    ]
    prices = {9: "0.01", 10: "0.02", 19: "0.02", 20: "0.03", 29: "0.03"}
    assert prices == {second: priced_at(call(second), *versions) for second in prices}
    assert reason(call(30), *versions) == "quarantined no_card"  # the older ones never come back


def test_a_row_missing_from_a_newer_version_falls_to_its_parent() -> None:
    versions = [card(row(), row(prefixes="1415", price="0.02")), card(row(), effective_from="2026-10-02T00:00:01Z")]
    assert ["0.02", "0.01"] == [priced_at(call(second), *versions) for second in (0, 1)]


def test_the_first_card_in_which_a_row_fits_decides_even_with_a_shorter_prefix() -> None:
    contracts = [{"account": "a", "effective_from": "2026-01-01", "cards": ["special", "list"]}]
    special, listed = card(row(price="0.005"), id="special"), card(row(prefixes="1415"), row(prefixes="44"))
    assert priced_at(call(), special, listed, contracts=contracts) == "0.005"
    assert priced_at(call(to="+442071838750"), special, listed, contracts=contracts) == "0.01"
    blocked = card(row(blocked=True), id="special")
    assert reason(call(), blocked, listed, contracts=contracts) == "quarantined blocked"


def test_an_overlay_card_yields_to_a_longer_prefix_below_and_wins_ties() -> None:
    contracts = [{"account": "a", "effective_from": "2026-01-01", "cards": ["special", "list"]}]
    special = card(row(price="0.005"), row(prefixes="44", price="0.006"), id="special", overlay=True)
    listed = card(row(prefixes="1415"), row(prefixes="44"))
    assert priced_at(call(), special, listed, contracts=contracts) == "0.01"
    assert priced_at(call(to="+12125550123"), special, listed, contracts=contracts) == "0.005"
    assert priced_at(call(to="+442071838750"), special, listed, contracts=contracts) == "0.006"


# --- elements ---------------------------------------------------------------------------------------------------------


def test_setup_is_per_event_that_bills() -> None:
    """Calls of 60, 61 and 0 s: 3 minutes at 0.01 = 0.03; two setups at 0.05 = 0.10."""
    usage = [call(n, quantity=q) for n, q in enumerate(("60", "61", "0"))]
    assert amounts(usage, card(row(setup_fee="0.05"))) == {"usage//0.01": "3 0.03", "setup//0.05": "2 0.10"}


def test_each_element_is_matched_alone_with_its_own_unit_increments_and_card() -> None:
    """61 s: usage 2 min at 0.01 = 0.02; surcharge, from the list, per second 61 x 0.001 = 0.061; a setup row 0.2."""
    contracts = [{"account": "a", "effective_from": "2026-01-01", "cards": ["special", "list"]}]
    special = card(row(), id="special")
    listed = card(
        row(price="0.5"),
        row(element="surcharge", unit="second", increments="1/1", price="0.001", origin="unknown"),
        row(element="setup", unit="event", price="0.2"),
    )
    expected = {"usage//0.01": "2 0.02", "surcharge//0.001": "61 0.06", "setup//0.2": "1 0.20"}
    assert expected == amounts([call(quantity="61")], special, listed, contracts=contracts)
    known = call(quantity="61") | {"from": "+14155550100"}
    del expected["surcharge//0.001"]
    assert expected == amounts([known], special, listed, contracts=contracts)


def test_a_setup_fee_stands_instead_of_a_setup_row() -> None:
    setup = row(element="setup", unit="event", price="0.2")
    assert {"usage//0.01": "1 0.01", "setup//0.05": "1 0.05"} == amounts([call()], card(row(setup_fee="0.05"), setup))


def test_a_setup_fee_of_nothing_is_none() -> None:
    """The identity of a card omits defaults: stated or not, it is the same card."""
    setup = row(element="setup", unit="event", price="0.2")
    assert amounts([call()], card(row(), setup)) == amounts([call()], card(row(setup_fee="0"), setup))


def test_an_unpriced_required_element_quarantines_the_whole_event() -> None:
    products = [{**VOICE_OUT, "required": ["usage", "carrier_fee"]}]
    fee = row(element="carrier_fee", unit="event", price="0.003", prefixes="44")
    assert reason(call(), card(row(), fee), products=products) == "quarantined no_rate"
    assert reason(call(), card(row(), fee | {"prefixes": "1"} | {"blocked": True}), products=products) == (
        "quarantined blocked"
    )
    assert amounts([call()], card(row(), fee | {"blocked": True, "prefixes": "1"})) == {"usage//0.01": "1 0.01"}


FEE_IN_MONEY = row(element="carrier_fee", unit="money", price="1", increments="")


def test_a_row_in_money_takes_the_charge_that_an_event_brings() -> None:
    """carrier_fee 0.0030 and 0.0050 by the events, as they are: 0.0080 on one line, of two events."""
    products = [{**VOICE_OUT, "required": ["usage", "carrier_fee"]}]
    usage = [call(1, charges={"carrier_fee": "0.0030"}), call(2, charges={"carrier_fee": "0.0050"})]
    expected = {"usage//0.01": "2 0.02", "carrier_fee//1": "0.008 0.01"}
    assert expected == amounts(usage, card(row(), FEE_IN_MONEY), products=products)
    dearer = amounts(usage, card(row(), FEE_IN_MONEY | {"price": "1.25"}))
    assert "0.008 0.01" == dearer["carrier_fee//1.25"]


def test_a_charge_is_never_more_than_the_most_that_the_event_names() -> None:
    usage = [call(charges={"carrier_fee": {"price": "0.35", "max": "0.20"}})]
    assert "0.2 0.20" == amounts(usage, card(row(), FEE_IN_MONEY))["carrier_fee//1"]


def test_a_charge_that_no_row_in_money_takes_quarantines_its_event() -> None:
    brings = call(charges={"carrier_fee": "0.0030"})
    assert reason(brings, card(row())) == "quarantined no_rate"
    per_event = row(element="carrier_fee", unit="event", price="0.9")
    assert reason(brings, card(row(), per_event)) == "quarantined charge_unpriced"
    assert reason(brings, card(row(), FEE_IN_MONEY | {"blocked": True})) == "quarantined blocked"
    assert reason(call(charges={"usage": "1"}), card(row())) == "quarantined charge_unpriced"


def test_what_brings_no_charge_has_none_to_pay_unless_it_must() -> None:
    assert {"usage//0.01": "1 0.01"} == amounts([call()], card(row(), FEE_IN_MONEY))
    products = [{**VOICE_OUT, "required": ["usage", "carrier_fee"]}]
    assert reason(call(), card(row(), FEE_IN_MONEY), products=products) == "quarantined charge_missing"
    free = call(quantity="0", charges={"carrier_fee": "1"})
    assert reason(free, card(row(), FEE_IN_MONEY)) == "zero_rated zero_quantity"


def test_a_required_element_that_no_card_knows_quarantines_the_whole_event() -> None:
    products = [{**VOICE_OUT, "required": ["usage", "carrier_fee"]}]
    assert reason(call(), card(row()), products=products) == "quarantined no_rate"


def test_a_brought_charge_is_not_rounded_per_event() -> None:
    """Twice 0.0044 brought: 0.0088 -> 0.01, not 2 x 0.004; usage 0.01 each as the card says."""
    usage = [call(n, charges={"carrier_fee": "0.0044"}) for n in (1, 2)]
    fee, minutes = lines(usage, card(row(), FEE_IN_MONEY, rounding={"per": "event", "decimals": "3"}))
    assert ("0.01", "-3/2500") == (fee["amount"], fee["residual"])
    assert ("0.02", "0", ["list@2026-10-01T00:00:00Z"]) == tuple(minutes[k] for k in ("amount", "residual", "cards"))


# --- tiers ------------------------------------------------------------------------------------------------------------


def schedule(up_to: Sequence[str], **keys: object) -> dict[str, object]:
    """A graduated schedule in minutes, filled by all voice."""
    return {"mode": "graduated", "up_to": up_to, "unit": "minute", "fill": [{"product": "voice.*"}]} | keys


def tiered(up_to: Sequence[str], prices: Sequence[str], keys: Raw | None = None, **rate: object) -> dict[str, object]:
    """A card with one row and its schedule."""
    return card(row(prices=prices, tiers="t", **rate), tiers={"t": schedule(up_to, **(keys or {}))})


def test_the_worked_example_counter_axis_and_price_axis() -> None:
    """DESIGN 7. 200k in + 200k out + 100k toll-free minutes fill one counter of 500k to its brim, all in tier 1.

    200,000 x 0.0085 = 1,700; 200,000 x 0.0140 = 2,800; 100,000 x 0.0220 = 2,200; together 6,700.00.
    Then 1,000 inbound minutes are all in tier 2: 1,000 x 0.0080 = 8.00 more, 6,708.00.
    """
    us_voice = {
        "mode": "graduated", "up_to": ["500000"], "unit": "minute",
        "fill": [{"product": ["voice.outbound", "voice.inbound"], "country": ["US", "CA"]}],
    }  # fmt: skip
    offer = card(
        row(product="voice.inbound", tiers="us", prices="0.0085 0.0080"),
        row(product="voice.inbound", tiers="us", prices="0.0220 0.0210", number_type="toll_free"),
        row(product="voice.outbound", tiers="us", prices="0.0140 0.0130"),
        tiers={"us": us_voice},
    )
    usage = [
        call(1, product="voice.inbound", quantity=str(200_000 * 60)),
        call(2, quantity=str(200_000 * 60), to="+14165550123"),
        call(3, product="voice.inbound", quantity=str(100_000 * 60), number_type="toll_free"),
    ]
    more = call(4, product="voice.inbound", quantity=str(1_000 * 60))
    assert total(usage, offer) == "6700.00"
    assert total([*usage, more], offer) == "6708.00"
    assert amounts([*usage, more], offer)["usage/2/0.008"] == "1000 8.00"


def test_a_call_is_cut_at_the_bound_and_counts_where_it_starts() -> None:
    """Bound 5 minutes; calls of 4 and 3: 4 + 1 at 0.03 = 0.15; 2 at 0.01 = 0.02. The second starts in tier 1."""
    found = lines([call(1, quantity="240"), call(2, quantity="180")], tiered(["5"], ["0.03", "0.01"]))
    shown = [(one["tier"], one["events"], one["quantity"], one["amount"]) for one in found]
    assert [("1", 2, "5", "0.15"), ("2", 0, "2", "0.02")] == shown


def test_the_last_unit_of_a_tier_is_in_it_and_one_call_may_cross_several() -> None:
    """Bounds 1 and 2 minutes by the second; 300 s: 60 s, 60 s and 180 s at 3, 2 and 1 a minute: 3 + 2 + 3."""
    offer = tiered(["1", "2"], ["3", "2", "1"], increments="1/1")
    assert amounts([call(quantity="60")], offer) == {"usage/1/3": "1 3.00"}
    assert amounts([call(quantity="300")], offer) == {
        "usage/1/3": "1 3.00",
        "usage/2/2": "1 2.00",
        "usage/3/1": "3 3.00",
    }


def test_order_is_chronological_and_by_source_and_id_at_one_instant() -> None:
    """At one instant a/2 comes before b/1: a's minute is the only one in tier 1."""
    usage = [call(1, source="b"), call(1, id="2", source="a", to="+442071838750")]
    offer = card(
        row(prices="3 1", tiers="t", destination="US"), row(prices="3 1", tiers="t", destination="GB", prefixes="44"),
        tiers={"t": schedule(["1"])},
    )  # fmt: skip
    assert [("GB", "1"), ("US", "2")] == [(one["destination"], one["tier"]) for one in lines(usage, offer)]


def test_a_bound_is_exact_in_base_units() -> None:
    """0.1 minute is 6 s: of 10 s by the second, 6 s at 6 a minute = 0.60 and 4 s at 3 a minute = 0.20."""
    assert amounts([call(quantity="10")], tiered(["0.1"], ["6", "3"], increments="1/1")) == {
        "usage/1/6": "0.1 0.60",
        "usage/2/3": "0.066667 0.20",
    }


def test_what_a_schedule_prices_need_not_fill_it() -> None:
    """Only inbound fills. Outbound of 9 minutes stands at 0, then at 1 of 1: all at tier 1, then all at tier 2."""
    fill = {"fill": [{"product": "voice.inbound"}]}
    offer = card(
        row(prices="3 1", tiers="t"), row(product="voice.inbound", price="0.5"), tiers={"t": schedule(["1"], **fill)}
    )
    usage = [call(1, quantity="540"), call(2, product="voice.inbound"), call(3, quantity="540")]
    expected = {"usage/1/3": "9 27.00", "usage/2/1": "9 9.00", "usage//0.5": "1 0.50"}
    assert expected == amounts(usage, offer)


def test_only_usage_that_bills_fills() -> None:
    """A blocked call, one of 0 s and a surcharge leave the counter at 0: the minute after them is in tier 1."""
    offer = card(
        row(prices="3 1", tiers="t"), row(prefixes="44", blocked="true"),
        row(element="surcharge", unit="minute", price="1"), tiers={"t": schedule(["1"])},
    )  # fmt: skip
    usage = [call(1, to="+442071838750"), call(2, quantity="0"), call(3), call(4)]
    assert amounts(usage, offer) == {"usage/1/3": "1 3.00", "usage/2/1": "1 1.00", "surcharge//1": "2 2.00"}


@pytest.mark.parametrize(
    ("fill", "fills"),
    [
        ({"product": "*"}, True), ({"product": "voice.*"}, True), ({"product": ["sms.*", "voice.outbound"]}, True),
        ({"product": "voice"}, False), ({"country": ["US", "CA"]}, True), ({"country": "GB"}, False),
        ({"prefixes": ["1415"]}, True), ({"prefixes": "1416 44"}, False), ({"number_type": "mobile"}, True),
        ({"number_type": "local"}, False), ({"product": "voice.*", "country": "GB"}, False),
    ],
)  # fmt: skip
def test_fill_selects_by_product_country_prefix_and_number_type(fill: Raw, fills: bool) -> None:  # noqa: FBT001
    offer = tiered(["1"], ["3", "1"], {"fill": [fill]}, number_type="mobile")
    usage = [call(1, number_type="mobile"), call(2, number_type="mobile")]
    assert ({"usage/1/3", "usage/2/1"} if fills else {"usage/1/3"}) == set(amounts(usage, offer))


def test_usage_that_a_rate_for_any_number_prices_is_of_no_number_type() -> None:
    offer = tiered(["1"], ["3", "1"], {"fill": [{"number_type": "mobile"}]})
    assert {"usage/1/3": "2 6.00"} == amounts([call(1, number_type="mobile"), call(2, number_type="mobile")], offer)


def test_events_counters_keep_events_whole() -> None:
    """Bound 1 event: the first call, 9 minutes, is wholly in tier 1 (27.00); the second wholly in tier 2 (9.00)."""
    offer = tiered(["1"], ["3", "1"], {"measure": "events", "unit": "event"})
    assert amounts([call(1, quantity="540"), call(2, quantity="540")], offer) == {
        "usage/1/3": "9 27.00",
        "usage/2/1": "9 9.00",
    }


def test_a_call_priced_per_event_is_not_cut_by_a_counter_of_minutes() -> None:
    """Bound 5 minutes, calls of 4 minutes at 3 or 1 each: they start at 0, 4 and 8, so 3 + 3 + 1."""
    offer = tiered(["5"], ["3", "1"], unit="event")
    usage = [call(n, quantity="240") for n in range(3)]
    assert amounts(usage, offer) == {"usage/1/3": "2 6.00", "usage/2/1": "1 1.00"}


def test_amount_counters_grow_by_the_list_price_and_cut_at_the_exact_amount() -> None:
    """Up to 0.03 of money at 0.02 a minute is 90 s. 120 s: 90 s at 0.02 = 0.03; 30 s at 0.01 = 0.005 -> 0.01."""
    offer = tiered(["0.03"], ["0.02", "0.01"], {"measure": "amount", "unit": ""}, increments="1/1")
    first, second = lines([call(quantity="120")], offer)
    assert ("90", "0.03", "0") == (first["base_quantity"], first["amount"], first["residual"])
    assert ("30", "0.01", "-1/200") == (second["base_quantity"], second["amount"], second["residual"])
    later = lines([call(1, quantity="60"), call(2, quantity="60"), call(3, quantity="60")], offer)
    assert ["90", "90"] == [one["base_quantity"] for one in later]  # 0.02 + 0.01 of the second; the third is beyond


def test_volume_prices_the_whole_month_at_the_tier_reached() -> None:
    """Up to 10 minutes 0.03, beyond 0.01 for all. 10: 0.30; 11: 0.11, less than 10."""
    offer = tiered(["10"], ["0.03", "0.01"], {"mode": "volume"})
    assert amounts([call(quantity="600")], offer) == {"usage/1/0.03": "10 0.30"}
    assert amounts([call(1, quantity="600"), call(2)], offer) == {"usage/2/0.01": "11 0.11"}


def test_volume_keeps_each_event_at_its_own_versions_price_and_bounds() -> None:
    """12 minutes in all. v1: bound 10 -> tier 2, 0.01. v2 from the 10th: bound 20 -> tier 1, 0.05. 6 each."""
    first = tiered(["10"], ["0.03", "0.01"], {"mode": "volume"})
    second = tiered(["20"], ["0.05", "0.02"], {"mode": "volume"}) | {"effective_from": "2026-10-10T00:00:00Z"}
    usage = [call(1, quantity="360"), call(2, quantity="360", occurred_at="2026-10-10T00:00:00Z")]
    assert amounts(usage, first, second) == {"usage/2/0.01": "6 0.06", "usage/1/0.05": "6 0.30"}


def test_a_counter_runs_on_over_versions_and_cards() -> None:
    """4 minutes under v1 (bound 5), 4 under v2 (bound 6, from 4): 2 in tier 1, 2 in tier 2; then special's: tier 2."""
    contracts = [{"account": "a", "effective_from": "2026-01-01", "cards": ["special", "list"]}]
    first = tiered(["5"], ["3", "1"])
    second = tiered(["6"], ["5", "2"]) | {"effective_from": "2026-10-10T00:00:00Z"}
    special = tiered(["6"], ["9", "8"], prefixes="44") | {"id": "special", "effective_from": "2026-01-01T00:00:00Z"}
    usage = [
        call(1, quantity="240"), call(2, quantity="240", occurred_at="2026-10-10T00:00:00Z"),
        call(3, to="+442071838750", occurred_at="2026-10-11T00:00:00Z"),
    ]  # fmt: skip
    found = amounts(usage, first, second, special, contracts=contracts)
    assert {"usage/1/3": "4 12.00", "usage/1/5": "2 10.00", "usage/2/2": "2 4.00", "usage/2/8": "1 8.00"} == found


def test_cards_of_a_book_that_count_differently_under_one_name_are_a_fault() -> None:
    contracts = [{"account": "a", "effective_from": "2026-01-01", "cards": ["special", "list"]}]
    special = tiered(["6"], ["9", "8"], {"scope": "account"}) | {"id": "special"}
    with pytest.raises(CardFaultError, match="counts otherwise"):
        rate([call()], special, tiered(["5"], ["3", "1"]), contracts=contracts)
    fill = [{"product": ["voice.outbound"]}, {"product": ["sms.outbound"]}]
    cards = [
        tiered(["5"], ["3", "1"], {"fill": each}) | {"id": id_}
        for id_, each in zip(["list", "special"], [fill, fill[::-1]], strict=True)
    ]
    assert rate([call()], *cards, contracts=contracts)["accounts"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("billing_account", {"usage/1/3": "1 3.00", "usage/2/1": "2 2.00"}),  # a, x, y share one counter of 1 minute
        ("account", {"usage/1/3": "3 9.00"}),  # each has its own
    ],
)
def test_the_scope_of_a_counter(scope: str, expected: dict[str, str]) -> None:
    accounts = [*ACCOUNTS, {"id": "x", "parent": "a"}, {"id": "y", "parent": "x"}]
    usage = [call(1), call(2, account="x"), call(3, account="y")]
    assert expected == amounts(usage, tiered(["1"], ["3", "1"], {"scope": scope}), accounts=accounts)


def test_counters_start_at_zero_each_month() -> None:
    september = call(1, occurred_at="2026-09-30T23:59:59Z", quantity="600")
    offer = tiered(["1"], ["3", "1"]) | {"effective_from": "2026-01-01T00:00:00Z"}
    assert amounts([september, call(2)], offer) == {"usage/1/3": "1 3.00"}


def test_percents_off_the_price_instead_of_prices() -> None:
    """0.0140 less 5 % is 0.0133: 1 minute at 0.0140 and 2 at 0.0133 = 0.0266 -> 0.03."""
    offer = card(row(price="0.0140", tiers="t"), tiers={"t": schedule(["1"], discounts=["0", "5"])})
    assert amounts([call(quantity="180")], offer) == {"usage/1/0.014": "1 0.01", "usage/2/0.0133": "2 0.03"}


FLATS = {"flats": ["1", "20", "300"]}


def test_graduated_flats_are_due_once_for_each_tier_entered() -> None:
    """Bounds 1 and 2. Two calls of one minute enter tiers 1 and 2: 1 + 20; the third enters tier 3: 300 more."""
    offer = tiered(["1", "2"], ["0", "0", "0"], FLATS)
    two = [call(1), call(2)]
    assert total(two, offer) == "21.00"
    assert total([*two, call(3), call(4)], offer) == "321.00"
    flat = lines([call(1)], offer)[0]
    assert ("", "flat", "t", "1", 0, "1", "flat", "1", "1.00") == tuple(
        flat[key]
        for key in ("product", "element", "destination", "tier", "events", "quantity", "unit", "unit_price", "amount")
    )


def test_volume_flats_are_due_for_the_tier_reached() -> None:
    offer = tiered(["1", "2"], ["0", "0", "0"], FLATS | {"mode": "volume"})
    assert ["1.00", "20.00", "300.00"] == [total([call(n) for n in range(count)], offer) for count in (1, 2, 3)]


@pytest.mark.parametrize("mode", ["graduated", "volume"])
def test_a_flat_at_zero_is_due_without_usage_and_once_with_it(mode: str) -> None:
    offer = tiered(["1", "2"], ["0", "0", "0"], FLATS | {"mode": mode, "flat_at_zero": True})
    assert total([], offer) == "1.00"
    assert total([call(1)], offer) == "1.00"
    assert [] == rate([], tiered(["1"], ["0", "0"], {"mode": mode, "flats": ["1", "2"]}))["accounts"]


def test_a_graduated_flat_is_that_of_the_version_under_which_the_tier_was_entered() -> None:
    """Tier 1 entered under v1 (flat 1) and still filled under v2 (50); tier 2 entered under v2 (70): 71."""
    second = tiered(["2"], ["0", "0"], {"flats": ["50", "70"]}) | {"effective_from": "2026-10-10T00:00:00Z"}
    first = tiered(["2"], ["0", "0"], {"flats": ["1", "20"]})
    later = [call(n, occurred_at=f"2026-10-1{n}T00:00:00Z") for n in (1, 2)]
    assert total([call(0), *later], first, second) == "71.00"


def test_a_flat_at_zero_is_that_of_the_first_version_of_the_month() -> None:
    flats = {"flat_at_zero": True, "flats": ["50", "70"]}
    second = tiered(["1"], ["0", "0"], flats) | {"effective_from": "2026-10-10T00:00:00Z"}
    assert total([], tiered(["1"], ["0", "0"], flats | {"flats": ["1", "20"]}), second) == "1.00"
    assert total([], second) == "50.00"


def test_each_account_with_its_own_counter_owes_its_own_flat() -> None:
    accounts = [*ACCOUNTS, {"id": "x", "parent": "a"}]
    offer = tiered(["9"], ["0", "0"], {"scope": "account", "flats": ["5", "0"]})
    assert total([call(1), call(2, account="x")], offer, accounts=accounts) == "10.00"


# --- pools and rounding per event -------------------------------------------------------------------------------------


def pool(**keys: object) -> dict[str, object]:
    return {"pools": {"p": {"unit": "minute", "fill": [{"product": "voice.*"}]} | keys}}


def test_free_units_go_first_and_the_event_counts_where_it_starts() -> None:
    """100 minutes free; calls of 60 and 60: 100 free, 20 at 0.01 = 0.20."""
    found = lines([call(1, quantity="3600"), call(2, quantity="3600")], card(row(), **pool(free="100")))
    shown = [(one["unit_price"], one["events"], one["quantity"], one["amount"]) for one in found]
    assert [("0.01", 0, "20", "0.20"), ("0", 2, "100", "0.00")] == shown


def test_free_units_fill_no_counter() -> None:
    """2 minutes free, then a tier of 1 minute: of 4 minutes 2 are free, 1 is at 3, 1 is at 1."""
    offer = card(row(prices="3 1", tiers="t"), tiers={"t": schedule(["1"])}, **pool(free="2"))
    assert amounts([call(quantity="240")], offer) == {
        "usage/free/0": "2 0.00", "usage/1/3": "1 3.00", "usage/2/1": "1 1.00",
    }  # fmt: skip


def test_blocks_are_rounded_up_once_with_the_padding_on_the_last_row() -> None:
    """Calls of 1 minute at 0.01 and 2 at 0.10, blocks of 10: 7 more minutes at 0.10. 0.01 + 0.90."""
    offer = card(row(), row(prefixes="44", price="0.10"), **pool(block="10"))
    usage = [call(1), call(2, to="+442071838750", quantity="120")]
    assert amounts(usage, offer) == {"usage//0.01": "1 0.01", "usage//0.1": "9 0.90"}
    exactly = [call(1, quantity="600")]
    assert amounts(exactly, offer) == {"usage//0.01": "10 0.10"}


def test_padding_goes_through_the_tiers() -> None:
    """1 minute, blocks of 10, bound 4: 4 at 3 and 6 at 1."""
    offer = card(row(prices="3 1", tiers="t"), tiers={"t": schedule(["4"])}, **pool(block="10"))
    assert amounts([call()], offer) == {"usage/1/3": "4 12.00", "usage/2/1": "6 6.00"}


def test_a_rows_own_free_units_are_those_of_its_product_and_destination() -> None:
    """US has 2 free minutes over both of its prefixes; GB has none: 1 + 1 free, 1 paid; GB 1 paid."""
    rows = [
        row(destination="US", free_units="2"), row(destination="US", prefixes="1415", free_units="2"),
        row(destination="GB", prefixes="44", price="0.5"),
    ]  # fmt: skip
    usage = [call(1), call(2, to="+12125550123"), call(3, to="+442071838750"), call(4)]
    expected = {"usage/free/0": "2 0.00", "usage//0.01": "1 0.01", "usage//0.5": "1 0.50"}
    assert expected == amounts(usage, card(*rows))


def test_setup_is_due_on_free_calls_too() -> None:
    assert amounts([call()], card(row(setup_fee="0.2"), **pool(free="9"))) == {
        "usage/free/0": "1 0.00", "setup//0.2": "1 0.20",
    }  # fmt: skip


def test_free_events_of_a_price_per_event() -> None:
    """2 of 3 calls free at 0.05 each."""
    offer = card(row(unit="event", price="0.05"), **pool(free="2", unit="event"))
    assert amounts([call(n) for n in range(3)], offer) == {"usage/free/0": "2 0.00", "usage//0.05": "1 0.05"}


def test_a_price_per_event_is_due_once_where_some_of_its_units_are_not_free() -> None:
    """2 free minutes: the call of 1 is free, that of 3 is not, nor the last."""
    offer = card(row(unit="event", price="0.05"), **pool(free="2"))
    usage = [call(1), call(2, quantity="180"), call(3)]
    shown = [(one["tier"], one["unit_price"], one["events"], one["quantity"]) for one in lines(usage, offer)]
    assert [("", "0.05", 2, "2"), ("free", "0", 1, "1")] == shown


@pytest.mark.parametrize(
    ("mode", "amount"),
    [
        ("half-up", "0.13"),  # 5 x 0.025 = 0.125
        ("half-even", "0.12"),  # 5 x 0.024
        ("up", "0.13"),
        ("down", "0.12"),
    ],
)
def test_rounding_per_event_is_once_over_usage_and_setup(mode: str, amount: str) -> None:
    """15 s at 0.01 a minute is 0.0025, with a setup fee of 0.0220: 0.0245 an event, to 3 decimals; five of them."""
    rounding = {"per": "event", "decimals": 3, "mode": mode}
    usage = [call(n, quantity="15") for n in range(5)]
    [line] = lines(usage, card(row(increments="1/1", setup_fee="0.0220"), rounding=rounding))
    assert ("usage", 5, "75", amount) == (line["element"], line["events"], line["base_quantity"], line["amount"])


# --- faults and limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        card(row(window="peak")), card(row(prices="1 2")),
        card(row(tiers="none")), card(row(region="eu")), card(row(price="1e-3")), card(row(price=0.01)),
        card(row(exact=True, prefixes="")), card(row(unit="hour")), card(row(), effective_from=""),
        tiered(["2", "1"], ["1", "1", "1"]), tiered(["1"], ["1"]), tiered(["1"], ["1", "2"], {"flats": ["1"]}),
        tiered(["1"], ["1", "2"], {"mode": "stepped"}), tiered(["1"], ["1", "2"], {"fill": []}),
        card(row(), **pool(free="1"), rounding={"per": "event", "decimals": 2}),
    ],
)  # fmt: skip
def test_a_faulty_or_unsupported_card_gives_no_figure(bad: Raw) -> None:
    with pytest.raises((CardFaultError, InputFaultError)):
        rate([call()], bad)


def test_two_versions_from_one_instant_are_refused() -> None:
    with pytest.raises(InputFaultError, match="same instant"):
        rate([], card(row()), card(row(price="2")))


# --- numbers and comparison -------------------------------------------------------------------------------------------


def test_printing() -> None:
    assert ["0.00", "-0.01", "12", "1.50"] == [
        plain(Fraction(number), digits) for number, digits in (("-0.001", 2), ("-0.005", 2), ("11.5", 0), ("1.5", 2))
    ]
    assert ["0.0133", "1/3", "120", "0", "-2.5"] == [
        shortest(Fraction(number)) for number in ("0.01330", "1/3", "120", "0", "-2.50")
    ]


@given(
    st.fractions(min_value=-1000, max_value=1000, max_denominator=6000),
    st.sampled_from(["half-up", "half-even", "up", "down"]),
)
def test_rounding_stays_within_a_step_and_on_it(value: Fraction, mode: str) -> None:
    step = Fraction(1, 100)
    rounded = to_step(value, step, mode)
    assert 1 == Fraction(rounded, step).denominator
    assert abs(rounded - value) <= (Fraction(1, 200) if mode.startswith("half") else step)
    assert mode != "up" or abs(rounded) >= abs(value)
    assert mode != "down" or abs(rounded) <= abs(value)
    assert mode != "half-up" or abs(rounded) >= abs(value) or abs(rounded - value) < Fraction(1, 200)


def test_equal_lines_have_no_difference_whatever_their_order_and_spelling() -> None:
    usage = [call(1), call(2, to="+442071838750")]
    ours = lines(usage, card(row(), row(prefixes="44", price="0.02")))
    theirs = [line | {"unit_price": f"{line['unit_price']}00", "base_quantity": 60} for line in reversed(ours)]
    assert [] == compare(ours, theirs)


def test_differences_name_the_line_and_the_field() -> None:
    [line] = lines([call()], card(row(destination="US")))
    key = ("2026-10", "voice.outbound", "usage", "US", "US", "", "minute", "1/100")
    assert [
        Difference(key=key, field="events", expected="1", actual="2"),
        Difference(key=key, field="amount", expected="1/100", actual="1/50"),
    ] == compare([line], [line | {"amount": "0.02", "events": 2}])
    assert [Difference(key=key, field="line", expected="present", actual="absent")] == compare([line], [])
    assert [Difference(key=key, field="line", expected="absent", actual="present")] == compare([], [line])
    assert ["line"] == [one.field for one in compare([line], [line, line])]


# --- an oracle for the oracle -----------------------------------------------------------------------------------------


def unit_by_unit(bounds: Sequence[int], prices: Sequence[Fraction], quantities: Sequence[int]) -> Fraction:
    """Graduated, as a child would do it: take one unit after the other and ask in which tier it is."""
    cost, position = Fraction(0), 0
    for quantity in quantities:
        for _ in range(quantity):
            position += 1
            cost += prices[len([bound for bound in bounds if position > bound])]
    return cost


bounds_lists = st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True).map(sorted)


@given(bounds_lists, st.lists(st.integers(1, 30), max_size=12), st.data())
@example([5], [4, 3], None)
def test_cutting_at_bounds_is_the_unit_by_unit_sum(
    bounds: list[int], quantities: list[int], data: st.DataObject | None
) -> None:
    decimals = st.decimals(0, 1, places=4).map(Fraction)
    prices = [Fraction(3), Fraction(1)]
    if data is not None:
        prices = data.draw(st.lists(decimals, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    cost, position = Fraction(0), 0
    for quantity in quantities:
        parts = cut(bounds, position, quantity)
        assert quantity == sum(part for _, part in parts)
        cost += sum(part * prices[tier] for tier, part in parts)
        position += quantity
    assert unit_by_unit(bounds, prices, quantities) == cost


@given(bounds_lists, st.integers(0, 60))
def test_the_next_tier_is_that_of_the_next_unit_and_the_tier_reached_that_of_the_last(
    bounds: list[int], position: int
) -> None:
    assert cut(bounds, position, 1)[0][0] == next_tier(bounds, position)
    assert tier_reached(bounds, position + 1) == next_tier(bounds, position)


@settings(max_examples=60, deadline=None)
@given(
    bounds_lists,
    st.lists(st.tuples(st.sampled_from(["voice.outbound", "voice.inbound"]), st.integers(0, 30)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_a_month_by_the_second_is_the_unit_by_unit_sum_in_any_order_of_arrival(
    bounds: list[int], calls: list[tuple[str, int]], random: Random
) -> None:
    """Both products fill one counter and share its prices per second, so that the total is that of one sequence."""
    prices = [str(len(bounds) + 1 - tier) for tier in range(len(bounds) + 1)]
    rows = [
        row(product=product, unit="second", increments="1/1", prices=prices, tiers="t")
        for product in ("voice.outbound", "voice.inbound")
    ]
    offer = card(*rows, tiers={"t": schedule([str(bound) for bound in bounds], unit="second")})
    usage = [call(n, product=product, quantity=str(seconds)) for n, (product, seconds) in enumerate(calls)]
    random.shuffle(usage)
    result = rate(usage, offer)
    billed = sum(Fraction(str(one["total"])) for one in result["accounts"])
    assert unit_by_unit(bounds, [Fraction(price) for price in prices], [seconds for _, seconds in calls]) == billed


digits = st.text("12", min_size=0, max_size=4)
rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "prefixes": st.lists(digits.filter(bool), max_size=3),
            "exact": st.booleans(),
            "origin_prefixes": st.lists(digits.filter(bool), max_size=2),
            "origin": st.sampled_from(["", "unknown"]),
            "number_type": st.sampled_from(["", "mobile", "local"]),
            "country": st.sampled_from(["", "US", "CA"]),
            "effective_to": st.sampled_from(["", "2026-10-02T00:00:00Z"]),
            "blocked": st.booleans(),
        }
    ).map(lambda keys: keys | {"exact": keys["exact"] and bool(keys["prefixes"])}),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(
    rows_strategy, st.sampled_from(["+", ""]), digits, st.sampled_from(["", "anonymous", "+1", "+12", "+211"]),
    st.sampled_from(["", "mobile", "local"]), st.integers(1, 2),
)  # fmt: skip
def test_asking_every_row_and_looking_prefixes_up_agree(
    rates: list[dict[str, object]], plus: str, to: str, origin: str, number_type: str, day: int
) -> None:
    """Also on the fault: rows that fit equally well are refused by both."""
    terms = verifier.read_terms([card(*(row(**keys) for keys in rates))], PRODUCTS, ACCOUNTS, CONTRACTS, {"1": "US"})
    at = datetime(2026, 10, day, tzinfo=UTC)
    usage = read_usage(call(to=plus + to, number_type=number_type) | {"from": origin})
    traits = traits_of(terms.products["voice.outbound"], usage, terms.plan)
    answers = []
    for find in (match_linear, match_indexed, match_indexed):
        try:
            match = find(terms.cards["list"][0], "usage", traits, at)
            answers.append(match and (match.row.number, match.prefix, match.rank))
        except CardFaultError:
            answers.append((0, "", ()))
    assert answers[0] == answers[1] == answers[2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "to": st.sampled_from(["+14155550123", "+442071838750", "+33123456789"]),
                "quantity": st.integers(0, 200).map(str),
                "status": st.sampled_from(["completed", "busy"]),
                "account": st.sampled_from(["a", "gone"]),
            }
        ),
        max_size=15,
    )
)
def test_every_event_and_unit_is_in_exactly_one_place(usage: list[dict[str, object]]) -> None:
    """DESIGN 15.1, with free units, blocks left out, tiers and rows for +1 and +44 only."""
    offer = card(
        row(increments="1/1", prices="3 1", tiers="t"), row(prefixes="44", increments="1/1"),
        tiers={"t": schedule(["1"])}, **pool(free="1"),
    )  # fmt: skip
    events = [call(n, **keys) for n, keys in enumerate(usage)]
    result = rate(events, offer)
    found = [line for one in result["accounts"] for line in one["lines"]]
    aside = [one for name in ("quarantined", "zero_rated", "rejected") for one in result[name]]
    assert len(events) == sum(line["events"] for line in found) + len(aside)
    ids = {one["id"] for one in aside}
    expected = sum(int(str(one["quantity"])) for one in events if one["id"] not in ids)
    assert expected == sum(int(line["base_quantity"]) for line in found)


def test_bounds_are_whole_base_units_for_quantities_and_money_for_amounts() -> None:
    terms = verifier.read_terms([tiered(["0.1"], ["1", "2"])], PRODUCTS, ACCOUNTS, CONTRACTS, {})
    assert (6,) == bounds_of(terms.cards["list"][0].schedules["t"])


def test_bounds_are_in_the_unit_of_what_fills_the_counter_not_of_what_it_prices() -> None:
    """A fax `minute` of 10 pages is priced by a counter of minutes of calls: 59 seconds stand below the bound."""
    fax = {**VOICE_OUT, "id": "fax", "base": "page", "units": {"page": 1, "minute": 10}, "measure": "quantity"}
    pages: Raw = {"product": "fax", "unit": "page", "prices": "2 1", "tiers": "t"}
    offer = card(row(increments="1/1", price="0"), pages, tiers={"t": schedule(["1"])})
    faxed = call(1, product="fax", status="completed")
    for seconds, price in (("59", "2"), ("60", "1")):
        found = lines([call(quantity=seconds), faxed], offer, products=[VOICE_OUT, fax])
        assert ("fax", price) == (found[0]["product"], found[0]["unit_price"])


def test_a_counter_of_units_of_two_sizes_is_a_fault() -> None:
    slow = {**VOICE_IN, "units": {"second": 1, "minute": 100}}
    offer = card(row(), tiers={"t": schedule(["1"], fill=[{"product": "voice.*"}])})
    with pytest.raises(CardFaultError, match=r"'minute' is \[60, 100\] base units"):
        rate([], offer, products=[VOICE_OUT, slow])


def test_numbers_may_come_as_decimals_and_integers() -> None:
    assert total([call(quantity=60)], card(row(price=Decimal("0.0100")))) == "0.01"


@pytest.mark.parametrize("said", [{"plan": "business"}, {"percent": "6"}, {"plan": "business", "percent": "six"}])
def test_support_without_a_plan_or_a_figure_gives_no_bill(said: Raw) -> None:
    with pytest.raises(InputFaultError, match="support"):
        rate([call()], card(row()), contracts=[{**CONTRACTS[0], "support": said}])
