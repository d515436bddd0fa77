"""What would bill wrongly for months is refused when it is loaded: with the file, the key and what to write instead."""

from pathlib import Path

import pytest

from tests.cli.conftest import ACCOUNTS, CARD, CONTRACT, Tollbook, with_changes

HEAD, ROW = CARD.split("[[rate]]")
TIERED = ROW.replace('price = "0.02"', 'tiers = "t"\nprices = ["0.02", "0.01"]')
OTHER = CARD.replace('"list"', '"other"')
PREPAID = '[[account]]\nid = "acme"\ncurrency = "USD"\nprepaid = true\n'
BOTH = CONTRACT.replace('["list"]', '["list", "other"]')
CYCLE = '[[account]]\nid = "a"\nparent = "b"\n[[account]]\nid = "b"\nparent = "a"\npays = true\ncurrency = "USD"\n'
TWO_CURRENCIES = f'{ACCOUNTS}currency = "EUR"\n'
TWICE = "[[contract]]" + CONTRACT + "[[contract]]" + CONTRACT.replace('["list"]', '["list", "other"]')


def tiers(*, card: str = HEAD, fill: str = '{product = "voice.outbound"}', mode: str = "graduated") -> str:
    """A card with a schedule that prices its only row."""
    schedule = f'[tiers.t]\nmode = "{mode}"\nup_to = ["10"]\nunit = "minute"\nfill = [{fill}]\n\n'
    return f"{card}{schedule}[[rate]]{TIERED}"


AMERICAN = tiers(fill='{product = "voice.outbound", country = "US"}').replace("\ndest", '\ncountry = "GB"\ndest')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "usage.ndjson").write_text(with_changes(account="acme") + "\n")
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        (
            tiers().replace('fill = [{product = "voice.outbound"}]\n', ""),
            "card.toml: tiers.t.fill: selects nothing; a counter that nothing fills never leaves tier 1",
        ),
        (
            tiers(fill='{product = "voice.outbuond"}'),
            'tiers.t.fill[0].product "voice.outbuond": selects no product; known',
        ),
        (tiers(fill='{country = "UK"}'), 'card.toml: tiers.t.fill[0].country "UK": selects no country; write its two'),
        (
            tiers(fill='{product = "taskrouter.task", number_type = "mobile"}'),
            'tiers.t.fill[0].number_type "mobile": selects nothing: taskrouter.task is not matched on it; remove it',
        ),
        (
            CARD.replace('"voice.outbound"', '"voice.teleport"'),
            'card.toml: rate[0].product (row 1) "voice.teleport": is not a product that is known here; use one of amd',
        ),
    ],
)
def test_a_faulty_card_is_refused(card: str, fault: str, tollbook: Tollbook, folder: Path) -> None:
    write(folder, card=card)
    for command in (("cards", "check"), ("cards", "import")):
        ran = tollbook(*command, folder / "card.toml")
        assert (5, True) == (ran.code, fault in ran.err), ran.err


