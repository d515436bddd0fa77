"""What a run and a finalization came to, for people and for programs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.output import Format, emit, emit_csv, emit_json, emit_record, money, number, say, show, table, text
from cli.words import counted, numbers_in_words, of_number

if TYPE_CHECKING:
    from billing.approvals import ApprovalReport
    from billing.comparison import Change
    from billing.runs import IssueReport, Run, RunReport
    from rates.money import Currency

LATE_USAGE = "A run takes it into a draft; what an invoice is issued of is adjusted by the run of a later month."
"""What becomes of usage that came after what was billed."""

_UNSIGNED = {
    "added": "its draft came after the approval",
    "changed": "its draft was drawn up anew after the approval",
    "withdrawn": "its draft was approved, and went away",
    "inputs changed": "its contract or cards were changed after the approval",
}

_NAMED = 10  # accounts that a sentence names one by one

_ACCOUNTS = (
    text("account"),
    text("outcome"),
    number("lines"),
    number("total"),
    text("currency"),
    text("reason"),
)


def show_run(drawn: "Run", form: Format, *, each_account: bool) -> None:
    """Print what a run did. For a person, accounts one by one only if asked for; those that it stopped at, always."""
    from billing.records import outcomes_record, run_record

    rows = outcomes_record(drawn.outcomes)
    if form is Format.JSON:
        emit_json({**run_record(drawn.report), "accounts": rows})
    elif form is Format.CSV:
        emit_csv(rows, _ACCOUNTS)
    else:
        _show_report(drawn.report, [row for row in rows if each_account or row["reason"]])


def balance_of(report: "RunReport") -> str:
    """How many accounts came to what, as a sum."""
    balance = f"{report.billed:,} billed + {report.zero:,} zero + {report.parked:,} parked + {report.failed:,} failed"
    return f"{balance} = {report.active:,} active"


def amounts(totals_minor: "Mapping[Currency, int]") -> str:
    """Sums by currency, for a person."""
    from rates.money import format_minor

    return ", ".join(money(format_minor(minor, code), code) for code, minor in totals_minor.items())


def _show_report(report: "RunReport", rows: list[dict[str, Any]]) -> None:
    from billing.records import run_record

    said: dict[str, Any] = run_record(report)
    emit_record(
        {
            "accounts": balance_of(report),
            "already final": report.final or None,
            "lines": f"{report.lines:,}",
            "total": amounts(report.totals_minor) or "nothing",
            "late": f"usage has changed since the invoices of {some_of(report.late)}" if report.late else None,
            "quarantined": _reasons(report.quarantined),
            "pending": pending(report.pending),
            "adjusted": _adjusted(said["adjustments"]) or None,
            "credit notes": report.credit_notes or None,
        },
        Format.TABLE,
        title=f"{'Run' if report.written else 'Preview'} of {said['period']}{' (provisional)' * report.provisional}",
    )
    if rows:
        show(table(rows, _ACCOUNTS))
    say_waiting(report.late, report.quarantined)
    say_unmatched({}, report.mismatches, report.period)
    _say_held_adjustments(report)
    if held := [each.account for each in report.stopped if each.releasable]:
        say(f"Held back: {some_of(held)}. Mend what is wrong, or say why it is right:")
        say(f"  tollbook invoices release {report.period} {held[0]} --as NAME --reason TEXT")


def _adjusted(adjustments: Sequence[Mapping[str, str]]) -> str:
    """What earlier months come to more or less, by month, for a person."""
    return ", ".join(f"{each['period']} by {money(each['amount'], each['currency'])}" for each in adjustments)


def _say_held_adjustments(report: "RunReport") -> None:
    """Say which adjustments are left out, and what to do; the accounts' months go on without them."""
    from rates.money import format_minor

    for each in report.held[:_NAMED]:
        amount = f" of {money(format_minor(each.net_minor, each.currency), each.currency)}" if each.releasable else ""
        say(f"{each.account}: its adjustment of {each.origin}{amount} is left out: {each.why}")
    if (more := len(report.held) - _NAMED) > 0:
        say(f"{counted(more, 'more adjustment')} {of_number(more, 'is', 'are')} left out: --format json names them.")
    if late := [each for each in report.held if each.releasable]:
        first = f"tollbook invoices release {report.period} {late[0].account} --adjustment {late[0].origin}"
        say(f"  {first} --as NAME --reason TEXT")


