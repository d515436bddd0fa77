"""What is read of strange files is kept: a database refuses nothing of it otherwise than by a named error."""

import io
import json
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import strategies as st

from billing.accounts import read_account
from billing.contracts import read_contract
from billing.flows.ingest import import_usage
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.sources.callrecords import DIALECTS, CallRecords
from billing.sources.ndjson import read_chunks
from billing.store.engine import Engine
from rates.cardfile import card_from_table
from tests.callrecords import PARIS
from tests.decks import PRODUCTS
from tests.fuzz.fuzzing import fuzz, tried
from tests.fuzz.mutations import JSON_VALUES, TOML_VALUES, altered
from tests.fuzz.seeds import card_tables
from tests.fuzz.test_fuzz_call_records import AT, strange_calls, written
from tests.fuzz.test_fuzz_parties import ACCOUNTS, CONTRACTS
from tests.fuzz.test_fuzz_usage import EVENTS
from tests.shop import Shop


def test_usage_of_strange_values_is_stored_or_rejected(engine: Engine) -> None:
    @fuzz(st.lists(altered(EVENTS, JSON_VALUES), min_size=1, max_size=8), examples=15)
    def strange_usage_in_a_database(events: list[dict[str, Any]]) -> None:
        data = b"\n".join(json.dumps(event).encode() for event in events)
        chunks = read_chunks(io.BytesIO(data))
        counts = import_usage(engine, "switch", chunks, products=PRODUCTS, at=AT)
        assert len(events) == sum(counts.values())

    strange_usage_in_a_database()


def test_strange_call_records_are_stored_or_refused(engine: Engine) -> None:
    @fuzz(strange_calls(), examples=15)
    def strange_calls_in_a_database(file: tuple[str, list[list[str]]]) -> None:
        name, rows = file
        stated = replace(PARIS, account="acme")
        records = CallRecords(dialect=DIALECTS[name], stated=stated, file="calls.csv")
        tried(lambda: import_usage(engine, name, records.chunks(io.BytesIO(written(rows))), products=PRODUCTS, at=AT))

    strange_calls_in_a_database()


def test_strange_parties_and_cards_are_kept_or_refused(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    number = count()
    accounts, contracts = ACCOUNTS[0]["account"][:1], CONTRACTS[0]["contract"]

    @fuzz(
        st.tuples(altered(accounts, TOML_VALUES), altered(contracts, TOML_VALUES), altered(card_tables(), TOML_VALUES)),
        examples=10,
    )
    def strange_parties_and_cards_in_a_database(drawn: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]) -> None:
        account, _ = read_account(drawn[0], "file.toml")
        if account is not None:
            tried(lambda: add_accounts(shop.engine, [account], at=AT, actor="finance"))
        contract, _ = read_contract(drawn[1], "file.toml")
        if contract is not None:
            tried(lambda: add_contracts(shop.engine, [contract], PRODUCTS, at=AT, actor="finance"))
        card, _ = card_from_table({**drawn[2], "id": f"card{next(number)}"}, {}, PRODUCTS)
        if card is not None:
            tried(lambda: publish(shop.engine, card, PRODUCTS, at=AT, actor="finance"))

    strange_parties_and_cards_in_a_database()
