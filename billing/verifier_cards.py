"""What the verifier knows of rate cards: rows, schedules and pools, and which row matches an event.

Two ways to find the row are kept side by side. `match_linear` asks every row, as the definition reads.
`match_indexed` looks the number's prefixes up, the longest first, and asks only the rows under each. They must
agree. The rules are those of DESIGN 5 to 7 and FORMATS 2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from math import floor

import billing.verifier_usage as given
from billing.verifier_usage import CardFaultError, DatedFacts, Product, Raw, Usage, flag, text, words

_NOT_YET = ("steps", "min_charge", "max_charge", "window")
_NOT_DIMENSIONS = (
    "product element destination prefixes origin_prefixes origin exact unit price prices tiers increments setup_fee"
    " max_quantity grace free_units block effective_from effective_to blocked " + " ".join(_NOT_YET)
).split()
_SCHEDULE_WORDS = {
    "mode": ("graduated", "volume"),
    "measure": ("quantity", "events", "amount"),
    "scope": ("billing_account", "account"),
    "window": ("month",),
}
_SELECTABLE = ("product", "country", "number_type", "prefixes")

Rank = tuple[int, ...]  # how well a row fits: length of the prefix, of the origin prefix, 1 per dimension it states
Count = Fraction | int  # where a counter stands: base units, events, or money
Fill = tuple[Mapping[str, tuple[str, ...]], ...]  # selectors, of which one must hold: what is asked, patterns allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What rows and selectors may ask of an event; `values` are those of the product's dimensions."""

    product: Product
    to: str
    to_digits: str
    origin_digits: str
    country: str
    number_type: str
    values: tuple[str, ...]


