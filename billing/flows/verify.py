"""Verify a period: rate its events again by the independent verifier, and compare every line, total and count.

The verifier gets the events, the cards, the accounts and the contracts as they were reported, and nothing that the
engine made of them. Accounts are divided among processes that all see one snapshot: counters belong to a payer.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from billing import verifier
from billing.accounts import payer_of
from billing.adjustments import line_of
from billing.assignment import NOBODY
from billing.contracts import is_billed
from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.flows.price import Pricer, totals_of
from billing.invoices import Invoice, InvoiceLine, Party, lines_by_payer, record, total_minor
from billing.payers import payers_of
from billing.periods import Period
from billing.reselling import PREFIX
from billing.store.accounts import Accounts, read_accounts
from billing.store.adjustments import issued_lines, newest_digests
from billing.store.engine import Connection, Engine, open_engine, snapshot, transaction
from billing.store.queries.adjustments import Adjusting, adjusted_payers, adjusting_documents, frozen_contracts
from billing.store.queries.credits import credits_used
from billing.store.queries.invoices import all_invoices
from billing.store.queries.support import support_bases
from billing.store.queries.verification import (
    event_counts,
    events_by_payer,
    join_snapshot,
    raw_accounts,
    raw_cards,
    raw_contracts,
    raw_events,
    raw_quarantine,
    share_snapshot,
    unbalanced_totals,
    unrated_events,
)
from billing.store.totals import read_totals
from billing.verification import Bill, Disagreement, Verification, as_billed, bill_disagreements, unrated_disagreements
from billing.verifier_adjustments import added_up, adjust, total
from rates.money import EXPONENTS, currency, format_minor
from rates.numbering import PLAN
from rates.products import Product
from rates.rating import Reason

Tables = Sequence[Mapping[str, object]]

CHUNK = 2500
"""Accounts whose bills are read at a time."""

EVENTS_AT_ONCE = 150_000
"""Events that one process holds, unless one account alone has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one process rates: the events that some payers pay, in the snapshot of the whole; `others`: of nobody.

    The months of `adjusted` payers are those of adjustments: rated by the contracts that they were billed by, and
    without promotional credits.
    """

    url: str
    snapshot: str
    period: Period
    payers: frozenset[int]
    others: bool
    products: Tables
    adjusted: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Rated:
    """What the verifier makes of the shares."""

    bills: dict[str, Bill] = field(default_factory=dict)
    unrated: set[tuple[str, str, str, str]] = field(default_factory=set)

    def add(self, rated: Mapping[str, Any]) -> None:
        """What it makes of one of them."""
        for each in rated["accounts"]:
            bill = Bill(currency=each["currency"], total=each["total"], lines=tuple(each["lines"]))
            self.bills[each["account"]] = bill
        for kind in ("quarantined", "zero_rated", "rejected"):
            self.unrated.update((kind, each["source"], each["id"], each["reason"]) for each in rated[kind])


def verify(
    engine: Engine, products: Mapping[str, Product], tables: Tables, period: Period, *, processes: int = 1
) -> Verification:
    """Compare what is stored of a period with what the verifier makes of its events.

    `tables` are the products as their files have them. What has no invoice and no draft, or one of usage that has
    changed since, is compared with what a run would make of it now.
    """
    with snapshot(engine) as connection:
        accounts = read_accounts(connection)
        rated, adjusted = _Rated(), adjusted_payers(connection, period)
        for each in _rate(_shares(connection, engine, period, tables, accounts, processes, adjusted), processes):
            rated.add(each)
        stored = _Stored.read(connection, period, products, accounts, adjusted)
        for payer in adjusted:
            stored.add_up(connection, payer, rated, accounts)
        differing, checked = list[Disagreement](), 0
        for origin, found in adjusting_documents(connection, period).items():
            shares = _shares(connection, engine, origin, tables, accounts, processes, frozenset(found), only=True)
            again, checked = _Rated(), checked + len(found)
            for each in _rate(shares, processes):
                again.add(each)
            differing += _compare_adjustments(connection, origin, found, again, stored)
        events, too_late = event_counts(connection, period)
        unrated = frozenset(each for each in unrated_events(connection, period) if each[3] != Reason.TOO_OLD)
        kinds = [kind for kind, source, *_ in unrated if not source.startswith(PREFIX)]
        return Verification(
            period=str(period),
            events=events,
            billed=events - too_late - len(kinds),
            zero_rated=kinds.count("zero_rated"),
            quarantined=kinds.count("quarantined"),
            too_late=too_late,
            accounts=len(stored.bills),
            lines=sum(len(bill.lines) for bill in stored.bills.values()),
            unbalanced_totals=unbalanced_totals(connection, period),
            disagreements=(
                *bill_disagreements(rated.bills, stored.bills),
                *unrated_disagreements(frozenset(rated.unrated), unrated),
                *differing,
            ),
            outdated=tuple(sorted(stored.outdated)),
            adjustments=checked,
        )


@dataclass(slots=True)
class _Stored:
    """What invoices and drafts say, and what is billed where there is none that is still true.

    The months of `adjusted` payers are on several of them.
    """

    period: Period
    newest: Mapping[int, str]
    adjusted: frozenset[int]
    bills: dict[str, Bill] = field(default_factory=dict)
    outdated: list[str] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        connection: Connection,
        period: Period,
        products: Mapping[str, Product],
        accounts: Accounts,
        adjusted: frozenset[int],
    ) -> "_Stored":
        """Read a period's invoices and drafts, and price what they do not cover."""
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        found: dict[str, Invoice] = {}
        for final in (False, True):
            found |= {invoice.party.account: invoice for invoice in all_invoices(connection, period, final=final)}
        pricer = Pricer.begin(connection, period, products, payers)
        stored = cls(period=period, newest=newest_digests(connection, period), adjusted=adjusted)
        numbers = sorted(payers)
        for start in range(0, len(numbers), CHUNK):
            stored.add(pricer, numbers[start : start + CHUNK], found)
        return stored

    def add(self, pricer: Pricer, numbers: Sequence[int], invoices: Mapping[str, Invoice]) -> None:
        """The bills of some payers. One whose totals cannot even be read has none, which is a disagreement."""
        for some, totals in pricer.read_each(numbers):
            digests = totals_sha256(totals)
            unbilled = []
            for number in some:
                account = pricer.payers[number].party.account
                invoice = invoices.get(account)
                if number in self.adjusted:
                    self.outdated += [account] * (self.newest[number] != digests.get(number, NO_TOTALS_SHA256))
                    continue
                if invoice is not None and invoice.billed_sha256 == digests.get(number, NO_TOTALS_SHA256):
                    self.add_own(invoice)
                    continue
                unbilled.append(number)
                if invoice is not None:
                    self.outdated.append(account)
            for priced in pricer.price(unbilled, totals_of(totals, unbilled)):
                for number, lines in lines_by_payer(priced, str(pricer.period)).items():
                    party = pricer.payers[number].party
                    self.bills[party.account] = _bill(party, lines, total_minor(lines))

    def add_own(self, invoice: Invoice) -> None:
        """An invoice without what it bills of earlier months; where that is all of it, there is nothing to compare."""
        own = [line for line in invoice.lines if line.origin_period == str(self.period)]
        others = [line for line in invoice.lines if line.origin_period != str(self.period)]
        if own or not invoice.adjusts:
            self.bills[invoice.party.account] = _bill(invoice.party, own, invoice.total_minor - total_minor(others))

    def add_up(self, connection: Connection, payer: int, rated: _Rated, accounts: Accounts) -> None:
        """What was billed for a payer's month by its invoice and what adjusted it, beside what it comes to now.

        Where usage has changed since, the next run adjusts it again: nothing is compared.
        """
        (account,) = (name for name, number in accounts.numbers.items() if number == payer)
        now, issued = rated.bills.pop(account, None), issued_lines(connection, self.period, [payer])[payer]
        if account in self.outdated:
            return
        digits = EXPONENTS[issued.currency]
        lines = [record(line_of(key, part, str(self.period)), issued.currency) for key, part in issued.lines.items()]
        sides = [added_up(each, period=str(self.period), digits=digits) for each in (now.lines if now else (), lines)]
        for bills, side in zip((rated.bills, self.bills), sides, strict=True):
            if side:
                bills[account] = Bill(currency=issued.currency, total=total(side, digits), lines=tuple(side))


