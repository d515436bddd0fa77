"""What the verifier knows of rate cards: their rows, and which row matches an event.

Two ways to find the row are kept side by side. `match_linear` asks every row, as the definition reads.
`match_indexed` looks the number's prefixes up, the longest first, and asks only the rows under each. They must
agree. Of several rows for the same usage, each with a window, the one whose window holds decides. The rules are those
of DESIGN 5 and 6 and FORMATS 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from functools import lru_cache

import billing.verifier_usage as given
from billing.verifier_counters import Pool, Schedule, read_pool, read_schedule
from billing.verifier_traits import Traits, longest_prefix
from billing.verifier_usage import CardFaultError, DatedFacts, Product, Raw, flag, text, words
from billing.verifier_windows import Window, read_windows

_NOT_DIMENSIONS = words(
    "product element destination prefixes origin_prefixes origin exact unit price prices tiers increments setup_fee"
    " max_quantity grace free_units block effective_from effective_to blocked steps min_charge max_charge window"
)

Steps = tuple[tuple[int, Fraction], ...]  # prices by duration: from which base unit of the event on, and the price
Rank = tuple[int, ...]  # how well a row fits: length of the prefix, of the origin prefix, 1 per dimension it states


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row(given.Dated):
    """One rate. `prices` has one entry per tier (one, if untiered); `list_price` is the first, undiscounted.

    A row with `steps` has the price of the first one there; `window` is None where it holds at any time of the week.
    """

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
    steps: Steps
    tiers: str
    increments: str
    setup_fee: Fraction | None
    min_charge: Fraction | None
    max_charge: Fraction | None
    window: Window | None
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
    """The row that decides, the prefix by which it does, and how well it fits.

    `rows` are all that match the same usage and are in force: they differ in their windows, of which one holds.
    """

    card: CardVersion
    row: Row
    prefix: str
    rank: Rank
    rows: tuple[Row, ...]

    @property
    def split(self) -> bool:
        """Whether an event is cut where the clock enters or leaves a window."""
        said = {row.window.split for row in self.rows if row.window is not None}
        if len(said) > 1:
            raise CardFaultError(f"card {self.card.name} rate[{self.row.number}]", "some of its windows split, not all")
        return said == {True}

    def at(self, at: datetime) -> Row:
        """The row whose window holds at that instant, else the one without a window. Exactly one must be there."""
        windowed = [row for row in self.rows if row.window is not None and row.window.holds_at(at)]
        found = windowed or [row for row in self.rows if row.window is None]
        if len(found) != 1:
            rows = " and ".join(f"rate[{row.number}]" for row in found or self.rows)
            fault = "fit equally well; let match, windows or dates differ" if found else f"have no window for {at}"
            raise CardFaultError(f"card {self.card.name}", f"{rows} {fault}")
        return found[0]


def read_card(raw: Raw, products: Mapping[str, Product]) -> CardVersion:
    """A card version from its file with its rows inline (FORMATS 2)."""
    place = f"card {text(raw, 'id')}"
    start = given.instant(raw, "effective_from", place)
    if start is None or not text(raw, "id") or not text(raw, "currency"):
        raise CardFaultError(place, "needs id, currency and effective_from")
    named = given.table(raw, "tiers"), given.table(raw, "pools")
    schedules = {name: read_schedule(name, given.table(named[0], name), products.values()) for name in named[0]}
    pools = {name: read_pool(name, given.table(named[1], name)) for name in named[1]}
    rounding, per_event = given.table(raw, "rounding"), None
    if text(rounding, "per") == "event":
        decimals = given.whole(rounding, "decimals", place) or 0
        per_event = (Fraction(1, 10**decimals), text(rounding, "mode") or "half-up")
    windows, shelves = read_windows(raw, place), dict[tuple[str, str], Shelf]()
    for position, rate in enumerate(given.tables(raw, "rate"), start=1):
        row = _read_row(rate, position, f"{place} rate[{position}]", schedules, windows)
        _check_charge(row, products.get(row.product), f"{place} rate[{position}]")
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


def _read_row(
    raw: Raw, position: int, place: str, schedules: Mapping[str, Schedule], windows: Mapping[str, Window]
) -> Row:
    steps = _read_steps(raw, place)
    list_price, prices = _read_prices(raw, place, schedules, steps)
    has_pool, window = text(raw, "free_units") or text(raw, "block"), text(raw, "window")
    if window and window not in windows:
        raise CardFaultError(f"{place} window", f"{window!r} is not a window of this card")
    return Row(
        number=position, product=text(raw, "product"), element=text(raw, "element") or "usage",
        destination=text(raw, "destination"), prefixes=words(raw.get("prefixes")), exact=flag(raw, "exact"),
        origins=words(raw.get("origin_prefixes")), origin_unknown=text(raw, "origin") == "unknown",
        dimensions={key: text(raw, key) for key in raw if key not in _NOT_DIMENSIONS and text(raw, key)},
        unit=text(raw, "unit"), prices=prices, list_price=list_price, steps=steps, tiers=text(raw, "tiers"),
        increments=text(raw, "increments"), setup_fee=given.number(raw, "setup_fee", place),
        min_charge=given.number(raw, "min_charge", place), max_charge=given.number(raw, "max_charge", place),
        max_quantity=given.whole(raw, "max_quantity", place), grace=given.whole(raw, "grace", place),
        pool=read_pool(f"{raw['product']} {text(raw, 'destination')}", raw, own=True) if has_pool else None,
        effective_from=given.instant(raw, "effective_from", place), window=windows.get(window),
        effective_to=given.instant(raw, "effective_to", place), blocked=flag(raw, "blocked"),
    )  # fmt: skip


def _read_steps(raw: Raw, place: str) -> Steps:
    """`0:0.10 60:0.05`: from base unit 0 at 0.10, from base unit 60 at 0.05 per unit of the row."""
    found = []
    for word in words(raw.get("steps")):
        bound, _, price = word.partition(":")
        if not (bound.isascii() and bound.isdecimal()):
            raise CardFaultError(f"{place} steps", f"{word!r} is not like 60:0.05")
        found.append((int(bound), given.exact(price, f"{place} steps")))
    bounds = [bound for bound, _ in found]
    if found and (bounds[0] != 0 or bounds != sorted(set(bounds))):
        raise CardFaultError(f"{place} steps", "must begin at 0 and rise")
    return tuple(found)


def _read_prices(
    raw: Raw, place: str, schedules: Mapping[str, Schedule], steps: Steps
) -> tuple[Fraction, tuple[Fraction, ...]]:
    """The undiscounted first price, and the price of each tier."""
    price, name = given.number(raw, "price", place), text(raw, "tiers")
    prices = tuple(given.exact(one, f"{place} prices") for one in words(raw.get("prices")))
    if flag(raw, "blocked"):
        return Fraction(0), (Fraction(0),)
    if (price is not None) + bool(prices) + bool(steps) != 1 or (name and name not in schedules):
        raise CardFaultError(place, "needs one of price, prices and steps, and only schedules of this card")
    tiers = len(schedules[name].up_to) + 1 if name else 1
    discounts = schedules[name].discounts if name else ()
    if price is not None:
        return price, tuple(price * Fraction(100 - percent, 100) for percent in discounts or (Fraction(0),) * tiers)
    prices = prices or (steps[0][1],)
    if len(prices) != tiers or discounts:
        raise CardFaultError(place, f"prices needs {tiers} entries, and no discounts in its schedule")
    return prices[0], prices


def _check_charge(row: Row, product: Product | None, place: str) -> None:
    """What is not linear in the quantity is settled within one event: it needs one price, and that of the usage."""
    limited, split = (row.min_charge, row.max_charge) != (None, None), row.window is not None and row.window.split
    if row.blocked or not (row.steps or limited or split):
        return
    if row.element != "usage" or len(set(row.prices)) > 1 or (row.pool and not split):
        raise CardFaultError(place, "steps, limits and windows that split are of usage with one price and no pool")
    if row.min_charge is not None and row.max_charge is not None and row.min_charge > row.max_charge:
        raise CardFaultError(place, "min_charge is above max_charge")
    if (row.steps or split) and row.unit == "event":
        raise CardFaultError(place, "what is priced per event has no steps and is not split")
    if split and (row.steps or (product and product.base != "second")):
        raise CardFaultError(place, "only what is counted in seconds, at one price, is split by windows")


def _rank_within(row: Row, traits: Traits) -> Rank | None:
    """How well the row fits apart from the destination; None if it does not."""
    origin: int | None = 0
    if row.origins or row.origin_unknown:
        longest = longest_prefix(row.origins, traits.origin_digits) if traits.origin_digits else None
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
        longest = longest_prefix(row.prefixes or ("",), traits.to_digits)
        prefix, rank = whole if row.exact else longest, _rank_within(row, traits)
        if prefix is not None and rank is not None and row.holds_at(at):
            found.append(Match(card=card, row=row, prefix=prefix, rank=(len(prefix), *rank), rows=(row,)))
    return _best(found, at)


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
                Match(card=card, row=row, prefix=key[1], rank=(len(key[1]), *rank), rows=(row,))
                for row, rank in ranks
                if rank
            ]
        found = [match for match in shelf.ranked[asked] if match.row.holds_at(at)]
        if found:
            return _best(found, at)
    return None


def _best(found: Sequence[Match], at: datetime) -> Match | None:
    """The closest fit; of several, which must differ in their windows, the one that holds."""
    rank = max((match.rank for match in found), default=())
    best = [match for match in found if match.rank == rank]
    if not best or (len(best) == 1 and best[0].row.window is None):
        return best[0] if best else None
    match = replace(best[0], rows=tuple(match.row for match in best))
    return replace(match, row=match.at(at))


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
            counting = [(each.unit, each.measure, each.scope, each.fill, each.mode) for each in (first, one)]
            if counting[0] != counting[1]:
                raise CardFaultError(f"card {card.name} tiers.{name}", "another card of this book counts otherwise")
    return tuple(named.values())
