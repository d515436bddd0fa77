"""Ratings: what events come to, in integers, and why some of them have no price."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rates.usage import Flags

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Int8s = NDArray[np.int8]


class Reason(StrEnum):
    """Why an event has no price: the first three are zero-rated, the others quarantined."""

    PENDING = "pending"
    STATUS_NOT_BILLABLE = "status_not_billable"
    ZERO_QUANTITY = "zero_quantity"
    UNKNOWN_ACCOUNT = "unknown_account"
    NO_PAYER = "no_payer"
    UNKNOWN_PRODUCT = "unknown_product"
    NO_PRODUCT_RULE = "no_product_rule"
    NO_CONTRACT = "no_contract"
    NO_CARD = "no_card"
    NO_RATE = "no_rate"
    BLOCKED = "blocked"
    NO_INCREMENTS = "no_increments"
    MAX_QUANTITY = "max_quantity"
    CURRENCY_MISMATCH = "currency_mismatch"
    TOO_OLD = "too_old"
    CHARGE_TOO_LARGE = "charge_too_large"
    CHARGE_MISSING = "charge_missing"
    CHARGE_UNPRICED = "charge_unpriced"


REASONS: tuple[Reason | None, ...] = (None, *Reason)
"""What a reason's code in columns stands for; 0 is none: the event has a price."""

CODES: Mapping[Reason, int] = {reason: code for code, reason in enumerate(Reason, start=1)}
"""Reason -> its code in columns."""

ZERO_RATED = frozenset({Reason.PENDING, Reason.STATUS_NOT_BILLABLE, Reason.ZERO_QUANTITY})
"""Nothing is due, and nothing is missing. All other reasons wait in quarantine for what is missing."""

FIRST_QUARANTINED = CODES[Reason.UNKNOWN_ACCOUNT]
"""The least code of the reasons that wait in quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What n events come to, and m further elements of some of them.

    `rate` int64[n] and `price` int32[n] are global ids, -1 for none; `country` int16[n] is a code of
    `numbering.COUNTRIES` (0 also for events that no card was asked about); `billed` int64[n] is the billable quantity
    in base units, also where the price is per event; `reason` int8[n] is a code of `REASONS`, 0 where there is a price.
    `extra_event` int64[m] is the row of the event, ascending; `extra_rate`, `extra_price` and `extra_billed` as above;
    `extra_events` int8[m] is 1 where the event is counted with the element, 0 for a further part of its usage and for
    its rounded charge. An event whose status does not bill may still have an element: the fee for its outcome. And an
    event that costs its minimum or maximum has no price of its own: the element is what it costs.
    """

    rate: Int64s
    price: Int32s
    country: Int16s
    billed: Int64s
    reason: Int8s
    extra_event: Int64s
    extra_rate: Int64s
    extra_price: Int32s
    extra_billed: Int64s
    extra_events: Int8s

    @property
    def is_quarantined(self) -> Flags:
        """Which events wait for what is missing, bool[n]."""
        return self.reason >= FIRST_QUARANTINED