def show_issued(report: "IssueReport", form: Format) -> None:
    """Print what a finalization did, and what is on no invoice."""
    from billing.records import issue_record

    facts: dict[str, Any] = issue_record(report)
    if form is not Format.JSON:
        runs = (run for numbers in report.numbers.values() for run in numbers_in_words(numbers))
        facts |= {
            "numbers": ", ".join(runs),
            "totals": amounts(report.totals_minor),
            "unsigned": some_of([*report.unsigned]),
            "withdrawn": some_of([*report.withdrawn]),
            "late": some_of(report.late),
            "quarantined": _reasons(report.quarantined),
            "unmatched": some_of([*report.unmatched]),
            "waiting": some_of([*report.waiting]),
            "outdated": some_of(report.outdated),
            "carried": some_of([*report.carried]),
            "mismatches": "; ".join(report.mismatches),
        }
    emit_record(facts, form)
    say_left(report)


def say_left(report: "IssueReport") -> None:
    """Say what is not issued, and what to do about it."""
    for account in report.refused:
        say(f"{account}: its draft is not what was drawn up any more; draw it up again")
    _say_withdrawn(report)
    told = {*report.withdrawn, *report.stopped}
    for account, why in [each for each in report.unsigned.items() if each[0] not in told][:_NAMED]:
        say(f"{account}: {_UNSIGNED[why]}; approve the period again")
    for account in report.stopped:
        say(f"{account}: the run stopped at it; see `tollbook invoices preview {report.period}`")
    say_waiting(report.late, report.quarantined)
    say_unmatched(report.unmatched, report.mismatches, report.period)
    _say_held(report)


def _say_held(report: "IssueReport") -> None:
    """Say which drafts are short of usage that came after them, and what to do."""
    from billing.bounds import waiting_in_words

    for account, events in [*report.waiting.items()][:_NAMED]:
        say(f"{account}: {waiting_in_words(events)}, and would not be billed; its draft is not issued")
    if report.waiting:
        say("Publish what prices it: see `tollbook usage quarantine`.")
        say(f"Then, or to release it all the same, `tollbook invoices run {report.period}`.")
    for account, why in [*report.carried.items()][:_NAMED]:
        say(f"{account}: {why}; its draft is not issued")
    if (more := len(report.carried) - _NAMED) > 0:
        say(f"{counted(more, 'more draft')} {of_number(more, 'waits', 'wait')} for other months.")
    if report.outdated:
        short = f"Usage that control totals count came after the drafts of {some_of(report.outdated)}"
        say(f"{short}: draw them up again with `tollbook invoices run {report.period}`.")


def _say_withdrawn(report: "IssueReport") -> None:
    """Say whose drafts were taken away after the run, and what brings them back."""
    for account, why in [*report.withdrawn.items()][:_NAMED]:
        say(f"{account}: its draft was withdrawn: {why.why}; run the invoices again")
    if (more := len(report.withdrawn) - _NAMED) > 0:
        say(f"{counted(more, 'more draft')} {of_number(more, 'was', 'were')} withdrawn.")
    if report.withdrawn:
        signed = not {*report.unsigned}.isdisjoint(report.withdrawn)
        say(f"  tollbook invoices run {report.period}")
        if signed:
            say(f"  tollbook invoices approve {report.period} --as NAME")


