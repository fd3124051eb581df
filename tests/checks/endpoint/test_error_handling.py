"""Checks of error handling, in situations that no test server creates."""

from typing import Any

import pytest

from dynocheck.checks.endpoint.error_handling import cancelled, too_long
from dynocheck.facts import Cancellation, Refusals, Reply, RequestFailure
from tests.checks.endpoint.facts import GOOD, TRUNCATED
from tests.checks.judging import get_skip_reason, outcomes

NO = Reply(seconds=0.1, status=400, trouble=RequestFailure("http-4xx", "HTTP 400: no", status=400))
HANGS = Reply(seconds=60, trouble=RequestFailure("timeout", "nothing for 60 s", "first-byte"))


def refuse(**fields: Any) -> Refusals:
    return Refusals(unknown_model=NO, unknown_model_stream=NO, bad_json=NO, after=GOOD, **fields)


@pytest.mark.parametrize(
    ("reply", "words", "expected"),
    [
        (GOOD, 900, []),  # the context is longer than reported
        (GOOD, 2000, ["fail", "fail"]),  # the prompt was truncated
        (HANGS, 900, ["fail", "fail"]),
    ],
)
def test_long_prompt(reply: Reply, words: int, expected: list[str]) -> None:
    assert outcomes(too_long, refuse(too_long=reply, too_long_stream=reply, words=words)) == expected


def test_long_prompt_that_was_not_tried() -> None:
    assert get_skip_reason(too_long, refuse(untried="not known")) == "not known"


@pytest.mark.parametrize(
    ("stopped", "after", "expected"), [(True, GOOD, []), (True, TRUNCATED, ["fail"]), (False, GOOD, ["skip"])]
)
def test_cancelled_stream(stopped: bool, after: Reply, expected: list[str]) -> None:
    assert outcomes(cancelled, Cancellation(stopped=stopped, broken=GOOD, after=after)) == expected
