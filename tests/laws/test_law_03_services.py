"""Law 3: the columnar kernel is the verifier, for what the eight services say beside a number and a duration.

"Columnar kernel = `billing/verifier.py` (Fraction, linear scans, nothing of `rates`), on generated cards and traffic."
Here events ask for several packages with outcomes of their own, were delivered as another product, bring charges, and
occur on both sides of the days on which rules of the catalogue begin.
"""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from billing.periods import Period
from tests.verified import Table, assert_verified, billed, cards_of

SLOW = [HealthCheck.filter_too_much, HealthCheck.too_slow]
CONTENT: Table = {
    "id": "content",
    "name": "Content",
    "base": "item",
    "units": {"item": 1, "dozen": 12},
    "country_of": "to",
    "match": ["to"],
    "required": ["usage", "carrier_fee"],
    "measure": "quantity",
    "rules": [
        {"effective_from": "1970-01-01T00:00:00Z", "delivered_as": {"note": "sms.outbound", "ghost": "no.such"}},
        {
            "effective_from": "2024-09-30T00:00:00Z",
            "billable": {"status": ["", "sold"]},
            "delivered_as": {"note": "mms.outbound"},
            "fees": [{"element": "surcharge", "per": "event", "when": {"status": ["failed"]}}],
            "grace": 2,
        },
    ],
}
UNITS = {
    "lookup": "request", "sms.outbound": "segment", "mms.outbound": "message", "content": "dozen",
    "voice.conference": "minute", "voice.outbound": "minute", "turn.relay": "gib",
}  # fmt: skip
PACKAGES = ["caller_name", "line_type", "sim_swap"]
STATUSES = ["", "", "", "", "completed", "failed", "delivered", "pending", "sold"]
PRICES = ["0", "0.01", "0.0033", "1", "1.1"]
CHARGES = ["0", "0.003", "0.35", "1.000000001", "4.99"]
INSTANTS = {
    "2022-09": ["2022-09-30T23:59:59.999Z", "2022-09-12T10:00:00Z"],
    "2022-10": ["2022-10-01T00:00:00Z", "2022-10-02T10:00:00Z"],
    "2024-09": ["2024-09-29T23:59:59Z", "2024-09-30T00:00:00Z", "2024-09-30T07:00:00Z"],
    "2026-10": ["2026-10-01T00:00:00Z", "2026-10-14T12:00:00Z"],
}

charge = st.one_of(
    st.sampled_from(CHARGES),
    st.tuples(st.sampled_from(CHARGES), st.sampled_from(CHARGES)).map(lambda each: {"price": each[0], "max": each[1]}),
)


@st.composite
def rows(draw: st.DrawFn, product: str) -> list[Table]:
    """Rows of one product, of which no two are for the same match; some usage always has one."""
    elements = ["usage", "carrier_fee", "carrier_fee", "surcharge"]
    elements += ["failed_fee"] if product in {"sms.outbound", "mms.outbound"} else []
    packages = ["", *PACKAGES] if product == "lookup" else [""]
    prefixes = [""] if product in {"voice.conference", "turn.relay"} else ["", "", "44"]
    keys = st.tuples(st.sampled_from(elements), st.sampled_from(prefixes), st.sampled_from(packages))
    first = ("usage", "", draw(st.sampled_from(packages)))
    found = []
    for element, prefix, package in dict.fromkeys([first, *draw(st.lists(keys, max_size=4))]):
        row: Table = {"product": product, "element": element, "package": package, "destination": f"to{prefix}{package}"}
        row["prefixes"] = [prefix] if prefix else []
        timed = product.startswith("voice") and element == "usage"
        units = [UNITS[product], UNITS[product], "event"] + ([] if timed or element == "failed_fee" else ["money"] * 3)
        row["unit"] = draw(st.sampled_from(units))
        if draw(st.integers(0, 11)) == 11:
            row["blocked"] = True
        else:
            row["price"] = draw(st.sampled_from(PRICES))
            limits = [{}, {}, {}, {"setup_fee": "0.05"}, {"min_charge": "0.02"}, {"max_charge": "0.3"}]
            row |= draw(st.sampled_from(limits)) if element == "usage" else {}
        if product == "lookup" and element == "usage" and row["unit"] == "request" and draw(st.booleans()):
            row = {key: row[key] for key in row if key not in {"price", "min_charge", "max_charge", "blocked"}}
            row |= {"tiers": "t", "prices": ["0.02", "0.01"]}
        found.append({key: cell for key, cell in row.items() if cell != ""})
    return found


