"""What finance may type wrongly at the end of a month: each time one message with what to do, and its exit code."""

from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook

RELEASE = ("--as", "controller", "--reason", "a new campaign")
OF_A_MONTH = [("preview",), ("run",), ("diff",), ("approve", "--as", "controller"), ("finalize",)]


@pytest.fixture
def drawn(month: Path, tollbook: Tollbook) -> Path:
    """The month drawn up."""
    assert 0 == tollbook("invoices", "run", "2026-10", "--as", "finance").code
    return month


def require_said(tollbook: Tollbook, arguments: tuple[str, ...], code: int, *said: str) -> None:
    ran = tollbook("invoices", *arguments)
    words = " ".join(ran.err.replace("│", " ").split())
    assert code == ran.code, ran.err
    for each in said:
        assert each in words
    assert "Traceback" not in ran.err


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("command", [*OF_A_MONTH, ("release", *RELEASE)])
@pytest.mark.parametrize("period", ["2026-13", "2026-1", "October", "2026-10-01", ""])
def test_what_is_no_month_is_said_with_how_to_write_one(
    command: tuple[str, ...], period: str, tollbook: Tollbook
) -> None:
    arguments = (command[0], period, *(["acme"] if command[0] == "release" else []), *command[1:])
    require_said(tollbook, arguments, 2, "not a month; write it as 2026-10")


@pytest.mark.usefixtures("month")
@pytest.mark.parametrize("period", ["2026-10", "2026-01"])
@pytest.mark.parametrize("command", ["diff", "approve", "finalize", "finalize --dry-run", "release"])
def test_a_month_that_was_not_drawn_up_is_said_with_the_command_that_does(
    command: str, period: str, tollbook: Tollbook
) -> None:
    name, *flags = command.split()
    options = {"approve": ("--as", "controller"), "release": ("acme", *RELEASE)}.get(name, ())
    said = ("no invoices were drawn up", f"tollbook invoices run {period}")
    require_said(tollbook, (name, period, *options, *flags), 3, *said)


@pytest.mark.usefixtures("month")
@pytest.mark.parametrize(
    ("command", "code"), [("run", 1), ("finalize", 1), ("diff", 3), ("approve", 3), ("release", 3)]
)
def test_a_month_in_the_future_is_neither_drawn_up_nor_issued(command: str, code: int, tollbook: Tollbook) -> None:
    options = {"approve": ("--as", "controller"), "release": ("acme", *RELEASE)}.get(command, ())
    said = "preview it now, or wait until" if code == 1 else "tollbook invoices run 2027-05"
    require_said(tollbook, (command, "2027-05", *options), code, said)


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("blank", ["", " ", "\t \u00a0"])
def test_a_name_or_a_reason_of_blanks_is_nobodys(blank: str, tollbook: Tollbook) -> None:
    for arguments, option in [
        (("run", "2026-10", "--as", blank), "--as"),
        (("approve", "2026-10", "--as", blank), "--as"),
        (("release", "2026-10", "acme", "--as", blank, "--reason", "why"), "--as"),
        (("release", "2026-10", "acme", "--as", "controller", "--reason", blank), "--reason"),
    ]:
        require_said(tollbook, arguments, 2, f"{option} says nothing")
    require_said(tollbook, ("approve", "2026-10"), 2, "Missing option '--as'")


@pytest.mark.usefixtures("drawn")
def test_who_is_not_held_back_is_not_released(tollbook: Tollbook) -> None:
    none = ("no run of 2026-10 holds it back", "tollbook invoices preview 2026-10")
    require_said(tollbook, ("release", "2026-10", "acme", *RELEASE), 3, *none)
    unknown = ('"nobody": is no billing account', "tollbook accounts list")
    require_said(tollbook, ("release", "2026-10", "nobody", *RELEASE), 1, *unknown)
    above = '"acme-sales": is no billing account; its usage is on the invoices of acme'
    require_said(tollbook, ("release", "2026-10", "acme-sales", *RELEASE), 1, above)


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("approvals", ["one", "two-people"])
def test_nothing_is_issued_before_somebody_approves(
    approvals: str, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_APPROVALS", approvals)
    missing = ("nobody approved these drafts", "tollbook invoices approve 2026-10 --as NAME")
    require_said(tollbook, ("finalize", "2026-10"), 4, *missing)
    require_said(tollbook, ("finalize", "2026-10", "--dry-run"), 4, *missing)
    own = 'tollbook: "FINANCE": ran these invoices, and may not approve them too; let somebody else approve them'
    if approvals == "two-people":
        require_said(tollbook, ("approve", "2026-10", "--as", "FINANCE"), 4, own)
    require_said(tollbook, ("approve", "2026-10", "--as", "controller"), 0)
    again = "Nothing was signed: the same person signed exactly these before."
    require_said(tollbook, ("approve", "2026-10", "--as", "Controller "), 3, again)
    require_said(tollbook, ("finalize", "2026-10", "--dry-run"), 0)
    require_said(tollbook, ("finalize", "2026-10"), 0)
    require_said(tollbook, ("finalize", "2026-10"), 3)
    require_said(tollbook, ("approve", "2026-10", "--as", "controller"), 3, "there are no drafts to sign")


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("command", OF_A_MONTH)
def test_a_setting_that_is_none_is_said_with_those_that_there_are(
    command: tuple[str, ...], tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_APPROVALS", "whatever")
    said = "TOLLBOOK_APPROVALS: is not none, one or two-people; mend or unset it"
    require_said(tollbook, (command[0], "2026-10", *command[1:]), 2, said)


@pytest.mark.usefixtures("drawn")
def test_a_month_is_compared_with_another_that_was_drawn_up(tollbook: Tollbook) -> None:
    require_said(tollbook, ("diff", "2026-10"), 3, "No month before 2026-10 is issued: name one with --against")
    itself = "2026-10 is the month that is compared: name another one"
    require_said(tollbook, ("diff", "2026-10", "--against", "2026-10"), 2, itself)
    require_said(tollbook, ("diff", "2026-10", "--against", "2026-13"), 2, "not a month; write it as 2026-10")
    require_said(tollbook, ("diff", "2026-10", "--against", "2026-09"), 3, '"2026-09": no invoices were drawn up')
