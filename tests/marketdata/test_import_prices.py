"""``manage.py import_prices``."""

import datetime as dt
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Asset, Bar, DataVersion, Source
from marketdata.selectors import current_data_version, load_panel, return_window

LONG = "date,symbol,close\n2024-01-02,NEW,10\n2024-01-03,NEW,11\n2024-01-04,NEW,12.1\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prices.csv"


def load(file: Path, text: str, **options: str) -> str:
    file.write_text(text)
    told = StringIO()
    call_command("import_prices", file, stderr=told, **options)
    return told.getvalue()


def test_a_file_becomes_a_new_data_version(market: DataVersion, file: Path) -> None:
    told = load(file, LONG)
    version = current_data_version()
    assert version != market.name
    assert "Imported 3 real bars of 1 symbols, 2024-01-02 to 2024-01-04" in told
    assert version in told
    np.testing.assert_allclose(return_window(["NEW"], 2).returns, [[0.1], [0.1]], atol=1e-15)
    assert return_window(["AAPL"], 252).end == dt.date(2022, 12, 28)
    assert load_panel(market.name).symbols != load_panel(version).symbols


def test_json_says_what_came_in(market: DataVersion, file: Path) -> None:
    file.write_text(LONG)
    out = StringIO()
    call_command("import_prices", file, json=True, stdout=out, stderr=StringIO())
    assert json.loads(out.getvalue()) == {
        "data_version": current_data_version(),
        "symbols": ["NEW"],
        "bars": 3,
        "first": "2024-01-02",
        "last": "2024-01-04",
        "source": "real",
    }


def test_a_bad_row_leaves_nothing_half_imported(market: DataVersion, file: Path) -> None:
    before = Bar.objects.count()
    with pytest.raises(CommandError, match="nothing imported: line 5: '2024-01-0x' is no date"):
        load(file, LONG + "2024-01-0x,NEW,1\n")
    assert Bar.objects.count() == before
    assert not Asset.objects.filter(symbol="NEW").exists()
    assert current_data_version() == market.name


def test_the_same_file_again_changes_nothing(db: None, file: Path) -> None:
    load(file, LONG)
    version = current_data_version()
    load(file, LONG)
    assert current_data_version() == version
    assert Bar.objects.count() == 3


def test_a_revised_close_is_a_new_version_and_the_old_one_stays(db: None, file: Path) -> None:
    load(file, LONG)
    version = current_data_version()
    load(file, LONG.replace("12.1", "13.2"))
    assert return_window(["NEW"], 1).last_closes.tolist() == [13.2]
    assert return_window(["NEW"], 1, version).last_closes.tolist() == [12.1]


def test_the_source_is_kept(db: None, file: Path) -> None:
    load(file, LONG, source="simulated")
    assert Asset.objects.get().source == Source.SIMULATED
    assert return_window(["NEW"], 1).sources == {"NEW": "simulated"}


def test_simulated_prices_of_a_real_symbol_are_refused(market: DataVersion, file: Path) -> None:
    with pytest.raises(CommandError, match="AAPL has real prices"):
        load(file, "date,AAPL\n2024-01-02,1\n", source="simulated")


def test_real_prices_take_the_place_of_simulated_ones(market: DataVersion, file: Path) -> None:
    load(file, "date,GOOGL\n2024-01-02,1\n2024-01-03,2\n")
    assert return_window(["GOOGL"], 1).sources == {"GOOGL": "real"}
    assert Asset.objects.get(symbol="GOOGL").bar_count == 2


def test_a_missing_file_is_a_clear_error(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_prices", tmp_path / "none.csv", stderr=StringIO())
