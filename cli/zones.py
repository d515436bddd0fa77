"""Which time zones there are: those of the package that is installed, whatever the machine has."""

import os
import zoneinfo


def pin_time_zones() -> None:
    """Read time zones from the package `tzdata` only, here and in the processes that this one starts.

    zoneinfo would rather take those of the machine, and the same call could be peak on one and off-peak on another.
    """
    os.environ["PYTHONTZPATH"] = ""
    if zoneinfo.TZPATH:
        zoneinfo.reset_tzpath(to=())
        zoneinfo.ZoneInfo.clear_cache()
