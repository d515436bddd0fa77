"""Guards: what may not begin at all, whatever budgets say, as data. Each is one rule with a name.

A guard is about all accounts or about one with all below it. An operator releases an account from a guard, for one
destination or for all of them, with a reason that stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from fractions import Fraction

from billing.accounts import Account
from billing.contracts import Contract, is_billed
from billing.errors import PeriodInvalidError
from billing.periods import ALWAYS, Period
from billing.triggers import check_name
from rates.errors import Fault
from rates.money import EXPONENTS, Currency, exact, format_fraction
from rates.numbering import ASSIGNED
from rates.prefixes import DIGITS
from rates.prices import EVENT, Price
from rates.products import Product
from rates.reading import Reader

_COUNTRY = 2


class Kind(StrEnum):
    """What a guard refuses."""

    BLOCKED = "blocked"
    """Usage to some destinations."""
    PRICE = "price"
    """Usage of which a unit costs more than the limit."""
    SPEND = "spend"
    """Usage to a country on which as much as the limit is spent on this UTC day."""
    DEAR = "dear"
    """The first usage of a destination of which a unit costs more than the limit."""
    CREDIT = "credit"
    """Any usage of an account that owes as much as the limit, invoiced or not."""


PRICED = frozenset({Kind.PRICE, Kind.DEAR})
SPENT = frozenset({Kind.SPEND, Kind.CREDIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A rule. `account` "" is every one; `product` may have `*` in it; without countries and prefixes it is about all
    destinations. `limit` is in major units of `currency`, of a price per `unit`, exact; None for what is blocked.

    `paid_through`: invoices of this month and of those before are paid, and no more owed; "" for none. `faults` are why
    one that was set once cannot be evaluated any more.
    """

    id: str
    kind: Kind
    account: str = ""
    product: str = "*"
    countries: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()
    limit: Fraction | None = None
    currency: str = ""
    unit: str = ""
    paid_through: str = ""
    faults: tuple[Fault, ...] = ()

    def takes(self, product: str, country: str, number: int) -> bool:
        """Whether it is about such usage; `number` are the digits of the called one, 0 for none.

        One with faults is about all that it may be about: what is faulty keeps nothing out.
        """
        if self.faults:
            return self._may_take(product, country, number)
        if self.product != "*" and not fnmatchcase(product, self.product):
            return False
        if not self.countries and not self.prefixes:
            return True
        return country in self.countries or (bool(self.prefixes) and begins(number, self.prefixes))

    def _may_take(self, product: str, country: str, number: int) -> bool:
        wrong = {fault.place.rpartition(" ")[2] for fault in self.faults}
        whole = replace(self, faults=(), product="*" if "product" in wrong else self.product)
        if wrong & {"countries", "prefixes"}:
            whole = replace(whole, countries=frozenset(), prefixes=frozenset())
        return whole.takes(product, country, number)

    @property
    def fault(self) -> str:
        """Why it cannot be evaluated, in words; "" where it can."""
        return "; ".join(str(each) for each in self.faults)

    @property
    def limit_minor(self) -> int:
        """The limit of money spent, in minor units; a fraction of one is not reached before the next."""
        limit = (self.limit or Fraction(0)) * 10 ** EXPONENTS[Currency(self.currency)]
        return int(-(-limit.numerator // limit.denominator))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An account, with all below it, that a guard lets pass until an instant.

    `destination`: a country, a prefix of digits, or "" for all of them.
    """

    guard: str
    account: str
    destination: str = ""
    until: datetime = ALWAYS

    def holds(self, country: str, number: int, at: datetime) -> bool:
        """Whether usage to a destination passes."""
        if at >= self.until:
            return False
        to = self.destination
        return not to or (country == to if to.isalpha() else begins(number, frozenset({to})))


def unit_price(guard: Guard, price: Price, base: Fraction, size: int | None) -> Fraction | None:
    """What a unit of the guard costs where a unit of the price costs `base`; `size` is that of the guard's unit, None
    where the product has none. None where that is not what usage is priced by, or not in the guard's currency.
    """
    by_event = price.unit == EVENT
    if size is None or by_event != (guard.unit == EVENT) or guard.currency != price.currency:
        return None
    return base * Fraction(size, 1 if by_event else price.unit_size)


def begins(number: int, prefixes: frozenset[str]) -> bool:
    """Whether the digits of a number begin with one of the prefixes; no number, 0, begins with none."""
    digits = str(number) if number else ""
    return any(digits[:length] in prefixes for length in range(1, len(digits) + 1))


def read_guard(
    table: Mapping[str, object], place: str, products: Mapping[str, Product]
) -> tuple[Guard | None, list[Fault]]:
    """A guard from its table (TOML or JSON), or every fault of it."""
    guard, faults = _read(table, place, products)
    return (None if faults else guard), faults


def stored_guard(table: Mapping[str, object], place: str, products: Mapping[str, Product]) -> Guard:
    """A guard that was set once: with its faults, where it does not fit the products or the program any more."""
    guard, faults = _read(table, place, products)
    return replace(guard, faults=tuple(faults))


def _read(table: Mapping[str, object], place: str, products: Mapping[str, Product]) -> tuple[Guard, list[Fault]]:
    """A guard as far as it can be read, and every fault of it."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    kind = Kind(read.choice("kind", tuple(Kind)))
    guard = Guard(
        id=read.text("id"),
        kind=kind,
        account=read.text("account", ""),
        product=read.text("product", "*"),
        countries=frozenset(read.texts("countries")),
        prefixes=frozenset(each.removeprefix("+") for each in read.texts("prefixes")),
        limit=None if kind is Kind.BLOCKED else exact(read.decimal("limit")),
        currency="" if kind is Kind.BLOCKED else read.text("currency"),
        unit=read.text("unit") if kind in PRICED else "",
        paid_through=read.text("paid_through", "") if kind is Kind.CREDIT else "",
    )
    read.finish()
    check_name(read, guard.id)
    _check(guard, read, products)
    return guard, faults


def table_of(guard: Guard) -> dict[str, str | list[str]]:
    """A guard as its file, and JSON, write it; what `read_guard` reads."""
    said: dict[str, str | list[str]] = {"id": guard.id, "kind": guard.kind, "account": guard.account}
    said |= {"product": guard.product, "countries": sorted(guard.countries), "prefixes": sorted(guard.prefixes)}
    if guard.limit is not None:
        said |= {"limit": format_fraction(guard.limit), "currency": guard.currency}
    said |= {"unit": guard.unit} if guard.kind in PRICED else {}
    return said | ({"paid_through": guard.paid_through} if guard.kind is Kind.CREDIT else {})


def destination_of(text: str) -> str | None:
    """A destination as releases have it, from a country or a prefix as people write it; None where it is neither."""
    digits = text.removeprefix("+")
    if not text or text in ASSIGNED or (_is_prefix(digits)):
        return digits
    return None


def guard_faults(
    guards: Sequence[Guard], accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]
) -> list[Fault]:
    """What is wrong with guards beside those that they are about."""
    return [fault for guard in guards for fault in _faults_among(guard, accounts, contracts)]


def _faults_among(
    guard: Guard, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]
) -> Iterator[Fault]:
    account = accounts.get(guard.account)
    place = f"guard {guard.id}: account"
    if account is None:
        if guard.account:
            yield Fault(place=place, value=guard.account, problem="is not an account", remedy="add the account first")
    elif guard.kind in SPENT and not is_billed(account, accounts, contracts):
        problem = "gets no invoices, and money is spent by who pays"
        yield Fault(place=place, value=guard.account, problem=problem, remedy="name the account that pays for it")
    elif guard.kind in SPENT and account.currency != guard.currency:
        problem = f"is not the currency of {account.id}, and no amounts are converted"
        yield Fault(
            place=f"guard {guard.id}: currency",
            value=guard.currency,
            problem=problem,
            remedy=f"write {account.currency}",
        )


