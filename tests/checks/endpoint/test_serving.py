"""Checks of readiness and answers, in situations that no test server creates."""

from __future__ import annotations

import pytest

from dynocheck.checks.endpoint import serving
from dynocheck.facts import Answers, Reply, RequestFailure
from tests.checks.endpoint.facts import ready
from tests.checks.judging import get_skip_reason, outcomes, run_check


def test_slow_first_request() -> None:
    assert outcomes(serving.cold_start, ready(first_s=29.0, usual_s=1.0)) == []
    assert outcomes(serving.cold_start, ready(first_s=42.0, usual_s=0.5)) == ["warn"]
    get_skip_reason(serving.cold_start, ready(stage="list"))


def test_model_that_answers_but_is_not_listed() -> None:
    assert outcomes(serving.listed, ready(first_s=1.0)) == []
    assert outcomes(serving.listed, ready(first_s=1.0, listed=())) == ["warn"]
    get_skip_reason(serving.listed, ready(stage="list", listed=()))


@pytest.mark.parametrize(
    ("stage", "trouble", "fix"),
    [
        (
            "list",
            RequestFailure("http-4xx", "HTTP 401: who are you?", status=401),
            "give the key: --api-key-env NAME or --api-key-file FILE",
        ),
        (
            "connect",
            RequestFailure("tls", "self-signed certificate"),
            "trust its certificate authority: --ca-file FILE",
        ),
    ],
)
def test_failure_that_waiting_does_not_cure(stage: str, trouble: RequestFailure, fix: str) -> None:
    """The message does not say how long it was waited for."""
    (finding,) = run_check(
        serving.ready, ready(stage=stage, waited_s=0.1, said=str(trouble), trouble=trouble)
    )
    assert (finding.message, finding.fix) == (str(trouble), fix)


def test_reasoning_counts_as_an_answer() -> None:
    thinking = Reply(seconds=1, model="m", completion_tokens=16, reasoning=80, chunks=16)
    answers = Answers(model="m", asked_tokens=16, chat=thinking, chat_stream=thinking)
    assert outcomes(serving.endpoint_answers, answers) == []
