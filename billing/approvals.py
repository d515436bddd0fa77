"""Approvals: a person signs the drafts of a period, and what is issued is what was signed.

A signature is a digest over all drafts of the period: each one's lines and the totals that were priced (its own digest,
`invoices.content`), and its inputs, which are the contracts and the card versions in force. A draft that is drawn
otherwise later, one that went away and one that came along are not what was signed, and are named instead of issued.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from billing.invoices import Slot, json_text, sha256
from billing.periods import Period
from rates.errors import TollbookError
from rates.money import Currency


class ApprovalMissingError(TollbookError):
    """Drafts would be issued that nobody approved; `value` is the period."""


class ApprovalSelfError(TollbookError):
    """Whoever ran the invoices approved them too, where two people are asked for; `value` is the name."""


class ApprovalUnseenError(TollbookError):
    """Other drafts would be signed than those that somebody looked at; `value` is the digest that they saw."""


class Approvals(StrEnum):
    """Who must approve drafts before they are issued: nobody; somebody; somebody who did not run them."""

    NONE = "none"
    ONE = "one"
    TWO_PEOPLE = "two-people"


class Unsigned(StrEnum):
    """Why something is not what was signed."""

    ADDED = "added"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"
    INPUTS = "inputs changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signable:
    """A draft as it is signed. `sha256` and `inputs_sha256` are in hexadecimal.

    Of a credit note `origin` is the month that it corrects; of an invoice it is "".
    """

    payer: int
    invoice_id: int
    account: str
    sha256: str
    inputs_sha256: str
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The approval of a period that holds. `drawn_by` are those who ran what it signs."""

    approval_id: int
    at: datetime
    approver: str
    drawn_by: tuple[str, ...]
    drafts: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalReport:
    """What approving a period did; `written` is false where the same person had signed the same.

    `altered` names accounts whose draft is not what was drawn up: they are not signed. What is signed and will not be
    issued: `unmatched` are accounts with control totals that do not match, with what differs; `mismatches` are of no
    account, and stop all.
    """

    period: Period
    approver: str
    drawn_by: tuple[str, ...]
    drafts: int
    totals_minor: Mapping[Currency, int]
    sha256: str
    written: bool
    altered: tuple[str, ...] = ()
    unmatched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mismatches: tuple[str, ...] = ()


def signature(period: Period, drafts: Iterable[Signable]) -> str:
    """The digest of what is signed: the period, and each draft with its inputs, in the order of their accounts."""
    each = sorted((draft.account, draft.sha256, draft.inputs_sha256) for draft in drafts)
    return sha256(json_text({"period": str(period), "drafts": each}))


def unsigned(
    signed: Mapping[Slot, Signable], drafts: Mapping[Slot, Signable], issued: frozenset[Slot]
) -> dict[str, Unsigned]:
    """What is not as it was signed, by account. All are by their payer's number and origin; `issued` are issued."""
    found = {}
    for payer, draft in drafts.items():
        before = signed.get(payer)
        if before is None:
            found[draft.account] = Unsigned.ADDED
        elif (before.invoice_id, before.sha256) != (draft.invoice_id, draft.sha256):
            found[draft.account] = Unsigned.CHANGED
        elif before.inputs_sha256 != draft.inputs_sha256:
            found[draft.account] = Unsigned.INPUTS
    gone = (draft for payer, draft in signed.items() if payer not in drafts and payer not in issued)
    return dict(sorted({**found, **{draft.account: Unsigned.WITHDRAWN for draft in gone}}.items()))


def person(name: str) -> str:
    """A name as it is recorded, without surplus white space; "" if it says nobody."""
    return " ".join(name.split())


def require_seen(digest: str, seen: str) -> None:
    """Refuse to sign drafts whose digest does not begin with what was seen, if anything. Raises ApprovalUnseenError."""
    if not digest.startswith(seen.strip().lower()):
        problem = "is not the digest of these drafts: they were drawn up anew, or their contracts or cards changed"
        raise ApprovalUnseenError(problem, value=seen, remedy="look at them again, and sign their new digest")


def require_second(approver: str, drawn_by: Iterable[str], asked: Approvals) -> None:
    """Refuse whoever approves what they ran themselves, where two people are asked for. Raises ApprovalSelfError."""
    if asked is Approvals.TWO_PEOPLE and any(same_person(approver, name) for name in drawn_by):
        problem = "ran these invoices, and may not approve them too"
        raise ApprovalSelfError(problem, value=approver, remedy="let somebody else approve them, with --as")


def same_person(one: str, other: str) -> bool:
    """Whether two names are of one person, however they are capitalised."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", person(name)).casefold()
