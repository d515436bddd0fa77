"""What contracts say of money, drawn as the tables that people write."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from billing.periods import Period

Table = dict[str, Any]

PERCENTS = ["5", "12.5", "33.333333", "100"]
AMOUNTS = ["0.01", "0.07", "0.5", "1.1", "3", "25", "1000"]


@st.composite
def on(draw: st.DrawFn, products: Sequence[str], countries: Sequence[str]) -> Table:
    """Everything, or some products and countries; at times a country alone."""
    if draw(st.integers(0, 2)) == 0:
        return {}
    one = st.fixed_dictionaries(
        {},
        optional={
            "product": st.lists(st.sampled_from([*products, "*", "voice.*"]), min_size=1, max_size=2, unique=True),
            "country": st.lists(st.sampled_from(countries), min_size=1, max_size=2, unique=True),
        },
    )
    return {"on": draw(st.lists(one, min_size=1, max_size=2))}


@st.composite
def deals(draw: st.DrawFn, month: Period, products: Sequence[str], countries: Sequence[str]) -> Table:
    """Discounts, a commitment and credits, each perhaps; nothing at all in every other contract."""
    if draw(st.booleans()):
        return {}
    said: Table = {}
    some = on(products, countries)
    if draw(st.booleans()):
        percents = draw(st.lists(st.sampled_from(PERCENTS), min_size=1, max_size=2))
        said["discounts"] = [{"percent": percent, **draw(some)} for percent in percents]
        if draw(st.integers(0, 3)) == 0:
            said["discounts"][0]["on"] = [{"number_type": draw(st.sampled_from([["mobile"], ["local", "mobile"]]))}]
        # One that is on everything is the last that can hold.
        first = next((n for n, each in enumerate(said["discounts"]) if "on" not in each), len(percents))
        del said["discounts"][first + 1 :]
    if draw(st.booleans()):
        low, high = sorted(draw(st.tuples(*[st.sampled_from(AMOUNTS)] * 2)), key=AMOUNTS.index)
        bounds = draw(st.sampled_from([{"min": low}, {"max": high}, {"min": low, "max": high}, {"max": "0"}]))
        said["commitment"] = {**bounds, **draw(some)}
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=3, unique=True))
        said["credits"] = []
        for name in names:
            credit: Table = {"id": name, "amount": draw(st.sampled_from(AMOUNTS)), **draw(some)}
            day = draw(st.one_of(st.none(), st.integers(-3, 40)))
            until: date | None = None if day is None else month.start + timedelta(days=day)
            said["credits"].append(credit if until is None else credit | {"until": until.isoformat()})
    return said
