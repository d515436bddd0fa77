"""Days without a report, of what is billed by the average of a month: absent is not zero.

Who has reported once in a month reports each of its days from then on, if only that there was nothing.
"""

from collections.abc import Collection
from datetime import date, timedelta

_DAY = timedelta(days=1)


def missing_days(reported: Collection[date], until: date) -> list[date]:
    """The days between the first one reported and `until` (which is not among them) on which nothing was."""
    day, missing = min(reported, default=until), []
    while day < until:
        missing += [] if day in reported else [day]
        day += _DAY
    return missing


def absence(product: str, account: str, missing: Collection[date]) -> str:
    """What is missing, in words; other days are another sentence."""
    runs: list[list[date]] = []
    for day in sorted(missing):
        if runs and runs[-1][-1] + _DAY == day:
            runs[-1].append(day)
        else:
            runs.append([day])
    said = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
    return f"{account} reported no {product} of {said}, and absent is not zero"
