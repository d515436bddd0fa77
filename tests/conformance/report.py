"""What is printed of the verdicts: counts by system, and each reason with how often it holds.

As a program it writes the same into `docs/conformance.md`, from the figures that are kept in the project:
`python -m tests.conformance.report`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conformance.figures import KEPT, cases
from tests.conformance.judging import judge
from tests.conformance.verdicts import Verdict

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
BEGIN, END = "<!-- counted: begin -->\n", "<!-- counted: end -->\n"

_SHOWN = (Verdict.PASSED, Verdict.OTHERWISE, Verdict.UNSAID)


class Judged(NamedTuple):
    """A case, as far as it is counted."""

    system: str
    verdict: str
    reason: str


def judged(directories: Sequence[Path]) -> list[Judged]:
    """The cases of some directories, judged."""
    found = ((case, judge(case)) for case in cases(directories))
    return [Judged(case.system, outcome.verdict, outcome.reason) for case, outcome in found]


def share(some: Sequence[Judged]) -> str:
    """How many of the cases pass, in percent of all, cut off after a decimal."""
    per_mille = 1000 * sum(each.verdict == Verdict.PASSED for each in some) // max(len(some), 1)
    return f"{per_mille // 10}.{per_mille % 10} %"


def rows(all_cases: Sequence[Judged]) -> Iterator[tuple[str, ...]]:
    """The table: a head, a row for each system, and one for all of them."""
    verdicts = [*_SHOWN, *([Verdict.FAILED] if any(each.verdict == Verdict.FAILED for each in all_cases) else [])]
    yield ("system", "cases", *verdicts, "share passed")
    for system in [*sorted({each.system for each in all_cases}), "all"]:
        own = [each for each in all_cases if system in {each.system, "all"}]
        counts = Counter(each.verdict for each in own)
        yield (system, str(len(own)), *(str(counts[verdict]) for verdict in verdicts), share(own))


def reasons_of(all_cases: Sequence[Judged], verdict: Verdict) -> list[tuple[str, int]]:
    """The reasons of a verdict with their counts, the most frequent first."""
    counts = Counter(each.reason for each in all_cases if each.verdict == verdict)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def plain_lines(all_cases: Sequence[Judged]) -> Iterator[str]:
    """For a terminal."""
    table = list(rows(all_cases))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for first, *others in table:
        yield "  ".join(
            [first.ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(others, widths[1:], strict=True))]
        )
    for verdict in (Verdict.OTHERWISE, Verdict.UNSAID):
        for reason, many in reasons_of(all_cases, verdict):
            yield f"{many:4} {verdict}: {reason}"


def markdown(all_cases: Sequence[Judged]) -> str:
    """For the document."""
    head, *body = rows(all_cases)
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in body]
    for verdict in (Verdict.OTHERWISE, Verdict.UNSAID):
        lines += ["", f"{verdict.capitalize()}:", ""]
        lines += [f"- {many} × {reason}" for reason, many in reasons_of(all_cases, verdict)]
    return "\n".join(lines) + "\n"


def with_counts(document: str) -> str:
    """The document with what is counted now between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(judged([KEPT]))}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_counts(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
