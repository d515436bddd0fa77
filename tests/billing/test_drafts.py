import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from billing.drafts import (
    NO_TOTALS_SHA256,
    AmountOverflowError,
    billed_totals,
    draw,
    merged,
    stored_price,
    summed_sha256,
    totals_sha256,
)
from billing.invoices import Invoice, Kind, Party, State, content, lines_by_payer, sha256, total_minor
from rates.lines import LineKey, Parts, PricedLines, lines_of
from rates.money import Currency
from rates.numbering import COUNTRY_CODES
from rates.usage import TOTALS, Totals, no_totals

USD = Currency("USD")
KINDS = {"price": np.int32, "country": np.int16, "day": np.int32}


def totals(*rows: tuple[int, int, int, int, int, int, int]) -> Totals:
    columns = zip(*rows, strict=True)
    return Totals(
        **{
            name: np.array(column, dtype=KINDS.get(name, np.int64))
            for name, column in zip(TOTALS, columns, strict=True)
        }
    )


def rows(found: Totals) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(found, name).tolist() for name in TOTALS), strict=True))


def priced(*lines: tuple[int, str, int, int]) -> PricedLines:
    """Lines of (payer, destination, events, seconds) at 0.02 a minute."""
    parts = Parts()
    for payer, destination, events, seconds in lines:
        price = Fraction("0.02")
        key = LineKey("voice.outbound", "usage", "FR", destination, "", price, "minute", 60, "second")
        version = parts.version(f'list "{destination}"@2026-10-01T00:00:00Z')
        columns = (payer, parts.line(key), version, events, seconds)
        parts.add(*(np.array([value], dtype=np.int64) for value in columns))
    return lines_of(parts, USD)


def test_totals_that_repeat_a_key_are_added_and_put_in_order() -> None:
    given = totals((2, 2, 7, 1, 5, 1, 60), (1, 3, 7, 1, 5, 1, 10), (2, 2, 7, 1, 5, 2, 30), (1, 1, 7, 1, 5, 1, 10))
    assert [(1, 1, 7, 1, 5, 1, 10), (1, 3, 7, 1, 5, 1, 10), (2, 2, 7, 1, 5, 3, 90)] == rows(merged(given))


def test_totals_in_order_are_left_as_they_are() -> None:
    given = totals((1, 1, 7, 1, 5, 1, 10), (1, 1, 7, 1, 6, 1, 10))
    assert merged(given) is given
    assert 0 == len(merged(no_totals()))


def test_billed_totals_are_summed_over_the_days() -> None:
    given = totals((1, 1, 7, 1, 5, 1, 10), (1, 1, 7, 1, 6, 2, 20), (1, 1, 7, 2, 6, 4, 40), (2, 1, 7, 2, 6, 8, 80))
    assert [(1, 1, 7, 1, 5, 3, 30), (1, 1, 7, 2, 6, 4, 40), (2, 1, 7, 2, 6, 8, 80)] == rows(billed_totals(given))


def test_the_digest_of_totals_tells_apart_what_only_moved_to_another_day() -> None:
    one = totals_sha256(totals((1, 1, 7, 1, 5, 1, 10), (2, 1, 7, 1, 5, 1, 10)))
    same = totals_sha256(totals((1, 1, 7, 1, 5, 1, 10), (2, 1, 7, 1, 6, 1, 10)))
    assert {1, 2} == set(one)
    assert one[1] == same[1] == one[2]
    assert one[2] != same[2]
    assert {} == totals_sha256(no_totals())
    assert NO_TOTALS_SHA256 == hashlib.sha256().hexdigest()


def test_sums_are_refused_only_where_an_account_s_own_leave_64_bits() -> None:
    """Neither the largest value of one account times the rows of another, nor a sum that just fits."""
    large = (1, 1, 7, 1, 5, 1, (1 << 62) - 1), (1, 1, 7, 1, 6, 1, 1 << 62)
    many = [(2, 2, 7, 1, day, 1, 1) for day in range(5)]
    assert [(1 << 63) - 1, 5] == billed_totals(totals(*large, *many)).quantity.tolist()
    lines = priced((1, "a", 1, (1 << 60) * 3), (2, "a", 1, 60), (2, "b", 1, 60), (2, "c", 1, 60))
    huge = replace(lines, amount_minor=np.array([(1 << 63) - 1, 2, 2, 2]))
    parties = {payer: Party(account=f"a{payer}", currency=USD) for payer in (1, 2)}
    assert [(1 << 63) - 1, 6] == draw(huge, parties, {}, {}, period="2026-10").total_minor.tolist()


