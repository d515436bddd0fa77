"""Steps: price by duration within one event. `0:0.10 60:0.05`: 0.10 a unit from base unit 0, 0.05 from base unit 60."""

import re
from decimal import Decimal
from typing import NamedTuple

from rates.errors import TollbookError
from rates.money import normal, parse_price
from rates.quantities import INT64_MAX


class StepsInvalidError(TollbookError):
    """Steps are not rising bounds from 0, each with a price; `value` is the faulty part."""


class Step(NamedTuple):
    """From base unit `start` of an event on, a unit costs `price`."""

    start: int
    price: Decimal


def parse_steps(text: str) -> tuple[Step, ...]:
    """The steps of a cell, in the order of their bounds. Raises `StepsInvalidError` and `DecimalInvalidError`."""
    steps: list[Step] = []
    for item in text.split():
        match = re.fullmatch("([0-9]{1,19}):(.*)", item)
        if match is None:
            raise StepsInvalidError("is not a step", value=item, remedy="write bound:price, as in 0:0.10 60:0.05")
        step = Step(int(match[1]), parse_price(match[2]))
        if not steps and step.start:
            raise StepsInvalidError("does not begin at 0", value=item, remedy="say what the first units cost")
        if steps and step.start <= steps[-1].start:
            raise StepsInvalidError(f"is not above {steps[-1].start}", value=item, remedy="let the bounds rise")
        if step.start > INT64_MAX:
            raise StepsInvalidError("is beyond 64 bits", value=item, remedy="write base units")
        if step.price < 0:
            raise StepsInvalidError("is negative", value=item, remedy="a rate charges; give money back as a credit")
        steps.append(step)
    return tuple(steps)


def canonical_steps(text: str) -> str:
    """The canonical form of a cell: `00:0.10 60:0.050` -> `0:0.1 60:0.05`. Raises as `parse_steps` does."""
    return " ".join(f"{step.start}:{normal(step.price)}" for step in parse_steps(text))
