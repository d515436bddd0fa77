"""Law 3: the columnar kernel is the verifier.

"Columnar kernel = `billing/verifier.py` (Fraction, linear scans, nothing of `rates`), on generated cards and traffic."
Cards, accounts, contracts and events are drawn as the tables and objects that people write, and handed to both sides
as they are. What the engine's checks refuse is drawn again.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from billing.periods import Period
from tests.dealing import deals
from tests.verified import Table, assert_verified, billed, cards_of

OCTOBER = Period.parse("2026-10")
START = datetime(2026, 10, 1, tzinfo=UTC)

PREFIXES = ["1", "1415", "1416", "44", "4477", "447700", "33", "7"]
NUMBERS = ["+14155550100", "+14165550100", "+12125550100", "+447700900123", "+441632960000", "+33123456789", "911"]
CALLERS = ["+14155550111", "+447700900999", "anonymous", ""]
PRICES = ["0", "0.01", "0.0075", "0.02", "0.1", "0.333333", "1.5"]
COUNTRIES = ["US", "CA", "GB", "FR"]

selectors = st.lists(
    st.fixed_dictionaries(
        {"product": st.sampled_from([["voice.outbound"], ["voice.*"], ["voice.outbound", "voice.inbound"]])},
        optional={
            "country": st.lists(st.sampled_from(COUNTRIES), min_size=1, max_size=2, unique=True),
            "number_type": st.just(["mobile"]),
        },
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def axes(draw: st.DrawFn) -> Table:
    """What all cards agree on of a schedule: over minutes, calls or money, of whom, in which mode."""
    measure, unit = draw(st.sampled_from([("quantity", "minute"), ("events", "event"), ("amount", "")]))
    return {
        "mode": draw(st.sampled_from(["graduated", "volume"])),
        **({"unit": unit} if unit else {}),
        "measure": measure,
        "scope": draw(st.sampled_from(["billing_account", "account"])),
        "fill": draw(selectors),
    }


@st.composite
def schedules(draw: st.DrawFn, axis: Table) -> Table:
    """What a card says by itself of a schedule: one to three tiers, their flats and discounts."""
    known = ["0.001", "0.0333", "0.25", "1"] if axis["measure"] == "amount" else ["1", "2", "5", "8"]
    bounds = draw(st.lists(st.sampled_from(known), max_size=2, unique=True).map(sorted))
    schedule: Table = {**axis, "up_to": bounds}
    one_per_tier = st.lists(
        st.sampled_from(["0", "5", "10", "12.5"]), min_size=len(bounds) + 1, max_size=len(bounds) + 1
    )
    if draw(st.booleans()):
        schedule["flats"] = draw(one_per_tier)
        schedule["flat_at_zero"] = schedule["scope"] == "billing_account" and draw(st.booleans())
    if draw(st.booleans()):
        schedule["discounts"] = draw(one_per_tier)
    return schedule


@st.composite
def pool_axes(draw: st.DrawFn) -> Table:
    """Whose a pool is, and what it takes."""
    scope = draw(st.sampled_from(["billing_account", "account"]))
    return {"unit": "minute", "scope": scope, "fill": draw(selectors)}


@st.composite
def pools(draw: st.DrawFn, axis: Table) -> Table:
    """Free minutes, blocks of minutes, or both."""
    free, block = draw(st.sampled_from([("1", "0"), ("3", "0"), ("0", "1"), ("0", "2"), ("1", "2")]))
    return {**axis, "free": free, "block": block}


@st.composite
def prices(draw: st.DrawFn, schedules_: Mapping[str, Table], unit: str) -> Table:
    """One price, or one for each tier of a schedule that counts the row's unit."""
    usable = [name for name, table in schedules_.items() if table["measure"] != "quantity" or unit == "minute"]
    name = draw(st.sampled_from(["", *sorted(usable)]))
    if not name or "discounts" in schedules_[name]:
        return {"price": draw(st.sampled_from(PRICES))} | ({"tiers": name} if name else {})
    tiers = len(schedules_[name]["up_to"]) + 1
    return {"tiers": name, "prices": draw(st.lists(st.sampled_from(PRICES), min_size=tiers, max_size=tiers))}


