"""Recall all that was reported of an event, and what each report came to."""

from collections.abc import Mapping

from billing.histories import History, Report, Standing, charge_of
from billing.payers import SubjectMissingError
from billing.store.engine import Engine, snapshot
from billing.store.queries.pricing import read_heads, read_prices
from billing.store.queries.revisions import Reported, read_reports
from rates.prices import Price
from rates.products import Product


def recall_event(engine: Engine, products: Mapping[str, Product], source: str, identity: str) -> History:
    """The history of an event. Raises SubjectMissingError of one that was never accepted."""
    with snapshot(engine) as connection:
        reported = read_reports(connection, source, identity)
        if not reported:
            problem, remedy = "no such event was ever accepted", "check its source and its id"
            raise SubjectMissingError(problem, place=source, value=identity, remedy=remedy)
        wanted = {price for each in reported for price, _ in each.rated or ()}
        heads = read_heads(connection, products, replaced=True) if wanted else {}
        prices = read_prices(connection, wanted, heads) if wanted else {}
    return History(source=source, id=identity, reports=tuple(_report(each, prices) for each in reported))


def _report(reported: Reported, prices: Mapping[int, Price]) -> Report:
    rated = reported.rated
    beside = Standing.SUPERSEDED if reported.superseded or reported.is_void else Standing.NEVER
    return Report(
        revision=reported.revision,
        received_at=reported.received_at,
        standing=Standing.IN_FORCE if reported.in_force else beside,
        is_void=reported.is_void,
        content=reported.content,
        reason=reported.reason,
        charge="" if rated is None else charge_of([(prices[number], billed) for number, billed in rated]),
    )
