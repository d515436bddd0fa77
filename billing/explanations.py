"""Explanations: of a line, the events that add up to it; of an event, how it came to its lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.adjustments import key_of_line
from billing.invoices import InvoiceLine, peoples_quantity
from billing.netted import is_netted
from billing.particulars import in_words as particular_in_words
from rates.cards import Card
from rates.lines import FLAT, FREE, LineKey
from rates.money import EXPONENTS, Currency, exact, format_fraction, format_minor, normal
from rates.prices import NANO, Price
from rates.pricing import Placements
from rates.products import PARTICULARS, Product
from rates.quantities import Increments
from rates.rating import Reason
from rates.tiers import Schedule
from rates.usage import Int64s
from rates.worded import cost_without_limits, limit_in_words, percent_in_words

_NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventShare:
    """What one event adds to a line: whether it is counted there, its base units, and the exact amount.

    `to` and `from_` are the called and the calling number (with `+`) or address, "" where the event has none.
    """

    source: str
    id: str
    occurred_at: datetime
    to: str
    from_: str
    events: int
    base_quantity: int
    exact_amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineExplanation:
    """A line and the events on it, a page of them. `adds_up`: the units of all events on it are the line's.

    `listed` counts the events that have part in the line, `events` those that start there and are counted there: of an
    event that a tier's bound splits, the rest lies on the next line. `invoice` is the number of the invoice that the
    line is on, "" for a draft or a bill as of now. `later` counts the events of the account and period that came after
    the invoice, or the draft, was drawn up: they are not on it. `of` are the numbers of the lines that a line of the
    second pass is of: it has no events of its own. `unit_price` says what percents made the line's price of the listed
    one, "" where there is no percent.
    """

    account: str
    period: str
    line: InvoiceLine
    arithmetic: str
    listed: int
    events: int
    base_quantity: int
    page: tuple[EventShare, ...]
    invoice: str
    later: int
    of: tuple[int, ...] = ()
    unit_price: str = ""

    @property
    def adds_up(self) -> bool:
        """Whether the events found are the line's events, and their units its units."""
        without = self.line.element == FLAT or is_netted(self.line)
        return without or (self.events, self.base_quantity) == (self.line.events, self.line.base_quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the lines that an event lies on. `line_no` is its number on the account's invoice or draft.

    It is None where there is no such line, or the event is not on it. `row` is where the rate stands in the card, as a
    person finds it: `line 417` of its CSV file, or `row 4`. `window` is the one whose price it has, `note` says what of
    its amount is not quantity times price: steps, rounding by the event, a minimum or a maximum in place of the rest.
    """

    element: str
    line_no: int | None
    card: str
    row: str
    matched: str
    destination: str
    tier: str
    counter: str
    position: str
    base_quantity: int
    base_unit: str
    arithmetic: str
    exact_amount: str
    window: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventExplanation:
    """An event and what became of it. Where nothing is due, `reason` says why, and `remedy` what would change it.

    `invoice` is the number of the invoice that bills it, "" before there is one. `late`: it came after the account's
    invoice of the period, or the draft, was drawn up, and is not on it; `missed` is the number of that invoice, ""
    of a draft. `said` is what else of it may decide its price, in words by name: its network, its number's type, its
    region, the dimensions of its product, packages, brought charges, and why it failed.
    """

    source: str
    id: str
    account: str
    payer: str
    product: str
    occurred_at: datetime
    received_at: datetime
    to: str
    from_: str
    country: str
    status: str
    measured: int
    increments: str
    billed: int
    reason: str
    remedy: str
    parts: tuple[Part, ...]
    invoice: str = ""
    late: bool = False
    missed: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


def said_by(said: Mapping[str, str], product: Product | None) -> dict[str, str]:
    """What is kept of an event beside its columns in words, by name: what its product is matched on, and particulars.

    `error_code` is what fees are waived for; what no product declares decides nothing.
    """
    names = (*(product.dimensions if product else ()), *PARTICULARS, "error_code")
    return {name: particular_in_words(name, said[name]) for name in dict.fromkeys(names) if said.get(name)}


def percents_of(line: InvoiceLine, listed: Iterable[tuple[Price, Schedule | None, Fraction]]) -> str:
    """`0.35, 10 % off by tier, 5 % off by contract: 0.29925`: the prices that a line is of, with the schedules that
    price them and what contracts leave of them; "" where no percent is.
    """
    if line.tier == FREE:
        return ""
    tier = int(line.tier or 1) - 1
    said = set()
    for price, schedule, left in listed:
        priced = price.unit_price(tier, schedule if line.tier else None)
        percents = schedule.discounts[tier] if schedule is not None and schedule.discounts and line.tier else Decimal(0)
        off = [f"{normal(percents)} % off by tier" if percents else "", percent_in_words(left)]
        if any(off) and priced * left == line.unit_price:
            first = exact(price.prices[tier if len(price.prices) > 1 else 0])
            said.add(", ".join(filter(None, (format_fraction(first), *off))))
    return f"{' or '.join(sorted(said))}: {format_fraction(line.unit_price)}" if said else ""


def why_limited(price: Price, cells: Mapping[str, str], billed: int, product: Product, card: Card) -> str:
    """Why an event of `billed` base units costs its minimum or maximum `price`, by the cells of its row."""
    split = any(window.split for window in card.windows.values())
    without = None if split else cost_without_limits(cells, billed, product)
    return limit_in_words(price.element, without, exact(price.prices[0]))


def line_arithmetic(line: InvoiceLine, currency: Currency) -> str:
    """`6240 second ÷ 60 = 104 minute × 0.014 = 1.456, rounded 1.46 USD`."""
    amount = Fraction(line.base_quantity, line.unit_size) * line.unit_price
    billed = Fraction(line.amount_minor, 10 ** EXPONENTS[currency]) + line.residual
    rounded = format_minor(line.amount_minor, currency)
    said = (
        f"{units(line.base_quantity, line.unit_size, line.base_unit, line.unit)} × {format_fraction(line.unit_price)}"
    )
    if amount != billed and line.tier:
        cut = format_fraction(billed - amount)
        said = f"{said}, and {cut} of units that a bound of money cuts"
        return f"{said} = {format_fraction(billed)}, rounded {rounded} {currency}"
    if amount != billed:
        # Events that are rounded one by one: their charges are what is added up.
        return (
            f"{said}, event by event rounded, with their setup: {format_fraction(billed)}, rounded {rounded} {currency}"
        )
    return f"{said} = {format_fraction(amount)}, rounded {rounded} {currency}"


def exact_amount(base_quantity: int, unit_size: int, unit_price: Fraction, cut: Fraction = _NOTHING) -> str:
    """What some base units cost before any rounding, in major units; `cut` is what a bound of money makes of them."""
    return format_fraction(Fraction(base_quantity, unit_size) * unit_price + cut)


def exact_amounts(key: LineKey, shares: Sequence[tuple[int, int, int]], cut: Mapping[int, Fraction]) -> list[str]:
    """The same of some shares of a line, (event, whether it is counted, base units) each; `cut` is by event."""
    cuts = (cut.get(event, _NOTHING) for event, *_ in shares)
    priced = zip(shares, cuts, strict=True)
    return [exact_amount(quantity, key.unit_size, key.unit_price, beside) for (*_, quantity), beside in priced]


def units(base_quantity: int, unit_size: int, base_unit: str, unit: str) -> str:
    """Base units as units: `90 second ÷ 60 = 1.5 minute`; the same unit, and how money is counted, is not said."""
    if base_unit == NANO:
        return f"{peoples_quantity(base_quantity, unit_size)} {unit}"
    if unit_size == 1:
        return f"{base_quantity} {unit}"
    return f"{base_quantity} {base_unit} ÷ {unit_size} = {peoples_quantity(base_quantity, unit_size)} {unit}"


def part_arithmetic(key: LineKey, base_quantity: int, cut: Fraction = _NOTHING) -> str:
    """What one event's units on a line cost, before any rounding."""
    amount = exact_amount(base_quantity, key.unit_size, key.unit_price, cut)
    said = f"{units(base_quantity, key.unit_size, key.base, key.unit)} × {format_fraction(key.unit_price)}"
    return f"{said}, and {format_fraction(cut)} of a unit that a bound cuts = {amount}" if cut else f"{said} = {amount}"


def position_in_words(placed: Placements, row: int, schedule: Schedule, currency: str) -> str:
    """Where the counter of a schedule stood before an event, as in `400 minute` or `99.75 USD`."""
    position = int(placed.position[row])
    if position < 0:
        return ""
    return f"{peoples_quantity(position, placed.scale[schedule.name])} {schedule.unit or currency}"


def increments_in_words(increments: Increments | None, measured: int, billed: int) -> str:
    """`61 -> first 60, then 1 step of 60 -> 120`."""
    if increments is None or measured == 0 or billed == 0:
        return f"{measured} -> {billed}"
    if measured <= increments.first:
        return f"{measured} -> the first {increments.first} -> {billed} ({increments})"
    steps = -(-(measured - increments.first) // increments.next)
    return f"{measured} -> first {increments.first}, then {steps} × {increments.next} -> {billed} ({increments})"


def increments_of(cells: Mapping[str, str] | None, product: Product | None, at: datetime) -> Increments | None:
    """The increments of a row, else of the product's rule of that instant; None for what is not measured in time."""
    if cells is None or product is None or not product.timed:
        return None
    written, rule = cells.get("increments"), product.rule_at(at)
    return Increments.parse(written) if written else rule.increments if rule else None


def matched_prefix(prefixes: Sequence[str], number: str, *, exact: bool) -> str:
    """The longest of a row's prefixes that a number begins with; `any` for a row without prefixes."""
    if not prefixes:
        return "any"
    digits = number.removeprefix("+")
    fitting = (prefix for prefix in prefixes if (digits == prefix if exact else digits.startswith(prefix)))
    return max(fitting, key=len, default="")


def line_number(lines: Sequence[InvoiceLine], key: LineKey) -> int | None:
    """The number, from 1, of the line of a key; None where there is none."""
    return next((number for number, line in enumerate(lines, start=1) if key_of_line(line) == key), None)


def parts_on(placed: Placements, key: LineKey, head: Int64s | None = None) -> list[tuple[int, int, int]]:
    """(event, whether it is counted, base units) of all that lies on a line, by event.

    `head` int64[n] is the first of the parts of the same event, for each of them; None where no event has several.
    """
    if key not in placed.keys:
        return []
    here = placed.key == placed.keys.index(key)
    event = placed.event[here] if head is None else head[placed.event[here]]
    columns = (event.tolist(), placed.events[here].tolist(), placed.quantity[here].tolist())
    together: dict[int, tuple[int, int]] = {}
    for event, counted, quantity in zip(*columns, strict=True):
        before = together.get(event, (0, 0))
        together[event] = (before[0] + counted, before[1] + quantity)
    return [(event, *together[event]) for event in sorted(together)]


def cuts_on(placed: Placements, key: LineKey, head: Int64s) -> dict[int, Fraction]:
    """What bounds of money make of units on a line, beside quantity times price, by event; `head` as in `parts_on`."""
    found: dict[int, Fraction] = {}
    for (place, line), amount in placed.cut.items():
        if placed.keys[line] == key:
            event = int(head[place])
            found[event] = found.get(event, _NOTHING) + amount
    return found


def lines_of(placed: Placements, place: int) -> list[tuple[LineKey, int, Fraction]]:
    """The lines on which an item lies: with its base units there, and what bounds of money make of one of them."""
    here = placed.event == place
    found: dict[int, int] = {}
    for line, quantity in zip(placed.key[here].tolist(), placed.quantity[here].tolist(), strict=True):
        found[line] = found.get(line, 0) + quantity
    cut = ((line, placed.cut.get((place, line), _NOTHING)) for line in found)
    return [(placed.keys[line], found[line], amount) for line, amount in cut]


REMEDIES: Mapping[str, str] = {
    "unknown_account": "add the account",
    "no_payer": "say who pays: pays = true at the account or above it",
    "unknown_product": "give the product a file",
    "no_product_rule": "give the product a rule from that day on",
    "no_contract": "give the account a contract from that day on",
    "no_card": "publish a version of the contract's cards from that instant on",
    "no_rate": "publish a card with a rate for it",
    "blocked": "the card blocks this usage: publish another if it is to be billed",
    "no_increments": "give the rate its increments",
    "max_quantity": "it is longer than the rate allows: have the source looked at",
    "currency_mismatch": "use a card in the account's currency",
    "charge_too_large": "its charge has more digits than 64 bits hold: round to fewer decimals, or see to its source",
    "charge_missing": "its rate is in money, and it brings no charge: amend it with one, under a higher revision",
    "charge_unpriced": "it brings a charge, and its rate is not in money: publish a card whose rate is",
    "too_old": "older than what is billed, so that a person decides, by name",
    "pending": "its outcome was still open: report it again under a higher revision when it is known",
}
"""Reason -> what would have it billed, or why nothing would."""

_NO_NUMBER = "its number is not written with +: report it again under a higher revision"


def remedy_of(reason: str, *, has_number: bool) -> str:
    """What would have an event billed that a reason keeps from it; "" if the reason is none.

    `has_number`: whether what it calls is written with `+`, or nothing is. Prefixes match no other.
    """
    remedy = REMEDIES.get(reason, "")
    return remedy if has_number or reason != Reason.NO_RATE else f"{remedy}; or: {_NO_NUMBER}"
