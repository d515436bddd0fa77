"""Term sheets: what a contract says, a term a row in the words of finance, and what changes from one to another."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from billing.contracts import Contract
from rates.deals import NO_DEAL, Deal, in_words, table_of
from rates.money import normal
from rates.support import in_words as support_in_words

_KNOWN = frozenset({"discounts", "commitment", "credits", "support"})


class Term(NamedTuple):
    """One term of a contract: what it is about, and what it says; `amount` where that is one number."""

    term: str
    value: str
    amount: Decimal | None = None


class Held(NamedTuple):
    """A contract and until when it holds, not including that day; None: until the next one is added."""

    contract: Contract
    until: date | None

    def state(self, day: date) -> str:
        """Where it stands on a day: `ended`, `in force` or `to come`."""
        if self.contract.effective_from > day:
            return "to come"
        return "ended" if self.until is not None and self.until <= day else "in force"


class Changed(NamedTuple):
    """A term of two contracts: `change` is new, ended, raised, lowered, changed or unchanged."""

    term: str
    before: str
    after: str
    change: str


def held(contracts: Sequence[Contract]) -> list[Held]:
    """The contracts of one account in the order of their days, each until the next."""
    ordered = sorted(contracts, key=lambda each: each.effective_from)
    ends = [*(following.effective_from for following in ordered), None][1:]
    return [Held(contract, until) for contract, until in zip(ordered, ends, strict=True)]


def last_day(until: date | None) -> str:
    """The last day of what holds until a day; "" for what has no end."""
    return "" if until is None else str(until - timedelta(days=1))


def held_record(each: Held, day: date) -> dict[str, object]:
    """A contract with its days and terms, as plain values; `state` is of a day."""
    return {
        "effective_from": str(each.contract.effective_from),
        "effective_to": str(each.until) if each.until else None,
        "state": each.state(day),
        "cards": list(each.contract.cards),
        "terms": table_of(each.contract.deal),
        "in_words": [f"{term.term}: {term.value}" for term in term_sheet(each.contract)],
    }


def term_sheet(contract: Contract | None) -> list[Term]:
    """What a contract says, in the order in which it is applied; nothing without one."""
    if contract is None:
        return []
    cards = [Term(f"card {place}", name) for place, name in enumerate(contract.cards, start=1)]
    return [*cards, *_money(contract.deal)]


def changes(before: Contract | None, after: Contract) -> list[Changed]:
    """What another contract says otherwise, and what it leaves as it is: cards by their places first, then terms.

    Percents, bounds and credits are the same term where they are of the same usage, or of the same id.
    """
    cards = list(_cards(() if before is None else before.cards, after.cards))
    was = _by_name(_money(NO_DEAL if before is None else before.deal))
    now = _by_name(_money(after.deal))
    terms = [_changed(name, was.get(name), now.get(name)) for name in dict.fromkeys([*was, *now])]
    return [*cards, *terms, *_order(was, now)]


def _cards(before: Sequence[str], after: Sequence[str]) -> Iterator[Changed]:
    for name in dict.fromkeys([*after, *before]):
        places = [str(each.index(name) + 1) if name in each else "" for each in (before, after)]
        change = "unchanged" if places[0] == places[1] else "moved"
        if not places[0] or not places[1]:
            change = "new" if not places[0] else "ended"
        was, now = (f"place {place}" if place else "" for place in places)
        yield Changed(f"card {name}", was, now, change)


def _money(deal: Deal) -> Iterator[Term]:
    """Each term of money by itself, told as contracts are told everywhere."""
    for each in deal.discounts:
        percent, _, on = in_words(Deal(discounts=(each,))).partition(" off")
        yield Term(f"discount off{on or ' everything'}", percent, each.percent)
    if deal.commitment is not None:
        for name, bound in (("minimum", deal.commitment.least), ("maximum", deal.commitment.most)):
            if bound is not None:
                said = in_words(Deal(commitment=deal.commitment)).partition(" of ")[2]
                yield Term(f"{name}{f' of {said}' if said else ''}", normal(bound), bound)
    for credit in deal.credits:
        said = in_words(Deal(credits=(credit,)))
        yield Term(f"credit {credit.id}", said.removeprefix(f"credit {credit.id} "))
    if deal.support is not None:
        yield Term("support plan", support_in_words(deal.support).removeprefix("support "))
    for key, value in table_of(deal).items():
        if key not in _KNOWN:
            yield Term(key.replace("_", " "), _plain(value))


def _plain(value: object) -> str:
    """A further term as its file writes it: `plan business, percent 6`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return " ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _by_name(terms: Iterator[Term]) -> dict[str, Term]:
    """Terms by what they are about. Of discounts the first one holds, so that a second of the same says nothing."""
    found: dict[str, Term] = {}
    for term in terms:
        found.setdefault(term.term, term)
    return found


def _changed(name: str, before: Term | None, after: Term | None) -> Changed:
    if before is None or after is None:
        return Changed(name, before.value if before else "", after.value if after else "", "ended" if before else "new")
    change = "unchanged" if before.value == after.value else "changed"
    if before.amount is not None and after.amount is not None and before.amount != after.amount:
        change = "raised" if after.amount > before.amount else "lowered"
    return Changed(name, before.value, after.value, change)


def _order(was: Mapping[str, Term], now: Mapping[str, Term]) -> Iterator[Changed]:
    """Of discounts, the first that takes something holds: their order is a term."""
    shared = [
        [name for name in each if name.startswith("discount ") and name in was and name in now] for each in (was, now)
    ]
    if shared[0] != shared[1]:
        before, after = ("; ".join(name.removeprefix("discount ") for name in each) for each in shared)
        yield Changed("order of discounts", before, after, "changed")
