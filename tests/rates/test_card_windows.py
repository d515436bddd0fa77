"""Windows in cards: what is read, and rows whose windows overlap, leave gaps, or cannot split what they should."""

import pytest

from rates.cardfile import read_card, write_card
from rates.cards import Card, identity
from rates.windows import MINUTES_A_WEEK, Window
from tests.shop import products

HEAD = 'id = "c"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\nrates = "rates.csv"\n'
TIERS = '[tiers.t]\nup_to = ["10"]\nunit = "minute"\nfill = [{product = "voice.outbound"}]\n'
COLUMNS = (
    "product", "element", "prefixes", "number_type", "window", "unit", "price", "prices", "steps", "tiers", "blocked",
    "effective_from", "effective_to",
)  # fmt: skip
PLAIN = {"product": "voice.outbound", "prefixes": "44", "unit": "minute", "price": "0.02"}
PEAK = {**PLAIN, "window": "peak"}
WORKDAYS = "mon tue wed thu fri"


def window(name: str, days: str, begins: str, ends: str, *, split: bool = False) -> str:
    listed = ", ".join(f'"{day}"' for day in days.split())
    ending = "split = true\n" if split else ""
    return f'[windows.{name}]\ndays = [{listed}]\nfrom = "{begins}"\nto = "{ends}"\n{ending}'


DAY = window("peak", WORKDAYS, "08:00", "20:00")
NIGHT = window("night", WORKDAYS, "20:00", "08:00")
WEEKEND = window("weekend", "sat sun", "00:00", "24:00")
SPLIT = window("peak", WORKDAYS, "08:00", "20:00", split=True)