RARELY: Table = {
    "setup_fee": ["0", "0.05"],
    "origin_prefixes": [["1"], ["44"]],
    "number_type": ["mobile"],
    "free_units": ["1", "2"],
    "effective_from": ["2026-10-12T06:30:00Z"],
    "effective_to": ["2026-10-19T00:00:00Z"],
    "grace": ["10"],
    "max_quantity": ["150"],
}


@st.composite
def voice_rates(draw: st.DrawFn, schedules_: Mapping[str, Table]) -> Table:
    """A row for calls: some prefixes, a price or one per tier, increments, and now and then something more."""
    row: Table = {
        "product": draw(st.sampled_from(["voice.outbound", "voice.outbound", "voice.inbound"])),
        "prefixes": draw(st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=2, unique=True)),
        "unit": draw(st.sampled_from(["minute", "minute", "second", "event"])),
    }
    if draw(st.integers(0, 12)) == 0:
        return row | {"blocked": True}
    row["destination"] = draw(st.sampled_from(["Home", "Abroad", ""]))
    row["increments"] = draw(st.sampled_from(["1/1", "60/60", "30/6", "6/6"]))
    row |= draw(prices(schedules_, row["unit"]))
    for name in draw(st.lists(st.sampled_from(sorted(RARELY)), max_size=2, unique=True)):
        if name != "free_units" or row["unit"] == "minute":
            row[name] = draw(st.sampled_from(RARELY[name]))
    return row


@st.composite
def message_rates(draw: st.DrawFn) -> Table:
    """A row for messages, of their usage or of the fee for one that failed."""
    element = draw(st.sampled_from(["usage", "failed_fee", "carrier_fee"]))
    return {
        "product": "sms.outbound",
        "element": element,
        "prefixes": [draw(st.sampled_from(PREFIXES))],
        "unit": "segment" if element != "failed_fee" else "event",
        "price": draw(st.sampled_from(PRICES)),
    }


def distinct(rows: list[Table]) -> list[Table]:
    """The rows without the prefixes for which an earlier one says the same: a tie is a fault of the card."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for row in rows:
        origin = " ".join(row.get("origin_prefixes", []))
        about = (row["product"], row.get("element", "usage"), origin, row.get("number_type", ""))
        prefixes = [prefix for prefix in row["prefixes"] if (*about, prefix) not in seen]
        seen.update((*about, prefix) for prefix in prefixes)
        if prefixes:
            kept.append(row | {"prefixes": prefixes})
    return kept


@st.composite
def card_terms(draw: st.DrawFn, common: Table) -> Table:
    """The schedules and pools of a card: some of the book's, by numbers of its own."""
    terms: Table = {"tiers": {}, "pools": {}}
    for name, axis in common["tiers"].items():
        if draw(st.booleans()):
            terms["tiers"][name] = draw(schedules(axis))
    for name, axis in common["pools"].items():
        if draw(st.booleans()):
            terms["pools"][name] = draw(pools(draw(st.one_of(st.just(axis), pool_axes()))))
    return terms


@st.composite
def card_tables(draw: st.DrawFn, id_: str, since: datetime, terms: Table) -> Table:
    """A version of a card with its schedules and pools."""
    voice = distinct(draw(st.lists(voice_rates(terms["tiers"]), min_size=1, max_size=5)))
    messages = distinct(draw(st.lists(message_rates(), max_size=2)))
    begins = since.isoformat().replace("+00:00", "Z")
    return {"id": id_, "currency": "USD", "effective_from": begins, "rate": [*voice, *messages], **terms}


