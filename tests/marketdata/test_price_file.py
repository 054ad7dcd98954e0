"""Files of daily closes."""

import datetime as dt
import gzip
from pathlib import Path

import pytest

from marketdata.errors import InvalidPricesError
from marketdata.models import Source
from marketdata.price_file import parse_closes, read_histories

TODAY = dt.date(2024, 6, 1)
A, B = dt.date(2024, 1, 2), dt.date(2024, 1, 3)


def closes(text: str) -> dict[str, dict[dt.date, float]]:
    parsed = parse_closes(text.splitlines(keepends=True), TODAY)
    return {symbol: {day: c for day, (c, _) in days.items()} for symbol, days in parsed.items()}


def test_a_long_file_is_read_whatever_the_order_of_its_columns() -> None:
    expected = {"AAPL": {A: 1.5, B: 2.0}, "BRK.B": {A: 3.0}}
    assert (
        closes("date,symbol,close\n2024-01-02,AAPL,1.5\n2024-01-03,AAPL,2\n2024-01-02,BRK.B,3\n")
        == expected
    )
    assert (
        closes("Symbol, Close ,DATE\nAAPL,1.5,2024-01-02\nAAPL,2,2024-01-03\nBRK.B,3,2024-01-02")
        == expected
    )


def test_a_wide_file_is_read_and_empty_cells_are_days_without_a_bar() -> None:
    text = "Date,AAPL,BRK.B\n2024-01-02,1.5,3\n\n2024-01-03 00:00:00,2, \n"
    assert closes(text) == {"AAPL": {A: 1.5, B: 2.0}, "BRK.B": {A: 3.0}}


def test_dates_need_no_order() -> None:
    assert closes("date,A\n2024-01-03,2\n2024-01-02,1\n") == {"A": {A: 1.0, B: 2.0}}


HEADER = "date,symbol,close\n2024-01-02,AAPL,1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("date,symbol,close\n", "has a header but no prices"),
        ("date,AAPL\n2024-01-02,\n", "has a header but no prices"),
        (HEADER + "2024-01-02,AAPL,2\n", "line 3: AAPL on 2024-01-02 is on line 2 already"),
        ("date,A\n2024-01-02,1\n\n2024-01-02,1\n", "line 4: A on 2024-01-02 is on line 2 already"),
        (HEADER + "2024-01-03,AAPL,0\n", "line 3: close '0' of AAPL is not a positive number"),
        (HEADER + "2024-01-03,AAPL,-1\n", "line 3: close '-1' of AAPL is not a positive"),
        (HEADER + "2024-01-03,AAPL,nan\n", "line 3: close 'nan' of AAPL"),
        (HEADER + "2024-01-03,AAPL,inf\n", "line 3: close 'inf' of AAPL"),
        (HEADER + "2024-01-03,AAPL,\n", "line 3: close '' of AAPL"),
        (HEADER + "2024-01-03,AAPL,1_0\n", "line 3: close '1_0' of AAPL"),
        (HEADER + '2024-01-03,AAPL,"1,5"\n', "line 3: close '1,5' of AAPL"),
        ("date,A\n2024-01-02,1\n2024-01-03,NaN\n", "line 3: close 'NaN' of A"),
        (HEADER + "2024-13-01,AAPL,1\n", "line 3: '2024-13-01' is no date; write it as YYYY-MM-DD"),
        (HEADER + "02/01/2024,AAPL,1\n", "line 3: '02/01/2024' is no date"),
        (HEADER + "20240103,AAPL,1\n", "line 3: '20240103' is no date"),
        (HEADER + "2024-06-02,AAPL,1\n", "line 3: 2024-06-02 is in the future"),
        (HEADER + "2024-01-03,,1\n", "line 3: '' is no symbol"),
        (HEADER + "2024-01-03,A B,1\n", "line 3: 'A B' is no symbol"),
        (HEADER + f"2024-01-03,{'X' * 33},1\n", "is no symbol; use 1 to 32"),
        (HEADER + "2024-01-03,AAPL\n", "line 3: 2 fields where the header has 3"),
        (HEADER + "2024-01-03,AAPL,1,2\n", "line 3: 4 fields where the header has 3"),
        ("day,AAPL\n2024-01-02,1\n", "line 1: columns day, AAPL are unknown"),
        ("date,open,close\n2024-01-02,1,1\n", "line 1: columns date, open, close are unknown"),
        ("date,symbol,close,volume\n2024-01-02,A,1,1\n", "volume are unknown"),
        ("date\n2024-01-02\n", "line 1: columns date are unknown"),
        ("date,A,A\n2024-01-02,1,1\n", "line 1: a column appears twice: date, A, A"),
        ("date,symbol,close,close\n2024-01-02,A,1,1\n", "line 1: a column appears twice"),
        ("date,A,\n2024-01-02,1,1\n", "line 1: '' is no symbol"),
    ],
)
def test_every_kind_of_bad_file_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(InvalidPricesError) as caught:
        closes(text)
    assert words in caught.value.message


def test_a_plain_and_a_gzipped_file_are_the_same(tmp_path: Path) -> None:
    text = "date,B,A\n2024-01-03,2,1\n2024-01-02,1,1\n"
    plain, packed = tmp_path / "p.csv", tmp_path / "p.csv.gz"
    plain.write_text("\ufeff" + text)
    packed.write_bytes(gzip.compress(text.encode()))
    told: list[int] = []
    histories = read_histories(plain, Source.REAL, told.append)
    assert histories == read_histories(packed, Source.REAL, told.append)
    assert [(h.symbol, list(h.dates), list(h.closes)) for h in histories] == [
        ("B", [A, B], [1.0, 2.0]),
        ("A", [A, B], [1.0, 1.0]),
    ]
    assert told[-1] == packed.stat().st_size


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "No such file"),
        ("bad.csv.gz", b"date,A\n", "Not a gzipped file"),
        ("cut.csv.gz", gzip.compress(b"date,A\n" * 100)[:20], "cannot be read"),
        ("latin.csv", "date,\xc9\n".encode("latin-1"), "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidPricesError, match=words) as caught:
        read_histories(path, Source.REAL, lambda _position: None)
    assert name in caught.value.message
