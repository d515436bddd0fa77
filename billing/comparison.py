"""Two months side by side: totals, products, accounts, cards and prices, and which of them moved how much."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from rates.money import Currency, format_fraction, round_ratio

_TENTHS_OF_PERCENT = 1000

_Minor = Mapping[tuple[Currency, str], int]


class What(StrEnum):
    """What a row compares."""

    TOTAL = "total"
    HELD = "held back"
    IN_ALL = "in all"
    PRODUCT = "product"
    ACCOUNT = "account"
    CARD = "card"
    PRICE = "price"


_SUMMED = frozenset({What.TOTAL, What.HELD, What.IN_ALL, What.PRODUCT})


class Held(NamedTuple):
    """An account that the run stopped at: what it would be billed, in minor units, and why it is not."""

    total_minor: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A month: amounts in minor units by currency and name, the card versions, and unit prices by what they are for.

    They are of invoices and drafts; `held` are the accounts beside them that have neither, by currency and name.
    """

    accounts: Mapping[tuple[Currency, str], int]
    products: Mapping[tuple[Currency, str], int]
    cards: frozenset[str]
    prices: Mapping[tuple[Currency, str], frozenset[Fraction]]
    held: Mapping[tuple[Currency, str], Held]

    @property
    def would_be(self) -> Mapping[tuple[Currency, str], int]:
        """What the accounts that are held back would be billed."""
        return {key: held.total_minor for key, held in self.held.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row. Amounts are in minor units, None where there is none; prices are texts. `beyond`: a bound is broken."""

    what: What
    name: str
    currency: Currency
    before_minor: int | None = None
    after_minor: int | None = None
    before: str = ""
    after: str = ""
    note: str = ""
    beyond: bool = False

    @property
    def moved_minor(self) -> int:
        """The difference."""
        return (self.after_minor or 0) - (self.before_minor or 0)

    @property
    def percent(self) -> str:
        """The difference in percent of before, with one decimal, half away from zero; "" where there is no before.

        Nor has a sum that is nothing now one: all of it may be held back, or not drawn up yet.
        """
        if not self.before_minor or (self.what in _SUMMED and not self.after_minor):
            return ""
        tenths = round_ratio(
            self.moved_minor * _TENTHS_OF_PERCENT * (1 if self.before_minor > 0 else -1), abs(self.before_minor)
        )
        whole, tenth = divmod(abs(tenths), 10)
        return f"{'-' * (tenths < 0)}{whole}.{tenth}"


def compare(before: Side, after: Side, *, factor: Fraction) -> tuple[Change, ...]:
    """All that is not as before, totals and products always. Prices `factor` times up or down are beyond the bound.

    What is held back is in no total and no product; its sum is a row of its own, and so is the total with it.
    """
    return (
        *_sums(before, after),
        *_amounts(What.PRODUCT, before.products, after.products),
        *_accounts(before, after),
        *_cards(before, after),
        *_prices(before, after, factor),
    )


def _sums(before: Side, after: Side) -> Iterator[Change]:
    """The totals by currency; where anything is held back also that, and both together. Nothing is 0."""
    held = {code for code, _ in (*before.held, *after.held)}
    every = held | {code for code, _ in (*before.accounts, *after.accounts)}
    sides = [(_by_currency(side.accounts), _by_currency(side.would_be)) for side in (before, after)]
    parts = {What.TOTAL: every, What.HELD: held, What.IN_ALL: held}
    for what, codes in parts.items():
        for code in sorted(codes):
            old, new = (
                {What.TOTAL: drawn[code], What.HELD: kept[code]}.get(what, drawn[code] + kept[code])
                for drawn, kept in sides
            )
            yield Change(what=what, name="", currency=code, before_minor=old, after_minor=new)


def _by_currency(accounts: _Minor) -> Counter[Currency]:
    sums: Counter[Currency] = Counter()
    for (code, _), minor in accounts.items():
        sums[code] += minor
    return sums


def _amounts(what: What, before: _Minor, after: _Minor) -> Iterator[Change]:
    for code, name in sorted({*before, *after}):
        yield Change(
            what=what,
            name=name,
            currency=code,
            before_minor=before.get((code, name)),
            after_minor=after.get((code, name)),
        )


def _accounts(before: Side, after: Side) -> Iterator[Change]:
    moved = list(_amounts(What.ACCOUNT, before.accounts, {**after.would_be, **after.accounts}))
    for each in sorted(moved, key=lambda change: (-abs(change.moved_minor), change.currency, change.name)):
        held = after.held.get((each.currency, each.name))
        new, lost = each.before_minor is None, each.after_minor is None
        note = held.why if held else "new" if new else "lost" if lost else ""
        if each.moved_minor or note:
            yield Change(
                what=each.what,
                name=each.name,
                currency=each.currency,
                before_minor=each.before_minor,
                after_minor=each.after_minor,
                note=note,
                beyond=held is not None,
            )


def _cards(before: Side, after: Side) -> Iterator[Change]:
    for name in sorted(before.cards ^ after.cards):
        note = "new" if name in after.cards else "not billed any more"
        yield Change(what=What.CARD, name=name, currency=Currency(""), note=note)


def _prices(before: Side, after: Side, factor: Fraction) -> Iterator[Change]:
    for code, name in sorted({*before.prices} & {*after.prices}):
        old, new = before.prices[code, name], after.prices[code, name]
        if old != new:
            far = max(new) > factor * max(old) or factor * min(new) < min(old)
            note = f"more than {format_fraction(factor)} times up or down" if far else ""
            said = (" / ".join(map(format_fraction, sorted(each))) for each in (old, new))
            yield Change(
                what=What.PRICE, name=name, currency=code, before=next(said), after=next(said), note=note, beyond=far
            )