@st.composite
def books(draw: st.DrawFn) -> list[Table]:
    """A list card of one or two versions and up to two other cards, each with counters of the book in its own words.

    A version that begins within a day counts what the one before it counts.
    """
    common = {
        "tiers": draw(st.dictionaries(st.sampled_from(["t", "u"]), axes(), max_size=2)),
        "pools": draw(st.dictionaries(st.sampled_from(["p", "q"]), pool_axes(), max_size=2)),
    }
    begins = [("list", datetime(2026, 1, 1, tzinfo=UTC))]
    within_a_day = draw(st.integers(0, 3)) == 0
    if within_a_day or draw(st.booleans()):
        begins.append(("list", datetime(2026, 10, 10, 12 if within_a_day else 0, tzinfo=UTC)))
    others = draw(st.sampled_from([(), ("special",), ("special", "extra")]))
    begins += [(name, datetime(2026, 1, draw(st.integers(1, 2)), tzinfo=UTC)) for name in others]
    tables: list[Table] = []
    for name, since in begins:
        terms = draw(card_terms(common))
        if within_a_day and tables and name == "list":
            terms = {key: tables[0][key] for key in terms}
        table = draw(card_tables(name, since, terms))
        if name != "list" and draw(st.booleans()):
            table["effective_to"] = "2026-10-16T00:00:00Z"
        tables.append(table)
    return tables


@st.composite
def events(draw: st.DrawFn, number: int) -> Table:
    """A call or a message: few days and few instants, so that many happen at once."""
    at = START + timedelta(days=draw(st.integers(0, 30)), minutes=draw(st.sampled_from([0, 0, 1, 720])))
    event: Table = {
        "source": draw(st.sampled_from(["s", "t"])),
        "id": f"e{number}",
        "account": draw(st.sampled_from(["a", "a", "a-sub", "a-sub", "a-deep", "a-deepest", "b", "nobody"])),
        "occurred_at": at.isoformat().replace("+00:00", "Z"),
        "to": draw(st.sampled_from(NUMBERS)),
        "from": draw(st.sampled_from(CALLERS)),
    }
    if draw(st.integers(0, 4)) == 0:
        event |= {"product": "sms.outbound", "segments": str(draw(st.integers(0, 3)))}
        event["status"] = draw(st.sampled_from(["delivered", "failed", "queued", ""]))
        event["error_code"] = draw(st.sampled_from(["", "30450", "30001"]))
    else:
        event["product"] = draw(st.sampled_from(["voice.outbound", "voice.outbound", "voice.inbound", "voice.mars"]))
        field = "duration_seconds" if event["product"] != "voice.mars" else "quantity"
        event[field] = str(draw(st.sampled_from([0, 1, 9, 59, 60, 61, 119, 180, 500])))
        event["status"] = draw(st.sampled_from(["completed", "completed", "completed", "busy", ""]))
        event["number_type"] = draw(st.sampled_from(["", "", "mobile"]))
    if draw(st.integers(0, 7)) == 0:
        event["country"] = draw(st.sampled_from(COUNTRIES))
    return {key: value for key, value in event.items() if value}


@st.composite
def revised(draw: st.DrawFn, reported: list[Table]) -> list[Table]:
    """Some of the events once more, as another says it, or taken back; all in any order."""
    again: list[Table] = []
    for event in draw(st.lists(st.sampled_from(reported), max_size=10)) if reported else []:
        name = {key: event[key] for key in ("source", "id")} | {"revision": draw(st.integers(1, 4))}
        said = {"void": True} if draw(st.integers(0, 3)) == 0 else draw(events(0))
        again.append({**said, **name})
    return draw(st.permutations([*reported, *again])) if again else reported


@st.composite
def traffic(draw: st.DrawFn) -> list[Table]:
    """Up to thirty events in the order of their arrival, some of them in several revisions."""
    reported = [draw(events(number)) for number in range(draw(st.integers(0, 30)))]
    return draw(revised(reported)) if draw(st.booleans()) else reported