def show_approved(report: "ApprovalReport", form: Format) -> None:
    """Print what was signed, and what was not."""
    from rates.money import format_minor

    totals = {code: format_minor(minor, code) for code, minor in report.totals_minor.items()}
    facts: dict[str, Any] = {
        "period": str(report.period),
        "approved_by": report.approver,
        "drawn_by": list(report.drawn_by),
        "drafts": report.drafts,
        "totals": totals,
        "sha256": report.sha256,
        "written": report.written,
        "altered": list(report.altered),
        "unmatched": {account: list(each) for account, each in report.unmatched.items()},
        "mismatches": list(report.mismatches),
    }
    if form is not Format.JSON:
        facts |= {
            "drawn_by": ", ".join(report.drawn_by),
            "totals": amounts(report.totals_minor),
            "written": report.written if form is Format.CSV else None,
            "altered": some_of(report.altered),
            "unmatched": some_of([*report.unmatched]),
            "mismatches": "; ".join(report.mismatches),
        }
    emit_record(facts, form)
    for account in report.altered:
        say(f"{account}: its draft is not what was drawn up any more; draw it up again")
    if report.drafts:
        say_unmatched(report.unmatched, report.mismatches, report.period)
    if not report.written:
        why = "the same person signed exactly these before" if report.drafts else "there are no drafts to sign"
        say(f"Nothing was signed: {why}.")
    elif not report.drafts:
        say("There are no drafts to sign; that those signed before went away is recorded.")
    if not report.drafts and not report.altered:
        say(f"What is not issued yet is drawn up by `tollbook invoices run {report.period}`.")


_CHANGES = (
    text("what"),
    text("name", longest=20),
    text("currency"),
    number("before"),
    number("after"),
    number("change", spare=2),
    number("percent", "%", spare=1),
    text("note", longest=14, roomy=24),
)


def show_changes(changes: Sequence["Change"], form: Format, *, top: int, title: str) -> None:
    """Print what moved between two months; of accounts, a table has the `top` ones and those that are held back."""
    rows = [_changed(each) for each in changes]
    if form is Format.TABLE:
        accounts = [n for n, each in enumerate(changes) if each.what == "account"]
        left = {n for n in accounts[top:] if not changes[n].beyond}
        rows = [row for n, row in enumerate(rows) if n not in left]
        if left:
            say(f"{counted(len(left), 'account')} that moved less: see --top, or --format csv.")
    emit(rows, _CHANGES, form, title=title)


def _changed(change: "Change") -> dict[str, Any]:
    from rates.money import format_minor

    code = change.currency
    said = {"what": str(change.what), "name": change.name, "currency": code, "note": change.note}
    if change.before_minor is None and change.after_minor is None:
        return {**said, "before": change.before, "after": change.after, "change": "", "percent": ""}
    before, after = (
        "" if minor is None else format_minor(minor, code) for minor in (change.before_minor, change.after_minor)
    )
    moved = format_minor(change.moved_minor, code)
    return {**said, "before": before, "after": after, "change": moved, "percent": change.percent}


def say_waiting(late: Sequence[str], quarantined: Mapping[str, int]) -> None:
    """Say what is on no invoice, and where to look at it."""
    if late:
        say(f"Usage came after what was billed, of {some_of(late)}: see `tollbook statement ACCOUNT`.")
        say(LATE_USAGE)
    if quarantined:
        say(f"Some usage is not priced ({_reasons(quarantined)}): see `tollbook usage quarantine`.")


def say_unmatched(accounts: Mapping[str, Sequence[str]], nobodys: Sequence[str], period: object) -> None:
    """Say which control totals do not match, and what to do: of accounts that are not issued, and of nobody."""
    from billing.controls import in_words

    for account, mismatches in [*accounts.items()][:_NAMED]:
        say(f"{account}: its control totals do not match: {in_words(mismatches)}")
    if nobodys:
        say(f"Control totals do not match, of usage that no account has: {in_words(nobodys)}")
        say(f"While they do not, nothing of {period} is issued.")
    if accounts or nobodys:
        say(f"Import what is missing, or correct the control totals: see `tollbook usage controls --period {period}`.")
    if accounts:
        say(f"Then, or to release what differs all the same, `tollbook invoices run {period}`.")


def pending(events: int) -> str:
    """What is told of events whose outcome was open; "" where there are none."""
    return f"{counted(events, 'event')} at no charge, reported while the outcome was open" if events else ""


def some_of(accounts: Sequence[str]) -> str:
    """Accounts by name; of many the first, and how many more."""
    more = len(accounts) - _NAMED
    return ", ".join(accounts[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _reasons(events: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in events.items())