def read(*rows: dict[str, str], head: str) -> tuple[Card | None, list[str]]:
    lines = [",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in rows)]
    card, faults = read_card(HEAD + head, {"rates.csv": "\n".join([*lines, ""]).encode()}, products())
    return card, [str(fault) for fault in faults]


def good(*rows: dict[str, str], head: str) -> Card:
    card, faults = read(*rows, head=head)
    assert card is not None, faults
    return card


HEAD_FAULTS: list[tuple[str, str, str]] = [
    ('"mon"', '"monday"', "card.toml: windows.peak.days: is not a day: monday; use each of mon, tue, wed"),
    ('"mon"', '"fri"', "card.toml: windows.peak.days: is listed twice: fri"),
    ('["mon", "tue", "wed", "thu", "fri"]', "[]", "card.toml: windows.peak.days: is empty"),
    ('days = ["mon", "tue", "wed", "thu", "fri"]\n', "", "card.toml: windows.peak.days: is missing"),
    ('"08:00"', '"8:00"', 'card.toml: windows.peak.from "8:00": is not a time of day; write it as 08:00'),
    ('"08:00"', '"24:00"', 'card.toml: windows.peak.from "24:00": is not a time of day'),
    ('"20:00"', '"24:01"', 'card.toml: windows.peak.to "24:01": is not a time of day; write it as 08:00, or 24:00'),
    ('"20:00"', '"08:00"', 'card.toml: windows.peak.to "08:00": is where it begins; a whole day is from'),
    ('"08:00"', "08:00:00", 'card.toml: windows.peak.from "08:00:00": is not a string'),
    ('from = "08:00"\n', "", "card.toml: windows.peak.from: is missing"),
    ('from = "08:00"', 'from = "08:00"\nzone = "UTC"', "card.toml: windows.peak.zone"),
    ("[windows.peak]", '[windows."pe ak"]', "has a name with a space"),
    ("[windows.peak]", 'timezone = "Mars/Olympus"\n[windows.peak]', "is not a time zone"),
    ("split = true", 'split = "yes"', 'card.toml: windows.peak.split "yes": is not true or false'),
]


@pytest.mark.parametrize(("old", "new", "fault"), HEAD_FAULTS)
def test_a_faulty_window_is_named_with_its_key(old: str, new: str, fault: str) -> None:
    head = SPLIT.replace(old, new, 1)
    assert head != SPLIT
    assert fault in "\n".join(read(PLAIN, head=head)[1])


OVERLAPS, GAPS = "overlaps window", "the windows for this usage leave gaps: "
ROW_FAULTS: list[tuple[str, list[dict[str, str]], str]] = [
    (DAY, [PEAK], f'rates.csv:2 window "peak": {GAPS}mon 20:00 to tue 08:00, and 4 more; add a row without a window'),
    (DAY + NIGHT, [PEAK, {**PLAIN, "window": "night"}], f"{GAPS}sat 08:00 to mon 08:00; add"),
    (
        DAY + window("day", "mon", "19:59", "20:30"),
        [PEAK, {**PLAIN, "window": "day"}, PLAIN],
        'rates.csv:3 window "day": overlaps window peak for the same usage; at each instant one window may hold',
    ),
    (
        # Night begins on Sunday and ends on Monday, in the other.
        window("peak", "mon", "00:00", "09:00") + window("night", "sun", "22:00", "06:00"),
        [PEAK, {**PLAIN, "window": "night"}, PLAIN],
        OVERLAPS,
    ),
    (DAY, [PEAK, {**PLAIN, "effective_from": "2026-10-02"}], GAPS),
    (DAY, [{**PEAK, "effective_from": "2026-11-01"}, {**PLAIN, "effective_to": "2026-12-01"}], GAPS),
    (
        SPLIT + NIGHT,
        [PEAK, {**PLAIN, "window": "night"}, PLAIN],
        'rates.csv:3 window "night": does not split, and peak for the same usage does; let all windows',
    ),
    (
        SPLIT,
        [PEAK, {**PLAIN, "price": "", "steps": "0:1 60:2"}],
        "rates.csv:3 window: splits an event, and steps run over the whole event; write split = false",
    ),
    (SPLIT, [{**PEAK, "unit": "event"}, PLAIN], "splits an event, and a price per event cannot be cut"),
    (SPLIT + TIERS, [PEAK, {**PLAIN, "price": "", "prices": "2 1", "tiers": "t"}], "several tier prices cannot be cut"),
    (
        SPLIT + TIERS + 'discounts = ["0", "1"]\n',
        [{**PEAK, "tiers": "t"}, PLAIN],
        "several tier prices cannot be cut",
    ),
    (
        SPLIT,
        [{**PEAK, "element": "surcharge"}, {**PLAIN, "element": "surcharge"}],
        "splits an event, and only usage is cut",
    ),
    (
        SPLIT,
        [{**PEAK, "product": "sms.outbound", "unit": "segment"}, {**PLAIN, "product": "sms.outbound", "unit": "event"}],
        "splits an event, and sms.outbound is not counted in seconds",
    ),
    (DAY, [PEAK, PEAK, PLAIN], "matches the same usage at the same time as rates.csv:2"),
]


@pytest.mark.parametrize(("head", "rows", "fault"), ROW_FAULTS)
def test_rows_whose_windows_do_not_fit_together_are_named(head: str, rows: list[dict[str, str]], fault: str) -> None:
    _, faults = read(*rows, head=head)
    assert 1 == len(faults), faults
    assert fault in faults[0]


BLOCKED = {**PEAK, "price": "", "blocked": "true"}
GOOD: list[tuple[str, list[dict[str, str]]]] = [
    (DAY, [PEAK, PLAIN]),
    (DAY + NIGHT + WEEKEND, [PLAIN, PEAK, {**PLAIN, "window": "weekend"}]),
    (DAY + NIGHT + window("rest", "sat sun", "08:00", "24:00"), [PEAK, {**PLAIN, "window": "night"}, PLAIN]),
    # Friday's night is open until Saturday 08:00, and nothing before Monday 00:00 to 08:00 but the weekend's.
    (
        DAY + NIGHT + window("rest", "sat", "08:00", "24:00") + window("sun", "sun", "00:00", "08:00")
        + window("day", "sun", "08:00", "24:00") + window("mon", "mon", "00:00", "08:00"),
        [{**PLAIN, "window": name} for name in ("peak", "night", "rest", "sun", "day", "mon")],
    ),
    # Windows may overlap where no usage has both.
    (
        DAY + window("day", WORKDAYS, "09:00", "21:00"),
        [PEAK, PLAIN, {**PLAIN, "prefixes": "33"}, {**PLAIN, "prefixes": "33", "window": "day"}],
    ),
    (DAY, [{**PEAK, "effective_from": "2026-11-01"}, PLAIN]),
    (DAY, [{**PEAK, "effective_to": "2026-11-01"}, PLAIN]),
    (SPLIT, [BLOCKED, PLAIN]),
    (SPLIT, [PEAK, PLAIN, {**PLAIN, "prefixes": "33", "price": "", "steps": "0:1 9:2"}]),
    (SPLIT, [PEAK, PLAIN, {**PLAIN, "prefixes": "33", "unit": "event"}]),
    (DAY, [{**PEAK, "unit": "event"}, {**PLAIN, "price": "", "steps": "0:1 60:2"}]),
    (DAY, [{**PEAK, "element": "surcharge"}, {**PLAIN, "element": "surcharge"}, PLAIN]),
]  # fmt: skip


@pytest.mark.parametrize(("head", "rows"), GOOD)
def test_windows_that_tile_the_week_make_a_card_that_reads_back_as_written(
    head: str, rows: list[dict[str, str]]
) -> None:
    card = good(*rows, head='timezone = "Europe/Paris"\n' + head)
    toml, csv = write_card(card)
    again, faults = read_card(toml, {"rates.csv": csv}, products())
    assert again is not None, faults
    assert (identity(card), card.windows) == (identity(again), again.windows)


def test_another_window_is_another_card() -> None:
    base = identity(good(PEAK, PLAIN, head=DAY))
    changes = [
        ('"20:00"', '"20:01"'),
        ('"08:00"', '"08:01"'),
        ('"fri"', '"sat"'),
        ('"20:00"\n', '"20:00"\nsplit = true\n'),
    ]
    found = {identity(good(PEAK, PLAIN, head=DAY.replace(old, new))) for old, new in changes}
    assert len(changes) == len(found - {base})
    assert base == identity(good(PEAK, PLAIN, head=window("peak", "fri thu wed tue mon", "08:00", "20:00")))


def test_a_window_is_said_in_few_words() -> None:
    def said(days: str, begins: int, ends: int) -> str:
        return str(Window(name="w", days=tuple(days.split()), begins=begins, ends=ends))

    assert ["mon-fri 08:00-20:00", "mon,wed 22:00-06:00", "sun 00:00-24:00"] == [
        *(said(WORKDAYS, 480, 1200), said("mon wed", 1320, 360), said("sun", 0, 1440)),
    ]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    inside = Window(name="w", days=("sun",), begins=1380, ends=60).minutes()
    assert [MINUTES_A_WEEK - 60, *range(60)][1:] == inside.nonzero()[0].tolist()[:60]
    assert list(range(MINUTES_A_WEEK - 60, MINUTES_A_WEEK)) == inside.nonzero()[0].tolist()[60:]