@st.composite
def cards(draw: st.DrawFn, id_: str, products: list[str]) -> Table:
    """A card that prices some products."""
    card: Table = {"id": id_, "currency": "USD", "effective_from": "2020-01-01T00:00:00Z"}
    card["rate"] = [row for name in products for row in draw(rows(name))]
    if "lookup" in products:
        card["tiers"] = {"t": {"up_to": ["3"], "unit": "request", "fill": [{"product": "lookup"}]}}
    more = draw(st.sampled_from(["", "rounding", "pool", "pool"]))
    if more == "rounding":
        card["rounding"] = {"per": "event", "decimals": 2, "mode": draw(st.sampled_from(["half-up", "up"]))}
    elif more and not any({"min_charge", "max_charge"} & row.keys() for row in card["rate"]):
        card["pools"] = {"p": {"free": "1", "unit": "segment", "fill": [{"product": "sms.*"}]}}
    return card


@st.composite
def packages(draw: st.DrawFn) -> list[Any]:
    """Packages of one look-up, some with a status of their own."""
    found: list[Any] = []
    for name in draw(st.lists(st.sampled_from(PACKAGES), min_size=1, unique=True)):
        said = draw(st.sampled_from(["", "", "completed", "failed", "pending"]))
        found.append({"name": name, "status": said} if said else draw(st.sampled_from([name, {"name": name}])))
    return found


@st.composite
def events(draw: st.DrawFn, month: str, products: list[str]) -> Table:
    """An event that a reader takes."""
    product = draw(st.sampled_from(products))
    event: Table = {"source": "s", "account": draw(st.sampled_from(["a", "a-sub"])), "product": product}
    event |= {"occurred_at": draw(st.sampled_from(INSTANTS[month])), "status": draw(st.sampled_from(STATUSES))}
    event |= {"error_code": draw(st.sampled_from(["", "", "30008"]))}
    if product not in {"voice.conference", "turn.relay"}:
        event["to"] = draw(st.sampled_from(["+447700900123", "+14155550123"]))
    simple = True
    if product == "lookup":
        event["packages"] = draw(packages())
        simple = event["packages"] in [[name] for name in PACKAGES]
    elif product == "turn.relay":
        event |= {"bytes_sent": str(draw(st.integers(0, 2**31))), "bytes_received": "7"}
    elif product in {"mms.outbound", "content"} and draw(st.integers(0, 2)):
        early = event["occurred_at"] < "2024-09-30"
        ways = ["mms", "sms"] if product == "mms.outbound" else ["note", *(["ghost"] if early else [])]
        event["delivered_as"] = draw(st.sampled_from(ways))
        measured_as_sms = event["delivered_as"] == "sms" or (event["delivered_as"] == "note" and early)
        said = [{"quantity": "2"}, *([{"segments": "3"}, {"text": "~" * 81}] if measured_as_sms else [])]
        event |= draw(st.sampled_from(said))
    else:
        event["quantity"] = str(draw(st.sampled_from([0, 1, 1, 2, 2, 13, 61])))
    if simple and draw(st.booleans()):
        elements = st.sampled_from(["usage", "carrier_fee", "surcharge"])
        event["charges"] = draw(st.dictionaries(elements, charge, max_size=2))
    return {key: value for key, value in event.items() if value not in ("", {})}


TOGETHER = [
    ["lookup"],
    ["sms.outbound"],
    ["mms.outbound", "sms.outbound"],
    ["content", "sms.outbound", "mms.outbound"],
    ["voice.conference", "turn.relay"],
    ["voice.outbound", "lookup"],
]


@pytest.mark.parametrize("products", TOGETHER, ids="-".join)
@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_what_services_say_means_the_same_to_both(products: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(INSTANTS)))
    tables = [data.draw(cards("list", products))]
    if data.draw(st.integers(0, 2)) == 0:
        tables.append(data.draw(cards("special", products)) | {"overlay": data.draw(st.booleans())})
    read = cards_of(tables, [CONTENT])
    assume(read is not None)
    assert read is not None
    said = data.draw(st.lists(events(name, products), min_size=1, max_size=8))
    usage = [each | {"id": f"e{n}"} for n, each in enumerate(said)]
    tree: list[Table] = [{"id": "a", "currency": "USD"}, {"id": "a-sub", "parent": "a"}]
    order = [table["id"] for table in reversed(tables)]
    deals: list[Table] = [{"account": "a", "effective_from": date(2020, 1, 1), "cards": order}]
    ours = billed(read, tree, deals, usage, Period.parse(name), [CONTENT])
    assert_verified(ours, tables, tree, deals, usage, [CONTENT])


def test_the_instants_lie_on_both_sides_of_the_days_on_which_rules_begin() -> None:
    days = [datetime(2022, 10, 1, tzinfo=UTC), datetime(2024, 9, 30, tzinfo=UTC)]
    told = [datetime.fromisoformat(each) for instants in INSTANTS.values() for each in instants]
    assert all(any(at < day for at in told) and day in told for day in days)