def _compare_adjustments(
    connection: Connection, origin: Period, found: Mapping[int, Adjusting], again: _Rated, stored: _Stored
) -> Iterator[Disagreement]:
    """Where invoices and drafts adjust an earlier month otherwise than the verifier does; `found` by payer."""
    issued = issued_lines(connection, origin, list(found), before={payer: each.step for payer, each in found.items()})
    now = totals_sha256(read_totals(connection, origin, list(found)))
    expected, actual = dict[str, Bill](), dict[str, Bill]()
    for payer, each in found.items():
        if each.billed_sha256 != now.get(payer, NO_TOTALS_SHA256):
            # Of a document that is issued, the next one adjusts it again, and the month itself is where it is verified.
            stored.outdated += [] if each.final or each.account in stored.outdated else [each.account]
            continue
        digits, rated = EXPONENTS[each.currency], again.bills.get(each.account)
        before = issued[payer].lines if payer in issued else {}
        billed = [record(line_of(key, part, str(origin)), each.currency) for key, part in before.items()]
        ours = adjust(rated.lines if rated else (), billed, period=str(origin), digits=digits)
        theirs = [{**record(line, each.currency)} for line in each.lines]
        theirs = [{**line, "quantity": line["base_quantity"]} for line in theirs]
        subject = f"{each.account} {origin}"
        for bills, lines in ((expected, ours), (actual, theirs)):
            bills[subject] = Bill(currency=each.currency, total=total(lines, digits), lines=tuple(lines))
    yield from bill_disagreements(expected, actual)


