"""The lines that the processes log."""

import json
import logging
import logging.config
from collections.abc import Iterator
from io import StringIO

import pytest
from structlog.contextvars import bound_contextvars

from quantumedge.logs import FORMATS, logging_settings

logger = logging.getLogger("tests.logs")


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[StringIO]:
    """What a handler with the form of the parameter writes."""
    stream = StringIO()
    configuration = logging_settings(request.param, "INFO")
    formatter = logging.config.DictConfigurator(configuration).configure_formatter(
        configuration["formatters"]["chosen"]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield stream
    logger.removeHandler(handler)


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_json_line_carries_message_level_logger_time_process_and_what_is_bound(
    written: StringIO,
) -> None:
    with bound_contextvars(request_id="opt_1", client_id="client1"):
        logger.info("admitted, place %d", 3)
    logger.info("nobody's")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert first["event"] == "admitted, place 3"
    assert (first["level"], first["logger"]) == ("info", "tests.logs")
    assert (first["request_id"], first["client_id"]) == ("opt_1", "client1")
    assert first["timestamp"].endswith("Z")
    assert first["process"]
    assert first["pid"] > 0
    assert "request_id" not in second


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_an_error_is_one_json_line_with_its_trace(written: StringIO) -> None:
    try:
        int("a line\nand another")
    except ValueError:
        logger.exception("failed")
    (line,) = written.getvalue().splitlines()
    document = json.loads(line)
    assert document["exception"][0]["exc_type"] == "ValueError"
    assert "a line\\nand another" in document["exception"][0]["exc_value"]


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_the_trace_shows_nobody_the_values_of_variables(written: StringIO) -> None:
    password = "hunter2"
    try:
        password[100]
    except IndexError:
        logger.exception("failed")
    assert "hunter2" not in written.getvalue()


@pytest.mark.parametrize("written", ["line"], indirect=True)
def test_a_line_to_read_names_time_level_logger_message_and_what_is_bound(
    written: StringIO,
) -> None:
    with bound_contextvars(request_id="opt_1"):
        logger.warning("lease not renewed")
    (line,) = written.getvalue().splitlines()
    for word in ("warning", "lease not renewed", "tests.logs", "request_id=opt_1"):
        assert word in line


@pytest.mark.parametrize("written", FORMATS, indirect=True)
def test_a_message_cannot_forge_a_line_of_its_own_in_json(written: StringIO) -> None:
    logger.info("symbol %s", "A\nfaked")
    text = written.getvalue()
    if text.startswith("{"):
        assert len(text.splitlines()) == 1
    assert "faked" in text
