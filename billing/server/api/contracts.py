"""Contracts: which there are, adding some, and what new ones would change."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billing.contracts import Contract, overlapping, read_contract
from billing.errors import InputFaultyError
from billing.flows import publish
from billing.flows.let_out import changed_record, let_out
from billing.server.api.parties import ContractsGiven, ContractTold, PartiesTold, read_all
from billing.server.callers import Bookkeeper, Operator, Reader
from billing.server.paging import cursor_of, place_of
from billing.server.shapes import Page, Paged, Text
from billing.server.sight import see_account
from billing.server.world import InWorld
from billing.store.queries.accounts import changed_terms, contract_page
from billing.termsheets import Held, held_record

router = APIRouter(tags=["contracts"])


class Listing(Paged):
    """Which contracts."""

    account: Text = Field(default="", description="Only those of this account itself.")


class TermChanged(BaseModel):
    """A term of a contract beside the one in force on its first day."""

    account: str
    effective_from: date
    term: Annotated[str, Field(examples=["discount off voice.*"])]
    before: str
    after: str
    change: Annotated[str, Field(examples=["new", "ended", "raised", "lowered", "changed", "moved", "unchanged"])]


class TermsChanged(BaseModel):
    """What contracts would change; `differing` of them change something."""

    differing: int
    items: list[TermChanged]


@router.get("/v1/contracts")
def contracts(world: InWorld, key: Reader, asked: Annotated[Listing, Query()]) -> Page[ContractTold]:
    """Contracts by account and day; a customer's are its own, and those of the accounts that it pays for."""
    name, day = map(str, place_of(asked.cursor, ("", "")))
    if asked.account:
        see_account(world, key, asked.account)
    with world.reading() as connection:
        found = contract_page(
            connection, payer=key.account, account=asked.account, after=(name, day), limit=asked.limit + 1
        )
    page, today = found[: asked.limit], world.clock().date()
    last = page[-1].contract if len(found) > asked.limit else None
    items = [
        ContractTold.model_validate(
            {
                "account": each.contract.account,
                "resells": each.contract.resells,
                **held_record(Held(each.contract, each.until), today),
            }
        )
        for each in page
    ]
    return Page(items=items, next=None if last is None else cursor_of((last.account, str(last.effective_from))))


@router.post("/v1/contracts")
def add_contracts(world: InWorld, key: Bookkeeper, given: ContractsGiven, *, dry_run: bool = False) -> PartiesTold:
    """Add contracts, and let out of the quarantine what waited for them. The same again changes nothing.

    A contract is never edited, the next one follows it. One from the past that charges otherwise what was rated is
    refused: 409.
    """
    found = _read(given)
    at, actor = world.clock(), key.name
    changed = publish.add_contracts(
        world.unhurried, found, world.products, at=at, actor=actor, kept=world.kept, dry_run=dry_run
    )
    released = let_out(world.unhurried, world.products, changed, at=at, actor=actor, kept=world.kept)
    return PartiesTold.model_validate(
        {
            **changed_record(changed, released),
            "dry_run": dry_run,
            "given": len(found),
            "added": changed.added,
            "changed": changed.altered,
            "unchanged": len(dict.fromkeys(found)) - changed.added - changed.altered,
        }
    )


@router.post("/v1/contracts/diff")
def diff(world: InWorld, key: Operator, given: ContractsGiven) -> TermsChanged:
    """What contracts change against those in force on their first day, term by term; cards by their places.

    Stores nothing.
    """
    del key
    with world.reading() as connection:
        found = changed_terms(connection, _read(given))
    items = [
        TermChanged(
            account=contract.account,
            effective_from=contract.effective_from,
            term=each.term,
            before=each.before,
            after=each.after,
            change=each.change,
        )
        for contract, terms in found
        for each in terms
    ]
    return TermsChanged(
        differing=sum(any(each.change != "unchanged" for each in terms) for _, terms in found), items=items
    )


def _read(given: ContractsGiven) -> list[Contract]:
    found = read_all(given.contracts, "contracts", read_contract)
    if faults := overlapping(found):
        raise InputFaultyError(faults, place="contracts")
    return found
