"""Accounts, contracts and charges from files: one at the top of a TOML file, or many as `[[account]]` tables."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from billing.accounts import Account, read_account
from billing.charges import Charge, read_charge
from billing.contracts import Contract, read_contract
from billing.errors import InputFaultyError
from cli.world import products, read_toml
from rates.errors import Fault

T = TypeVar("T")
_Read = Callable[[Mapping[str, object], str], tuple[T | None, list[Fault]]]


def accounts_in(paths: Sequence[Path]) -> list[Account]:
    """The accounts of some files. Raises InputFaultyError with every fault."""
    return _all(paths, "account", read_account)


def contracts_in(paths: Sequence[Path]) -> list[Contract]:
    """The contracts of some files. Raises InputFaultyError with every fault."""
    return _all(paths, "contract", read_contract)


def charges_in(paths: Sequence[Path]) -> list[Charge]:
    """The charges of some files. Raises InputFaultyError with every fault."""
    return _all(paths, "charge", partial(read_charge, products=products()))


def _all(paths: Sequence[Path], key: str, read: _Read[T]) -> list[T]:
    found: list[T] = []
    faults: list[Fault] = []
    for path in paths:
        table, broken = read_toml(path)
        faults += broken
        for place, one in _tables(table, key, path.name) if not broken else ():
            if not isinstance(one, Mapping):
                faults.append(Fault(place=place, value="", problem="is not a table", remedy=f"write [[{key}]]"))
                continue
            value, wrong = read(one, place)
            faults += wrong
            found += [value] if value is not None else []
    if faults:
        raise InputFaultyError(faults, place=", ".join(map(str, paths)))
    return found


def _tables(table: Mapping[str, object], key: str, name: str) -> list[tuple[str, object]]:
    """What stands under `key`, one table or many; without it the whole file is one."""
    if set(table) != {key}:
        return [(name, table)]
    under = table[key]
    if isinstance(under, list) and under:
        return [(f"{name}: {key}[{i}]", one) for i, one in enumerate(under)]
    return [(f"{name}: {key}", under)]
