"""Reports settled among each other: of each event the highest revision stands, whatever came first."""

from itertools import repeat
from typing import NamedTuple

import numpy as np

from billing.revisions import VOID_FINGERPRINT
from billing.usage import Parsed
from rates.usage import Int64s


class Settled(NamedTuple):
    """What becomes of reports, by their positions among the payloads.

    `standing` are rows of the usage (int64), in their order: what is in force. The others say again what an earlier one
    of the same revision said (`duplicates`), contradict it (`conflicts`: the first stands), or have a higher revision
    above them (`superseded`).
    """

    standing: Int64s
    duplicates: tuple[int, ...]
    conflicts: tuple[int, ...]
    superseded: tuple[int, ...]


def settle(parsed: Parsed) -> Settled:
    """What stands of all reports together, those of one revision in the order in which they came."""
    usage, voids = parsed.usage, parsed.voids
    sources = (usage.source.values[code] for code in usage.source.codes.tolist())
    revisions, prints = usage.revision.tolist(), usage.fingerprint.to_pylist()
    names = usage.id.to_pylist()
    reports = [*zip(usage.row.tolist(), sources, names, revisions, prints, range(len(usage)), strict=True)]
    if voids:
        told = (voids.row.tolist(), voids.source, voids.id, voids.revision.tolist())
        reports = sorted([*reports, *zip(*told, repeat(VOID_FINGERPRINT), repeat(-1), strict=False)])
    first: dict[tuple[str, str, int], bytes] = {}
    highest: dict[tuple[str, str], tuple[int, int, int]] = {}
    again: dict[bool, list[int]] = {True: [], False: []}
    superseded = []
    for row, source, name, revision, content, place in reports:
        if (source, name, revision) in first:
            again[content == first[source, name, revision]].append(row)
            continue
        first[source, name, revision] = content
        stands = highest.get((source, name))
        if stands is not None:
            superseded.append(min((revision, row), stands[:2])[1])
        if stands is None or revision > stands[0]:
            highest[source, name] = (revision, row, place)
    standing = sorted(place for _, _, place in highest.values() if place >= 0)
    return Settled(
        standing=np.array(standing, dtype=np.int64),
        duplicates=tuple(again[True]),
        conflicts=tuple(again[False]),
        superseded=tuple(sorted(superseded)),
    )
