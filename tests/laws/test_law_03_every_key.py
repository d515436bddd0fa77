"""Law 3: the columnar kernel is the verifier, for every key that a card may have.

"Columnar kernel = `billing/verifier.py` (Fraction, linear scans, nothing of `rates`), on generated cards and traffic."
Here cards have steps, windows in several zones, limits, rounding per event, setup fees, surcharges, grace and
increments, beside rows of tiers and pools; calls begin and end near the edges of windows, on days on which clocks are
set.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from billing.periods import Period
from tests.dealing import deals
from tests.verified import Table, assert_verified, billed, cards_of

# Instants around which calls are made, within a month: the first five set a clock of some zone below.
CHANGES = [
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # Europe, back
    datetime(2027, 3, 28, 1, tzinfo=UTC),  # Europe, on
    datetime(2026, 11, 8, 6, tzinfo=UTC) - timedelta(days=7),  # New York, back
    datetime(2027, 3, 14, 7, tzinfo=UTC),  # New York, on
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe, on by half an hour
    datetime(2026, 10, 14, 12, tzinfo=UTC),
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
SET = ["Europe/Berlin", "Europe/Berlin", "America/New_York", "America/New_York", "Australia/Lord_Howe"]  # the clocks
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CLOCKS = ["00:00", "01:30", "02:00", "02:15", "03:00", "08:00", "22:00"]
PREFIXES = ["1", "1415", "44"]
CALLERS = ["+14155550111", "+447700900999", "anonymous"]
PRODUCTS = ["voice.outbound", "voice.outbound", "voice.inbound"]
PRICES = ["0", "0.01", "0.0033", "0.6", "1"]
AMOUNTS = ["0.01", "0.02", "0.05", "0.3", "2", "50"]
INCREMENTS = ["1/1", "60/60", "30/6", "120/7"]
SECONDS = [0, 1, 9, 10, 59, 60, 61, 119, 180, 600, 3599, 3600, 3601, 7200, 9000, 90_000]

COUNTED = {  # measure -> the unit of its bounds, and some of these, rising
    "quantity": ("minute", ["1", "2", "5", "60"]),
    "events": ("event", ["1", "2", "5", "60"]),
    "amount": ("", ["0.01", "0.0333", "0.7", "2"]),
}


@st.composite
def schedules(draw: st.DrawFn) -> Table:
    """A schedule of one to three tiers: of minutes, calls or money, some with percents."""
    measure = draw(st.sampled_from(sorted(COUNTED)))
    unit, known = COUNTED[measure]
    bounds = draw(
        st.lists(st.sampled_from(known), max_size=2, unique=True).map(lambda each: sorted(each, key=Fraction))
    )
    schedule: Table = {
        "mode": draw(st.sampled_from(["graduated", "volume"])),
        "up_to": bounds,
        **({"unit": unit} if unit else {}),
        "measure": measure,
        "scope": draw(st.sampled_from(["billing_account", "account"])),
        "fill": [{"product": draw(st.sampled_from([*PRODUCTS, "voice.*"]))}],
    }
    if draw(st.integers(0, 3)) == 0:
        several = st.sampled_from(["0", "5", "12.5"])
        schedule["discounts"] = draw(st.lists(several, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    if draw(st.integers(0, 3)) == 0:
        flats = st.sampled_from(["0", "5"])
        schedule["flats"] = draw(st.lists(flats, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    return schedule


@st.composite
def windows_of(draw: st.DrawFn, names: tuple[str, str], *, split: bool) -> Table:
    """One or two windows that never hold at once, for one usage; some tile the days that they name, or the week."""
    days = draw(st.one_of(st.just(DAYS), st.lists(st.sampled_from(DAYS), min_size=1, unique=True)))
    at, middle, until = draw(st.lists(st.sampled_from(CLOCKS), min_size=3, max_size=3, unique=True))
    one: Table = {"days": days, "from": at, "to": middle, "split": split}
    kind = draw(st.sampled_from(["single", "rest", "third", "week"]))
    if kind == "single" or (kind == "third" and sorted([at, middle, until]) != [at, middle, until]):
        return {names[0]: one}
    if kind == "week":
        one["days"] = DAYS
    return {names[0]: one, names[1]: one | {"from": middle, "to": until if kind == "third" else at}}


class Kind:
    """What the rows of one card may have: where it rounds each event, and which products its pools take."""

    def __init__(self, card: Table, window: str) -> None:
        self.rounding = card.get("rounding")
        self.schedules = card["tiers"]
        self.pooled = {name for pool in card["pools"].values() for one in pool["fill"] for name in [one["product"]]}
        self.split = bool(window) and card["windows"][window]["split"]


@st.composite
def charges(draw: st.DrawFn, kind: Kind, product: str) -> Table:
    """How a usage row is priced: by one price, by steps, or by tiers, with limits where it may have them."""
    settled = product not in kind.pooled  # usage of a pool has neither steps nor limits
    ways = ["price", "price", "same"]
    ways += [] if kind.split or kind.rounding else ["tiers", "tiers", "event"]
    ways += ["steps"] * 3 if settled and not kind.split else []
    way = draw(st.sampled_from(ways))
    row: Table = {"unit": draw(st.sampled_from(["minute", "minute", "second"]))}
    named = sorted(kind.schedules)
    if way == "steps":
        bounds = [0, *sorted(draw(st.sets(st.sampled_from([1, 59, 60, 61, 120, 3600]), max_size=3)))]
        row["steps"] = " ".join(f"{bound}:{draw(st.sampled_from(PRICES))}" for bound in bounds)
        named = [
            name for name in named if not kind.schedules[name]["up_to"] and "discounts" not in kind.schedules[name]
        ]
        if draw(st.booleans()) and named:
            row["tiers"] = draw(st.sampled_from(named))
    elif way == "event":
        row |= {"unit": "event", "price": draw(st.sampled_from(PRICES))}
    else:
        row["price"] = draw(st.sampled_from(PRICES))
        if way == "same":
            named = [name for name in named if "discounts" not in kind.schedules[name]]
        usable = [name for name in named if row["unit"] == "minute" or kind.schedules[name]["measure"] != "quantity"]
        if way != "price" and usable:
            row["tiers"] = draw(st.sampled_from(usable))
            tiers = len(kind.schedules[row["tiers"]]["up_to"]) + 1
            if way == "tiers" and "discounts" not in kind.schedules[row["tiers"]]:
                del row["price"]
                row["prices"] = draw(st.lists(st.sampled_from(PRICES), min_size=tiers, max_size=tiers))
    if settled and way != "tiers" and draw(st.booleans()):
        decimals = kind.rounding["decimals"] if kind.rounding else 2
        amounts = st.sampled_from([each for each in AMOUNTS if len(each) - 2 <= decimals])
        names = draw(st.sampled_from([["min_charge"], ["max_charge"], ["min_charge", "max_charge"]]))
        limits = draw(st.lists(amounts, min_size=len(names), max_size=len(names)))
        row |= dict(zip(names, sorted(limits, key=Fraction), strict=True))
    if not settled and not kind.rounding and draw(st.integers(0, 3)) == 0 and row["unit"] == "minute":
        row |= {"free_units": "2"}
    return row


RARELY: Table = {"grace": ["10"], "max_quantity": ["4000"], "setup_fee": ["0", "0.05", "0.0037"], "blocked": [True]}


@st.composite
def usage_rows(draw: st.DrawFn, card: Table, product: str, prefix: str) -> list[Table]:
    """The rows for one match: one, or one for each of some windows and one for the rest of the week."""
    windowed = draw(st.sampled_from([[], ["one", "two"], ["one", "two"], ["three", "four"]]))
    windowed = [name for name in windowed if name in card["windows"]]
    kind = Kind(card, windowed[0] if windowed else "")
    same: Table = {"product": product, "prefixes": [prefix]}
    same |= draw(st.sampled_from([{}, {}, {}, {}, {"origin_prefixes": ["1"]}, {"number_type": "mobile"}]))
    found = []
    for window in ["", *windowed]:
        row = same | ({"window": window} if window else {})
        row["destination"] = draw(st.sampled_from(["Home", "Abroad", f"{prefix} {window}".strip()]))
        row["increments"] = draw(st.sampled_from(INCREMENTS))
        row |= draw(charges(kind, product))
        for name in draw(st.lists(st.sampled_from(sorted(RARELY)), max_size=1)):
            row[name] = draw(st.sampled_from(RARELY[name]))
        if row.get("blocked"):
            row = {key: row[key] for key in (*same, "window", "blocked", "unit") if key in row}
        found.append(row)
    return found


@st.composite
def other_rows(draw: st.DrawFn, card: Table) -> list[Table]:
    """A row for a surcharge, a setup or a carrier fee, perhaps by windows that do not split."""
    row: Table = {
        "product": draw(st.sampled_from(PRODUCTS)),
        "element": draw(st.sampled_from(["surcharge", "surcharge", "setup", "carrier_fee"])),
        "destination": "beside",
        "prefixes": draw(st.sampled_from([[], ["44"]])),
        "unit": draw(st.sampled_from(["minute", "second", "event"])),
        "increments": draw(st.sampled_from(INCREMENTS)),
    }
    windows = draw(st.sampled_from([["one", "two"], ["three", "four"]]))
    windows = [name for name in windows if name in card["windows"] and not card["windows"][name]["split"]]
    named: list[Table] = [{}, *({"window": name} for name in windows)]
    return [row | each | {"price": draw(st.sampled_from(PRICES))} for each in named]


@st.composite
def cards(draw: st.DrawFn, id_: str, since: datetime, common: Table, pooled: str) -> Table:
    """A version of a card; `common` are the schedules of the book, `pooled` the product that any pool takes."""
    card: Table = {"id": id_, "currency": "USD", "effective_from": since.isoformat(), "pools": {}, **common}
    card["timezone"] = draw(st.sampled_from(ZONES))
    card["windows"] = draw(windows_of(("one", "two"), split=draw(st.integers(0, 2)) > 0))
    if draw(st.booleans()):
        card["windows"] |= draw(windows_of(("three", "four"), split=draw(st.booleans())))
    if draw(st.booleans()):
        modes = st.sampled_from(["half-up", "half-even", "up", "down"])
        card["rounding"] = {"per": "event", "decimals": draw(st.integers(0, 4)), "mode": draw(modes)}
    elif draw(st.booleans()):
        free, block = draw(st.sampled_from([("1", "0"), ("3", "0"), ("0", "2"), ("60", "7")]))
        card["pools"] = {"p": {"free": free, "block": block, "unit": "minute", "fill": [{"product": pooled}]}}
    matches = draw(
        st.lists(st.tuples(st.sampled_from(PRODUCTS), st.sampled_from(PREFIXES)), min_size=2, max_size=4, unique=True)
    )
    rows = [row for product, prefix in matches for row in draw(usage_rows(card, product, prefix))]
    if draw(st.booleans()):
        rows += draw(other_rows(card))
    card["overlay"] = draw(st.booleans())
    return {**card, "rate": rows}


@st.composite
def books(draw: st.DrawFn, month: Period) -> list[Table]:
    """A list card of one or two versions, and perhaps a card that stands before it."""
    common = {"tiers": draw(st.dictionaries(st.sampled_from(["t", "u"]), schedules(), min_size=1, max_size=2))}
    pooled = draw(st.sampled_from(PRODUCTS))
    found = [draw(cards("list", datetime(2026, 1, 1, tzinfo=UTC), common, pooled))]
    if draw(st.integers(0, 2)) == 0:
        later = month.opens + timedelta(days=20)
        found.append(draw(cards("list", later + timedelta(hours=3), common, pooled)))
        if found[1]["pools"] != found[0]["pools"]:  # what counts changes at midnight only
            found[1]["effective_from"] = later.isoformat()
    if draw(st.booleans()):
        found.append(draw(cards("special", datetime(2026, 1, 1, tzinfo=UTC), common, pooled)))
    return found


@st.composite
def calls(draw: st.DrawFn, around: datetime, tables: Sequence[Table], month: Period) -> list[Table]:
    """Calls that begin or end near where a window may, on the clock of one of the zones; some between two seconds."""
    zones = sorted({table["timezone"] for table in tables})
    rows = [row for table in tables for row in table["rate"] if "element" not in row]
    matches = sorted({(row["product"], prefix) for row in rows for prefix in row["prefixes"]})
    found = []
    for number in range(draw(st.integers(1, 12))):
        seconds = draw(st.one_of(st.sampled_from(SECONDS), st.integers(1, 9000)))
        hour, minute = map(int, draw(st.sampled_from(CLOCKS)).split(":"))
        local = around.astimezone(ZoneInfo(draw(st.sampled_from(zones)))) + timedelta(days=draw(st.integers(-1, 1)))
        at = local.replace(hour=hour, minute=minute, fold=draw(st.integers(0, 1))).astimezone(UTC)
        at -= timedelta(seconds=draw(st.one_of(st.sampled_from([0, 1, seconds]), st.integers(0, seconds))))
        at += timedelta(microseconds=draw(st.sampled_from([0, 0, 1, 500_000, 999_999])))
        product, prefix = draw(st.sampled_from(matches))
        event = {
            "source": "s",
            "id": f"e{number}",
            "account": draw(st.sampled_from(["a", "a", "a-sub"])),
            "product": product,
            "occurred_at": at.isoformat(),
            "to": f"+{prefix}5550100",
            "from": draw(st.sampled_from(CALLERS)),
            "duration_seconds": str(seconds),
            "status": "completed",
            "number_type": draw(st.sampled_from(["local", "local", "mobile"])),
        }
        if month.opens <= at < month.opens + timedelta(days=30):
            found.append(event)
    return found


def assert_the_same(
    tables: list[Table],
    usage: list[Table],
    month: Period,
    goods: Sequence[Table] = (),
    agreed: Sequence[Table] = ({},),
) -> None:
    """Both sides bill the usage alike; what no publication would let pass is drawn again.

    `agreed` is what contracts say of money: the first since long, another from the middle of the month on.
    """
    read = cards_of(tables, goods)
    assume(read is not None)
    assert read is not None
    tree: list[Table] = [{"id": "a", "currency": "USD"}, {"id": "a-sub", "parent": "a"}]
    order = list(dict.fromkeys(table["id"] for table in reversed(tables)))
    days = [date(2026, 1, 1), month.start + timedelta(days=14)]
    contracts: list[Table] = [
        {"account": "a", "effective_from": day, "cards": order, **said} for day, said in zip(days, agreed, strict=False)
    ]
    assert_verified(billed(read, tree, contracts, usage, month, goods), tables, tree, contracts, usage, goods)


LONGEST_CALL = 172_800  # seconds: `most` of the product
SLOW = [HealthCheck.filter_too_much, HealthCheck.too_slow]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_every_key_of_a_card_means_the_same_to_both(data: st.DataObject) -> None:
    around = data.draw(st.sampled_from(CHANGES))
    month = Period.parse(f"{around:%Y-%m}")
    tables = data.draw(books(month))
    usage = data.draw(calls(around, tables, month))
    agreed = data.draw(st.lists(deals(month, PRODUCTS, ["US", "GB", ""]), min_size=1, max_size=2))
    assert_the_same(tables, usage, month, agreed=agreed)


PLAIN: Table = {"product": "voice.outbound", "prefixes": ["1"], "unit": "minute", "increments": "1/1"}
HEAD: Table = {"id": "list", "currency": "USD", "effective_from": "2026-01-01T00:00:00Z"}


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_calls_are_cut_at_the_same_edges_on_days_on_which_clocks_are_set(data: st.DataObject) -> None:
    """Nothing but windows that split, of the zone whose clock is set, and calls of hours."""
    around, zone = data.draw(st.sampled_from(list(zip(CHANGES, SET, strict=False))))
    windows = data.draw(windows_of(("one", "two"), split=True))
    rows = [PLAIN | {"price": price} for price in ("0.6", "0.01", "0.1")[: len(windows) + 1]]
    rows = [row | each for row, each in zip(rows, [{}, *({"window": name} for name in windows)], strict=True)]
    rows[0]["increments"] = data.draw(st.sampled_from(INCREMENTS))
    tables = [HEAD | {"timezone": zone, "windows": windows, "rate": rows}]
    month = Period.parse(f"{around:%Y-%m}")
    usage = data.draw(calls(around, tables, month))
    hours = data.draw(st.integers(1, 40))
    before = (around - timedelta(hours=hours, seconds=data.draw(st.integers(0, 3600)))).isoformat()
    call = {"source": "s", "account": "a", "product": "voice.outbound", "to": "+15550100", "occurred_at": before}
    seconds = min(3600 * hours + data.draw(st.integers(0, 90_000)), LONGEST_CALL)
    usage.append(call | {"id": "long", "duration_seconds": str(seconds)})
    assert_the_same(tables, usage, month)


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(
    extra=st.lists(st.sampled_from(["setup_fee", "min_charge", "max_charge", "steps"]), unique=True),
    beside=st.lists(st.sampled_from(["surcharge", "setup", "carrier_fee"]), unique=True),
    limit=st.integers(1, 12),
    seconds=st.lists(st.integers(0, 45), min_size=20, max_size=40),
    mode=st.sampled_from(["", "", "half-up", "half-even", "up", "down"]),
    increments=st.sampled_from(["1/1", "1/1", "5/5", "30/6"]),
)
def test_charges_that_meet_a_limit_exactly_are_judged_alike(
    extra: list[str], beside: list[str], limit: int, seconds: list[int], mode: str, increments: str
) -> None:
    """A cent a second, and fees and limits of whole cents: many a charge is its limit, or half a step of rounding."""
    most = {"setup_fee": "0.07", "min_charge": f"0.{limit:02}", "max_charge": "0.40", "steps": "0:0.60 10:1.20 31:0.60"}
    row = PLAIN | {"increments": increments, **{name: most[name] for name in extra}}
    row |= {} if "steps" in extra else {"price": "0.60"}
    others = [PLAIN | {"element": name, "unit": "event", "price": "0.03"} for name in beside]
    if mode and "min_charge" in extra:
        row["min_charge"] = "0.1"
    rounding = {"rounding": {"per": "event", "decimals": 1, "mode": mode}} if mode else {}
    tables = [HEAD | {"rate": [row, *others], **rounding}]
    call = {"source": "s", "account": "a", "product": "voice.outbound", "to": "+15550100"}
    usage = [
        call | {"id": f"e{n}", "duration_seconds": str(each), "occurred_at": "2026-10-14T12:00:00Z"}
        for n, each in enumerate(seconds)
    ]
    assert_the_same(tables, usage, Period.parse("2026-10"))


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(
    price=st.sampled_from(["1", "0.999999999999", "9.223372036854", "9.223372036855", "1000"]),
    setup=st.sampled_from(["", "0.000000000007", "0.775807", "0.775808"]),
    most=st.sampled_from(["", "", "5", "9223372"]),
    decimals=st.sampled_from([12, 12, 11, 6]),
    mode=st.sampled_from(["half-up", "up", "down"]),
    segments=st.lists(st.sampled_from([1, 999_999, 10**6, 10**6 + 1, 9_223_372, 9_223_373, 10**12]), max_size=6),
)
def test_charges_near_the_most_that_64_bits_hold_are_judged_alike(
    price: str, setup: str, most: str, decimals: int, mode: str, segments: list[int]
) -> None:
    row = {"product": "sms.outbound", "prefixes": ["1"], "unit": "segment", "price": price}
    row |= {key: cell for key, cell in (("setup_fee", setup), ("max_charge", most)) if cell}
    tables = [HEAD | {"rounding": {"per": "event", "decimals": decimals, "mode": mode}, "rate": [row]}]
    usage = [
        {"source": "s", "account": name, "id": f"e{n}", "product": "sms.outbound", "to": "+15550100"}
        | {"segments": str(each), "occurred_at": f"2026-10-{n + 1:02}T12:00:00Z"}
        for n, (each, name) in enumerate(zip(segments, ["a", "a-sub"] * 3, strict=False))
    ]
    assert_the_same(tables, usage, Period.parse("2026-10"))


PAGES: Table = {
    "id": "fax.pages",
    "name": "Pages",
    "base": "page",
    "rules": [{"effective_from": "1970-01-01T00:00:00Z", "billable": {}}],
}


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(
    size=st.sampled_from([None, 1, 7, 60]),
    mode=st.sampled_from(["graduated", "volume"]),
    fill=st.sampled_from(["voice.outbound", "fax.pages"]),
    bound=st.integers(1, 9),
    usage=st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=8),
)
def test_a_counter_is_bounded_in_the_unit_of_what_fills_it(
    size: int | None, mode: str, fill: str, bound: int, usage: list[tuple[bool, int]]
) -> None:
    """What a schedule prices and does not count may have another unit of the name of the bounds', or none."""
    pages = PAGES | {"units": {"page": 1} | ({} if size is None else {"minute": size})}
    schedule = {"mode": mode, "up_to": [str(bound)], "unit": "minute", "fill": [{"product": fill}]}
    rows = [
        {"product": "voice.outbound", "unit": "minute", "increments": "1/1"},
        {"product": "fax.pages", "unit": "page"},
    ]
    tables = [HEAD | {"tiers": {"t": schedule}, "rate": [row | {"tiers": "t", "prices": ["2", "1"]} for row in rows]}]
    events: list[Table] = [
        {
            "source": "s",
            "account": "a",
            "id": f"e{n}",
            "occurred_at": f"2026-10-14T12:{n:02}:00Z",
            "quantity": str(used),
        }
        | ({"product": "fax.pages"} if is_page else {"product": "voice.outbound", "to": "+15550100"})
        for n, (is_page, used) in enumerate(usage)
    ]
    assert_the_same(tables, events, Period.parse("2026-10"), [pages])


