"""100,000 charges that are due on one day, posted: found by the calendar, asked of identities, rated, committed.

Compared with importing the same events from NDJSON.
"""

import argparse
import io
from dataclasses import replace
from datetime import UTC, date, datetime

from benchmarks.databases import fresh, server
from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from billing.accounts import Account, AccountId
from billing.charges import Charge, ChargeId, Every, dues, payload_of
from billing.contracts import Contract
from billing.flows.charge import add_charges
from billing.flows.ingest import import_usage
from billing.flows.post import post_charges
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.receipts import Outcome
from billing.sources.ndjson import read_chunks
from billing.store.embedded import Cluster
from billing.store.engine import Engine, open_engine
from cli.world import products
from rates.cardfile import read_card
from rates.errors import CardFaultyError

CHARGES = 100_000
ACCOUNTS = 1_000
BOUND = 5.0

AT = datetime(2026, 10, 31, 12, tzinfo=UTC)
FIRST = Charge(
    id=ChargeId("num"),
    account="acct-0",
    product="number.monthly",
    effective_from=datetime(2026, 10, 31, 9, tzinfo=UTC),
    every=Every.MONTH,
    drift=True,
    dimensions={"country": "US", "number_type": "local"},
)
CARD = """\
id = "list-usd"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[[rate]]
product = "number.monthly"
country = "US"
number_type = "local"
unit = "number"
price = "1.15"
"""


def charges(count: int) -> list[Charge]:
    """So many numbers, ordered on one day."""
    return [replace(FIRST, id=ChargeId(f"num-{n:06}"), account=f"acct-{n % ACCOUNTS}") for n in range(count)]


def opened(cluster: Cluster, name: str) -> Engine:
    """A fresh database with a card and accounts."""
    engine = open_engine(fresh(cluster, name).sqlalchemy_url)
    card, faults = read_card(CARD, {}, products())
    if card is None:
        raise CardFaultyError(faults)
    publish(engine, card, products(), at=AT, actor="benchmark")
    names = [f"acct-{number}" for number in range(ACCOUNTS)]
    add_accounts(engine, [Account(id=AccountId(n), currency="USD") for n in names], at=AT, actor="benchmark")
    contracts = [Contract(account=n, effective_from=date(2026, 10, 1), cards=("list-usd",)) for n in names]
    add_contracts(engine, contracts, products(), at=AT, actor="benchmark")
    return engine


def ours(cluster: Cluster, count: int) -> Prepare:
    """From charges to committed."""

    def prepare() -> Run:
        engine = opened(cluster, "ours")
        add_charges(engine, charges(count), at=AT, actor="benchmark")

        def run() -> object:
            counts = post_charges(engine, products(), at=AT)
            if counts[Outcome.ACCEPTED] != count:
                raise ValueError(f"not all were accepted: {counts}")
            engine.dispose()
            return counts

        return run

    return prepare


def reference(cluster: Cluster, count: int) -> Prepare:
    """From the same events as NDJSON to committed, under another source."""
    made = (
        payload_of(due).replace(b'"source":"tollbook.charges",', b"") for c in charges(count) for due in dues(c, AT)
    )
    lines = b"\n".join(made)

    def prepare() -> Run:
        engine = opened(cluster, "imported")

        def run() -> None:
            import_usage(engine, "numbers", read_chunks(io.BytesIO(lines)), products=products(), at=AT)
            engine.dispose()

        return run

    return prepare


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the charges, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    count = int(CHARGES * options.scale)
    with server() as cluster:
        times = alternate(ours(cluster, count), reference(cluster, count), options.runs)
    report(
        "charges",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes={"charges": count, "accounts": ACCOUNTS},
        times=times,
        compared="charges of one day found, made into events, identified, rated and committed; against the import of"
        " the same events from NDJSON; seconds, ours divided by the reference's",
    )


if __name__ == "__main__":
    main()
