"""Law 6: "Σ lines = total; |residual| ≤ ½ minor unit".

Here: where contracts bound a month and credits pay some of it. What is billed is what usage comes to, held between the
minimum and the maximum, less what the credits have; whatever the lines it is divided over.
"""

from datetime import date
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.periods import Period
from tests.verified import Table, billed, cards_of

OCTOBER = Period.parse("2026-10")
CENTS = st.integers(0, 900)
CARD: Table = {
    "id": "list",
    "currency": "USD",
    "effective_from": "2026-01-01T00:00:00Z",
    "rate": [
        {
            "product": "voice.outbound",
            "destination": f"+{prefix}",
            "prefixes": [prefix],
            "unit": "second",
            "price": price,
        }
        | {"increments": "1/1"}
        for prefix, price in (("1", "0.0133"), ("44", "0.01"), ("33", "0.0277"))
    ],
}


def plain(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


@settings(max_examples=100, deadline=None)
@given(
    seconds=st.lists(st.tuples(st.sampled_from(["1", "44", "33"]), st.integers(1, 200)), max_size=8),
    bounds=st.tuples(CENTS, CENTS).map(sorted),
    credit=st.lists(st.integers(1, 300), max_size=3),
)
def test_a_month_is_held_between_its_bounds_and_paid_by_its_credits(
    seconds: list[tuple[str, int]], bounds: list[int], credit: list[int]
) -> None:
    said = {
        "commitment": {"min": plain(bounds[0]), "max": plain(bounds[1])},
        "credits": [{"id": f"c{place}", "amount": plain(each)} for place, each in enumerate(credit)],
    }
    usage: list[Table] = [
        {"source": "s", "id": f"e{n}", "account": "a", "product": "voice.outbound", "to": f"+{prefix}5550100"}
        | {"occurred_at": f"2026-10-{n + 1:02}T12:00:00Z", "duration_seconds": str(length), "status": "completed"}
        for n, (prefix, length) in enumerate(seconds)
    ]
    cards = cards_of([CARD])
    assert cards is not None
    contract: Table = {"account": "a", "effective_from": date(2026, 10, 1), "cards": ["list"]}
    tree: list[Table] = [{"id": "a", "currency": "USD"}]
    (bare,) = billed(cards, tree, [contract], usage, OCTOBER).bills
    (held,) = billed(cards, tree, [contract | said], usage, OCTOBER).bills
    bounded = min(max(bare.total_minor, bounds[0]), bounds[1])
    assert max(bounded - sum(credit), 0) == held.total_minor == sum(line.amount_minor for line in held.lines)
    assert set(bare.lines) <= set(held.lines)
    assert all(abs(line.residual) <= Fraction(1, 200) for line in held.lines)
