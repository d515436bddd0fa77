"""Two people at once: commands of one month in two processes that begin together.

One of them may say that the month is locked (exit code 7). Whoever is first, drafts are of one moment, nobody is billed
twice or not at all, numbers have no gap, and what is issued where approval is asked for is what was signed.
"""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from billing.store.embedded import Address, Cluster, address_of, create_database, drop_database
from billing.store.engine import open_engine
from cli.exits import Exit
from tests.cli.conftest import Tollbook, with_changes
from tests.shop import AT, Shop, call
from tests.together import Ended, together

ACCOUNTS = 200
ONE, TWO = 4, 8  # cents: of one call of two minutes begun, and of two

RUN = ("invoices", "run", "2026-10", "--as", "finance")
FINALIZE = ("invoices", "finalize", "2026-10")
APPROVE = ("invoices", "approve", "2026-10", "--as", "controller")
RERATE = ("rerate", "--period", "2026-10", "--as", "finance", "--reason", "to be sure")
PREVIEW = ("invoices", "preview", "2026-10")


@pytest.fixture(scope="module")
def seeded(cluster: Cluster, migrated: str) -> Iterator[str]:
    """The name of a database with a month in which each account has one call, to make copies of."""
    name = f"seeded_{uuid.uuid4().hex}"
    engine = open_engine(create_database(cluster, name, migrated).sqlalchemy_url)
    shop = Shop(engine=engine)
    shop.publish()
    names = [f"acct-{number:03}" for number in range(ACCOUNTS)]
    shop.admit(*names)
    shop.post(*(call(number, account=name) for number, name in enumerate(names)), at=AT)
    engine.dispose()
    yield name
    drop_database(cluster, name)


