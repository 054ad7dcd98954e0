"""What the tests of market data share."""

import pytest

from marketdata.sample import sample_histories
from marketdata.services import History


@pytest.fixture(autouse=True)
def _own_panels(panels: object) -> None:
    """Every test here has a folder of panels of its own."""


@pytest.fixture(scope="session")
def sample() -> list[History]:
    """Every history of the sample market."""
    return sample_histories()
