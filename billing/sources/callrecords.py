"""Files of call records as chunks of payloads: the dialects that are known, and the one way through all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from billing.chunks import Chunk
from billing.sources.asterisk import ASTERISK
from billing.sources.calls import Dialect, Plain, Stated
from billing.sources.freeswitch import FREESWITCH
from billing.sources.kamailio import KAMAILIO
from billing.sources.occurrences import Occurrences
from billing.sources.records import RECORDS_A_SHEET, Layout, read_sheets
from billing.sources.twilio import TWILIO_CALLS, TWILIO_MESSAGES
from billing.written import Column

DIALECTS: Mapping[str, Dialect] = {
    dialect.id: dialect for dialect in (ASTERISK, FREESWITCH, KAMAILIO, TWILIO_CALLS, TWILIO_MESSAGES)
}

_ESCAPED = ("\\", '"')


@dataclass(slots=True, kw_only=True)
class CallRecords:
    """A file of call records. `earliest` and `latest`: the instants of what was read so far, as payloads have them."""

    dialect: Dialect
    stated: Stated
    file: str
    earliest: str = ""
    latest: str = ""

    def chunks(self, stream: BinaryIO, *, records: int = RECORDS_A_SHEET) -> Iterator[Chunk]:
        """The usage in the file, plain or gzipped, at most `records` records at a time.

        What is no usage is in the chunks' `refused`. Raises StreamUnreadableError where the stream breaks off, after
        the records that were whole, and where the file's columns are not known.
        """
        reading, occurrences = self.dialect.begin(self.dialect, self.stated), Occurrences()
        head = b""
        for sheet in read_sheets(stream, layout_of(self.dialect, self.stated), file=self.file, rows=records):
            head = sheet.header and sheet.header + b"\n"
            yield from self._chunk(reading(sheet), occurrences, head)
        yield from self._chunk(reading(None), occurrences, head)

    def _chunk(self, plain: Plain, occurrences: Occurrences, head: bytes) -> Iterator[Chunk]:
        if not plain.lines:
            if plain.refused:
                yield Chunk([], [], refused=plain.refused, head=head)
            return
        bounds = pc.min_max(plain.fields["occurred_at"]).as_py()
        self.earliest = min(self.earliest or bounds["min"], bounds["min"])
        self.latest = max(self.latest, bounds["max"])
        payloads = payloads_of({**plain.fields, "id": _ids(plain, occurrences)})
        yield Chunk(payloads, plain.lines, refused=plain.refused, originals=plain.originals, head=head)


def layout_of(dialect: Dialect, stated: Stated) -> Layout:
    """How the columns of a file are found."""
    return Layout(
        header=lambda cells: dialect.header(cells, stated),
        orders=(stated.fields,) if stated.fields else dialect.orders,
        needed=", ".join(dialect.columns_needed(stated)),
        multiline=dialect.multiline,
    )


def _ids(plain: Plain, occurrences: Occurrences) -> Column:
    """The records' own ids, and those that are made for records without one."""
    own = plain.fields["id"]
    without = np.flatnonzero(pc.equal(own, "").to_numpy(zero_copy_only=False)).tolist()
    if not without:
        return own
    ids = own.to_pylist()
    for row, made in zip(without, occurrences.ids([plain.digests[row] for row in without]), strict=True):
        ids[row] = made
    return pa.array(ids, pa.string())


def payloads_of(fields: Mapping[str, Column]) -> Sequence[bytes]:
    """Columns of texts as n JSON objects of strings; a field is left out where its text is empty."""
    parts = []
    for name, text in fields.items():
        escaped = text
        for character in _ESCAPED:
            escaped = pc.replace_substring(escaped, character, f"\\{character}")
        key, quote = pa.scalar(f'"{name}": "'), pa.scalar('"')
        stated = pc.binary_join_element_wise(key, escaped, quote, "")
        parts.append(pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), stated))
    joined = pc.binary_join_element_wise(*parts, ", ", null_handling="skip")
    whole = pc.binary_join_element_wise(pa.scalar("{"), joined, pa.scalar("}"), "")
    found: Sequence[bytes] = whole.cast(pa.binary()).to_pylist()
    return found
