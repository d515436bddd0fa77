"""`tollbook rate`: FORMATS section 6, from files to bills without a database."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from billing.invoices import LINE_FIELDS
from tests.cli.conftest import ACCOUNTS, CARD, CONTRACT, Tollbook, with_changes

OTHER_CARD = CARD.replace('"list"', '"special"').replace("0.02", "0.01").replace('["44"]', '["4420"]')


@pytest.fixture
def files(tmp_path: Path) -> Path:
    texts = {"card.toml": CARD, "special.toml": OTHER_CARD, "accounts.toml": ACCOUNTS, "contract.toml": CONTRACT}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "usage.ndjson").write_text(with_changes() + "\n")
    return tmp_path


def rate(tollbook: Tollbook, files: Path, *options: str | Path) -> tuple[int, str, str]:
    ran = tollbook("rate", "--usage", files / "usage.ndjson", "--period", "2026-10", *options)
    return ran.code, ran.out, ran.err


def test_the_document_is_that_of_the_formats(tollbook: Tollbook, files: Path) -> None:
    code, out, _ = rate(tollbook, files, "--card", files / "card.toml", "--format", "json")
    document = json.loads(out)
    assert 0 == code
    assert ["period", "currency", "accounts", "quarantined"] == list(document)
    assert ("2026-10", "USD", []) == (document["period"], document["currency"], document["quarantined"])
    (account,) = document["accounts"]
    assert ("acme-sales", "0.04") == (account["account"], account["total"])
    (line,) = account["lines"]
    assert list(LINE_FIELDS) == list(line)
    assert {
        "product": "voice.outbound",
        "element": "usage",
        "country": "GB",
        "destination": "United Kingdom",
        "tier": "",
        "events": 1,
        "quantity": "2",
        "unit": "minute",
        "unit_price": "0.02",
        "amount": "0.04",
        "residual": "0",
        "base_quantity": "120",
        "base_unit": "second",
        "origin_period": "2026-10",
        "cards": ["list@2026-10-01T00:00:00Z"],
    } == line


def test_with_accounts_the_payer_is_billed(tollbook: Tollbook, files: Path) -> None:
    options = ("--card", files / "card.toml", "--accounts", files / "accounts.toml", "--format", "json")
    (account,) = json.loads(rate(tollbook, files, *options)[1])["accounts"]
    assert ("acme", "0.04") == (account["account"], account["total"])


def test_cards_stand_in_the_order_given_or_in_that_of_the_contract(tollbook: Tollbook, files: Path) -> None:
    both = ("--card", files / "special.toml", "--card", files / "card.toml", "--format", "json")
    assert "0.02" == json.loads(rate(tollbook, files, *both)[1])["accounts"][0]["total"]
    listed = ("--card", files / "special.toml", files / "card.toml", "--format", "json")
    assert "0.02" == json.loads(rate(tollbook, files, *listed)[1])["accounts"][0]["total"]
    bound = (*both, "--accounts", files / "accounts.toml", "--contract", files / "contract.toml")
    assert "0.04" == json.loads(rate(tollbook, files, *bound)[1])["accounts"][0]["total"]


@pytest.mark.parametrize(
    "written",
    [
        with_changes() + "\n",
        f"[{with_changes()}]",
        f"[\n  {with_changes()}\n]\n",
        with_changes(source="switch-1"),
        "\ufeff" + with_changes(),
        json.dumps(
            {
                "specversion": "1.0",
                "source": "switch-1",
                "id": "c1",
                "time": "2026-10-02T10:11:12Z",
                "subject": "acme",
                "type": "usage.voice.outbound",
                "data": {"to": "+442079460000", "duration_seconds": "61"},
            }
        ),
    ],
)
def test_usage_may_be_written_in_several_ways(written: str, tollbook: Tollbook, files: Path) -> None:
    for content in (written.encode(), gzip.compress(written.encode())):
        (files / "usage.ndjson").write_bytes(content)
        code, out, err = rate(tollbook, files, "--card", files / "card.toml", "--format", "json")
        assert (0, "") == (code, err)
        assert "0.04" == json.loads(out)["accounts"][0]["total"]


def test_what_is_not_priced_is_told_and_exit_4(tollbook: Tollbook, files: Path) -> None:
    (files / "usage.ndjson").write_text(with_changes(to="+33123456789", source="s", id="x"))
    code, out, err = rate(tollbook, files, "--card", files / "card.toml", "--format", "json")
    assert 4 == code
    assert [{"source": "s", "id": "x", "reason": "no_rate"}] == json.loads(out)["quarantined"]
    assert "1 event is not priced: no_rate\n" == err


def test_what_is_malformed_is_told_and_exit_5_and_the_rest_is_billed(tollbook: Tollbook, files: Path) -> None:
    (files / "usage.ndjson").write_text(f"{with_changes()}\n{with_changes(id='c2', occurred_at='2026-10-02')}\n{{}}\n")
    code, out, err = rate(tollbook, files, "--card", files / "card.toml", "--format", "json")
    assert 5 == code
    assert "0.04" == json.loads(out)["accounts"][0]["total"]
    assert "event 2 /occurred_at: is not like 2026-10-02T10:11:12Z; it is left out" in err
    assert "event 3 /id: is missing; it is left out" in err


def test_events_of_other_months_are_not_billed(tollbook: Tollbook, files: Path) -> None:
    months = ("2025-01-01", "2026-09-30", "2026-11-01", "2027-07-01")
    lines = [with_changes(id=day, occurred_at=f"{day}T00:00:00Z") for day in months]
    (files / "usage.ndjson").write_text("\n".join(lines))
    code, out, err = rate(tollbook, files, "--card", files / "card.toml", "--format", "json")
    assert (3, [], []) == (code, [a["lines"] for a in json.loads(out)["accounts"]], json.loads(out)["quarantined"])
    assert "There is no usage of 2026-10 in" in err


@pytest.mark.parametrize("nothing", ["", "\n\n", "[]"])
def test_no_usage_is_nothing_to_do(nothing: str, tollbook: Tollbook, files: Path) -> None:
    (files / "usage.ndjson").write_text(nothing)
    for form in ("table", "csv", "json"):
        code, _, err = rate(tollbook, files, "--card", files / "card.toml", "--format", form)
        assert 3 == code
        assert f"There is no usage in {files / 'usage.ndjson'}: nothing to do." in err


def test_what_is_malformed_wins_over_what_waits_and_over_nothing_else(tollbook: Tollbook, files: Path) -> None:
    waits = with_changes(to="+33123456789", id="c2")
    (files / "usage.ndjson").write_text(f"nonsense\n{waits}\n")
    assert 5 == rate(tollbook, files, "--card", files / "card.toml")[0]
    (files / "usage.ndjson").write_text("nonsense\n")
    assert 5 == rate(tollbook, files, "--card", files / "card.toml")[0]


def test_what_costs_nothing_and_what_stands_there_twice_is_told(tollbook: Tollbook, files: Path) -> None:
    lines = [with_changes(id=f"b{n}", status="busy") for n in range(3)] + [with_changes(), with_changes()]
    (files / "usage.ndjson").write_text("\n".join(lines))
    code, _, err = rate(tollbook, files, "--card", files / "card.toml")
    assert 0 == code
    assert "3 events cost nothing: status_not_billable" in err
    assert "1 event stands there twice, and counts once" in err
    (files / "usage.ndjson").write_text(lines[0])
    assert 0 == rate(tollbook, files, "--card", files / "card.toml")[0]


def test_the_bills_are_a_table_or_csv_too(tollbook: Tollbook, files: Path) -> None:
    _, out, _ = rate(tollbook, files, "--card", files / "card.toml")
    assert "acme-sales, 2026-10, USD" in out
    assert "0.04" in out
    _, out, _ = rate(tollbook, files, "--card", files / "card.toml", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert ["account", "period", "currency", *LINE_FIELDS] == list(row)
    assert ("acme-sales", "voice.outbound", "0.04") == (row["account"], row["product"], row["amount"])


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("card.toml", CARD.replace("0.02", "-0.02"), "rate[0].price"),
        ("accounts.toml", 'id = "acme"', "accounts.toml: currency"),
        ("accounts.toml", 'id = "acme"\nparent = "above"\n', "is not an account; add the parent first"),
        ("contract.toml", 'account = "acme"\ncards = ["list"]', "contract.toml: effective_from"),
        ("contract.toml", CONTRACT + 'support = {min = "5"}', "support.plan: is missing"),
        ("contract.toml", "account = ", "contract.toml: is not TOML"),
        ("card.toml", "\xff", "card.toml"),
    ],
)
def test_a_faulty_file_is_exit_5_with_its_place(
    name: str, text: str, fault: str, tollbook: Tollbook, files: Path
) -> None:
    (files / name).write_bytes(text.encode("latin-1"))
    options = ("--accounts", files / "accounts.toml", "--contract", files / "contract.toml")
    code, out, err = rate(tollbook, files, "--card", files / "card.toml", *options)
    assert (5, "") == (code, out)
    assert fault in err


def test_a_period_that_is_no_month_is_a_wrong_call(tollbook: Tollbook, files: Path) -> None:
    ran = tollbook("rate", "--usage", files / "usage.ndjson", "--period", "2026-13", "--card", files / "card.toml")
    assert 2 == ran.code
    assert 'tollbook: "2026-13": not a month; write it as 2026-10\n' == ran.err