def test_sums_that_leave_64_bits_are_refused() -> None:
    with pytest.raises(AmountOverflowError):
        billed_totals(totals((1, 1, 7, 1, 5, 1, 1 << 62), (1, 1, 7, 1, 6, 1, 1 << 62)))


def test_the_digest_of_a_draft_is_that_of_the_invoice_it_becomes() -> None:
    lines = priced((1, 'é "b"', 1, 20), (1, "a", 2, 60), (3, "a", 1, 90))
    parties = {payer: Party(account=f"a{payer}", currency=USD, name='"é') for payer in (1, 3)}
    drafts = draw(lines, parties, {3: "ff"}, {1: "ee"}, period="2026-10")
    assert [1, 3] == drafts.payer.tolist()
    assert [2, 1] == drafts.line_count.tolist()
    for i, (payer, own) in enumerate(lines_by_payer(lines, "2026-10").items()):
        invoice = Invoice(
            party=parties[payer],
            kind=Kind.USAGE,
            period="2026-10",
            state=State.DRAFT,
            lines=tuple(own),
            total_minor=total_minor(own),
            billed_sha256={3: "ff"}.get(payer, NO_TOTALS_SHA256),
            summed_sha256={1: "ee"}.get(payer, NO_TOTALS_SHA256),
            sha256="",
        )
        assert invoice.total_minor == drafts.total_minor[i]
        assert sha256(content(invoice)) == drafts.sha256[i]


def test_the_digest_of_stored_totals_is_of_every_integer_and_country_of_a_payer() -> None:
    given = totals((1, 1, 7, COUNTRY_CODES["GB"], 0, 3, 30), (1, 2, 7, 0, 0, 4, -4), (2, 1, 7, 0, 0, 8, 80))
    expected = {1: sha256('1,7,"GB",3,30;2,7,"",4,-4'), 2: sha256('1,7,"",8,80')}
    assert expected == summed_sha256(given)
    assert {} == summed_sha256(no_totals())


def test_the_rows_of_a_draft_are_its_lines_numbered_for_each_account() -> None:
    drafts = draw(
        priced((1, "b", 1, 20), (1, "a", 2, 60), (3, "a", 1, 90)),
        {payer: Party(account=str(payer), currency=USD) for payer in (1, 3)},
        {},
        {},
        period="2026-10",
    )
    found = drafts.lines.to_pylist()
    assert [(1, 1, "a"), (1, 2, "b"), (3, 1, "a")] == [(r["payer_id"], r["line_no"], r["destination"]) for r in found]
    assert {
        "line_no": 2,
        "payer_id": 1,
        "product": "voice.outbound",
        "element": "usage",
        "country": "FR",
        "destination": "b",
        "tier": "",
        "unit": "minute",
        "unit_size": 60,
        "base_unit": "second",
        "unit_price": "0.02",
        "unit_price_exact": None,
        "events": 1,
        "base_quantity": 20,
        "amount_minor": 1,
        "residual": "-1/300",
        "origin_period": "2026-10",
        "cards": ['list "b"@2026-10-01T00:00:00Z'],
    } == found[1]


def test_no_lines_no_drafts() -> None:
    drafts = draw(priced(), {}, {}, {}, period="2026-10")
    assert 0 == len(drafts.payer) == len(drafts.lines)
    assert [] == drafts.sha256


def test_a_price_with_more_decimals_than_the_column_has_its_exact_text_beside_it() -> None:
    assert ("0.014", None) == stored_price(Fraction("0.0140"))
    assert ("0.000000000001", "0.00000000000095") == stored_price(Fraction("0.000000000001") * Fraction(95, 100))


def test_a_total_is_the_sum_of_the_rounded_lines() -> None:
    lines = priced((1, "a", 1, 20), (1, "b", 1, 20), (1, "c", 1, 20))
    drafts = draw(lines, {1: Party(account="a", currency=USD)}, {}, {}, period="2026-10")
    assert ([1, 1, 1], [3]) == (lines.amount_minor.tolist(), drafts.total_minor.tolist())  # exactly 2 cents
    (own,) = lines_by_payer(lines, "2026-10").values()
    assert 3 == total_minor(own)