def _bill(party: Party, lines: Sequence[InvoiceLine], total: int) -> Bill:
    records = tuple(record(line, party.currency) for line in lines)
    return Bill(currency=party.currency, total=format_minor(total, party.currency), lines=records)


def _shares(
    connection: Connection,
    engine: Engine,
    period: Period,
    tables: Tables,
    accounts: Accounts,
    processes: int,
    adjusted: frozenset[int],
    *,
    only: bool = False,
) -> list[_Share]:
    """The payers divided by their events: the largest first, to whoever has the least; `only`: those `adjusted`.

    Whoever is resold to is where its reseller is: both are charged for the same events.
    """
    above = _resellers(accounts)
    concerned = {above.get(payer, payer) for payer in adjusted}
    reported = Counter({above.get(payer, payer): 0 for payer, _ in events_by_payer(connection, period)})
    for payer, count in events_by_payer(connection, period):
        reported[above.get(payer, payer)] += count
    counts = [each for each in reported.most_common() if not only or each[0] in concerned]
    n = max(processes, -(-sum(count for _, count in counts) // EVENTS_AT_ONCE))
    loads, members = [0] * n, [set[int]() for _ in range(n)]
    for payer, count in counts:
        least = loads.index(min(loads))
        loads[least] += count
        members[least].add(payer)
    # Whoever used nothing may still owe a flat.
    idle = concerned if only else set(_payers(accounts).values())
    members[0] |= idle - dict(counts).keys() - {NOBODY}
    name = share_snapshot(connection)
    url = engine.url.render_as_string(hide_password=False)
    return [
        _Share(
            url=url,
            snapshot=name,
            period=period,
            payers=frozenset({*some, *(payer for payer, reseller in above.items() if reseller in some)}),
            others=place == 0 and not only,
            products=tables,
            adjusted=frozenset(payer for payer in adjusted if above.get(payer, payer) in some),
        )
        for place, some in enumerate(members)
    ]


def _resellers(accounts: Accounts) -> dict[int, int]:
    """Who is resold to, with the payer above it, by their numbers."""
    payers = _payers(accounts)
    names = (
        name
        for name, account in accounts.accounts.items()
        if not account.pays and is_billed(account, accounts.accounts, accounts.contracts)
    )
    return {accounts.numbers[name]: payers[name] for name in names}


def _payers(accounts: Accounts) -> dict[str, int]:
    """The number of each account's payer, `NOBODY` where nobody pays."""
    payers = {name: payer_of(name, accounts.accounts) for name in accounts.accounts}
    return {name: accounts.numbers[payer.id] if payer else NOBODY for name, payer in payers.items()}


def _rate(shares: Sequence[_Share], processes: int) -> Iterator[dict[str, Any]]:
    if processes == 1:
        yield from map(_rate_share, shares)
        return
    # Not forked: a copy of this process would hold its connections.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        yield from pool.map(_rate_share, shares)


def _end_with_parent() -> None:
    """End this process as soon as its parent has: one whose parent was killed would wait for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _used(connection: Connection, period: Period, payers: Collection[int]) -> dict[tuple[str, str], str]:
    """What credits paid on other invoices, in the words of the verifier."""
    known = read_accounts(connection)
    names = {number: known.accounts[name] for name, number in known.numbers.items()}
    used = credits_used(connection, period, [number for number in payers if number in names])
    return {
        (names[payer].id, credit): format_minor(minor, currency(names[payer].currency))
        for payer, of_credit in used.items()
        for credit, minor in of_credit.items()
    }


def _before(connection: Connection, share: _Share, payers: Collection[int]) -> dict[str, str]:
    """What the month before came to for support plans, by its invoices, in the words of the verifier."""
    known = read_accounts(connection)
    names = {number: known.accounts[name] for name, number in known.numbers.items()}
    aside = [str(each["id"]) for each in share.products if each.get("discountable") is False]
    bases = support_bases(connection, share.period.before(), [each for each in payers if each in names], aside)
    return {names[payer].id: format_minor(base.minor, currency(names[payer].currency)) for payer, base in bases.items()}


def _used_up(contracts: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """All promotional credits of contracts, as used up: a month that is adjusted has none."""
    return {(of["account"], each["id"]): each["amount"] for of in contracts for each in of.get("credits", ())}


def _rate_share(share: _Share) -> dict[str, Any]:
    engine = open_engine(share.url, connections=1)
    try:
        with transaction(engine) as connection:
            join_snapshot(connection, share.snapshot)
            wanted = share.payers | ({NOBODY} if share.others else frozenset())
            paid = {name for name, payer in _payers(read_accounts(connection)).items() if payer in wanted}
            events = chain(
                raw_events(connection, share.period, sorted(share.payers)),
                raw_quarantine(connection, share.period, sorted(paid), others=share.others),
            )
            contracts = [each for each in raw_contracts(connection) if each["account"] in paid]
            used = _used(connection, share.period, wanted - share.adjusted)
            if share.adjusted:
                frozen = frozen_contracts(connection, share.period, share.adjusted)
                contracts = as_billed(contracts, frozen)
                known = read_accounts(connection)
                of = {name for name, number in known.numbers.items() if number in share.adjusted}
                used |= _used_up(each for each in contracts if each["account"] in of)
                contracts = [{**each, "support": None} if each["account"] in of else each for each in contracts]
            return verifier.rate(
                period=str(share.period),
                events=events,
                cards=raw_cards(connection),
                products=share.products,
                accounts=[each for each in raw_accounts(connection) if each["id"] in paid],
                contracts=contracts,
                plan=PLAN,
                used=used,
                before=_before(connection, share, wanted),
            )
    finally:
        engine.dispose()
