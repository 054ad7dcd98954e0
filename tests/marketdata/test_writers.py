"""Several processes that write bars at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]

PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from marketdata.models import Source
from marketdata.services import History, histories_store
import datetime as dt
days = [dt.date(2024, 1, 1) + dt.timedelta(days=d) for d in range(30)]
histories_store(
    [History(symbol=s, source=Source.REAL, dates=days, closes=[1.0] * 30) for s in "AB"],
    reason="begin",
)
"""

WRITE = """
import django; django.setup()
import datetime as dt, sys
from marketdata.services import append_bars
symbol = sys.argv[1]
for day in range(10):
    append_bars(dt.date(2024, 2, 1) + dt.timedelta(days=day), {symbol: 2.0 + day}, reason="write")
"""

COMPARE = """
import django; django.setup()
from marketdata.models import DataVersion
from marketdata.selectors import current_data_version, load_panel
from marketdata.services import panel_rebuild, panels_folder
import numpy as np, shutil
versions = [version.name for version in DataVersion.objects.order_by("pk")]
sizes = [int(np.isfinite(load_panel(version).table.closes).sum()) for version in versions]
grown = np.array(load_panel(current_data_version()).table.closes)
shutil.rmtree(panels_folder())
print(sizes == list(range(60, 81)), np.array_equal(grown, panel_rebuild().table.closes, True))
"""


def start(folder: Path, program: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env={**os.environ, **services.part(folder.name), "DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.strip()


def test_no_bar_is_lost_and_every_version_is_whole(tmp_path: Path) -> None:
    outcome(start(tmp_path, PREPARE))
    writers = [start(tmp_path, WRITE, symbol) for symbol in "AB"]
    for writer in writers:
        outcome(writer)
    assert outcome(start(tmp_path, COMPARE)) == "True True"