@st.composite
def trees(draw: st.DrawFn) -> list[Table]:
    """Two accounts that pay, and up to three below the first, of which some pay for themselves and those below them."""
    below: list[Table] = [
        {"id": "a-sub", "parent": "a"},
        {"id": "a-deep", "parent": draw(st.sampled_from(["a", "a-sub"]))},
        {"id": "a-deepest", "parent": "a-deep"},
    ]
    paying: list[Table] = [{}, {}, {"pays": False}, {"pays": True, "currency": "USD"}]
    known = below[: draw(st.integers(0, 3))]
    found = [table | draw(st.sampled_from(paying)) for table in known]
    return [{"id": "a", "currency": "USD"}, *found, {"id": "b", "currency": "USD"}]


def resold(draw: st.DrawFn, tree: list[Table], contracted: list[Table]) -> tuple[list[Table], list[Table]]:
    """The same with some who do not pay and have contracts of their own: one on each way up to a payer who resells."""
    names, cards = {table["id"]: table for table in tree}, contracted[0]["cards"]
    found: list[Table] = []
    for table in tree:
        way, above = [table["id"]], table
        while above.get("parent") and not above.get("pays"):
            above = names[above["parent"]]
            way.append(above["id"])
        is_payer = above is table
        if is_payer or above["id"] != "a" or {each["account"] for each in found}.intersection(way):
            continue
        if draw(st.booleans()):
            since = draw(st.sampled_from([date(2026, 10, 1), date(2026, 10, 12)]))
            found.append({"account": table["id"], "effective_from": since, "cards": cards[: draw(st.integers(1, 2))]})
    below = {each["account"] for each in found}
    tree = [table | ({"currency": "USD", "legal_entity": "A"} if table["id"] in below else {}) for table in tree]
    own = [each | ({"resells": True} if each["account"] == "a" and found else {}) for each in contracted]
    said = zip(found, agreed(len(found), draw), strict=True) if found else ()
    return tree, [*own, *(each | draw(deal) for each, deal in said)]


@st.composite
def contracts(draw: st.DrawFn, cards: list[Table], accounts: list[Table]) -> list[Table]:
    """All cards for a in some order, some for b, from the first or a later day on; perhaps others later, or below a.

    What they say of money is drawn beside it.
    """
    names = draw(st.permutations(list(dict.fromkeys(card["id"] for card in cards))))
    found: list[Table] = [{"account": "a", "effective_from": date(2026, 10, 1), "cards": names}]
    found.append({"account": "b", "effective_from": draw(st.sampled_from([date(2026, 9, 1), date(2026, 10, 5)]))})
    found[1]["cards"] = draw(st.permutations(names))[: draw(st.integers(1, 3))]
    below = [each["id"] for each in accounts if each.get("parent") and each.get("pays")]
    contracted = draw(st.sets(st.sampled_from(below))) if below else set[str]()
    found += [
        {"account": name, "effective_from": date(2026, 10, 12), "cards": names[:1]} for name in sorted(contracted)
    ]
    if len(names) > 1 and draw(st.booleans()):
        later = draw(st.permutations(names))[: draw(st.integers(1, 3))]
        found.append({"account": "a", "effective_from": date(2026, 10, 20), "cards": later})
    if draw(st.integers(0, 3)) == 0:
        again = {key: value for key, value in found[0].items() if key != "effective_from"}
        found.append({**again, "effective_from": date(2026, 10, 27)})
    return [contract | draw(said) for contract, said in zip(found, agreed(len(found), draw), strict=True)]


def agreed(n: int, draw: st.DrawFn) -> list[st.SearchStrategy[Table]]:
    """What n contracts say of money: each its own, or all the same."""
    own = deals(OCTOBER, ["voice.outbound", "sms.*"], [*COUNTRIES, ""])
    return [own] * n if draw(st.booleans()) else [st.just(draw(own))] * n


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_the_engine_and_the_verifier_make_the_same_bills(data: st.DataObject) -> None:
    cards = data.draw(books())
    tree = data.draw(trees())
    contracted = data.draw(contracts(cards, tree))
    tree, contracted = data.draw(st.composite(resold)(tree, contracted))
    usage = data.draw(traffic())
    read = cards_of(cards)
    assume(read is not None)
    assert read is not None
    assert_verified(billed(read, tree, contracted, usage, OCTOBER), cards, tree, contracted, usage)
