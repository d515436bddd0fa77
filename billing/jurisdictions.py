"""The jurisdiction of events that state none: derived once, when they are taken in, and kept with them.

So an event is matched on the same jurisdiction however often it is rated, whatever table is supplied by then; and how
it was derived is kept beside it (`docs/decisions/0020-jurisdictions-are-kept.md`). What an event states stands before.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from billing.usage import Parsed, Usage
from rates.jurisdiction import JURISDICTION, JURISDICTIONS, States, derive
from rates.products import STATES, Product
from rates.usage import Texts, encode

_SHOWN = 12
_UNKNOWN = "-"


def with_jurisdictions(parsed: Parsed, states: States | None, products: Mapping[str, Product]) -> Parsed:
    """The same with a jurisdiction for each event that states none, of products that are matched on it."""
    if states is None:
        return parsed
    usage = parsed.usage
    matched = [name in products and JURISDICTION in products[name].match for name in usage.product.values]
    open_ = np.array(matched, dtype=np.bool_)[usage.product.codes]
    nothing = Texts(np.zeros(len(usage), dtype=np.int32), ("",))
    stated = usage.texts.get(JURISDICTION, nothing)
    rows = np.flatnonzero(open_ & (stated.codes == 0))
    return replace(parsed, usage=_derived(usage, rows, stated, states)) if len(rows) else parsed


def in_words(jurisdiction: str, attributes: str) -> str:
    """The jurisdiction of a stored event, and how it was derived where the event does not state it."""
    said = json.loads(attributes).get(STATES, "") if attributes else ""
    if not said:
        return jurisdiction
    origin, destination, digest = ("no known state" if each == _UNKNOWN else each for each in said.split())
    return f"{jurisdiction}: from {origin} to {destination}, by the table {digest}"


def _derived(usage: Usage, rows: np.ndarray, stated: Texts, states: States) -> Usage:
    called = np.where(usage.rated_to > 0, usage.rated_to, usage.to)[rows]
    found = derive(usage.from_[rows], called, states)
    values = (*stated.values, *JURISDICTIONS)
    codes = stated.codes.copy()
    codes[rows] = len(stated.values) + found.jurisdiction
    # Each combination of what is declared and of both states is written once.
    kinds = np.stack([usage.attributes.codes[rows], found.origin, found.destination], axis=1)
    distinct, kind = np.unique(kinds, axis=0, return_inverse=True)
    written = [_kept(usage.attributes.values[said], states, *ends) for said, *ends in distinct.tolist()]
    attributes = usage.attributes.codes.copy()
    attributes[rows] = len(usage.attributes.values) + kind.reshape(-1)
    texts = {**usage.texts, JURISDICTION: _compact(Texts(codes, values))}
    return replace(usage, texts=texts, attributes=_compact(Texts(attributes, (*usage.attributes.values, *written))))


def _kept(attributes: str, states: States, origin: int, destination: int) -> str:
    ends = (states.names[end] or _UNKNOWN for end in (origin, destination))
    said = {**(json.loads(attributes) if attributes else {}), STATES: " ".join((*ends, states.digest[:_SHOWN]))}
    return json.dumps(dict(sorted(said.items())), separators=(",", ":"))


def _compact(text: Texts) -> Texts:
    """The same without a value twice."""
    again = encode(text.values)
    return Texts(again.codes[text.codes], again.values)
