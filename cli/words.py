"""How many there are, in words: `1 event`, `1,234 events`, `1 event waits`. The one place that tells one from many."""

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number of things: `1 event`, `2 events`; `plural` where it is not the noun with an s."""
    return f"{count:,} {of_number(count, noun, plural or f'{noun}s')}"


def of_number(count: int, one: str, several: str) -> str:
    """The form of a word, as a verb, that goes with a number of things."""
    return one if count == 1 else several


def numbers_in_words(numbers: Sequence[str]) -> list[str]:
    """Numbers of invoices as runs without a gap: `INV-000001 to INV-000003`, `INV-000007`."""
    runs: list[list[str]] = []
    for number in numbers:
        if runs and _follows(runs[-1][-1], number):
            runs[-1].append(number)
        else:
            runs.append([number])
    return [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]


def _follows(before: str, number: str) -> bool:
    series, _, digits = number.rpartition("-")
    same, _, previous = before.rpartition("-")
    return series == same and digits.isdecimal() and previous.isdecimal() and int(digits) == int(previous) + 1
