"""Invoice lines as CSV: fixed columns, formula-safe texts. That all of it reads back is law 8."""

from dataclasses import replace

import pytest

from billing.documents.csv_document import COLUMNS, CsvInvalidError, parse, render
from tests.billing.test_invoices import INVOICE, LINE


def test_the_columns_are_in_their_order() -> None:
    header, row = "".join(render([INVOICE])).splitlines()
    assert (
        "number,account,period,issued_on,currency,product,element,country,destination,tier,events,quantity,unit,"
        "unit_price,amount,residual,base_quantity,base_unit,origin_period,cards,line,state,due_on,kind,corrects"
    ) == header
    assert (
        ",acme,2026-10,,USD,voice.outbound,usage,US,United States,1,2,1.5,minute,0.014,0.02,1/1000,90,second,2026-10,"
        "list-usd@2026-10-01T00:00:00Z,1,draft,,usage,"
    ) == row
    assert len(COLUMNS) == len(header.split(","))


def test_a_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe_and_a_number_does_not() -> None:
    line = replace(LINE, destination="=HYPERLINK(1)", amount_minor=-2)
    text = "".join(render([replace(INVOICE, lines=(line,))]))
    assert "'=HYPERLINK(1)" in text
    assert ",-0.02," in text


def test_another_file_is_refused() -> None:
    with pytest.raises(CsvInvalidError, match="not the columns"):
        parse("a,b\n1,2\n")
    with pytest.raises(CsvInvalidError):
        parse("")
