"""Reports of events in several revisions, and what must come of them, worked out without the program."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.shop import call

Report = dict[str, object]

CONTENTS: Sequence[Mapping[str, object]] = [
    {},
    {"duration_seconds": "200"},
    {"account": "beta"},
    {"account": "nobody"},
    {"to": "+14155550100"},
    {"to": "+33123456789"},
    {"occurred_at": "2026-09-30T23:59:59Z"},
    {"occurred_at": "2026-10-31T23:59:59Z"},
    {"occurred_at": "2026-11-01T00:00:00Z"},
    {"status": "busy"},
    {"status": "ringing"},
    {"product": "sms.outbound", "duration_seconds": None, "segments": "3", "status": "failed"},
    {"product": "sms.outbound", "duration_seconds": None, "segments": "3", "status": "delivered"},
]
"""What an event may say: charged, not charged, charged to another, in another month, waiting, or only a fee."""

WAITS = frozenset({3, 5})
VOID = -1


def report(number: int, revision: int, content: int) -> Report:
    """One report; the content is a place in `CONTENTS`, or `VOID`."""
    if content == VOID:
        return {"id": f"call-{number}", "revision": revision, "void": True}
    return call(number, **CONTENTS[content], **({"revision": revision} if revision > 1 else {}))


Told = tuple[int, int, int]
"""An event's number, the revision, the content."""

HISTORIES: st.SearchStrategy[list[Told]] = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(1, 4)), st.integers(VOID, len(CONTENTS) - 1), max_size=18
).map(lambda found: [(*key, content) for key, content in found.items()])
"""One content for each revision of some events."""


def winners(history: Iterable[Told]) -> list[Report]:
    """What is in force in the end, as if it had been reported at once."""
    highest: dict[int, Told] = {}
    for told in history:
        if told[1] > highest.get(told[0], told)[1] or told[0] not in highest:
            highest[told[0]] = told
    return [report(number, 1, content) for number, _, content in highest.values() if content != VOID]


@dataclass(slots=True)
class Model:
    """What is known of each event: the content of each revision."""

    known: dict[int, dict[int, int]] = field(default_factory=dict)

    def take(self, chunk: Sequence[Told]) -> list[str]:
        """What each report of a chunk is told, and note it."""
        before = {number: max(revisions) for number, revisions in self.known.items()}
        after = dict(before)
        for number, revision, _ in chunk:
            after[number] = max(revision, after.get(number, 0))
        found = []
        for number, revision, content in chunk:
            revisions = self.known.setdefault(number, {})
            if revision in revisions:
                found.append("duplicate" if revisions[revision] == content else "conflict")
            elif revision == after[number]:
                found.append("quarantined" if content in WAITS else "accepted")
            else:
                found.append("superseded")
            revisions.setdefault(revision, content)
        return found
