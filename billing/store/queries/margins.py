"""Stored usage that one card rated, as it was reported: what a comparison of margins reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from billing.periods import Period
from billing.store.engine import Connection
from billing.store.rateable import Rateable, Selection, rated_usage
from billing.store.ratebooks import read_card, read_card_versions
from billing.usage import Usage
from rates.cards import Card
from rates.products import Product
from rates.usage import Int32s, UsageColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedCalls:
    """Events of one product that a card rated: n rows, and whatever they are called."""

    usage: UsageColumns
    product: str
    reported: Usage

    def names(self, row: int) -> dict[str, str]:
        """The account, the source and the id of an event."""
        said = self.reported
        texts = {"account": said.account, "source": said.source}
        return {**{name: text.values[text.codes[row]] for name, text in texts.items()}, "id": said.id[row].as_py()}


def published_versions(connection: Connection, card_id: str, products: Mapping[str, Product]) -> list[Card]:
    """All published versions of a card with their rows, by their beginning."""
    versions = sorted(read_card_versions(connection, card_id), key=lambda version: version.effective_from)
    return [read_card(connection, version, products) for version in versions]


def rated_calls(connection: Connection, card_id: str, period: Period, account: str = "") -> Iterator[RatedCalls]:
    """The priced events of a period whose usage a card rated, as they lie; of one account, those it has or pays."""
    rates = [(each.rate_base, each.rates) for each in read_card_versions(connection, card_id)]
    selection = Selection(rates=rates, account=account, priced=True)
    for some in rated_usage(connection, period, selection, with_ids=True):
        yield from _by_product(some)


def _by_product(some: Rateable) -> Iterator[RatedCalls]:
    product = some.usage.product
    for code in np.unique(product.codes).tolist():
        rows = np.flatnonzero(product.codes == code)
        usage = some.usage if len(rows) == len(some) else some.usage.take(rows)
        yield RatedCalls(usage=_columns(usage, product.values[code]), product=product.values[code], reported=usage)


def _columns(usage: Usage, product: str) -> UsageColumns:
    """The columns of usage of one product, to be rated by the only book there is."""
    nothing = np.zeros(len(usage), dtype=np.int64)
    book: Int32s = nothing.astype(np.int32)
    names: Sequence[str] = (product,)
    return usage.to_rate(products=tuple(names), product=nothing, book=book)
