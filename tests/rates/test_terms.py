"""Which card version has the word on which day: the contract's order of cards, in the versions in force."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np

from rates.cards import Rounding
from rates.lines import PricedLines
from rates.prices import Price
from rates.pricing import price
from rates.terms import CardTerms, Priority, Terms, counters, day_faults
from rates.tiers import Measure, Mode, Pool, Schedule, Scope, Selector
from rates.usage import Totals, no_totals

FIRST = date(2026, 10, 1)
_EPOCH = date(1970, 1, 1)


def version(
    name: str, flats: tuple[str, ...] = (), *, zero: bool = False, since: str = "2026-01-01", until: str = ""
) -> CardTerms:
    """A version of a card; with flats for two tiers it defines the schedule `s`, without it does not."""
    begins = datetime.fromisoformat(since).replace(tzinfo=UTC)
    schedule = Schedule(
        name="s",
        mode=Mode.GRADUATED,
        up_to=(Decimal(100),),
        unit="second",
        measure=Measure.QUANTITY,
        scope=Scope.BILLING_ACCOUNT,
        fill=(Selector(product=("voice.outbound",)),),
        flats=tuple(map(Decimal, flats)),
        flat_at_zero=zero,
    )
    return CardTerms(
        version=f"{name}@{since}",
        effective_from=begins,
        effective_to=datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None,
        schedules={"s": schedule} if flats else {},
    )


def terms(*cards: CardTerms, prices: Mapping[int, Price] | None = None, **days: str) -> Terms:
    """Terms of cards, with the contracts of `days`: the day from which one holds, `d15`, and its cards."""
    priorities = tuple(Priority(FIRST.replace(day=int(day[1:])), tuple(names.split())) for day, names in days.items())
    return Terms(
        currency="USD",
        prices=prices or {},
        products={},
        cards={card.version: card for card in cards},
        priorities=priorities,
    )


def named(found: Terms, day: int, hour: int = 0) -> list[str]:
    return [card.version for card in found.book_at(datetime(2026, 10, day, hour, tzinfo=UTC))]


def test_a_book_has_the_versions_in_force_in_the_order_of_the_contract_in_force() -> None:
    cards = version("a"), version("a", since="2026-10-10T12:00"), version("b", until="2026-10-25"), version("c")
    found = terms(*cards, d05="b a", d20="c a b")
    assert [] == named(found, 4)
    assert ["b@2026-01-01", "a@2026-01-01"] == named(found, 5) == named(found, 10, 11)
    assert ["b@2026-01-01", "a@2026-10-10T12:00"] == named(found, 10, 12) == named(found, 19, 23)
    assert ["c@2026-01-01", "a@2026-10-10T12:00", "b@2026-01-01"] == named(found, 20) == named(found, 24, 23)
    assert ["c@2026-01-01", "a@2026-10-10T12:00"] == named(found, 25)


def test_an_ended_version_does_not_bring_back_the_one_before_it() -> None:
    found = terms(version("a"), version("a", since="2026-10-10", until="2026-10-12"), d01="a")
    assert ["a@2026-01-01"] == named(found, 9)
    assert [] == named(found, 12)


def test_books_hold_from_the_days_on_which_something_changes() -> None:
    """A version that begins within a day is in the book of that whole day, one that ends within it is not."""
    cards = version("a"), version("a", since="2026-10-10T12:00"), version("b", until="2026-10-25T06:00")
    books = terms(*cards, d05="b a", d20="a").books()
    assert [
        (FIRST.replace(day=5), ["b@2026-01-01", "a@2026-01-01"]),
        (FIRST.replace(day=10), ["b@2026-01-01", "a@2026-10-10T12:00"]),
        (FIRST.replace(day=20), ["a@2026-10-10T12:00"]),
        (FIRST.replace(day=25), ["a@2026-10-10T12:00"]),
    ] == [(day, [card.version for card in book]) for day, book in books]


def test_without_a_contract_there_is_no_book() -> None:
    assert [] == terms(version("a")).books()


def test_a_schedule_is_shown_as_the_last_book_of_the_period_states_it() -> None:
    old, new = version("old", ("1", "2")), version("new", ("3", "4"), since="2026-10-10")
    assert (Decimal(1), Decimal(2)) == terms(old, new, d01="new old", d20="old new").schedules()["s"].flats
    assert (Decimal(3), Decimal(4)) == terms(old, new, d01="old new", d20="new old").schedules()["s"].flats
    assert (Decimal(3), Decimal(4)) == terms(old, new).schedules()["s"].flats


def test_the_flat_at_zero_is_that_of_the_first_version_with_the_word_that_has_one() -> None:
    silent, less, more = version("silent", ("0", "0")), version("less", ("1", "1"), zero=True), version("x")
    assert None is terms(silent, less, more).due_at_zero("s")
    assert None is terms(silent, less, d01="silent less").due_at_zero("s")
    assert less is terms(silent, less, more, d01="x less silent").due_at_zero("s")
    assert less is terms(silent, less, d01="silent less", d20="less silent").due_at_zero("s")


def test_a_version_that_ends_or_begins_within_the_period_leaves_or_takes_the_word_at_zero() -> None:
    less, later = (
        version("less", ("1", "1"), zero=True),
        version("top", ("2", "2"), zero=True, since="2026-10-01T12:00"),
    )
    ended = version("top", ("0", "0"), until="2026-10-16")
    assert less is terms(ended, less, d01="top less").due_at_zero("s")
    assert less is terms(less, later, d01="top less").due_at_zero("s")
    assert later is terms(less, later, d02="top less").due_at_zero("s")


def used(card: str, day: int, quantity: int, *, terms_: tuple[CardTerms, ...], **days: str) -> PricedLines:
    """The lines of usage of one row on one day, rated by the card version of that name."""
    row = Price(
        card=card,
        currency="USD",
        rounding=Rounding(),
        product="voice.outbound",
        element="usage",
        destination="",
        number_type="",
        unit="second",
        unit_size=1,
        base="second",
        prices=(Decimal(1),),
        schedule="",
        free_units=Decimal(0),
    )
    one = np.ones(1, dtype=np.int64)
    totals = Totals(
        payer=one,
        account=one,
        price=np.zeros(1, dtype=np.int32),
        country=np.zeros(1, dtype=np.int16),
        day=np.array([(FIRST.replace(day=day) - _EPOCH).days], dtype=np.int32),
        events=one,
        quantity=quantity * one,
    )
    return price(totals, no_totals(), terms(*terms_, prices={0: row}, **days), payers=[1])


def flats(lines: PricedLines) -> dict[str, tuple[str, ...]]:
    """The flats by their tiers: what each costs and the card that says so."""
    return {
        key.tier: (str(key.unit_price), *cards)
        for key, cards in zip((lines.keys[k] for k in lines.key.tolist()), lines.cards, strict=True)
        if key.element == "flat"
    }


PLAIN, OLD = version("plain"), version("old", ("1", "2"))
NEW = version("new", ("3", "4"), since="2026-09-01")


def test_usage_of_a_card_without_the_schedule_goes_by_the_contracts_order_on_its_day() -> None:
    cards = PLAIN, OLD, NEW
    orders = {"d01": "plain new old", "d15": "plain old new"}
    assert {"1": ("3", NEW.version)} == flats(used(PLAIN.version, 14, 50, terms_=cards, **orders))
    assert {"1": ("1", OLD.version)} == flats(used(PLAIN.version, 15, 50, terms_=cards, **orders))


def test_whoever_rated_the_usage_has_the_word_before_any_order() -> None:
    cards = PLAIN, OLD, NEW
    assert {"1": ("1", OLD.version)} == flats(used(OLD.version, 14, 50, terms_=cards, d01="new old"))


def test_a_card_that_is_in_no_contract_any_more_still_has_the_word_on_its_usage() -> None:
    cards = OLD, NEW
    assert {"1": ("1", OLD.version)} == flats(used(OLD.version, 14, 50, terms_=cards, d01="new"))
    assert {"1": ("1", OLD.version)} == flats(used(OLD.version, 14, 50, terms_=cards, d20="new"))
    assert {"1": ("1", OLD.version)} == flats(used(OLD.version, 14, 50, terms_=cards))


def test_usage_of_a_card_that_is_in_no_contract_and_defines_nothing_goes_by_the_contract_of_its_day() -> None:
    assert {"1": ("3", NEW.version)} == flats(used(PLAIN.version, 14, 50, terms_=(PLAIN, NEW), d01="new"))
    assert {"1": ("3", NEW.version)} == flats(used("gone@2025-01-01", 14, 50, terms_=(NEW,), d01="new"))


def test_usage_of_a_day_on_which_no_card_of_the_contract_defines_the_schedule_fills_nothing() -> None:
    assert {} == flats(used(PLAIN.version, 14, 50, terms_=(PLAIN, NEW), d01="plain", d15="plain new"))
    assert {} == flats(used("gone@2025-01-01", 14, 50, terms_=(NEW,), d15="new"))


def test_a_later_version_of_the_card_that_rated_has_no_word_on_what_the_earlier_one_rated_that_day() -> None:
    """The counters begin at noon: what its card rated before goes by the next card, not by what came after."""
    noon = version("plain", ("7", "8"), since="2026-10-14T12:00")
    found = used(PLAIN.version, 14, 50, terms_=(PLAIN, noon, NEW), d01="plain new")
    assert {"1": ("3", NEW.version)} == flats(found)


def test_what_counts_changes_at_midnight_only() -> None:
    """It begins with the first version that counts, changes with another that says otherwise, ends with its last."""
    noon = "2026-10-05T12:00:00"
    old, plain = version("list", ("1", "2")), version("list", since=noon)

    def places(*versions: CardTerms) -> list[str]:
        return [fault.place.rpartition(": ")[2] for fault in day_faults(versions)]

    assert [] == places(old, version("list", ("1", "2"), since=noon))
    assert [] == places(old, version("list", ("3", "2"), since="2026-10-05"))
    assert [] == places(version("list"), plain, version("other", ("3", "2"), since="2026-10-05"))
    assert ["effective_from"] == places(version("list", ("3", "2"), since=noon))
    assert ["effective_from"] == places(version("list", ("3", "2"), since=noon), old)
    assert ["effective_from"] == places(old, plain)
    assert ["effective_to"] == places(version("list", ("1", "2"), until=noon))
    assert ["effective_to"] == places(
        version("list", ("1", "2"), until=noon), version("list", ("1", "2"), since="2026-10-06")
    )
    assert [] == places(version("list", ("1", "2"), until=noon), version("list", ("1", "2"), since=noon))
    assert [] == places(version("list", until=noon))
    (fault,) = day_faults([old, plain])
    assert "write 00:00 UTC, as in 2026-10-05T00:00:00Z or 2026-10-06T00:00:00Z" == fault.remedy


def test_the_order_of_pools_is_what_counts_and_that_of_schedules_is_not() -> None:
    one, other = (
        Pool(name=name, free=Decimal(1), block=Decimal(0), unit="minute", scope=Scope.ACCOUNT, fill=()) for name in "ab"
    )
    schedule = version("list", ("1", "2")).schedules["s"]
    card = replace(version("list"), pools={"a": one, "b": other}, schedules={"s": schedule, "t": schedule})
    assert counters(card) == counters(replace(card, schedules={"t": schedule, "s": schedule}))
    assert counters(card) != counters(replace(card, pools={"b": other, "a": one}))
    assert () == counters(version("list")) == counters(None)
