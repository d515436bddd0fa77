"""Products: what is measured, what it is matched on, what of it is billable. Products are data, not classes.

A product is read from a table in the form of FORMATS section 1. Its rules are dated: the rule in force at
`occurred_at` applies. Nothing here knows any product by name.

Beside the keys of FORMATS 1 a product may have

    most = 172800       # base units that one event may say in the product's own field; more is bad input. None without
    average = "minute"  # a unit that is as many base units as the month has days: what is billed is the month's average
    discountable = true # false: contracts' percents, maximum and minimum leave it out, as one-off charges and support

which the product's file gives the reason for.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rates.errors import Fault, TollbookError
from rates.quantities import Increments, IncrementsInvalidError
from rates.reading import Reader

Conditions = Mapping[str, frozenset[str]]
"""Field of an event -> the values that fulfil it, `""` for a field that the source does not report.

All fields must be fulfilled. Without fields `billable` and `when` always hold, `pending` and `exempt` never.
"""

DIMENSIONS = ("country", "mcc", "mnc", "number_type", "region", "package", "jurisdiction")
"""Built-in match dimensions beside the two numbers; a product may declare others, kept in `attributes`."""

MEASURES = ("quantity", "duration_seconds", "segments", "packages", "bytes")

MONEY = "money"
"""The unit of what an event brings a charge for: the charge, which a rate's price is multiplied with."""

MONEY_DECIMALS = 9
MONEY_SIZE = 10**MONEY_DECIMALS
"""Charges are counted in billionths."""

_BASES = {"duration_seconds": "second", "bytes": "byte"}
"""Fields that are in a unit of their own: -> that unit, which is the base."""

_NOT_IN_IDS = frozenset(" *?[]")

PACKAGES = "packages"
CHARGES = "charges"
DELIVERED_AS = "delivered_as"
PARTICULARS = (PACKAGES, CHARGES, DELIVERED_AS)
"""What an event may say beside its dimensions, under these names: no dimension has one of them."""

STATES = "states"
"""Under this name is kept how the jurisdiction of an event was derived: no dimension has it either."""

ELEMENTS = ("usage", "setup", "surcharge", "carrier_fee")
"""What every product may have a price for; its rules name fees beside them."""

NO_FEES = frozenset({"usage", "charge", "minimum", "maximum", "flat", "maximum_spend", "true_up", "credit"})
"""Elements that lines have of themselves: a fee of that name would be taken for one of these."""


class ProductUnknownError(TollbookError):
    """A card prices a product that is not declared; `value` is its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """An element that a rule adds to an event: `per` event, when `when` holds and `exempt` does not."""

    element: str
    per: str
    when: Conditions
    exempt: Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is billable from an instant on. What is neither billable nor pending is zero-rated, with a reason.

    `delivered_as`: what an event says it was delivered as -> the product that it is measured and billed as.
    """

    effective_from: datetime
    billable: Conditions
    pending: Conditions
    fees: tuple[Fee, ...]
    increments: Increments | None
    grace_seconds: int
    delivered_as: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One kind of usage. `base` is the integer that is counted; `units` are integer multiples of it.

    `most` is how many base units the product's own field (`duration_seconds`, `segments`, ...) may say of one event:
    what is above is a fault of the source, and refused. None: no bound of the product's own. `quantity`, in which sums
    are stated too, is bounded by it only where the product has no other field. What is not `discountable` is outside of
    what contracts take off and demand of usage. `average` is the unit that is as many base units as a month has days,
    "" without one; outside of a month it is one (see `rates.averages`).
    """

    id: str
    name: str
    base: str
    units: Mapping[str, int]
    country_of: str
    match: tuple[str, ...]
    required: frozenset[str]
    measure: str
    rules: tuple[Rule, ...]
    most: int | None = None
    discountable: bool = True
    average: str = ""

    @property
    def timed(self) -> bool:
        """Whether the base is the second, so that increments apply."""
        return self.base == "second"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The declared match dimensions beside the two numbers, in their order."""
        return tuple(name for name in self.match if name not in {"to", "from"})

    @property
    def fee_elements(self) -> frozenset[str]:
        """The elements that any of its rules names as fees: they are due as such only."""
        return frozenset(fee.element for rule in self.rules for fee in rule.fees)

    def unit_size(self, unit: str) -> int | None:
        """Base units in one `unit`; `event` counts events, one each; None for a unit that is not declared.

        Of `money`, billionths: no base units of the product.
        """
        return {"event": 1, MONEY: MONEY_SIZE}.get(unit) or self.units.get(unit)

    def rule_at(self, instant: datetime) -> Rule | None:
        """The rule in force, None before the first."""
        in_force = [rule for rule in self.rules if rule.effective_from <= instant]
        return in_force[-1] if in_force else None


