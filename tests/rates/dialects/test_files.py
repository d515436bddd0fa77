"""A deck's file as rows of text cells with their lines."""

import numpy as np
import pyarrow as pa
import pytest

from rates.dialects.files import Body, CsvFile, Grid, open_csv


def opened(text: str | bytes, delimiter: str = "") -> CsvFile:
    file, faults = open_csv(text.encode() if isinstance(text, str) else text, "d.csv", delimiter=delimiter)
    assert [] == faults
    assert file is not None
    return file


def below(file: CsvFile | Grid, row: int) -> Body:
    body, faults = file.below(row)
    assert [] == faults
    assert body is not None
    return body


def cells(body: Body) -> list[list[str]]:
    return [list(row) for row in zip(*(column.to_pylist() for column in body.columns), strict=True)]


def test_rows_keep_their_lines_over_titles_blank_lines_and_quoted_headers() -> None:
    file = opened('Rates\n\n"Rate\n(USD)",Code\n0.1,44\n\n , \n0.2,45\n')
    assert ["Rate (USD)", "Code"] == list(file.top[2])
    body = below(file, 2)
    assert [["0.1", "44"], ["0.2", "45"]] == cells(body)
    assert [5, 8] == body.lines.tolist()


def test_cells_lose_the_white_space_around_them() -> None:
    assert [["44", "UK mobile"]] == cells(below(opened("c,n\n 44\u00a0,\tUK mobile \n"), 0))


def test_rows_of_another_width_are_marked_and_kept_in_their_place() -> None:
    body = below(opened("c,n,r\n44,UK,1\nTotal\n45,DK,2,\n46,SE,3,x\n47,NO,4\n"), 0)
    assert [2, 3, 4, 5, 6] == body.lines.tolist()
    assert [False, True, False, True, False] == body.odd.tolist()
    assert ["Total", "", ""] == cells(body)[1]
    assert ["45", "DK", "2"] == cells(body)[2], "an empty cell too many says nothing"


def test_rows_that_all_have_an_empty_cell_more_than_the_header_are_none_of_another_width() -> None:
    body = below(opened("c,n\n44,UK,\n45,DK,\n"), 0)
    assert [False, False] == body.odd.tolist()
    assert 3 == len(body.columns)


def test_a_file_without_a_header_begins_with_its_first_line() -> None:
    body = below(opened("44,UK\n45,DK\n"), -1)
    assert [1, 2] == body.lines.tolist()
    body = below(opened("sep=;\n44;UK\n45;DK\n"), -1)
    assert [2, 3] == body.lines.tolist()


@pytest.mark.parametrize("text", ["", " \n\n", "sep=;\n", "code,rate\n"])
def test_a_file_without_rows_is_a_fault(text: str) -> None:
    file, faults = open_csv(text.encode(), "d.csv")
    if file is not None:
        body, faults = file.below(0)
        assert None is body
    assert ["d.csv: has no rows; a deck has a header and at least one row"] == [str(fault) for fault in faults]


def test_a_quoted_cell_that_is_not_closed_is_a_fault_with_its_line() -> None:
    _, faults = opened('Title\nc,n\n44,"UK\n45,DK\n').below(1)
    assert "d.csv:3: a quoted cell is not closed on its line" in str(faults[0])


def test_what_was_found_is_said() -> None:
    assert ("encoding utf-16", "delimiter a tab") == opened("c\tn\n4\tUK\n".encode("utf-16")).said


def test_a_grid_gives_rows_with_their_lines_and_its_numbers() -> None:
    columns = (pa.array(["Title", "Code", "44", "", " 45 "]), pa.array(["", "Rate", "0.1", "", "0.2"]))
    numbers = (None, np.array([False, False, True, False, False]))
    grid = Grid(place="d.xlsx", columns=columns, numbers=numbers)
    assert ("Code", "Rate") == grid.top[1]
    body = below(grid, 1)
    assert [["44", "0.1"], ["45", "0.2"]] == cells(body)
    assert [3, 5] == body.lines.tolist()
    held = body.numbers[1]
    assert held is not None
    assert [True, False] == held.tolist()
    _, faults = grid.below(4)
    assert ["d.xlsx: has no rows; a deck has a header and at least one row"] == [str(fault) for fault in faults]