@pytest.mark.parametrize(
    ("product", "fault"),
    [
        ('base = "second"\nunits = {minutes = 60}', "own.toml: units: does not say second = 1; the base is one of"),
        (
            'base = "minute"\nunits = {minute = 1}',
            'own.toml: measure "duration_seconds": is in seconds, and the base is minute; let the base be',
        ),
    ],
)
def test_a_product_of_an_unknown_unit_is_refused(
    product: str, fault: str, tollbook: Tollbook, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "[[rules]]\neffective_from = 1970-01-01T00:00:00Z\n"
    own = f'id = "own"\nname = "Own"\n{product}\nmeasure = "duration_seconds"\nrequired = ["usage"]\n{rules}'
    (folder / "products").mkdir()
    write(folder / "products", own=own)
    monkeypatch.setenv("TOLLBOOK_PRODUCTS", str(folder / "products"))
    ran = tollbook("products", "list")
    assert (5, True) == (ran.code, fault in ran.err), ran.err


def test_a_rate_of_a_unit_that_its_product_has_not_is_refused(tollbook: Tollbook, folder: Path) -> None:
    write(folder, card=CARD.replace('"minute"', '"hour"'))
    ran = tollbook("cards", "check", folder / "card.toml")
    fault = 'card.toml: rate[0].unit (row 1) "hour": is not a unit of voice.outbound; use one of second, minute, event'
    assert (5, True) == (ran.code, fault in ran.err), ran.err


def test_a_schedule_that_only_another_card_can_fill_is_a_warning(tollbook: Tollbook, folder: Path) -> None:
    """Of one card alone it is not known what stands beside it: there may be one that prices incoming calls."""
    write(folder, card=tiers(fill='{product = "voice.inbound"}'))
    ran = tollbook("cards", "check", folder / "card.toml")
    warning = (
        f"warning: {folder}/card.toml: tiers.t.fill: selects nothing that the card, or one beside it, has a rate for;"
    )
    assert (0, True) == (ran.code, warning in ran.err), ran.err


@pytest.mark.parametrize(
    ("percents", "row", "warned"),
    [
        ('"0", "10"', 'price = "0.01"', True),
        ('"0", "0"', 'price = "0.01"', False),
        ('"0", "10"', 'price = "0.01"\ntiers = "t"', False),
    ],
)
def test_percents_that_no_rate_names_are_a_warning(
    percents: str,
    row: str,
    warned: bool,  # noqa: FBT001
    tollbook: Tollbook,
    folder: Path,
) -> None:
    """A schedule takes its percents off the rates that name it, and not off what fills it."""
    schedule = (
        f'[tiers.t]\nup_to = ["10"]\nunit = "minute"\nfill = [{{product = "voice.*"}}]\ndiscounts = [{percents}]\n'
    )
    rate = '[[rate]]\nproduct = "voice.outbound"\nunit = "minute"\nincrements = "60/60"\n'
    write(folder, card=f"{HEAD}{schedule}{rate}{row}\n")
    ran = tollbook("cards", "check", folder / "card.toml")
    warning = (
        f'warning: {folder}/card.toml: tiers.t.discounts "0 10": are off no price: no rate of the card names the '
        'schedule; write tiers = "t" in the rates that they are off, or remove them'
    )
    assert (0, warned) == (ran.code, warning in ran.err), ran.err


@pytest.mark.parametrize(
    ("files", "options", "fault"),
    [
        (
            {"card": CARD, "accounts": CYCLE},
            ("--accounts",),
            'accounts.toml: account[0] (account 1): parent "b": leads back to the account itself; a tree has a root',
        ),
        (
            {"card": CARD, "accounts": TWO_CURRENCIES},
            ("--accounts",),
            'accounts.toml: account[1] (account 2): currency "EUR": its payer acme is billed in USD; leave it out',
        ),
        (
            {"card": CARD, "other": OTHER, "contract": TWICE},
            ("--contract",),
            'contract.toml: contract[1] (contract 2): effective_from "2026-10-01": overlaps another contract',
        ),
        (
            {"card": tiers(), "other": tiers(fill='{product = "voice.*"}', card=HEAD.replace('"list"', '"other"'))},
            (),
            "other.toml: tiers.t: counts otherwise than in card list@2026-10-01T00:00:00Z, in fill; cards that share",
        ),
        (
            {"card": tiers(), "other": tiers(mode="volume", card=HEAD.replace('"list"', '"other"'))},
            (),
            "other.toml: tiers.t: counts otherwise than in card list@2026-10-01T00:00:00Z, in mode; cards that share",
        ),
        (
            {"card": AMERICAN},
            (),
            "card.toml: tiers.t.fill: selects nothing that the card, or one beside it, has a rate for; a counter that",
        ),
        (
            {"card": tiers(mode="volume"), "accounts": PREPAID},
            ("--accounts",),
            'card.toml: tiers.t.mode "volume": prices usage by what comes after it, and acme, which has this card, is',
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_before_it_rates(
    files: dict[str, str], options: tuple[str, ...], fault: str, tollbook: Tollbook, folder: Path
) -> None:
    write(folder, **files)
    cards = [part for name in ("card", "other") if name in files for part in ("--card", folder / f"{name}.toml")]
    named = [part for option in options for part in (option, folder / f"{option[2:]}.toml")]
    ran = tollbook("rate", *cards, *named, "--usage", folder / "usage.ndjson", "--period", "2026-10")
    path = str(folder) if fault.startswith(("card.toml", "other.toml")) else ""
    said = ran.err.replace(f"{path}/", "") if path else ran.err
    assert (5, "", True) == (ran.code, ran.out, fault in said), ran.err


def test_accounts_that_do_not_fit_together_are_not_added(
    tollbook: Tollbook,
    folder: Path,
    empty_books: object,  # noqa: ARG001 (found through DATABASE_URL)
) -> None:
    for text, fault in (
        (CYCLE, 'accounts.toml: account[0] (account 1): parent "b": leads back to the account itself'),
        (TWO_CURRENCIES, 'accounts.toml: account[1] (account 2): currency "EUR": its payer acme is billed in USD'),
        (
            PREPAID.replace("currency", 'parent = "x"\ncurrency') + '[[account]]\nid = "x"\ncurrency = "USD"\n',
            'account[0] (account 1): prepaid "True": is of an account that somebody else pays for; write it of whoever',
        ),
    ):
        write(folder, accounts=text)
        ran = tollbook("accounts", "add", folder / "accounts.toml")
        assert (5, True) == (ran.code, fault in ran.err), ran.err
    assert "There is no account" in tollbook("accounts", "list").err


def test_contracts_that_overlap_are_not_added(tollbook: Tollbook, books: Path) -> None:
    write(books, other=OTHER, contracts=TWICE, again=BOTH)
    assert 0 == tollbook("cards", "import", books / "other.toml").code
    in_a_file = tollbook("contracts", "add", books / "contracts.toml")
    fault = 'contracts.toml: contract[1] (contract 2): effective_from "2026-10-01": overlaps another contract'
    assert (5, True) == (in_a_file.code, fault in in_a_file.err), in_a_file.err
    stored = tollbook("contracts", "add", books / "again.toml")
    fault = 'again.toml "2026-10-01": another contract begins on this day; contracts are not edited: begin the new one'
    assert (5, True) == (stored.code, fault in stored.err), stored.err
    assert 1 == tollbook("contracts", "list").out.count("2026-10-01")


def test_no_volume_schedule_reaches_a_prepaid_account(tollbook: Tollbook, books: Path) -> None:
    """Neither by its contract, nor by a card of its contract, nor by becoming prepaid under one."""
    volume = tiers(mode="volume", card=HEAD.replace('"list"', '"volume"'))
    contract = CONTRACT.replace('["list"]', '["volume"]').replace("10-01", "11-01")
    later = tiers(mode="volume").replace("10-01T", "11-01T")
    write(books, volume=volume, contract=contract, prepaid=PREPAID, later=later)
    said = "prices usage by what comes after it, and acme, which has this card, is prepaid"
    assert 0 == tollbook("cards", "import", books / "volume.toml").code
    assert 0 == tollbook("accounts", "add", books / "prepaid.toml").code
    for command in (("contracts", "add", books / "contract.toml"), ("cards", "import", books / "later.toml")):
        ran = tollbook(*command)
        assert (5, True) == (ran.code, said in ran.err), ran.err
    write(books, postpaid=PREPAID.replace("true", "false"))
    assert 0 == tollbook("accounts", "add", books / "postpaid.toml").code
    assert 0 == tollbook("contracts", "add", books / "contract.toml").code
    ran = tollbook("accounts", "add", books / "prepaid.toml")
    assert (5, True) == (ran.code, said in ran.err), ran.err


def test_no_contract_gives_a_card_whose_counter_nothing_fills(tollbook: Tollbook, books: Path) -> None:
    """A card beside it that prices what is counted makes it whole."""
    card = HEAD.replace('"list"', '"idle"')
    inbound = CARD.replace('"list"', '"inbound"').replace("voice.outbound", "voice.inbound")
    contract = CONTRACT.replace('["list"]', '["idle"]').replace("10-01", "11-01")
    together = contract.replace('["idle"]', '["idle", "inbound"]')
    write(books, idle=tiers(fill='{product = "voice.inbound"}', card=card), inbound=inbound)
    write(books, contract=contract, together=together)
    for name in ("idle", "inbound"):
        assert 0 == tollbook("cards", "import", books / f"{name}.toml").code
    ran = tollbook("contracts", "add", books / "contract.toml")
    fault = "card idle@2026-10-01T00:00:00Z: tiers.t.fill: selects nothing that the card, or one beside it, has a rate"
    assert (5, True) == (ran.code, fault in ran.err), ran.err
    assert 0 == tollbook("contracts", "add", books / "together.toml").code