def is_called(products: Mapping[str, Product], name: str) -> bool:
    """Whether a product is priced by what is called."""
    product = products.get(name)
    return product is not None and "to" in product.match


def declared(products: Mapping[str, Product], name: str, place: str) -> Product:
    """The product of that name. Raises ProductUnknownError where what it priced at `place` was declared elsewhere."""
    product = products.get(name)
    if product is None:
        problem, remedy = (
            "is priced, and no product is declared so here",
            "name the folder of its file (TOLLBOOK_PRODUCTS)",
        )
        raise ProductUnknownError(problem, place=place, value=name, remedy=remedy)
    return product


def read_product(table: Mapping[str, object], place: str) -> tuple[Product | None, list[Fault]]:
    """A product from its table, or every fault of it."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    average = read.text("average", "")
    product = Product(
        id=read.text("id"),
        name=read.text("name"),
        base=read.text("base"),
        units=_units(read.below("units")) | ({average: 1} if average else {}),
        country_of=read.choice("country_of", ("", "to", "from"), ""),
        match=read.texts("match"),
        required=frozenset(read.texts("required")),
        measure=read.choice("measure", MEASURES, "quantity"),
        rules=tuple(sorted(map(_rule, read.each("rules")), key=lambda rule: rule.effective_from)),
        most=_most(read),
        discountable=read.flag("discountable", default=True),
        average=average,
    )
    read.finish()
    _check(product, read)
    _check_measuring(product, read)
    _check_conditions(product, read)
    return (None if faults else product), faults


def by_id(products: Sequence[Product]) -> dict[str, Product]:
    """Products by their id."""
    return {product.id: product for product in products}


def _most(read: Reader) -> int | None:
    read.seen.add("most")
    return read.integer("most", least=1) if "most" in read.table else None


def _units(read: Reader) -> dict[str, int]:
    return {name: read.integer(name, least=1) for name in read.table}


def undeclared(product: Product, known: Container[str], place: str) -> list[Fault]:
    """The products that the rules of one at `place` deliver as, and that are not known: what is so delivered waits."""
    problem, remedy = "is not a product that is declared", "declare it, or write the id of one that is"
    return [
        Fault(place=f"{place}: rules.delivered_as.{name}", value=other, problem=problem, remedy=remedy)
        for name, other in dict.fromkeys(each for rule in product.rules for each in rule.delivered_as.items())
        if other not in known
    ]


def _rule(read: Reader) -> Rule:
    rule = Rule(
        effective_from=read.instant("effective_from") or datetime.max.replace(tzinfo=UTC),
        billable=_conditions(read.below("billable")),
        pending=_conditions(read.below("pending")),
        fees=tuple(map(_fee, read.each("fees"))),
        increments=_increments(read),
        grace_seconds=read.integer("grace", 0),
        delivered_as=_delivered_as(read.below("delivered_as")),
    )
    read.finish()
    return rule


def _fee(read: Reader) -> Fee:
    fee = Fee(
        element=read.text("element"),
        per=read.choice("per", ("event",), "event"),
        when=_conditions(read.below("when")),
        exempt=_conditions(read.below("exempt")),
    )
    read.finish()
    return fee


def _delivered_as(read: Reader) -> dict[str, str]:
    return {name: read.text(name) for name in read.table}


def _conditions(read: Reader) -> dict[str, frozenset[str]]:
    return {name: frozenset(read.texts(name)) for name in read.table}


def _increments(read: Reader) -> Increments | None:
    text = read.text("increments", "")
    try:
        return Increments.parse(text) if text else None
    except IncrementsInvalidError as error:
        read.fault("increments", error.problem, error.remedy)
        return None


def _check(product: Product, read: Reader) -> None:
    if product.units.get(product.base) != 1:
        read.fault("units", f"does not say {product.base} = 1", "the base is one of the units")
    for name in ("event", MONEY):
        if name in product.units:
            read.fault("units", f"has {name}, which every product has", "remove it, or name it otherwise")
    if named := sorted({*PARTICULARS, STATES} & set(product.match)):
        read.fault("match", f"has {named[0]}, which is no dimension", "remove it")
    _check_average(product, read)
    if named := sorted(product.fee_elements & NO_FEES):
        read.fault("rules", f"has a fee {named[0]}, which lines have of themselves", "name the fee otherwise")
    if named := sorted(product.required - {*ELEMENTS}):
        read.fault("required", f"has {named[0]}, which no event waits for", f"name some of {', '.join(ELEMENTS)}")
    if not product.rules:
        read.fault("rules", "is missing", "give at least one dated [[rules]]")
    instants = [rule.effective_from for rule in product.rules]
    if len(set(instants)) != len(instants):
        read.fault("rules", "has two rules from one instant", "give each its own effective_from")
    if "mnc" in product.match and "mcc" not in product.match:
        read.fault("match", "has mnc without mcc", "a network code means nothing without its country code")


def _check_average(product: Product, read: Reader) -> None:
    """What is billed by the average of a month."""
    if product.average and (product.average in read.below("units").table or product.timed):
        problem = (
            "is a unit whose size is stated" if not product.timed else "stands beside seconds, which have increments"
        )
        read.fault("average", problem, "give the month's average a name of its own, and count whole days of something")


def _check_measuring(product: Product, read: Reader) -> None:
    """What would count otherwise than its file seems to say."""
    if not set(product.id).isdisjoint(_NOT_IN_IDS) or not product.id.isprintable():
        read.fault("id", "has a space or a sign in it that selectors read", "use letters, digits and . - _")
    if len(set(product.match)) != len(product.match):
        read.fault("match", "names a dimension twice", "the order of the dimensions is their priority")
    base = _BASES.get(product.measure, product.base)
    if product.base != base:
        problem = f"is in {base}s, and the base is {product.base}"
        read.fault("measure", problem, f'let the base be "{base}", or measure in another field')


def _check_conditions(product: Product, read: Reader) -> None:
    """What no event can fulfil, or fulfils in two ways."""
    known = {"status", "error_code", *DIMENSIONS, *product.dimensions}
    for number, rule in enumerate(product.rules):
        conditions = {"billable": rule.billable, "pending": rule.pending}
        conditions |= {f"fees[{at}].when": fee.when for at, fee in enumerate(rule.fees)}
        conditions |= {f"fees[{at}].exempt": fee.exempt for at, fee in enumerate(rule.fees)}
        for name, condition in conditions.items():
            for stranger in sorted(condition.keys() - known):
                problem, remedy = "is no field of its events", f"use one of {', '.join(sorted(known))}"
                read.fault(f"rules[{number}].{name}.{stranger}", problem, remedy)
        for field_ in sorted(rule.billable.keys() & rule.pending.keys()):
            if both := sorted(rule.billable[field_] & rule.pending[field_]):
                problem = f"has {both[0]!r}, which is billable too"
                read.fault(f"rules[{number}].pending.{field_}", problem, "keep it in one of them")
