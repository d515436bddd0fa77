"""Why a row decided: of one event and each element of its product, the card, the row and what of it matched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rates.matching import Book, Books, Matches
from rates.measuring import Measures, rules_in_force
from rates.products import Product, Rule
from rates.quantities import Increments
from rates.rating import known_countries, stated_countries
from rates.usage import UsageColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The row that decides an element.

    `position` is the row's place in its card version (from 0), `prefix` the digits or whole text that matched ("" for
    any), `origin` the caller's digits, `unknown` or "" for any, `dimensions` what else the row states and the event
    fulfils. `increments` and `grace` are those that apply, the row's own or the product's; None where time has none.
    """

    element: str
    card: str
    position: int
    rate: int
    blocked: bool
    prefix: str
    origin: str
    dimensions: Mapping[str, str]
    increments: Increments | None
    grace: int


def decisions(
    columns: UsageColumns, event: int, books: Sequence[Book], products: Mapping[str, Product]
) -> tuple[Decision, ...]:
    """What decides each element of one event, by element; nothing for an unknown product or an event without a book."""
    usage, ready = columns.take(slice(event, event + 1)), Books.of(books)
    product = products.get(columns.products[usage.product[0]]) if usage.product[0] >= 0 else None
    if product is None or usage.book[0] < 0:
        return ()
    rule = next(iter(rules_in_force(product, usage.occurred_at)))[0]
    country = known_countries(usage, slice(0, 1), product, stated_countries(usage))
    found = []
    for element in sorted(ready.elements(product.id)):
        matches = ready.match(usage, slice(0, 1), product.id, element, country)
        if not len(matches.unmatched) and rule is not None:
            found.append(_decision(matches, element, product, rule))
    return tuple(found)


def _decision(matches: Matches, element: str, product: Product, rule: Rule) -> Decision:
    source = matches.sources[0 if matches.source is None else int(matches.source[0])]
    pattern = int(matches.pattern[0])
    row = source.table.patterns.row[pattern : pattern + 1]
    card = int(source.card_of(row)[0])
    way = int(source.terms.way[row[0]])
    measures = Measures.of(product, rule, source.terms.ways)
    timed = bool(measures.told[way]) and product.timed
    return Decision(
        element=element,
        card=source.cards[card].version,
        position=int(row[0] - source.first_rows[card]),
        rate=int(source.terms.rate[row[0]]),
        blocked=bool(measures.blocked[way]),
        prefix=source.table.prefix_of(pattern),
        origin=source.table.origin_of(pattern),
        dimensions=source.table.dimensions_of(pattern),
        increments=Increments(first=int(measures.first[way]), next=int(measures.next[way])) if timed else None,
        grace=int(measures.grace[way]),
    )