def traits_of(product: Product, usage: Usage, plan: Mapping[str, str]) -> Traits:
    """The event's stated country, else that of the number which the product names, by the numbering plan."""
    to, origin = given.e164_digits(usage.to), given.e164_digits(usage.origin)
    named = {"to": to, "from": origin}.get(product.country_of, "")
    country = usage.value("country") or given.country_of(named, plan)
    values = tuple(country if name == "country" else usage.value(name) for name in product.dimensions)
    return Traits(
        product=product, to=usage.to, to_digits=to, origin_digits=origin,
        country=country, number_type=usage.value("number_type"), values=values,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _fits(pattern: str, value: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None


def selects(fill: Fill, traits: Traits) -> bool:
    """Whether any selector holds; `*` in one stands for any characters, an absent key for anything."""
    said = {"product": traits.product.id, "country": traits.country, "number_type": traits.number_type}
    return any(
        all(any(_fits(pattern, said[key]) for pattern in allowed) for key, allowed in one.items() if key in said)
        and (not one.get("prefixes") or _longest(one["prefixes"], traits.to_digits) is not None)
        for one in fill
    )


def _longest(prefixes: Sequence[str], digits: str) -> str | None:
    begins = (prefix for prefix in prefixes if digits[: len(prefix)] == prefix)
    return max(begins, key=len, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Free units and blocks over what `fill` selects; that of a row itself has none, and takes the row's usage."""

    name: str
    free: Fraction
    block: Fraction
    unit: str
    scope: str
    fill: Fill = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """A tier schedule: `up_to` are the inclusive bounds in `unit`; the last tier is open. Tiers count from 0."""

    name: str
    mode: str
    up_to: tuple[Fraction, ...]
    unit: str
    measure: str
    scope: str
    fill: Fill
    flats: tuple[Fraction, ...]
    flat_at_zero: bool
    discounts: tuple[Fraction, ...]


@lru_cache(maxsize=4096)
def bounds_of(schedule: Schedule, product: Product) -> tuple[Fraction | int, ...]:
    """The bounds on the counter: money for amounts, whole base units or events otherwise."""
    if schedule.measure == "amount":
        return schedule.up_to
    size = product.size(schedule.unit) if schedule.measure == "quantity" else 1
    return tuple(floor(bound * size) for bound in schedule.up_to)


def next_tier(bounds: Sequence[Count], position: Count) -> int:
    """The tier of the next unit: at a bound, which is inclusive, the next one is beyond it."""
    return sum(1 for bound in bounds if bound <= position)


def tier_reached(bounds: Sequence[Count], position: Count) -> int:
    """The tier of the last unit so far; the first one before there is any."""
    return sum(1 for bound in bounds if bound < position)


def cut(bounds: Sequence[Count], position: Count, growth: Count) -> list[tuple[int, Count]]:
    """The units after `position` by the tier each falls in: (tier, how much), in order."""
    parts, end = [], position + growth
    for tier, bound in enumerate((*bounds, end)):
        if position < min(bound, end):
            parts.append((tier, min(bound, end) - position))
            position = min(bound, end)
    return parts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row(given.Dated):
    """One rate. `prices` has one entry per tier (one, if untiered); `list_price` is the first, undiscounted."""

    number: int
    product: str
    element: str
    destination: str
    prefixes: tuple[str, ...]
    exact: bool
    origins: tuple[str, ...]
    origin_unknown: bool
    dimensions: Mapping[str, str]
    unit: str
    prices: tuple[Fraction, ...]
    list_price: Fraction
    tiers: str
    increments: str
    setup_fee: Fraction | None
    max_quantity: int | None
    grace: int | None
    pool: Pool | None
    blocked: bool


@dataclass(slots=True)
class Shelf:
    """The rows of one (product, element), also by prefix and whole number. `ranked` only remembers answers."""

    rows: list[Row] = field(default_factory=list)
    by_key: dict[tuple[bool, str], list[Row]] = field(default_factory=dict)
    ranked: dict[tuple[object, ...], list["Match"]] = field(default_factory=dict)
    asks_origin: bool = False

    def add(self, row: Row) -> None:
        """Put a row under each of its prefixes; one without any under the empty prefix."""
        self.rows.append(row)
        self.asks_origin = self.asks_origin or bool(row.origins) or row.origin_unknown
        for prefix in dict.fromkeys(row.prefixes or ("",)):
            self.by_key.setdefault((row.exact, prefix), []).append(row)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CardVersion(given.Dated):
    """One dated list of rates. `per_event` is (step, mode) where each event is rounded by itself."""

    id: str
    name: str
    currency: str
    overlay: bool
    per_event: tuple[Fraction, str] | None
    schedules: Mapping[str, Schedule]
    pools: Mapping[str, Pool]
    shelves: Mapping[tuple[str, str], Shelf]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The row that decides, the prefix by which it does, and how well it fits."""

    card: CardVersion
    row: Row
    prefix: str
    rank: Rank


def read_card(raw: Raw, products: Mapping[str, Product]) -> CardVersion:
    """A card version from its file with its rows inline (FORMATS 2)."""
    place = f"card {text(raw, 'id')}"
    start = given.instant(raw, "effective_from", place)
    if start is None or not text(raw, "id") or not text(raw, "currency"):
        raise CardFaultError(place, "needs id, currency and effective_from")
    named = given.table(raw, "tiers"), given.table(raw, "pools")
    schedules = {name: _read_schedule(name, given.table(named[0], name)) for name in named[0]}
    pools = {name: _read_pool(name, given.table(named[1], name)) for name in named[1]}
    rounding, per_event = given.table(raw, "rounding"), None
    if text(rounding, "per") == "event":
        decimals = given.whole(rounding, "decimals", place) or 0
        per_event = (Fraction(1, 10**decimals), text(rounding, "mode") or "half-up")
    shelves: dict[tuple[str, str], Shelf] = {}
    for position, rate in enumerate(given.tables(raw, "rate"), start=1):
        row = _read_row(rate, position, f"{place} rate[{position}]", schedules)
        undeclared = set(row.dimensions) - set(products[row.product].dimensions if row.product in products else ())
        if row.product in products and (undeclared or (row.exact and not row.prefixes)):
            raise CardFaultError(f"{place} rate[{position}]", f"asks {sorted(undeclared) or 'exact without prefixes'}")
        if per_event is not None and (row.pool or pools or len(set(row.prices)) > 1):
            raise CardFaultError(f"{place} rate[{position}]", "rounding per event allows one price and no pool")
        shelves.setdefault((row.product, row.element), Shelf()).add(row)
    return CardVersion(
        id=text(raw, "id"), name=f"{text(raw, 'id')}@{start.isoformat().replace('+00:00', 'Z')}",
        currency=text(raw, "currency"), overlay=flag(raw, "overlay"), per_event=per_event,
        effective_from=start, effective_to=given.instant(raw, "effective_to", place),
        schedules=schedules, pools=pools, shelves=shelves,
    )  # fmt: skip


def _read_fill(raw: Raw, place: str) -> Fill:
    selectors = [{key: words(one[key]) for key in sorted(one)} for one in given.tables(raw, "fill")]
    fill = tuple({str(one): one for one in sorted(selectors, key=str)}.values())  # a set: cards may order it otherwise
    if not fill or not all(key in _SELECTABLE for one in fill for key in one):
        raise CardFaultError(place, f"fill must select by {', '.join(_SELECTABLE)}")
    return fill


def _read_schedule(name: str, raw: Raw) -> Schedule:
    place = f"tiers.{name}"
    lists = {
        key: tuple(given.exact(value, f"{place}.{key}") for value in words(raw.get(key)))
        for key in ("up_to", "flats", "discounts")
    }
    if any(low >= high for low, high in zip((Fraction(0), *lists["up_to"]), lists["up_to"], strict=False)):
        raise CardFaultError(place, "up_to must rise from above 0")
    if {len(lists["flats"]), len(lists["discounts"])} - {0, len(lists["up_to"]) + 1}:
        raise CardFaultError(place, "flats and discounts need one entry per tier, the open one included")
    for key, known in _SCHEDULE_WORDS.items():
        if text(raw, key) not in ("", *known):
            raise CardFaultError(f"{place}.{key}", f"{text(raw, key)!r} is not one of {', '.join(known)}")
    return Schedule(
        name=name, mode=text(raw, "mode") or "graduated", up_to=lists["up_to"], unit=text(raw, "unit"),
        measure=text(raw, "measure") or "quantity", scope=text(raw, "scope") or "billing_account",
        fill=_read_fill(raw, place), flats=lists["flats"], flat_at_zero=flag(raw, "flat_at_zero"),
        discounts=lists["discounts"],
    )  # fmt: skip


def _read_pool(name: str, raw: Raw, *, own: bool = False) -> Pool:
    """A named pool, or the one that a row's own `free_units` and `block` stand for."""
    place = f"pools.{name}"
    free, block = given.number(raw, "free_units" if own else "free", place), given.number(raw, "block", place)
    if block and text(raw, "unit") == "event":
        raise CardFaultError(place, "blocks are of a unit of quantity, not of events")
    return Pool(
        name=name, free=free or Fraction(0), block=block or Fraction(0), unit=text(raw, "unit"),
        scope=text(raw, "scope") or "billing_account", fill=() if own else _read_fill(raw, place),
    )  # fmt: skip


def _read_row(raw: Raw, position: int, place: str, schedules: Mapping[str, Schedule]) -> Row:
    if unknown := [key for key in _NOT_YET if text(raw, key)]:
        raise CardFaultError(place, f"{', '.join(unknown)}: not rated by this verifier yet")
    list_price, prices = _read_prices(raw, place, schedules)
    has_pool = text(raw, "free_units") or text(raw, "block")
    return Row(
        number=position, product=text(raw, "product"), element=text(raw, "element") or "usage",
        destination=text(raw, "destination"), prefixes=words(raw.get("prefixes")), exact=flag(raw, "exact"),
        origins=words(raw.get("origin_prefixes")), origin_unknown=text(raw, "origin") == "unknown",
        dimensions={key: text(raw, key) for key in raw if key not in _NOT_DIMENSIONS and text(raw, key)},
        unit=text(raw, "unit"), prices=prices, list_price=list_price, tiers=text(raw, "tiers"),
        increments=text(raw, "increments"), setup_fee=given.number(raw, "setup_fee", place),
        max_quantity=given.whole(raw, "max_quantity", place), grace=given.whole(raw, "grace", place),
        pool=_read_pool(f"{raw['product']} {text(raw, 'destination')}", raw, own=True) if has_pool else None,
        effective_from=given.instant(raw, "effective_from", place),
        effective_to=given.instant(raw, "effective_to", place), blocked=flag(raw, "blocked"),
    )  # fmt: skip


def _read_prices(raw: Raw, place: str, schedules: Mapping[str, Schedule]) -> tuple[Fraction, tuple[Fraction, ...]]:
    """The undiscounted first price, and the price of each tier."""
    price, name = given.number(raw, "price", place), text(raw, "tiers")
    prices = tuple(given.exact(one, f"{place} prices") for one in words(raw.get("prices")))
    if flag(raw, "blocked"):
        return Fraction(0), (Fraction(0),)
    if (price is None) == (not prices) or (name and name not in schedules):
        raise CardFaultError(place, "needs price or prices, and only schedules of this card")
    tiers = len(schedules[name].up_to) + 1 if name else 1
    discounts = schedules[name].discounts if name else ()
    if price is not None:
        return price, tuple(price * Fraction(100 - percent, 100) for percent in discounts or (Fraction(0),) * tiers)
    if len(prices) != tiers or discounts:
        raise CardFaultError(place, f"prices needs {tiers} entries, and no discounts in its schedule")
    return prices[0], prices


def _rank_within(row: Row, traits: Traits) -> Rank | None:
    """How well the row fits apart from the destination; None if it does not."""
    origin: int | None = 0
    if row.origins or row.origin_unknown:
        longest = _longest(row.origins, traits.origin_digits) if traits.origin_digits else None
        origin = len(longest) if longest else None
        origin = 1 if row.origin_unknown and not traits.origin_digits else origin
    asked = [row.dimensions.get(name, "") for name in traits.product.dimensions]
    if origin is None or any(one not in {"", said} for one, said in zip(asked, traits.values, strict=True)):
        return None
    return (origin, *(1 if one else 0 for one in asked))


def match_linear(card: CardVersion, element: str, traits: Traits, at: datetime) -> Match | None:
    """Ask every row. Longest destination, then longest origin, then the dimensions in the product's order."""
    found = []
    for row in card.shelves.get((traits.product.id, element), Shelf()).rows:
        whole = traits.to if traits.to in row.prefixes else None
        longest = _longest(row.prefixes or ("",), traits.to_digits)
        prefix, rank = whole if row.exact else longest, _rank_within(row, traits)
        if prefix is not None and rank is not None and row.holds_at(at):
            found.append(Match(card=card, row=row, prefix=prefix, rank=(len(prefix), *rank)))
    return _best(found)


def match_indexed(card: CardVersion, element: str, traits: Traits, at: datetime) -> Match | None:
    """The same by looking up the whole number, then each prefix of its digits, the longest first."""
    shelf = card.shelves.get((traits.product.id, element), Shelf())
    digits, origin = traits.to_digits, traits.origin_digits if shelf.asks_origin else ""
    for key in ((True, traits.to), *((False, digits[:length]) for length in range(len(digits), -1, -1))):
        if key not in shelf.by_key:
            continue
        asked = (key, origin, traits.values)
        if asked not in shelf.ranked:
            ranks = ((row, _rank_within(row, traits)) for row in shelf.by_key[key])
            shelf.ranked[asked] = [
                Match(card=card, row=row, prefix=key[1], rank=(len(key[1]), *rank)) for row, rank in ranks if rank
            ]
        found = [match for match in shelf.ranked[asked] if match.row.holds_at(at)]
        if found:
            return _best(found)
    return None


def _best(found: Sequence[Match]) -> Match | None:
    rank = max((match.rank for match in found), default=())
    best = [match for match in found if match.rank == rank]
    if len(best) > 1:
        twins = " and ".join(f"rate[{match.row.number}]" for match in best)
        raise CardFaultError(f"card {best[0].card.name}", f"{twins} fit equally well; let match or dates differ")
    return best[0] if best else None


def decide(cards: Sequence[CardVersion], element: str, traits: Traits, at: datetime) -> Match | None:
    """The first card in which a row fits; an overlay card yields to a closer fit in the cards below it."""
    if not cards:
        return None
    own = match_indexed(cards[0], element, traits, at)
    if own is not None and not cards[0].overlay:
        return own
    below = decide(cards[1:], element, traits, at)
    return below if own is None or (below is not None and below.rank > own.rank) else own


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All that decides a price: dated cards, accounts and contracts by their id, products, the numbering plan."""

    cards: Mapping[str, Sequence[CardVersion]]
    products: Mapping[str, Product]
    accounts: Mapping[str, Sequence[DatedFacts]]
    contracts: Mapping[str, Sequence[DatedFacts]]
    plan: Mapping[str, str]


Book = tuple[CardVersion, ...]  # the card versions in force for an account, in order of priority


@lru_cache(maxsize=4096)
def schedules_of(book: Book) -> tuple[tuple[Schedule, CardVersion], ...]:
    """Each schedule by name, as the first card by priority states it; the others must count the same."""
    named: dict[str, tuple[Schedule, CardVersion]] = {}
    for card in book:
        for name, one in card.schedules.items():
            first, _ = named.setdefault(name, (one, card))
            if (first.unit, first.measure, first.scope, first.fill) != (one.unit, one.measure, one.scope, one.fill):
                raise CardFaultError(f"card {card.name} tiers.{name}", "another card of this book counts otherwise")
    return tuple(named.values())
