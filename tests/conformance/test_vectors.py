"""Published figures of other billing systems, each as a card, usage and a bill: the same amounts, to the last digit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.figures import Case
from tests.conformance.judging import judge
from tests.conformance.report import judged
from tests.conformance.verdicts import Verdict

LEAST_PERCENT = 75


def test_the_figure_is_ours(case: Case, record_property: Callable[[str, object], None]) -> None:
    """A case passes, or there is a reason for which it cannot; what differs without one fails."""
    outcome = judge(case)
    record_property("conformance", [case.system, str(outcome.verdict), outcome.reason])
    if outcome.verdict is Verdict.UNSAID:
        pytest.skip(f"{outcome.verdict}: {outcome.reason}")
    if outcome.verdict is Verdict.OTHERWISE:
        pytest.xfail(f"{outcome.verdict}: {outcome.reason}; {'; '.join(outcome.differences)}")
    assert (Verdict.PASSED, ()) == (outcome.verdict, outcome.differences), case.facts


def test_most_figures_pass(directories: list[Path]) -> None:
    found = judged(directories)
    passed = sum(each.verdict == Verdict.PASSED for each in found)
    assert 100 * passed >= LEAST_PERCENT * len(found), f"{passed} of {len(found)}"