@pytest.fixture
def month(cluster: Cluster, seeded: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A copy of it, which DATABASE_URL names, folded."""
    name = f"test_{uuid.uuid4().hex}"
    address = create_database(cluster, name, seeded)
    monkeypatch.setenv("DATABASE_URL", address.libpq_uri)
    yield address_of(cluster, name)
    drop_database(cluster, name)


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """A second call of each account, to be imported."""
    calls = (with_changes(id=f"more-{n}", account=f"acct-{n:03}") for n in range(ACCOUNTS))
    (tmp_path / "more.ndjson").write_text("\n".join(calls))
    return tmp_path / "more.ndjson"


def rows(month: Address, query: str) -> list[tuple[object, ...]]:
    engine = open_engine(month.sqlalchemy_url)
    found = Shop(engine=engine).rows(query)
    engine.dispose()
    return found


def require_each_billed_once(month: Address, tollbook: Tollbook) -> None:
    """Each account has one invoice of one or two calls, numbers have no gap, and the verifier agrees."""
    assert [(ACCOUNTS, ACCOUNTS, 1, ACCOUNTS)] == rows(
        month, "SELECT count(*), count(DISTINCT payer_id), min(number), max(number) FROM invoices"
    )
    assert [] == rows(
        month,
        f"SELECT FROM invoices WHERE total_minor NOT IN ({ONE}, {TWO}) OR total_minor <> ({ONE} * (SELECT sum(events)"
        " FROM invoice_billed_totals AS part WHERE part.invoice_id = invoices.invoice_id))",
    )
    assert [] == rows(month, "SELECT FROM draft_invoices")
    assert 0 == tollbook("verify", "2026-10").code


def require_drafts(month: Address, total: int) -> None:
    """Each account has one draft, with its lines and totals once."""
    assert [(ACCOUNTS, ACCOUNTS, total)] == rows(
        month, "SELECT count(*), count(DISTINCT payer_id), sum(total_minor)::bigint FROM draft_invoices"
    )
    for part in ("draft_lines", "draft_billed_totals"):
        assert [(ACCOUNTS, 0)] == rows(
            month,
            f"SELECT count(*), count(*) FILTER (WHERE draft.invoice_id IS NULL) FROM {part}"
            " LEFT JOIN draft_invoices AS draft USING (payer_id, invoice_id)",
        )


def require_locked_or(ended: Ended, *codes: int) -> None:
    assert ended.code in {*codes, Exit.LOCKED}, ended.err
    if ended.code == Exit.LOCKED:
        assert "wait until it has ended" in ended.err
    assert "Traceback" not in ended.err


# One after the other by so little that the first is at work, or just about to be.
@pytest.fixture(params=[0, 0.03])
def apart(request: pytest.FixtureRequest) -> float:
    return float(request.param)


def test_two_runs(month: Address, tollbook: Tollbook, tmp_path: Path, apart: float) -> None:
    ended = together(tmp_path, RUN, RUN, apart=apart)
    for each in ended:
        require_locked_or(each, Exit.OK)
    assert Exit.OK in {each.code for each in ended}
    require_drafts(month, ACCOUNTS * ONE)
    done = sum(each.code == Exit.OK for each in ended)
    assert [(done, done)] == rows(
        month, "SELECT (SELECT count(*) FROM draft_runs), count(*) FROM audit_log WHERE action = 'invoices.run'"
    )
    assert 0 == tollbook(*FINALIZE).code
    require_each_billed_once(month, tollbook)


def test_a_run_and_a_finalization(month: Address, tollbook: Tollbook, more: Path, tmp_path: Path, apart: float) -> None:
    assert 0 == tollbook(*RUN).code
    assert 0 == tollbook("usage", "import", more, "--source", "switch-2").code
    ran, issued = together(tmp_path, RUN, FINALIZE, apart=apart)
    require_locked_or(ran, Exit.OK, Exit.NEEDS_A_PERSON)
    require_locked_or(issued, Exit.OK, Exit.NEEDS_A_PERSON)
    assert Exit.LOCKED != ran.code or Exit.LOCKED != issued.code
    tollbook(*RUN)
    tollbook(*FINALIZE)
    require_each_billed_once(month, tollbook)


def test_two_finalizations(month: Address, tollbook: Tollbook, tmp_path: Path, apart: float) -> None:
    assert 0 == tollbook(*RUN).code
    ended = together(tmp_path, FINALIZE, FINALIZE, apart=apart)
    for each in ended:
        assert each.code in {Exit.OK, Exit.NOTHING_TO_DO}, each.err
    assert Exit.OK in {each.code for each in ended}
    require_each_billed_once(month, tollbook)


def test_a_run_and_an_import(month: Address, tollbook: Tollbook, more: Path, tmp_path: Path, apart: float) -> None:
    ran, imported = together(tmp_path, RUN, ("usage", "import", more, "--source", "switch-2"), apart=apart)
    assert (Exit.OK, Exit.OK) == (ran.code, imported.code), (ran.err, imported.err)
    (drawn,) = rows(month, "SELECT count(DISTINCT total_minor), min(total_minor) FROM draft_invoices")
    assert drawn in {(1, ONE), (1, TWO)}, "the drafts of a run are of one moment"
    assert 0 == tollbook(*RUN).code
    require_drafts(month, ACCOUNTS * TWO)
    assert 0 == tollbook(*FINALIZE).code
    require_each_billed_once(month, tollbook)


def test_an_approval_and_a_run(
    month: Address, tollbook: Tollbook, more: Path, tmp_path: Path, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_APPROVALS", "two-people")
    assert 0 == tollbook(*RUN).code
    assert 0 == tollbook("usage", "import", more, "--source", "switch-2").code
    signed, ran = together(tmp_path, APPROVE, RUN, apart=apart)
    require_locked_or(signed, Exit.OK)
    require_locked_or(ran, Exit.OK)
    assert Exit.OK in {signed.code, ran.code}
    assert tollbook(*FINALIZE).code in {Exit.OK, Exit.NEEDS_A_PERSON}
    unsigned = (
        "SELECT FROM invoices WHERE NOT EXISTS (SELECT FROM approved_drafts AS signed"
        " WHERE signed.invoice_id = invoices.invoice_id AND signed.sha256 = invoices.sha256)"
    )
    assert [] == rows(month, unsigned)
    tollbook(*RUN)
    tollbook(*APPROVE)
    tollbook(*FINALIZE)
    require_each_billed_once(month, tollbook)
    assert [] == rows(month, unsigned)


def test_an_approval_and_a_finalization(
    month: Address, tollbook: Tollbook, tmp_path: Path, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBOOK_APPROVALS", "one")
    assert 0 == tollbook(*RUN).code
    signed, issued = together(tmp_path, APPROVE, FINALIZE, apart=apart)
    require_locked_or(signed, Exit.OK)
    require_locked_or(issued, Exit.OK, Exit.NEEDS_A_PERSON)
    if signed.code == Exit.OK and issued.code == Exit.NEEDS_A_PERSON:
        assert "nobody approved these drafts" in issued.err
    tollbook(*APPROVE)
    tollbook(*FINALIZE)
    require_each_billed_once(month, tollbook)
    assert [(1, ACCOUNTS)] == rows(month, "SELECT count(*), max(drafts) FROM approvals")


@pytest.mark.parametrize("other", [RUN, FINALIZE, APPROVE, PREVIEW])
def test_a_rerating_beside_something_else(
    month: Address, tollbook: Tollbook, tmp_path: Path, other: Sequence[str]
) -> None:
    assert 0 == tollbook(*RUN).code
    rerated, ended = together(tmp_path, RERATE, other)
    require_locked_or(rerated, Exit.NOTHING_TO_DO)
    require_locked_or(ended, Exit.OK)
    tollbook(*RUN)
    tollbook(*APPROVE)
    tollbook(*FINALIZE)
    require_each_billed_once(month, tollbook)
