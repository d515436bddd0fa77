"""Compiled cards on disk, so that a command does not compile 250,000 rows before it rates the first event.

A cache and nothing more: whatever is missing, broken, or another's is compiled again, and whatever cannot be written
is not. A file appears whole, under a name that says which copy of which card was compiled, by which code, with which
products; so several processes, versions of the program and databases share a folder.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile

from rates.compiled.cards import CardTable
from rates.compiled.packs import Buffer, PackInvalidError, fingerprint, pack, unpack
from rates.products import Product

MOST_BYTES = 2 * 2**30
"""How much is kept; what has not been read for longest goes first."""

_APART = 2_000
"""A card of more rows has a file of its own; all others share one."""

_MANY = 100
"""So many small cards are worth a look at their file; fewer are compiled in no time."""

_SHARED = "small"
_DIGEST_BYTES = 32


def _code() -> str:
    """SHA-256 of the code that compiles: other code may match or number other rows."""
    folders = (files("rates"), files("rates") / "compiled")
    found = (each for folder in folders for each in folder.iterdir() if each.name.endswith((".py", ".pyc")))
    sources = sorted((each.name, each.read_bytes()) for each in found)
    return sha256(b"\0".join(name.encode() + b"\0" + code for name, code in sources)).hexdigest()


# When the program starts: what is imported is what is read here, also if the files are replaced later.
_CODE = _code()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledCards:
    """The compiled cards in a folder, each under the name of its stored copy (`CardVersion.stored_as`)."""

    folder: Path
    most_bytes: int = MOST_BYTES

    def load(self, wanted: Mapping[str, int], products: Mapping[str, Product]) -> dict[str, CardTable]:
        """Of the wanted cards (name -> number of rows) those that are there."""
        packs = {name for name, rows in wanted.items() if rows > _APART}
        if len(wanted) - len(packs) >= _MANY:
            packs.add(_SHARED)
        if not packs or not self._is_ours():
            return {}
        variant, found = _variant(products), dict[str, CardTable]()
        for name in sorted(packs):
            found |= _read(self.folder / _file_name(name, variant), products)
        return {name: card for name, card in found.items() if name in wanted}

    def keep(self, cards: Mapping[str, CardTable], new: Collection[str], products: Mapping[str, Product]) -> None:
        """Write those of the cards in use that are new, as far as it is worth it."""
        small = {name: card for name, card in cards.items() if len(card.terms) <= _APART}
        packs = {name: {name: cards[name]} for name in new if name not in small}
        if len(small.keys() & set(new)) >= _MANY:
            packs[_SHARED] = small
        if not packs:
            return
        variant = _variant(products)
        # No space, no permission, no folder: they will be compiled again.
        with suppress(OSError):
            self._make()
            if self._is_ours():
                for name, some in packs.items():
                    self._write(name, variant, pack(some))
                self._prune()

    def _write(self, name: str, variant: str, stream: Buffer) -> None:
        path = self.folder / _file_name(name, variant)
        with NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
            try:
                file.write(stream)
                file.write(sha256(stream).digest())
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        for other in self.folder.glob(_file_name(name, "*")):
            if other != path:
                other.unlink(missing_ok=True)  # of other code or other products

    def _make(self) -> None:
        if self.folder.exists():
            return
        self.folder.mkdir(mode=0o700, parents=True)
        owner = self.folder.parent.stat()
        if os.geteuid() == 0 != owner.st_uid:
            os.chown(self.folder, owner.st_uid, owner.st_gid)  # a root in a user's folder: the user comes again

    def _is_ours(self) -> bool:
        """Whether nobody else could have put prices there."""
        with suppress(OSError):
            found = self.folder.stat()
            return os.geteuid() in {0, found.st_uid} and not found.st_mode & 0o022
        return False

    def _prune(self) -> None:
        """Keep what was read last."""
        found = [(path.stat(), path) for path in self.folder.iterdir()]
        room = self.most_bytes
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime_ns, reverse=True):
            room -= stat.st_size
            if room < 0:
                path.unlink(missing_ok=True)


def _variant(products: Mapping[str, Product]) -> str:
    return sha256(f"{_CODE} {fingerprint(products)}".encode()).hexdigest()[:16]


def _file_name(name: str, variant: str) -> str:
    return f"{name}-{variant}.arrow"


def _read(path: Path, products: Mapping[str, Product]) -> dict[str, CardTable]:
    """The cards of a file, none if it is not there or not whole."""
    try:
        data = memoryview(path.read_bytes())
        os.utime(path)  # it was of use just now
    except OSError:
        return {}
    stream, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if sha256(stream).digest() != digest:
        return {}
    try:
        return unpack(stream, products)
    except PackInvalidError:
        return {}
