"""What commands take from the machine: the time, the product files that come along, files, and where to say things."""

import getpass
import os
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rates.errors import Fault, TollbookError
from rates.products import Product, by_id, read_product, undeclared
from rates.reading import parse_toml

if TYPE_CHECKING:
    from rates.jurisdiction import States

OWN_PRODUCTS = "TOLLBOOK_PRODUCTS"
"""The variable that names a folder of product files beside those that come along."""


STATES = "TOLLBOOK_JURISDICTIONS"
"""The variable that names the table of area codes and exchanges by which jurisdictions are derived."""


class FileUnreadableError(TollbookError):
    """A file that was named cannot be read; `place` is its path."""


def now() -> datetime:
    """The time, as every flow is given it."""
    return datetime.now(UTC)


def actor() -> str:
    """Who is acting, for the audit log: the user of the operating system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def products() -> Mapping[str, Product]:
    """The products of `rates/catalogue` and those of one's own, by id. Raises InputFaultyError, FileUnreadableError."""
    return _products(os.environ.get(OWN_PRODUCTS, ""))


def states() -> "States | None":
    """The table by which jurisdictions are derived; None without one. Raises InputFaultyError, FileUnreadableError."""
    return _states(os.environ.get(STATES, ""))


@cache
def _states(path: str) -> "States | None":
    if not path:
        return None
    from rates.jurisdiction import read_states

    found, faults = read_states(read_text(Path(path)), path)
    if faults:
        from billing.errors import InputFaultyError

        raise InputFaultyError(faults, place=STATES)
    return found


def product_tables() -> list[dict[str, object]]:
    """The same files as plain tables, for what reads products by itself."""
    return [dict(table) for table in _product_tables(os.environ.get(OWN_PRODUCTS, "")).values()]


@cache
def _products(own: str) -> Mapping[str, Product]:
    read = {place: read_product(table, place) for place, table in _product_tables(own).items()}
    faults = [fault for _, found in read.values() for fault in found]
    found = {place: product for place, (product, _) in read.items() if product is not None}
    known = by_id([*found.values()])
    if not faults:
        faults = [fault for place, product in found.items() for fault in undeclared(product, known, place)]
    if faults:
        from billing.errors import InputFaultyError

        raise InputFaultyError(faults, place=OWN_PRODUCTS)
    return known


@cache
def _product_tables(own: str) -> Mapping[str, Mapping[str, object]]:
    """The tables of all product files by their places; one's own stands in place of one that has its id."""
    catalogue = files("rates").joinpath("catalogue")
    texts = {file.name: file.read_text("utf-8") for file in catalogue.iterdir() if file.name.endswith(".toml")}
    found = {place: tomllib.loads(texts[place]) for place in sorted(texts)}
    if own and not Path(own).is_dir():
        remedy = f"name the folder of your product files in {OWN_PRODUCTS}, or unset it"
        raise FileUnreadableError("is not a folder", place=own, remedy=remedy)
    of_id: dict[object, str] = {}
    for path in sorted(Path(own).glob("*.toml")) if own else ():
        table, faults = read_toml(path)
        if faults:
            raise FileUnreadableError(faults[0].problem, place=str(path), remedy=faults[0].remedy)
        name = str(table.get("id", ""))
        if name in of_id:
            problem, remedy = f"has the id of {of_id[name]}", "give each product an id of its own, or remove one"
            raise FileUnreadableError(problem, place=str(path), value=name, remedy=remedy)
        of_id |= {name: str(path)} if name else {}
        found = {place: each for place, each in found.items() if each.get("id") != name} | {str(path): table}
    return found


def dimensions() -> frozenset[str]:
    """The match dimensions that any product declares."""
    return frozenset(name for product in products().values() for name in product.dimensions)


@cache
def mappings() -> Mapping[str, Mapping[str, object]]:
    """The tables of the built-in dialects of `rates/dialects`, by name."""
    folder = sorted(files("rates").joinpath("dialects").iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): tomllib.loads(file.read_text(encoding="utf-8"))
        for file in folder
        if file.name.endswith(".toml")
    }


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; `-` is standard input. Raises FileUnreadableError."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises FileUnreadableError."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"byte {error.start + 1} is not UTF-8"
        raise FileUnreadableError(problem, place=str(path), remedy="save the file as UTF-8") from error


def read_toml(path: Path) -> tuple[dict[str, object], list[Fault]]:
    """The table of a TOML file, or the fault of it."""
    return parse_toml(read_text(path), str(path))


def unreadable(path: Path, error: OSError) -> FileUnreadableError:
    """What a file that cannot be opened is told as, by every command that takes files."""
    why = (error.strerror or str(error)).lower()
    return FileUnreadableError(f"cannot be read: {why}", place=str(path), remedy="check the path")
