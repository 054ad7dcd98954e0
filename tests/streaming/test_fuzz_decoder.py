"""The decoder, the price files and the rules under random input: refused or taken, never broken."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.decoding import FrameError, Message, decode
from streaming.protocol import ClientMessage
from tests.fuzz import TARGETS, outcomes

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome_of(text: str) -> Message | FrameError:
    """What decoding ends in; any other exception fails the test."""
    try:
        return decode(text)
    except FrameError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(payload: bytes) -> None:
    outcome = outcome_of(payload.decode(errors="replace"))
    assert isinstance(outcome, FrameError)
    assert outcome.detail


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ClientMessage), documents, documents)
def test_no_document_of_a_known_type_breaks_the_decoder(
    kind: ClientMessage, data: Any, echo: Any
) -> None:
    text = json.dumps({"type": kind, "data": data, "request_id": echo})
    outcome = outcome_of(text)
    if isinstance(outcome, FrameError):
        assert outcome.detail
        assert all(isinstance(field, str) for field in outcome.fields)
    else:
        assert outcome.type is kind


@pytest.mark.parametrize("target", TARGETS)
def test_thousands_of_spoiled_inputs_are_refused_or_taken(target: str) -> None:
    found = Counter(outcomes(target, 5_000, seed=1))
    assert found["accepted"] > 50
    assert sum(found.values()) - found["accepted"] > 50