def _check(guard: Guard, read: Reader, products: Mapping[str, Product]) -> None:
    some = [each for each in products.values() if fnmatchcase(each.id, guard.product)]
    if guard.product and not some:
        read.fault("product", "selects no product", "write a product, or some as in voice.*")
    for country in sorted(guard.countries - ASSIGNED):
        read.fault("countries", f"has {country}, which is no country", 'write capital letters, as in ["GB"]')
    for prefix in sorted(guard.prefixes):
        if not _is_prefix(prefix):
            read.fault("prefixes", f"has {prefix}, which is no prefix", 'write digits, as in ["881", "882"]')
    if guard.kind is Kind.BLOCKED and not (guard.countries or guard.prefixes):
        read.fault("countries", "is missing, and so are prefixes", "say what is blocked")
    if guard.unit and not any(each.unit_size(guard.unit) for each in some):
        read.fault("unit", f"is not a unit of {guard.product}", "write one that its prices are per, as in minute")
    _check_money(guard, read)


def _check_money(guard: Guard, read: Reader) -> None:
    if guard.limit is not None and guard.limit <= 0 and not read.is_faulty("limit"):
        read.fault("limit", "is not above 0", 'write it as in "0.50"')
    if guard.currency and guard.currency not in EXPONENTS:
        read.fault("currency", "is not an active ISO 4217 currency", "write its three capital letters, as in EUR")
    if guard.paid_through:
        try:
            Period.parse(guard.paid_through)
        except PeriodInvalidError as error:
            read.fault("paid_through", error.problem, error.remedy)


def _is_prefix(digits: str) -> bool:
    return digits.isascii() and digits.isdecimal() and len(digits) <= DIGITS and not digits.startswith("0")
