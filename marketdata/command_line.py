"""What the commands of market data share."""

from collections.abc import Sequence
from typing import Any

from marketdata.models import DataVersion
from marketdata.services import History


def stored_document(histories: Sequence[History], version: DataVersion) -> dict[str, Any]:
    """What ``--json`` prints of histories that were stored."""
    return {
        "data_version": version.name,
        "symbols": [history.symbol for history in histories],
        "bars": sum(len(history.dates) for history in histories),
        "first": str(min(day for history in histories for day in history.dates)),
        "last": str(max(day for history in histories for day in history.dates)),
    }