LOOKUP: Table = {
    "id": "lookup",
    "name": "Look-ups",
    "base": "request",
    "units": {"request": 1},
    "match": ["to", "package"],
    "measure": "packages",
    "rules": [{"effective_from": "1970-01-01T00:00:00Z", "billable": {}}],
}
RELAY: Table = {
    "id": "relay",
    "name": "Relayed traffic",
    "base": "byte",
    "units": {"byte": 1, "kilobyte": 1000},
    "match": ["region"],
    "measure": "bytes",
    "rules": [{"effective_from": "1970-01-01T00:00:00Z", "billable": {}}],
}
PACKAGES = ["caller_name", "sim_swap", "line_type"]


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["", "44"]), st.sampled_from(["", *PACKAGES])), min_size=1, unique=True),
    lookups=st.lists(st.tuples(st.sampled_from(["+441632960000", "+15550100", ""]), st.sampled_from(["", *PACKAGES]))),
    relayed=st.lists(st.tuples(st.sampled_from(["", "de1"]), st.integers(0, 3000), st.integers(0, 3000))),
)
def test_look_ups_by_their_package_and_bytes_both_ways_are_read_alike(
    rows: list[tuple[str, str]], lookups: list[tuple[str, str]], relayed: list[tuple[str, int, int]]
) -> None:
    fill = [{"product": "lookup"}]
    head = HEAD | {"tiers": {"t": {"up_to": ["3"], "unit": "request", "fill": fill}}}
    rates: list[Table] = [
        {"product": "lookup", "prefixes": [prefix] if prefix else [], "package": package, "unit": "request"}
        | {"destination": f"{prefix} {package}".strip(), "tiers": "t", "prices": [f"0.0{n}", "0.001"]}
        for n, (prefix, package) in enumerate(rows, 1)
    ]
    rates += [{"product": "relay", "region": region, "unit": "kilobyte", "price": "0.02"} for region in ("", "de1")]
    said: list[Table] = [
        {"product": "lookup", "to": number} | ({"packages": [package]} if package else {"quantity": "1"})
        for number, package in lookups
    ]
    said += [
        {"product": "relay", "region": region, "bytes_sent": str(sent), "bytes_received": str(received)}
        for region, sent, received in relayed
    ]
    common = {"source": "s", "account": "a", "occurred_at": "2026-10-14T12:00:00Z"}
    events = [
        common | {key: value for key, value in each.items() if value} | {"id": f"e{n}"} for n, each in enumerate(said)
    ]
    assert_the_same([head | {"rate": rates}], events, Period.parse("2026-10"), [LOOKUP, RELAY])
