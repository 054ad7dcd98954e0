"""What the tests of market data share."""

import pytest


@pytest.fixture(autouse=True)
def _own_panels(panels: object) -> None:
    """Every test here has a folder of panels of its own."""
