"""Compiled cards as one Arrow stream, and back: so that not every process compiles every card.

A pack holds the arrays of all its cards end to end, one column for each type of array, and in the metadata of its
schema a tree that says which stretch of which column stands where in which card. A thousand small cards or one of
250,000 rows: as many columns.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from hashlib import sha256
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rates import prefixes, usage
from rates.compiled import calendars, chargings, patterns, shapes, tables
from rates.compiled import cards as cardtables
from rates.compiled.cards import CardTable
from rates.errors import TollbookError
from rates.products import Product

Array = NDArray[Any]
Buffer = Any  # Arrow publishes no types
Tree = Any  # what JSON writes and reads

_ROOMS = (calendars, cardtables, chargings, patterns, prefixes, shapes, tables, usage)
_TREE = b"tollbook.cards"
_UNLIKE_A_PACK = (ValueError, TypeError, LookupError, AttributeError)
_LEFT_OUT = "products"  # given to whoever unpacks: they are the caller's, not the card's


class PackInvalidError(TollbookError):
    """Bytes are not a pack of compiled cards, or one of another version of this program."""


def pack(cards: Mapping[str, CardTable]) -> Buffer:
    """Compiled cards by name, as an Arrow stream."""
    packer = _Packer()
    tree = packer.take_apart(dict(cards))
    columns = {name: _column(parts) for name, parts in packer.arrays.items()}
    batch = pa.record_batch(list(columns.values()), names=list(columns))
    sink = pa.BufferOutputStream()
    schema = batch.schema.with_metadata({_TREE: json.dumps(tree, separators=(",", ":"))})
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def unpack(data: Buffer, products: Mapping[str, Product]) -> dict[str, CardTable]:
    """The cards of a pack. `products` are those that the cards were compiled with: see `fingerprint`.

    The arrays are read-only. Raises PackInvalidError.
    """
    try:
        with pa.ipc.open_stream(data) as reader:
            tree = json.loads(reader.schema.metadata[_TREE])
            batch = reader.read_next_batch()
        columns = {name: batch[name].values.to_numpy(zero_copy_only=True) for name in batch.schema.names}
        cards: dict[str, CardTable] = _put_together(tree, columns, {_LEFT_OUT: products})
        # A zone's rules may have changed since, or the database of zones that is installed.
        current = all(card.calendar is None or card.calendar.is_current for card in cards.values())
    except (pa.ArrowException, OSError, StopIteration, *_UNLIKE_A_PACK) as error:
        raise PackInvalidError(f"is not a pack of compiled cards: {error}", remedy="compile them again") from error
    if not current:
        raise PackInvalidError("was compiled with other rules of a time zone", remedy="compile the cards again")
    return cards


def fingerprint(products: Mapping[str, Product]) -> str:
    """SHA-256 of all that products say: what is compiled with some holds for no others."""
    return sha256(repr(_plain({product.id: product for product in products.values()})).encode()).hexdigest()


class _Packer:
    """Takes values apart into a tree and arrays by type."""

    def __init__(self) -> None:
        self.arrays: dict[str, list[Array]] = {}
        self._filled: dict[str, int] = {}

    def take_apart(self, value: object) -> Tree:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, np.ndarray):
            return {"array": self._stretch(value)}
        if isinstance(value, Mapping):
            return {"map": [[self.take_apart(key), self.take_apart(each)] for key, each in value.items()]}
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return [self.take_apart(each) for each in value]
        named = {name: self.take_apart(each) for name, each in _named(value) if name != _LEFT_OUT}
        return {"is": _name(type(value)), "of": named}

    def _stretch(self, array: Array) -> list[object]:
        """Where an array stands: type, start, count."""
        name, start = array.dtype.name, self._filled.get(array.dtype.name, 0)
        if array.ndim != 1:
            raise TypeError(f"an array of {array.ndim} dimensions cannot be packed")
        self.arrays.setdefault(name, []).append(array)
        self._filled[name] = start + len(array)
        return [name, start, len(array)]


def _column(parts: list[Array]) -> pa.Array:
    """All arrays of a type as one cell; flags as bytes, since Arrow's bits would have to be copied out."""
    joined = np.concatenate(parts)
    cells = pa.array(joined.view(np.uint8) if joined.dtype == np.bool_ else joined)
    return pa.LargeListArray.from_arrays(pa.array([0, len(cells)], pa.int64()), cells)


def _put_together(tree: Tree, columns: Mapping[str, Array], given: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if isinstance(tree, list):
        return tuple([_put_together(each, columns, given) for each in tree])
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        name, start, count = tree["array"]
        cells = columns[name][start : start + count]
        return cells.view(np.bool_) if name == "bool" else cells
    if "map" in tree:
        return {_put_together(key, columns, given): _put_together(each, columns, given) for key, each in tree["map"]}
    kind = _CLASSES[tree["is"]]
    named = {name: _put_together(each, columns, given) for name, each in tree["of"].items()}
    return kind(**named, **given) if kind is CardTable else kind(**named)


def _named(value: object) -> Iterator[tuple[str, object]]:
    """The fields of a dataclass or named tuple of the modules that compiled cards are made of."""
    if _CLASSES.get(_name(type(value))) is not type(value):
        raise TypeError(f"{type(value).__qualname__} cannot be packed")
    names = [each.name for each in fields(value) if each.init] if is_dataclass(value) else value._fields  # type: ignore[attr-defined]
    return ((name, getattr(value, name)) for name in names)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _classes(room: ModuleType) -> Iterator[type]:
    """The dataclasses and named tuples that a module defines."""
    for value in vars(room).values():
        own = isinstance(value, type) and value.__module__ == room.__name__
        if own and (is_dataclass(value) or hasattr(value, "_fields")):
            yield value


_CLASSES: Mapping[str, type] = {_name(kind): kind for room in _ROOMS for kind in _classes(room)}


def _plain(value: object) -> object:
    """A value of a product with all sets and mappings in order, so that it is written the same in every process."""
    if isinstance(value, Mapping):
        return [(key, _plain(value[key])) for key in sorted(value)]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return [(each.name, _plain(getattr(value, each.name))) for each in fields(value)]
    return value
