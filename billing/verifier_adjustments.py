"""What a month comes to now, minus what was billed for it: the independent account of an adjustment (DESIGN 8).

Both sides are lines as FORMATS 6 writes them. Of each line key the rounded amount of now minus all that were issued is
what an adjustment bills; promotional credits and support are not worked out anew, and stay out. The residual is such a
difference too, so that amount and residual together are the exact difference. `quantity`, which is rounded for people,
is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import billing.verifier_usage as given
from billing.verifier_usage import Raw, text, words

KEY = ("product", "element", "country", "destination", "tier", "unit", "unit_price", "base_unit")
_NOT_AGAIN = ("credit", "support")

Key = tuple[str, ...]


@dataclass(slots=True)
class Sum:
    """What one line key comes to, and the card versions that rated it, now and as it was issued."""

    events: int = 0
    quantity: Fraction = Fraction(0)
    amount: Fraction = Fraction(0)
    residual: Fraction = Fraction(0)
    now: set[str] = field(default_factory=set)
    issued: set[str] = field(default_factory=set)
    is_now: bool = False

    def add(self, line: Raw, sign: int) -> None:
        """Take a line in, or out."""
        self.events += sign * int(text(line, "events"))
        self.quantity += sign * Fraction(text(line, "base_quantity"))
        self.amount += sign * Fraction(text(line, "amount"))
        self.residual += sign * Fraction(text(line, "residual"))
        (self.now if sign > 0 else self.issued).update(words(line["cards"]))
        self.is_now = self.is_now or sign > 0

    @property
    def is_nothing(self) -> bool:
        """Whether nothing of it differs."""
        return not (self.events or self.quantity or self.amount or self.residual)


def adjust(now: Iterable[Raw], issued: Iterable[Raw], *, period: str, digits: int) -> list[Raw]:
    """The lines by which a month that was billed differs from what it comes to now."""
    sums: dict[Key, Sum] = {}
    for sign, lines in ((1, now), (-1, issued)):
        for line in lines:
            if text(line, "element") not in _NOT_AGAIN:
                sums.setdefault(_key(line), Sum()).add(line, sign)
    return [_line(key, each, period, digits) for key, each in sorted(sums.items()) if not each.is_nothing]


def added_up(lines: Iterable[Raw], *, period: str, digits: int) -> list[Raw]:
    """All that was issued for a month, or all that it comes to, line key by line key and whatever card rated it.

    What came to nothing in all is left out.
    """
    sums: dict[Key, Sum] = {}
    for line in lines:
        if text(line, "element") not in _NOT_AGAIN:
            sums.setdefault(_key(line), Sum()).add({**line, "cards": []}, 1)
    return [_line(key, each, period, digits) for key, each in sorted(sums.items()) if not each.is_nothing]


def total(lines: Iterable[Raw], digits: int) -> str:
    """The sum of the amounts."""
    return given.plain(sum((Fraction(text(line, "amount")) for line in lines), Fraction(0)), digits)


def _key(line: Raw) -> Key:
    said = {name: text(line, name) for name in KEY}
    return tuple((said | {"unit_price": str(Fraction(said["unit_price"]))}).values())


def _line(key: Key, each: Sum, period: str, digits: int) -> Raw:
    return dict(zip(KEY, key, strict=True)) | {
        "events": each.events,
        "base_quantity": given.shortest(each.quantity),
        "quantity": given.shortest(each.quantity),
        "amount": given.plain(each.amount, digits),
        "residual": str(each.residual),
        "cards": sorted(each.now if each.is_now else each.issued),
        "origin_period": period,
    }
