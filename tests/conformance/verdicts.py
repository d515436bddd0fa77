"""What becomes of a case: it passes, is otherwise on purpose, cannot be expressed, or fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from rates.money import format_fraction

_DIGITS = 9
"""Figures that do not end are compared to the digits that are printed, if there are at least so many."""


class Verdict(StrEnum):
    """What became of a case, in the words that are printed."""

    PASSED = "passed"
    OTHERWISE = "on purpose otherwise"
    UNSAID = "not expressible"
    FAILED = "failed"


class CannotSayError(Exception):
    """No card, product or event says what the case is about; the one argument is the reason."""

    @property
    def reason(self) -> str:
        """Why, without the names and numbers of the one case."""
        return str(self.args[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A published figure and ours. `otherwise` and `unsaid` are the reasons that hold should they differ."""

    fact: str
    expected: str
    came: Fraction | str
    otherwise: str = ""
    unsaid: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the two are the same number, or the same text."""
        if isinstance(self.came, str):
            return self.expected == self.came
        expected = Fraction(self.expected)
        return expected == self.came or _is_printed(self.came, self.expected)

    def __str__(self) -> str:
        came = self.came if isinstance(self.came, str) else format_fraction(self.came)
        return f"{self.fact}: published {self.expected}, ours {came}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a case, the reason unless it passed, and what differed."""

    verdict: Verdict
    reason: str = ""
    differences: tuple[str, ...] = ()


def outcome_of(compared: Sequence[Compared], doubt: str = "") -> Outcome:
    """The verdict on a case, from all that was compared; nothing compared is a failure.

    `doubt` is the reason that holds for all of a case whose figures are in doubt at their source.
    """
    differing = [each for each in compared if not each.agrees]
    said = tuple(map(str, differing))
    if not differing:
        return Outcome(verdict=Verdict.PASSED if compared else Verdict.FAILED)
    if doubt:
        return Outcome(verdict=Verdict.OTHERWISE, reason=doubt, differences=said)
    if all(each.unsaid for each in differing):
        return Outcome(verdict=Verdict.UNSAID, reason=differing[0].unsaid, differences=said)
    if all(each.otherwise for each in differing):
        return Outcome(verdict=Verdict.OTHERWISE, reason=differing[0].otherwise, differences=said)
    return Outcome(verdict=Verdict.FAILED, differences=said)


class Given(Mapping[str, Any]):
    """Facts of a case that remember which of them were read: one that nobody read is a condition left out."""

    def __init__(self, facts: Mapping[str, Any], *ignored: str) -> None:
        self._facts, self._read = facts, set(ignored)

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (a fact may be anything)
        self._read.add(key)
        if key not in self._facts:
            raise CannotSayError(f"a fact that is missing: {key}")
        return self._facts[key]

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """The fact at a key, read; the default where there is none."""
        self._read.add(key)
        return self._facts.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __contains__(self, key: object) -> bool:
        self._read.add(str(key))
        return key in self._facts

    def below(self, key: str) -> "Given":
        """The table at a key; an empty one where there is none."""
        return Given(self.get(key, {}))

    def finish(self) -> None:
        """Raises CannotSayError for what was given and not read."""
        if left := sorted(self._facts.keys() - self._read):
            raise CannotSayError(f"a condition that is not translated: {', '.join(left)}")


def _is_printed(value: Fraction, text: str) -> bool:
    """Whether a text has all that can be printed of a number that does not end; floats are off by one at last."""
    before, _, decimals = text.partition(".")
    if "/" not in format_fraction(value) or len((before + decimals).lstrip("-0")) < _DIGITS:
        return False
    return abs(value - Fraction(text)) < Fraction(1, 10 ** len(decimals))


def whole(value: object) -> int:
    """A fact that is a whole number. Raises CannotSayError for a fraction."""
    number = Fraction(str(value))
    if number.denominator != 1:
        raise CannotSayError("a fraction of what is counted in whole numbers")
    return number.numerator
