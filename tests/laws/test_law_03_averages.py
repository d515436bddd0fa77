"""Law 3: the columnar kernel is the verifier, for what is billed by the average of a month.

"Columnar kernel = `billing/verifier.py` (Fraction, linear scans, nothing of `rates`), on generated cards and traffic."
Months of 28 to 31 days, an account and its subaccounts, free units and blocks, tiers by the average, percents off.
"""

from collections import defaultdict
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from billing.periods import Period
from tests.verified import Table, assert_verified, billed, cards_of

SLOW = [HealthCheck.filter_too_much, HealthCheck.too_slow]
MONTHS = {"2026-02": 28, "2028-02": 29, "2026-09": 30, "2026-10": 31}
TREE: list[Table] = [{"id": "a", "currency": "USD"}, {"id": "b", "parent": "a"}, {"id": "c", "currency": "USD"}]
FILL = [{"product": "recording.storage"}]
# What is kept of backups, by region: another product by the average, of which the base may be what a rate has to name.
BACKUPS: Table = {
    "id": "backup.kept",
    "name": "Backups",
    "base": "gib-day",
    "units": {"gib-day": 1, "tib-day": 1024},
    "average": "gib",
    "match": ["region"],
    "required": ["usage"],
    "measure": "quantity",
    "rules": [{"effective_from": "1970-01-01T00:00:00Z"}],
}


@st.composite
def cards(draw: st.DrawFn) -> Table:
    scope = st.sampled_from(["billing_account", "account"])
    card: Table = {"id": "card", "currency": "USD", "effective_from": "2026-01-01T00:00:00Z", "tiers": {}, "pools": {}}
    row: Table = {"product": "recording.storage", "unit": "minute", "destination": "Storage"}
    if draw(st.booleans()):
        pool = {"free": draw(st.sampled_from(["0", "3", "10"])), "block": draw(st.sampled_from(["1", "2", "10"]))}
        card["pools"]["storage"] = {**pool, "unit": "minute", "scope": draw(scope), "fill": FILL}
    elif draw(st.booleans()):
        row |= {"free_units": draw(st.sampled_from(["1", "5"])), "block": "1"}
    if draw(st.booleans()):
        bounds = draw(st.lists(st.integers(1, 30), min_size=1, max_size=2, unique=True).map(sorted))
        schedule = {"mode": draw(st.sampled_from(["graduated", "volume"])), "up_to": list(map(str, bounds))}
        card["tiers"]["kept"] = {**schedule, "unit": "minute", "scope": draw(scope), "fill": FILL}
        row |= {"tiers": "kept", "prices": ["0.9", "0.07", "0.005"][: len(bounds) + 1]}
    else:
        row["price"] = draw(st.sampled_from(["0", "0.0005", "0.31"]))
    backups = {"product": "backup.kept", "unit": "gib", "destination": "Backups", "price": "0.0333"}
    return {**card, "rate": [row, backups]}


report = st.tuples(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["recording.storage", "recording.storage", "backup.kept"]),
    st.integers(1, 28), st.integers(0, 900),
)  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=SLOW)
@given(
    card=cards(),
    reports=st.lists(report, min_size=1, max_size=12),
    period=st.sampled_from([*MONTHS]),
    percent=st.sampled_from(["0", "0", "12.5"]),
)
def test_averages_are_billed_alike(
    card: Table, reports: list[tuple[str, str, int, int]], period: str, percent: str
) -> None:
    assume((read := cards_of([card], [BACKUPS])) is not None)
    assert read is not None
    usage: list[Table] = [
        {
            "source": "s",
            "id": f"e{number}",
            "account": account,
            "product": product,
            "occurred_at": f"{period}-{day:02}T00:00:00Z",
            "quantity": str(quantity),
        }
        for number, (account, product, day, quantity) in enumerate(reports)
    ]
    off: dict[str, Any] = {} if percent == "0" else {"discounts": [{"percent": percent}]}
    deals = [{"account": name, "effective_from": "2026-01-01", "cards": ["card"], **off} for name in ("a", "c")]
    ours = billed(read, TREE, deals, usage, Period.parse(period), [BACKUPS])
    assert_verified(ours, [card], TREE, deals, usage, [BACKUPS])
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for account, product, _, quantity in reports:
        sums["c" if account == "c" else "a", product] += quantity
    for bill in ours.bills:
        of_backups = [line for line in bill.lines if line.product == "backup.kept"]
        exact = sum((line.residual for line in of_backups), Fraction(0)) + Fraction(
            sum(line.amount_minor for line in of_backups), 100
        )
        left = 1 - Fraction(percent) * Fraction(1, 100)
        assert exact == Fraction(sums[bill.account, "backup.kept"], MONTHS[period]) * Fraction("0.0333") * left
