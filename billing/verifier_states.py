"""The jurisdiction of a call that does not state it, by the states of both numbers (DESIGN 6; FCC: origin and end)."""

from collections.abc import Mapping
from dataclasses import replace

import billing.verifier_usage as given
from billing.verifier_usage import Product, Usage

_TOLL_FREE = ("800", "833", "844", "855", "866", "877", "888")
_LENGTH = len("14155550123")


def placed(usage: Usage, product: Product | None, states: Mapping[str, str]) -> Usage:
    """The event with its jurisdiction, where its product is matched on it and a table of states is given."""
    if not states or product is None or "jurisdiction" not in product.dimensions or usage.value("jurisdiction"):
        return usage
    ends = [_state(number, states) for number in (usage.origin, usage.to)]
    kind = "indeterminate" if "" in ends else "intrastate" if ends[0] == ends[1] else "interstate"
    return replace(usage, fields={**usage.fields, "jurisdiction": kind})


def _state(written: str, states: Mapping[str, str]) -> str:
    digits = given.e164_digits(written)
    placed = len(digits) == _LENGTH and digits[0] == "1" and digits[1:4] not in _TOLL_FREE
    return states.get(digits[1:7], "") if placed else ""
