"""Accounts, contracts and charges from files: one at the top of a TOML file, or many as `[[account]]` tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from billing.accounts import Account, read_account
from billing.charges import Charge, read_charge
from billing.contracts import Contract, overlapping, read_contract, subject
from billing.errors import InputFaultyError
from cli.world import products, read_toml
from rates.errors import Fault, TollbookError

T = TypeVar("T")


class Written(list[T]):
    """What files say. `places`: where in them each is written, by the name that faults call it by."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}


_Read = Callable[[Mapping[str, object], str], tuple[T | None, list[Fault]]]


def accounts_in(paths: Sequence[Path]) -> Written[Account]:
    """The accounts of some files. Raises InputFaultyError with every fault."""
    return read_all(paths, "account", read_account, lambda account: f"account {account.id}")


def contracts_in(paths: Sequence[Path]) -> Written[Contract]:
    """The contracts of some files, none from one day twice. Raises InputFaultyError with every fault."""
    found = read_all(paths, "contract", read_contract, subject)
    if faults := overlapping(found):
        with told_where(found.places):
            raise InputFaultyError(faults, place=", ".join(map(str, paths)))
    return found


def charges_in(paths: Sequence[Path]) -> Written[Charge]:
    """The charges of some files. Raises InputFaultyError with every fault."""
    return read_all(paths, "charge", partial(read_charge, products=products()), lambda charge: f"charge {charge.id}")


@contextmanager
def told_where(places: Mapping[str, str]) -> Iterator[None]:
    """Let what is refused say in which file it is written, in place of its name."""
    try:
        yield
    except InputFaultyError as error:
        faults = [replace(fault, place=_where(fault.place, places)) for fault in error.faults]
        raise InputFaultyError(faults, place=error.place) from error
    except TollbookError as error:
        error.place = _where(error.place, places)
        raise


def _where(place: str, places: Mapping[str, str]) -> str:
    """A place that begins with a name, with where that stands; names may have anything in them."""
    if place in places:
        return places[place]
    found = max((name for name in places if place.startswith(f"{name}: ")), key=len, default="")
    return f"{places[found]}: {place[len(found) + 2 :]}" if found else place


def read_all(paths: Sequence[Path], key: str, read: _Read[T], name_of: Callable[[T], str]) -> Written[T]:
    """What stands in files under a key, one or many. Raises InputFaultyError with every fault."""
    found = Written[T]()
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
            if value is not None:
                found.append(value)
                found.places[name_of(value)] = place
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
