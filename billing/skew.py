"""Two clocks that should say the same: the database's and the machine's that asks it."""

from datetime import datetime, timedelta

LARGEST_SKEW = timedelta(seconds=5)
"""How far they may be apart before somebody is told."""

_TENTH = timedelta(milliseconds=100)


def skew(theirs: datetime, before: datetime, after: datetime) -> timedelta:
    """By how much their clock is ahead of ours at least, or behind it (negative).

    `before` and `after` are by ours, around the moment in which `theirs` was read: how long that took is no skew.
    """
    if before <= theirs <= after:
        return timedelta(0)
    return theirs - (before if theirs < before else after)


def tenths(apart: timedelta) -> str:
    """A time as seconds with one decimal, as in `-7.2`."""
    count = abs(apart) // _TENTH
    sign = "-" if count and apart < timedelta(0) else ""
    return f"{sign}{count // 10}.{count % 10}"


def skew_warning(apart: timedelta) -> str:
    """What to tell of clocks that are too far apart; nothing where they are not."""
    if abs(apart) <= LARGEST_SKEW:
        return ""
    which = "ahead of" if apart > timedelta(0) else "behind"
    return f"the database's clock is {tenths(abs(apart))} s {which} this machine's: set both by NTP"
