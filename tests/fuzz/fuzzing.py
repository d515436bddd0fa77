"""How importers are fuzzed: a few examples in every run of the tests, or as many as fit a stated time.

    HYPOTHESIS_PROFILE=fuzz FUZZ_SECONDS=120 pytest -n 0 -s tests/fuzz

draws for two minutes for each test, other examples each time, and prints how many there were.
"""

import os
import resource
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from billing.errors import InputFaultyError
from rates.errors import CardFaultyError, Fault, TollbookError

T = TypeVar("T")
Check = Callable[[T], None]

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60")) if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 0
A_ROUND = 200
LONGEST_SECONDS = 2
"""Of processor time, for any input of some kilobytes."""

MOST_KIB = 512 << 10
"""By which no input of some kilobytes makes the process grow."""

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much)


def fuzz(inputs: st.SearchStrategy[T], *, examples: int = 40) -> Callable[[Check[T]], Callable[[], None]]:
    """A test that holds a check against inputs: `examples` of them, or all that can be drawn in `SECONDS`."""

    def decorate(check: Check[T]) -> Callable[[], None]:
        if not SECONDS:
            few = settings(max_examples=examples, suppress_health_check=SLOW)
            return few(given(inputs)(check))
        return _for_some_time(inputs, check)

    return decorate


def _for_some_time(inputs: st.SearchStrategy[T], check: Check[T]) -> Callable[[], None]:
    def test() -> None:
        drawn, began = 0, time.monotonic()

        def counted(example: T) -> None:
            nonlocal drawn
            drawn += 1
            check(example)

        many = settings(
            max_examples=A_ROUND, database=None, suppress_health_check=SLOW, phases=(Phase.generate, Phase.shrink)
        )
        for number in count(int(time.time())):
            seed(number)(many(given(inputs)(counted)))()
            if time.monotonic() - began >= SECONDS:
                break
        print(f"{check.__name__}: {drawn:,} examples in {time.monotonic() - began:.0f} s")  # noqa: T201 (what a campaign is for)

    test.__name__ = check.__name__
    test.__doc__ = check.__doc__
    return test


def bounded(read: Callable[..., T], *given: object, **named: object) -> T:
    """What a reading comes to, within the time and the memory that an input of some kilobytes may cost."""
    began, held = time.process_time(), _peak_kib()
    try:
        return read(*given, **named)
    finally:  # what is refused is refused soon
        assert time.process_time() - began <= LONGEST_SECONDS
        assert _peak_kib() - held <= MOST_KIB


def tried(read: Callable[..., T], *given: object) -> tuple[T | None, TollbookError | None]:
    """The same, or the error by which it is refused; nothing else is raised."""
    try:
        return bounded(read, *given), None
    except TollbookError as error:
        refused = error
    assert refused.problem
    assert refused.remedy or isinstance(refused, CardFaultyError | InputFaultyError), refused
    assert str(refused)
    return None, refused


def told(faults: Iterable[Fault], *places: str) -> list[str]:
    """What faults say: each where it is, what is wrong and what to do, on one line."""
    lines = []
    for fault in faults:
        assert fault.problem
        assert fault.remedy, fault
        assert fault.place.startswith(places), fault
        lines.append(str(fault))
        assert lines[-1].isprintable(), fault
    assert lines
    return lines


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
