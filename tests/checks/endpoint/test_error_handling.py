"""Checks of error handling, in situations that no test server creates."""

from __future__ import annotations

from typing import Any

from dynocheck.checks.endpoint import error_handling
from dynocheck.facts import Cancellation, Refusals, Reply, RequestFailure
from tests.checks.endpoint.facts import GOOD, TRUNCATED
from tests.checks.judging import get_skip_reason, outcomes


def judge_long_prompt(reply: Reply, words: int) -> list[str]:
    return outcomes(
        error_handling.too_long, make_refusals(too_long=reply, too_long_stream=reply, words=words)
    )


def make_refusals(**fields: Any) -> Refusals:
    no = Reply(seconds=0.1, status=400, trouble=RequestFailure("http-4xx", "HTTP 400: no", status=400))
    usual = {"unknown_model": no, "unknown_model_stream": no, "bad_json": no, "after": GOOD}
    return Refusals(**{**usual, **fields})


def test_context_longer_than_reported() -> None:
    assert judge_long_prompt(GOOD, words=900) == []


def test_truncated_prompt() -> None:
    assert judge_long_prompt(GOOD, words=2000) == ["fail", "fail"]


def test_long_prompt_that_is_never_answered() -> None:
    hangs = Reply(seconds=60, trouble=RequestFailure("timeout", "nothing for 60 s", "first-byte"))
    assert judge_long_prompt(hangs, words=900) == ["fail", "fail"]


def test_long_prompt_that_was_not_tried() -> None:
    assert get_skip_reason(error_handling.too_long, make_refusals(untried="not known")) == "not known"


def test_cancelled_stream() -> None:
    def judge(after: Reply) -> list[str]:
        return outcomes(error_handling.cancelled, Cancellation(stopped=True, broken=GOOD, after=after))

    assert judge(GOOD) == []
    assert judge(TRUNCATED) == ["fail"]
    get_skip_reason(error_handling.cancelled, Cancellation(stopped=False, broken=GOOD, after=GOOD))
