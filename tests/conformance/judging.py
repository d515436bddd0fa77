"""The verdict on a case, whichever system it is of. The same facts are judged once."""

from tests.conformance import callparts, calls, lago, peers, reasons
from tests.conformance.figures import CALL, Case
from tests.conformance.tariffs import BillsDifferError
from tests.conformance.verdicts import CannotSayError, Compared, Outcome, Verdict, outcome_of

_known: dict[str, Outcome] = {}


def judge(case: Case) -> Outcome:
    """What becomes of a case."""
    key = repr((case.model, case.facts))
    if key not in _known:
        _known[key] = _judged(case)
    return _known[key]


def _judged(case: Case) -> Outcome:
    try:
        found = _compared(case)
    except CannotSayError as error:
        return Outcome(verdict=Verdict.UNSAID, reason=error.reason)
    except BillsDifferError as error:
        return Outcome(verdict=Verdict.FAILED, differences=(str(error),))
    doubted = case.facts.get("checked") is False
    return outcome_of(found, reasons.SOURCE_CONTRADICTS if doubted else "")


def _compared(case: Case) -> list[Compared]:
    """By the form of its facts: peers name their system, Lago's models do not, calls and their parts have no model."""
    if "system" in case.facts:
        return peers.compared(case.facts)
    if "model" in case.facts:
        return lago.compared(case.facts)
    return calls.compared(case.facts) if case.model == CALL else callparts.compared(case.model, case.facts)
