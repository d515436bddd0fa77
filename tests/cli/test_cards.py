"""Cards on the command line: faults with their places, publication, and the price of any number."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CARD, Tollbook

HEAD = 'id = "list"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\nrates = "rates.csv"\n'
RATES = "product,prefixes,unit,increments,price\nvoice.outbound,44,minute,60/60,0.02\n"
CDR_RATES = (
    "Ops,Reseller,Rate,Destination,App,Connect,Duration,Conn In,Duration In\n"
    "2,0,gold,44,audio,0,254,,\n2,0,gold,447,audio,100,4620,,\n2,0,gold,,sms,500,,,\n"
)
CDR_DESTINATIONS = (
    "Ops,Reseller,Trusted peer,Domain,Subscriber,Destination,Region,Description,Incr,Min Dur,Max Dur,Max Price\n"
    "2,0,,,,44,,UK,0,0,0,\n2,0,,,,447,,UK CELL,6,6,0,\n"
)


def write(folder: Path, head: str = HEAD, rates: str = RATES) -> Path:
    (folder / "rates.csv").write_text(rates)
    (folder / "card.toml").write_text(head)
    return folder / "card.toml"


def deck(folder: Path, command: str = "import") -> list[str]:
    (folder / "rates.csv").write_text(CDR_RATES)
    (folder / "destinations.csv").write_text(CDR_DESTINATIONS)
    facts = ["--dialect", "cdrtool", "--id", "az", "--currency", "USD", "--from", "2026-10-01"]
    return ["cards", command, *facts, str(folder / "rates.csv"), str(folder / "destinations.csv")]


def test_a_card_without_faults_is_told_with_its_identity(tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook("cards", "check", write(tmp_path))
    assert 0 == ran.code
    assert "list@2026-10-01T00:00:00Z: 1 rate, USD, no faults. Identity " in ran.err


@pytest.mark.parametrize(
    ("head", "rates", "fault"),
    [
        (HEAD, RATES.replace("44", "4.95E+12"), 'rates.csv:2 prefixes "4.95E+12"'),
        (HEAD, RATES.replace("0.02", '"0,02"'), 'rates.csv:2 price "0,02"'),
        (HEAD, RATES.replace("minute", "hour"), "rates.csv:2 unit"),
        (HEAD, RATES + "voice.outbound,44,minute,60/60,0.03\n", "rates.csv:3"),
        (HEAD.replace("USD", "XXX"), RATES, 'card.toml: currency "XXX"'),
        (HEAD + "sunrise = 1\n", RATES, "card.toml: sunrise"),
        (HEAD.replace("rates.csv", "../rates.csv"), RATES, 'card.toml: rates "../rates.csv"'),
        (HEAD.replace("rates.csv", "/etc/hostname"), RATES, 'card.toml: rates "/etc/hostname"'),
        ("id = ", RATES, "card.toml: is not TOML"),
    ],
)
def test_a_faulty_card_is_exit_5_with_place_and_remedy(
    head: str, rates: str, fault: str, tollbook: Tollbook, tmp_path: Path
) -> None:
    path = write(tmp_path, head, rates)
    ran = tollbook("cards", "check", path)
    assert 5 == ran.code
    assert fault in ran.err
    assert "; " in ran.err
    assert "" == ran.out
    printed = json.loads(tollbook("cards", "check", path, "--format", "json").out)
    assert fault.startswith(printed[0]["place"]) or printed[0]["place"].startswith(fault)
    assert {"severity", "place", "value", "problem", "remedy"} == set(printed[0])
    assert "fault" == printed[0]["severity"]


@pytest.mark.usefixtures("empty_books")
def test_of_a_faulty_card_nothing_is_stored(tollbook: Tollbook, tmp_path: Path) -> None:
    path = write(tmp_path, rates=RATES + "voice.outbound,33,minute,60/60,free\n")
    assert 5 == tollbook("cards", "import", path).code
    assert [] == json.loads(tollbook("cards", "list", "--format", "json").out)


def test_a_published_card_is_listed_and_the_same_again_is_nothing_to_do(books: Path, tollbook: Tollbook) -> None:
    (listed,) = json.loads(tollbook("cards", "list", "--format", "json").out)
    assert ("list", "USD", 1) == (listed["id"], listed["currency"], listed["rates"])
    assert "list" in tollbook("cards", "list").out
    again = tollbook("cards", "import", books / "card.toml")
    assert 3 == again.code
    assert "published already" in again.err


def test_another_version_from_the_same_instant_is_refused(books: Path, tollbook: Tollbook) -> None:
    (books / "other.toml").write_text(CARD.replace("0.02", "0.03"))
    ran = tollbook("cards", "import", books / "other.toml")
    assert 5 == ran.code
    assert "another version is published from this instant; publish the change from a later instant" in ran.err


NOVEMBER = CARD.replace("2026-10-01", "2026-11-01")


@pytest.mark.parametrize(
    ("price", "options", "code"),
    [
        ("0.04", [], 0),
        ("0.0401", [], 5),
        ("0.01", [], 0),
        ("0.0099", [], 5),
        ("0.0401", ["--dry-run"], 5),
        ("0.0401", ["--accept"], 0),
        ("0.0401", ["--jump-bound", "2.5"], 0),
        ("0.025", ["--jump-bound", "1.2"], 5),
        ("0.02", ["--jump-bound", "0.5"], 2),
        ("0.02", ["--jump-bound", "twice"], 2),
    ],
)
def test_a_price_that_jumps_from_the_version_before_is_refused_unless_accepted(
    price: str, options: list[str], code: int, books: Path, tollbook: Tollbook
) -> None:
    (books / "next.toml").write_text(NOVEMBER.replace("0.02", price))
    ran = tollbook("cards", "import", books / "next.toml", *options)
    assert code == ran.code
    if code == 5:
        assert f'next.toml: rate[0].prefixes (row 1) "44": the price is {price}, was 0.02' in ran.err
        assert "in list@2026-10-01T00:00:00Z:\n--accept takes them" in ran.err
    published = json.loads(tollbook("cards", "list", "--format", "json").out)
    assert (2 if code == 0 else 1) == len(published)


def test_what_was_published_with_a_jump_needs_no_accepting_again(books: Path, tollbook: Tollbook) -> None:
    (books / "next.toml").write_text(NOVEMBER.replace("0.02", "0.2"))
    assert 0 == tollbook("cards", "import", books / "next.toml", "--accept").code
    assert 3 == tollbook("cards", "import", books / "next.toml").code


@pytest.mark.usefixtures("empty_books")
@pytest.mark.parametrize("command", ["check", "import"])
def test_a_country_that_the_prefixes_deny_is_a_warning(command: str, tollbook: Tollbook, tmp_path: Path) -> None:
    path = write(
        tmp_path, rates="product,country,prefixes,unit,increments,price\nvoice.outbound,DE,44,minute,1/1,0.02\n"
    )
    ran = tollbook("cards", command, path)
    assert (0, "") == (ran.code, ran.out)
    assert 'warning: rates.csv:2 country "DE": the numbering plan has none of this row\'s prefixes there' in ran.err


@pytest.mark.usefixtures("empty_books")
def test_a_dry_run_publishes_nothing(tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook("cards", "import", write(tmp_path), "--dry-run")
    assert (0, "") == (ran.code, ran.out)
    assert "would be published" in ran.err
    assert [] == json.loads(tollbook("cards", "list", "--format", "json").out)


@pytest.mark.usefixtures("empty_books")
def test_a_deck_of_two_files_is_published_as_a_card(tollbook: Tollbook, tmp_path: Path) -> None:
    assert 0 == tollbook(*deck(tmp_path)).code
    ran = tollbook("cards", "explain", "az", "+442079460000", "+447700900123", "--format", "json", "--at", "2026-10-01")
    landline, mobile = json.loads(ran.out)
    # By the second: 61 × 0.0254 / 60. In steps of 6: 66 × 0.462 / 60 = 0.5082, and 0.01 to connect.
    assert ("44", "UK", ["0.0254"], "7747/300000") == (
        landline["prefix"],
        landline["destination"],
        landline["prices"],
        landline["cost"],
    )
    assert ("447", 66, "0.01", "0.5182") == (
        mobile["prefix"],
        mobile["billable"],
        mobile["setup_fee"],
        mobile["cost"],
    )


@pytest.mark.usefixtures("empty_books")
@pytest.mark.parametrize("command", ["check", "import"])
def test_rows_of_a_deck_that_are_left_out_are_told(command: str, tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook(*deck(tmp_path, command))
    assert (0, "") == (ran.code, ran.out)
    told = 'rates.csv:4 App "sms": 1 row of this application is left out; only audio is read: other prices belong'
    assert ran.err.startswith(f"notice: {told}")


def test_a_deck_is_checked_without_a_database_and_its_notices_are_data_too(tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook(*deck(tmp_path, "check"), "--format", "json")
    (notice,) = json.loads(ran.out)
    assert (0, "notice", "rates.csv:4 App", "sms") == (
        ran.code,
        notice["severity"],
        notice["place"],
        notice["value"],
    )


@pytest.mark.parametrize("command", ["check", "import"])
def test_the_files_of_a_deck_in_the_wrong_order_are_a_wrong_call(
    command: str, tollbook: Tollbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *words, _, _ = deck(tmp_path, command)
    ran = tollbook(*words, "destinations.csv", "rates.csv")
    assert (2, "") == (ran.code, ran.out)
    said = " ".join(ran.err.replace("│", " ").split())
    assert "destinations.csv holds the destinations and rates.csv the rates, which come first: end the" in said
    assert "the command with rates.csv destinations.csv" in said


def test_an_unknown_product_of_a_deck_is_a_wrong_call_that_names_the_known(tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook(*deck(tmp_path, "check"), "--product", "nope")
    assert (2, "") == (ran.code, ran.out)
    said = " ".join(ran.err.replace("│", " ").split())
    assert "nope is not a product; use one of amd, lookup, mms.inbound, mms.outbound, number.monthly" in said


def test_of_many_faults_people_see_twenty_and_programs_all(tollbook: Tollbook, tmp_path: Path) -> None:
    rows = "".join(f"nope,44{n},minute,60/60,0.02\n" for n in range(1300))
    path = write(tmp_path, rates=RATES + rows)
    ran = tollbook("cards", "check", path)
    told = ran.err.splitlines()
    assert (5, 22) == (ran.code, len(told))
    assert "card.toml: 1,300 faults; mend them and check the card again" in told[0]
    assert 'tollbook: rates.csv:22 product "nope": is not a product that is known here' in told[20]
    assert "tollbook: and 1,280 more of the same" == told[21]
    assert 1300 == len(json.loads(tollbook("cards", "check", path, "--format", "json").out))
    assert 1301 == len(list(csv.reader(io.StringIO(tollbook("cards", "check", path, "--format", "csv").out))))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dialect", "cdrtool", "rates.csv"],
        ["--dialect", "cdrtool", "rates.csv", "destinations.csv"],
        ["--id", "az", "card.toml"],
        ["card.toml", "rates.csv"],
        ["--dialect", "other", "card.toml"],
        ["--dialect", "cdrtool", "--id", "a", "--currency", "USD", "--from", "soon", "rates.csv", "destinations.csv"],
    ],
)
def test_what_does_not_go_together_is_a_wrong_call(arguments: list[str], tollbook: Tollbook, tmp_path: Path) -> None:
    write(tmp_path)
    deck(tmp_path)
    ran = tollbook("cards", "import", *(str(tmp_path / a) if a.endswith((".csv", ".toml")) else a for a in arguments))
    assert 2 == ran.code


def test_any_number_is_priced_with_the_prefix_that_matched(tollbook: Tollbook, tmp_path: Path) -> None:
    path = write(tmp_path, rates=RATES + "voice.outbound,4420,minute,6/6,0.015\n")
    ran = tollbook("cards", "explain", path, "+442079460000", "+441214960000", "+331", "33555", "--format", "json")
    london, birmingham, france, short = json.loads(ran.out)
    assert ("4420", 3, "6/6", 66, "0.0165") == tuple(
        london[key] for key in ("prefix", "row", "increments", "billable", "cost")
    )
    assert ("44", "60/60", 120, "0.04") == tuple(
        birmingham[key] for key in ("prefix", "increments", "billable", "cost")
    )
    assert ("no_rate", "no_rate") == (france["reason"], short["reason"])
    assert "written with +" in ran.err


def test_prices_are_explained_as_a_table_and_as_csv(tollbook: Tollbook, tmp_path: Path) -> None:
    path = write(tmp_path)
    shown = tollbook("cards", "explain", path, "+442079460000", "--quantity", "600")
    assert 0 == shown.code
    assert "list@2026-10-01T00:00:00Z, voice.outbound, 600 seconds, USD" in shown.out
    (row,) = csv.DictReader(io.StringIO(tollbook("cards", "explain", path, "+4420", "--format", "csv").out))
    assert ("44", "0.02", "0.04") == (row["prefix"], row["prices"], row["cost"])


def test_further_dimensions_and_the_caller_decide_too(tollbook: Tollbook, tmp_path: Path) -> None:
    rates = (
        "product,prefixes,origin_prefixes,number_type,unit,price\n"
        "voice.outbound,372,,,minute,0.40\nvoice.outbound,372,49,,minute,0.05\n"
        "voice.outbound,372,,special,minute,0.90\n"
    )
    path = write(tmp_path, rates=rates)

    def price(*options: str) -> object:
        ran = tollbook("cards", "explain", path, "+3725", "--format", "json", *options)
        return json.loads(ran.out)[0]["prices"]

    assert ["0.4"] == price()
    assert ["0.05"] == price("--from", "+4930")
    assert ["0.9"] == price("--where", "number_type=special")


def test_a_dimension_that_the_product_has_not_is_a_wrong_call(tollbook: Tollbook, tmp_path: Path) -> None:
    ran = tollbook("cards", "explain", write(tmp_path), "+4420", "--where", "foo=1")
    assert (2, "") == (ran.code, ran.out)
    said = " ".join(ran.err.replace("│", " ").split())
    assert "foo is not a dimension of voice.outbound; it has number_type, country" in said


@pytest.mark.parametrize(
    ("numbers", "code"), [(["+4420", "+4479"], 0), (["+4420", "+331"], 4), (["+331"], 4), (["33555"], 4)]
)
def test_a_number_without_a_price_needs_a_person(
    numbers: list[str], code: int, tollbook: Tollbook, tmp_path: Path
) -> None:
    ran = tollbook("cards", "explain", write(tmp_path), *numbers, "--format", "json")
    assert (code, len(numbers)) == (ran.code, len(json.loads(ran.out)))


@pytest.mark.usefixtures("books")
def test_a_card_that_is_not_there_is_said(tollbook: Tollbook) -> None:
    ran = tollbook("cards", "explain", "nothing", "+44")
    assert 1 == ran.code
    said = "is neither a file nor a published card in force then; see `tollbook cards list`"
    assert f'tollbook: "nothing": {said}\n' == ran.err
    assert 1 == tollbook("cards", "explain", "list", "+44", "--at", "2026-09-30").code
    assert 0 == tollbook("cards", "explain", "list", "+44", "--at", "2026-10-01").code


def test_a_version_that_a_later_one_follows_is_listed_until_then(books: Path, tollbook: Tollbook) -> None:
    (books / "next.toml").write_text(CARD.replace("2026-10-01", "2026-12-01"))
    assert 0 == tollbook("cards", "import", books / "next.toml").code
    first, second = json.loads(tollbook("cards", "list", "--format", "json").out)
    assert ("2026-12-01T00:00:00Z", None, None) == (
        first["in_force_until"],
        first["effective_to"],
        second["in_force_until"],
    )
    assert 2 == tollbook("cards", "list").out.count("2026-12-01T00:00:00Z")
    rows = list(csv.DictReader(io.StringIO(tollbook("cards", "list", "--format", "csv").out)))
    assert [("2026-12-01T00:00:00Z", ""), ("", "")] == [(row["in_force_until"], row["effective_to"]) for row in rows]


def test_numbers_that_are_priced_are_digits_in_csv(books: Path, tollbook: Tollbook) -> None:
    ran = tollbook("cards", "explain", books / "card.toml", "+442079460000", "911", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [("442079460000", ""), ("", "911")] == [(row["to_e164"], row["to_address"]) for row in rows]
    assert "number" not in rows[0]
    (quote,) = json.loads(tollbook("cards", "explain", books / "card.toml", "+442079460000", "-f", "json").out)
    assert "+442079460000" == quote["number"]


@pytest.mark.usefixtures("empty_books")
def test_of_nothing_there_is_no_table(tollbook: Tollbook) -> None:
    for command in (("cards", "list"), ("accounts", "list"), ("contracts", "list"), ("usage", "quarantine")):
        ran = tollbook(*command)
        assert "" == ran.out
        assert ran.err


def test_the_row_of_a_table_is_told_as_people_count_beside_its_path(tollbook: Tollbook, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(CARD.replace('"0.02"', "2") + CARD[CARD.index("[[rate]]") :])
    ran = tollbook("cards", "check", tmp_path / "card.toml")
    assert 'card.toml: rate[0].price (row 1) "2": is not a string' in ran.err
    (fault, *_) = json.loads(tollbook("cards", "check", tmp_path / "card.toml", "--format", "json").out)
    assert "card.toml: rate[0].price" == fault["place"], "a path for programs"


def test_a_number_is_priced_as_the_product_of_a_card_that_prices_it(tmp_path: Path, tollbook: Tollbook) -> None:
    row = '[[rate]]\nproduct = "{}"\nprefixes = ["{}"]\nunit = "{}"\nprice = "{}"\n'
    rows = (
        ("voice.inbound", "1", "minute", "0.01"),
        ("sms.outbound", "372", "segment", "0.05"),
        ("voice.outbound", "37250", "minute", "0.02"),
    )
    head = 'id = "ee"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n'
    path = tmp_path / "ee.toml"
    path.write_text(
        head + "".join(row.format(*each).replace('"minute"', '"minute"\nincrements = "1/1"') for each in rows)
    )
    at = ("--at", "2026-10-02", "--format", "json")
    for numbers, options, product in (
        (["+37250123456"], [], "voice.outbound"),
        (["+37260123456"], [], "sms.outbound"),
        (["+14155550123"], [], "voice.inbound"),
        (["+37250123456"], ["--where", "mcc=248"], "sms.outbound"),
        (["+37250123456"], ["--product", "sms.outbound"], "sms.outbound"),
    ):
        ran = tollbook("cards", "explain", path, *numbers, *options, *at)
        assert 0 == ran.code, ran.err
        assert [product] == [quote["product"] for quote in json.loads(ran.out)]
        others = [each[0] for each in rows if each[0] != product]
        assert ("--product" in options) is ("--product asks for another" not in ran.err)
        assert "--product" in options or all(other in ran.err for other in others)
    ran = tollbook("cards", "explain", path, "+4420", *at)
    assert 4 == ran.code
    assert "Priced as voice.outbound; --product asks for another: voice.inbound, sms.outbound." in ran.err
