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

from rates.errors import Fault, TollbookError
from rates.products import Product, by_id, read_product
from rates.reading import parse_toml


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


@cache
def products() -> Mapping[str, Product]:
    """The products of `rates/catalogue`, by id."""
    found = []
    for file in sorted(files("rates").joinpath("catalogue").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            product, faults = read_product(tomllib.loads(file.read_text(encoding="utf-8")), file.name)
            if product is None:
                raise AssertionError(f"a product file that comes along is faulty: {faults}")
            found.append(product)
    return by_id(found)


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


def product_tables() -> list[dict[str, object]]:
    """The same files as plain tables, for what reads products by itself."""
    folder = files("rates").joinpath("catalogue")
    return [tomllib.loads(f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith(".toml")]


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
