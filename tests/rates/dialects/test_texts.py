"""The text of a deck's file: its encoding and delimiter."""

import pytest

from rates.dialects.texts import FileUnclearError, decoded, delimiter_of, top_rows

TEXT = "Vorwahl;Ziel\n43;Österreich\n"


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
    ],
)
def test_an_encoding_is_found_in_the_file(encoding: str, found: str) -> None:
    assert (TEXT, found) == decoded(TEXT.encode(encoding))


def test_an_encoding_that_is_told_stands_before_what_would_be_found() -> None:
    assert "Ã–" in decoded(TEXT.encode(), "cp1252")[0]
    with pytest.raises(FileUnclearError) as error:
        decoded(TEXT.encode("cp1252"), "utf-8")
    assert ("2", "is not utf-8: byte 0xd6") == (error.value.place, error.value.problem)
    with pytest.raises(FileUnclearError, match='"klingon": is not an encoding'):
        decoded(b"a", "klingon")


def test_a_byte_that_no_encoding_has_is_a_fault_and_not_a_question_mark() -> None:
    with pytest.raises(FileUnclearError, match="is not cp1252: byte 0x81"):
        decoded(b"code,name\n44,\x81\n")


def test_line_ends_of_all_kinds_become_one() -> None:
    assert "a\nb\nc\nd" == decoded(b"a\r\nb\rc\nd")[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found_by_rows_of_equal_width(delimiter: str) -> None:
    rows = [["Rates, of all; kinds"], ["code", "name", "rate"], ["43", "Austria, all", "0.1"], ["44", "UK", "0.2"]]
    text = "\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in rows)
    assert (delimiter, 0) == delimiter_of(text)


def test_a_decimal_comma_is_no_delimiter_where_semicolons_are() -> None:
    assert (";", 0) == delimiter_of("code;rate;from\n43;0,1;2026\n44;0,2;2026\n45;0,3;2026\n")


def test_a_line_of_a_spreadsheet_that_tells_the_delimiter_is_believed() -> None:
    assert ("|", 1) == delimiter_of("sep=|\ncode|rate,a\n43|0,1\n")


def test_one_column_is_a_table_with_commas() -> None:
    assert (",", 0) == delimiter_of("code\n43\n44\n")


def test_a_quoted_title_over_two_lines_is_one_cell() -> None:
    assert [["Rate\n(USD)", "Code"], ["0.1", "44"]] == top_rows('"Rate\n(USD)",Code\n0.1,44\n', ",")
