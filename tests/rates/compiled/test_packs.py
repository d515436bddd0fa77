"""Compiled cards as one stream and back, whole or not at all."""

import os
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from rates.cardfile import read_card
from rates.cards import Card
from rates.compiled.cards import compile_card
from rates.compiled.packs import PackInvalidError, fingerprint, pack, unpack
from tests.rates.test_rating_naive import PRODUCTS, Generator
from tests.shop import card, products

FINGERPRINT = (
    "from rates.compiled.packs import fingerprint; from tests.shop import products; print(fingerprint(products()))"
)


def leaves(value: object, place: str = "card") -> dict[str, object]:
    """All that a compiled card says, by where it stands in it."""
    if isinstance(value, np.ndarray):
        return {f"{place} {value.dtype}": value.tolist()}
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in leaves(each, f"{place}[{key}]").items()}
    if is_dataclass(value):
        named = [(each.name, getattr(value, each.name)) for each in fields(value)]
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", None) or map(str, range(len(value)))
        named = list(zip(names, value, strict=True))
    else:
        return {place: value}
    found = {f"{place} is": type(value)}
    return found | {
        k: v for name, each in named if name != "products" for k, v in leaves(each, f"{place}.{name}").items()
    }


def of_many_shapes() -> list[Card]:
    return [draft.card() for versions in Generator(8).cards(6, 60) for draft in versions]


def test_cards_come_back_as_they_were_compiled() -> None:
    cards = {str(i): compile_card(each, PRODUCTS, rate_base=100 * i) for i, each in enumerate(of_many_shapes())}
    for each in cards.values():
        for product, element in each.parts:
            each.table(product, element)
    back = unpack(pack(cards), PRODUCTS)
    assert list(cards) == list(back)
    for name, each in cards.items():
        assert leaves(each) == leaves(back[name])
        assert back[name].products is PRODUCTS


def test_a_table_that_was_not_made_yet_is_made_of_what_came_back() -> None:
    compiled = compile_card(card(), products())
    back = unpack(pack({"x": compiled}), products())["x"]
    assert {} == back.tables
    asked = "voice.outbound", "usage"
    assert leaves(compiled.table(*asked)) == leaves(back.table(*asked))


def test_what_is_no_pack_says_so() -> None:
    whole = pack({"x": compile_card(card(), products())})
    other = pa.BufferOutputStream()
    with pa.ipc.new_stream(other, pa.schema([("n", pa.int64())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([1])], names=["n"]))
    for data in (b"", b"no stream", whole[: len(whole) // 2], whole[:40], other.getvalue()):
        with pytest.raises(PackInvalidError):
            unpack(data, products())


def test_whatever_a_product_says_changes_the_fingerprint() -> None:
    voice = products()["voice.outbound"]
    rule = voice.rules[0]
    changes = [
        replace(voice, match=("to", "number_type", "from")),
        replace(voice, country_of="from"),
        replace(voice, units={"second": 1}),
        replace(voice, required=frozenset({"usage", "setup"})),
        replace(voice, rules=(replace(rule, billable={"status": frozenset({"completed"})}),)),
    ]
    found = [fingerprint(products()), *(fingerprint({**products(), voice.id: each}) for each in changes)]
    assert len(found) == len(set(found))
    assert fingerprint(products()) == fingerprint(dict(reversed(products().items())))


def test_every_process_has_the_same_fingerprint() -> None:
    # Sets of texts have another order in each process.
    command = [sys.executable, "-c", FINGERPRINT]
    found = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in "123"
    }
    assert {fingerprint(products()).encode() + b"\n"} == found


def windowed(zone: str = "Europe/Paris") -> Card:
    text = f"""
id = "c"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
timezone = "{zone}"
[windows.peak]
days = ["mon"]
from = "08:00"
to = "20:00"
split = true
[[rate]]
product = "voice.outbound"
unit = "minute"
window = "peak"
price = "0.123456789012"
max_charge = "999999999999.123456789012"
[[rate]]
product = "voice.outbound"
unit = "minute"
steps = "0:1 60:2"
prefixes = ["44"]
[[rate]]
product = "voice.outbound"
unit = "minute"
price = "2"
"""
    card, faults = read_card(text, {}, products())
    assert card is not None, faults
    return card


def test_windows_steps_and_limits_come_back_as_they_were_compiled() -> None:
    compiled = compile_card(windowed(), products())
    compiled.table("voice.outbound", "usage")
    back = unpack(pack({"x": compiled}), products())["x"]
    assert leaves(compiled) == leaves(back)


def test_a_pack_with_other_rules_of_its_zone_is_no_pack_any_more() -> None:
    compiled = compile_card(windowed(), products())
    assert compiled.calendar is not None
    other = replace(compiled.calendar, offsets=compiled.calendar.offsets + 60)
    with pytest.raises(PackInvalidError, match="other rules of a time zone"):
        unpack(pack({"x": replace(compiled, calendar=other)}), products())
