"""What an import came to, as it is told: counts by result and reason, the first faults, and the exit code."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cli.exits import Exit
from cli.output import Format, emit, emit_json, number, printable, say, text

if TYPE_CHECKING:
    from billing.receipts import Taken

SHOWN = 10
"""Lines that were not taken and are shown one by one; the rest is counted."""

KINDS = 50
"""Kinds of faults that are counted one by one: a stream that is garbage is told as briefly as any other."""

OTHER_FAULTS = "other faults"

STATUSES = 20
"""Statuses that are not billed and are counted one by one: a misspelt one is to be seen among those that are meant."""

OTHER_STATUSES = "others"
OUTCOMES = ("accepted", "quarantined", "superseded", "duplicate", "conflict", "rejected")

_RESULTS = (
    text("outcome", "result"),
    text("reason"),
    number("events"),
    number("first_line", "first line"),
    text("meaning", "what it means", faint=True),
)
_MEANINGS = {  # {stored} and {refused}: of a dry run, what would be
    "pending": "{stored}, costs nothing: its outcome was still open",
    "status_not_billable": "{stored}, costs nothing: only what came about is billed",
    "zero_quantity": "{stored}, costs nothing: nothing was used",
    "void": "{stored}: its event counts for nothing",
    "superseded": "{stored}, counts for nothing: a higher revision counts instead",
    "duplicate": "was taken before, and counts once",
    "conflict": "another report of this revision was taken before, and stays: amend it by a higher one",
    "rejected": "{refused}: mend it and import it again",
}


@dataclass(slots=True, kw_only=True)
class Summary:
    """What an import came to: how many lines by outcome and reason, the first of each; `zero_rated` are accepted.

    `amended` ones took the place of a lower revision. `statuses` are those that are not billed. `lacking_number` are
    outcomes and reasons of which an event calls no number that is written with `+`, and `said` is how each kind of
    fault is told.
    """

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], int] = field(default_factory=dict)
    shown: list[tuple[int, str]] = field(default_factory=list)
    zero_rated: int = 0
    amended: int = 0
    near_duplicates: int | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    lacking_number: set[tuple[str, str]] = field(default_factory=set)
    said: dict[str, str] = field(default_factory=dict)

    def add(self, taken: "Taken") -> None:
        """Count a chunk that is committed."""
        chunk, receipt = taken
        self.amended += len(receipt.amended)
        told: Counter[str] = Counter()
        for reason, (count, row) in receipt.zero_counts().items():
            self._count("accepted", str(reason), count, chunk.lines[row])
            told["accepted"] += count
            self.zero_rated += count
        for status, count in receipt.statuses().items():
            known = status in self.statuses or len(self.statuses) < STATUSES
            self.statuses[status if known else OTHER_STATUSES] += count
        # Events of a chunk are told in the order of their ids.
        for row, finding in sorted(receipt.findings.items(), key=lambda found: chunk.lines[found[0]]):
            outcome, line = str(receipt.outcome(row)), chunk.lines[row]
            told[outcome] += 1
            fault = f"{finding.pointer}{finding.pointer and ' '}{finding.reason}"
            self._count(outcome, self._kind(fault) if outcome == "rejected" else finding.reason, 1, line)
            if finding.lacks_number:
                self.lacking_number.add((outcome, finding.reason))
            if len(self.shown) < SHOWN and outcome in {"rejected", "conflict"}:
                place = f"{chunk.noun} {line}{finding.pointer and ' '}{finding.pointer}"
                self.shown.append((line, f"{place}: {finding.reason}"))
        for each, count in receipt.counts().items():
            if count > told[each]:
                self.events[str(each), ""] += count - told[each]

    def _count(self, outcome: str, reason: str, count: int, line: int) -> None:
        self.events[outcome, reason] += count
        self.first.setdefault((outcome, reason), line)

    def _kind(self, fault: str) -> str:
        """A fault without the values that are in it: a thousand calls that are too long are one kind.

        A kind is told as its faults are where they all are told alike.
        """
        kind = fault.partition(": ")[0]
        known = ("rejected", kind) in self.events
        if not known and len(self.events) >= KINDS:
            return OTHER_FAULTS
        if self.said.setdefault(kind, fault) != fault:
            self.said[kind] = kind
        return kind

    def count(self, outcome: str) -> int:
        """How many lines came to an outcome."""
        return sum(count for (found, _), count in self.events.items() if found == outcome)

    @property
    def is_no_json(self) -> bool:
        """Whether no line was an event, and some were no JSON at all."""
        rejected = [reason for outcome, reason in self.events if outcome == "rejected"]
        return len(rejected) == len(self.events) and any(reason.startswith("is not JSON") for reason in rejected)

    def rows(self, *, dry_run: bool = False) -> list[dict[str, object]]:
        """A row for each outcome and reason; of a dry run, of what would be."""
        return [
            {
                "outcome": key[0],
                "reason": self.said.get(key[1], key[1]) if key[0] == "rejected" else key[1],
                "events": count,
                "first_line": self.first.get(key),
                "meaning": self._meaning(*key, dry_run=dry_run),
            }
            for key, count in sorted(self.events.items())
        ]

    def _meaning(self, outcome: str, reason: str, *, dry_run: bool) -> str:
        stored, refused = ("would be stored", "would not be stored") if dry_run else ("stored", "not stored")
        if outcome == "quarantined":
            return f"{stored}, waits: {_remedy(reason, has_number=(outcome, reason) not in self.lacking_number)}"
        meaning = _MEANINGS.get(outcome, _MEANINGS.get(reason, "")).format(stored=stored, refused=refused)
        if reason == "status_not_billable" and self.statuses:
            return f"{meaning}; statuses: {', '.join(f'{name} {count:,}' for name, count in self.not_billed())}"
        return meaning

    def not_billed(self) -> list[tuple[str, int]]:
        """The statuses that are not billed and how many have each, the most frequent first."""
        ordered = sorted(self.statuses.items(), key=lambda each: (each[0] == OTHER_STATUSES, -each[1], each[0]))
        return [(name or "none", count) for name, count in ordered]


def exit_of(summary: Summary) -> Exit:
    """The exit code of an import: bad input wins over what needs a person, and only duplicates are nothing to do."""
    if summary.count("rejected"):
        return Exit.BAD_INPUT
    if summary.count("quarantined") or summary.count("conflict"):
        return Exit.NEEDS_A_PERSON
    return Exit.OK if summary.count("accepted") + summary.count("superseded") else Exit.NOTHING_TO_DO


def show_summary(summary: Summary, source: str, form: Format, *, dry_run: bool = False) -> None:
    """Print what an import came to, or would come to."""
    for _, words in sorted(summary.shown):
        say(printable(words))
    refused = summary.count("rejected") + summary.count("conflict")
    if refused > len(summary.shown):
        say(f"… and {refused - len(summary.shown):,} more lines were not taken")
    if form is Format.JSON:
        counts = {outcome: summary.count(outcome) for outcome in OUTCOMES}
        facts = {"source": source, "dry_run": dry_run, "events": summary.events.total(), **counts}
        facts |= {"amended": summary.amended, "void": summary.events["accepted", "void"]}
        statuses = dict(summary.not_billed())
        near = {} if summary.near_duplicates is None else {"near_duplicates": summary.near_duplicates}
        results = summary.rows(dry_run=dry_run)
        facts |= {"zero_rated": summary.zero_rated, "statuses_not_billable": statuses, **near}
        emit_json({**facts, "results": results})
    else:
        total = {"outcome": "all lines", "events": summary.events.total()}
        title = f"Usage from {source}{', not stored: a dry run' if dry_run else ''}"
        emit(summary.rows(dry_run=dry_run), _RESULTS, form, title=title, total=total)
        if summary.amended:
            take = "would take" if dry_run else "took"
            say(f"{summary.amended:,} of them {take} the place of a lower revision.")


def notice_of(source: str, known: Sequence[str]) -> str:
    """What to say of a source that the database has not seen before."""
    similar = _similar(source, known)
    if similar:
        others = f"known and similar: {', '.join(similar)}"
    elif known:
        more = f" and {len(known) - SHOWN:,} more" if len(known) > SHOWN else ""
        others = f"known: {', '.join(known[:SHOWN])}{more}"
    else:
        others = "it is the first one"
    return printable(
        f'source "{source}" is new; {others}. An event is known by its source and id:'
        " a misspelt source counts the same usage twice"
    )


def _similar(source: str, known: Sequence[str]) -> list[str]:
    from difflib import get_close_matches

    plain = {name: _plain(name) for name in known}
    close = get_close_matches(_plain(source), plain.values(), 3, 0.8)
    return [name for name in known if plain[name] in close][:SHOWN]


def _plain(source: str) -> str:
    return "".join(c for c in source.casefold() if c.isalnum())


def _remedy(reason: str, *, has_number: bool) -> str:
    from billing.explanations import remedy_of

    return remedy_of(reason, has_number=has_number) or "see tollbook usage quarantine"
