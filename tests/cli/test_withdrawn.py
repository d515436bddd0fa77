"""Drafts that a forced change withdrew: what finalizing and approving say of them leads to issued invoices."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CARD, CONTRACT, Tollbook

WHY = ("--reason", "wrong price", "--as", "billing")
SIGN = ("invoices", "approve", "2026-10", "--as", "controller")
GONE = (
    "acme: its draft was withdrawn: its cards or contract were changed after its draft was drawn up; run the invoices"
)


@pytest.fixture(params=["card", "contract"])
def force(request: pytest.FixtureRequest, books: Path, tollbook: Tollbook) -> list[str | Path]:
    """The command that withdraws the only draft of the month, which is drawn up."""
    assert 0 == tollbook("usage", "import", books / "usage.ndjson", "--source", "switch").code
    assert 0 == tollbook("invoices", "run", "2026-10").code
    (books / "dear.toml").write_text(CARD.replace('"0.02"', '"0.03"'))
    if request.param == "card":
        return ["cards", "import", books / "dear.toml", "--force", *WHY]
    (books / "dear.toml").write_text(CARD.replace('"0.02"', '"0.03"').replace('"list"', '"dear"'))
    (books / "later.toml").write_text(CONTRACT.replace("10-01", "10-02").replace("list", "dear"))
    assert 0 == tollbook("cards", "import", books / "dear.toml").code
    return ["contracts", "add", books / "later.toml", "--force", *WHY]


def test_a_signed_draft_that_was_withdrawn_is_run_signed_and_issued_as_finalize_says(
    force: list[str | Path], tollbook: Tollbook
) -> None:
    assert 0 == tollbook(*SIGN).code
    assert 0 == tollbook(*force).code
    for options in (("--dry-run",), ()):
        ran = tollbook("invoices", "finalize", "2026-10", *options)
        assert 4 == ran.code
        assert [f"{GONE} again", "  tollbook invoices run 2026-10", SIGNING] == ran.err.splitlines()
    found = json.loads(tollbook("invoices", "finalize", "2026-10", "--format", "json").out)
    assert (["acme"], []) == ([*found["withdrawn"]], found["stopped"])
    signing = tollbook(*SIGN)
    assert 3 == signing.code
    assert "no drafts to sign" in signing.err
    assert "`tollbook invoices run 2026-10`" in signing.err
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook(*SIGN).code
    assert 0 == tollbook("invoices", "finalize", "2026-10").code


SIGNING = "  tollbook invoices approve 2026-10 --as NAME"


def test_an_unsigned_draft_that_was_withdrawn_is_not_said_to_be_stopped_at(
    force: list[str | Path], tollbook: Tollbook
) -> None:
    assert 0 == tollbook(*force).code
    assert 3 == tollbook(*SIGN).code
    ran = tollbook("invoices", "finalize", "2026-10")
    assert (4, [f"{GONE} again", "  tollbook invoices run 2026-10"]) == (ran.code, ran.err.splitlines())
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("invoices", "finalize", "2026-10").code
