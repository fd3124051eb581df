"""Checks of readiness and answers, in situations that no test server creates."""

from typing import Any

import pytest

from dynocheck.checks.endpoint import serving
from dynocheck.core.declarations import Check
from dynocheck.facts import Address, Answers, Reply, RequestFailure, Server
from tests.checks.endpoint.facts import URL, ready
from tests.checks.judging import outcomes, run_check


@pytest.mark.parametrize(
    ("check", "found", "expected"),
    [
        (serving.cold_start, {"first_s": 29.0, "usual_s": 1.0}, []),
        (serving.cold_start, {"first_s": 42.0, "usual_s": 0.5}, ["warn"]),
        (serving.cold_start, {"stage": "list"}, ["skip"]),
        (serving.listed, {"first_s": 1.0}, []),
        (serving.listed, {"first_s": 1.0, "listed": ()}, ["warn"]),  # it answers all the same
        (serving.listed, {"stage": "list", "listed": ()}, ["skip"]),
        (serving.listed, {"first_s": 1.0, "model": "m", "listed": ("m:latest",)}, []),  # as Ollama does
        (serving.listed, {"first_s": 1.0, "odd": ("max_model_len is '4096'",)}, ["warn"]),
    ],
)
def test_readiness(check: Check, found: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(check, ready(**found)) == expected


KEY, AUTHORITY = (
    "give a key that the server accepts: --api-key-env NAME or --api-key-file FILE",
    "trust its certificate authority: --ca-file FILE",
)


@pytest.mark.parametrize(
    ("stage", "trouble", "fix"),
    [
        ("list", RequestFailure("http-4xx", "HTTP 401: who are you?", status=401), KEY),
        ("connect", RequestFailure("tls", "self-signed certificate"), AUTHORITY),
    ],
)
def test_failure_that_waiting_does_not_cure(stage: str, trouble: RequestFailure, fix: str) -> None:
    """The message does not say how long it was waited for."""
    failed = ready(stage=stage, waited_s=0.1, said=str(trouble), trouble=trouble)
    (finding,) = run_check(serving.ready, URL, failed)
    assert (finding.message, finding.fix) == (str(trouble), fix)


VLLM = Address(url="http://chat", deployment="models/chat", kind="Deployment", key_secret="chat-key/token")
RUN = Server(name="vLLM", kind="Deployment", namespace="models", workload="chat")
UNAUTHORIZED = RequestFailure("http-4xx", "HTTP 401: Unauthorized", status=401)
LOADING = RequestFailure("http-5xx", "HTTP 503: Loading model", status=503)


@pytest.mark.parametrize(
    ("trouble", "names"), [(UNAUTHORIZED, "chat-key/token"), (LOADING, "-n models logs deployment/chat ")]
)
def test_the_fix_for_a_workload_names_its_own_objects(trouble: RequestFailure, names: str) -> None:
    failed = ready(stage="answer", waited_s=0.1, said=str(trouble), trouble=trouble)
    (finding,) = run_check(serving.ready, VLLM, failed, RUN)
    assert names in (finding.fix or "")


@pytest.mark.parametrize(
    ("server", "start"),
    [
        (Server(), "read the log of the server: "),
        (Server(name="vLLM"), "read the log of vLLM: "),
        (Server(name="Dynamo"), "read the log of Dynamo's frontend and workers: "),
        (
            Server(name="Dynamo", kind="DynamoGraphDeployment", namespace="models", workload="g"),
            "kubectl -n models logs -l nvidia.com/dynamo-graph-deployment-name=g,",
        ),
    ],
)
def test_the_fix_names_what_is_known_to_be_there(server: Server, start: str) -> None:
    failed = ready(stage="answer", waited_s=0.1, said=str(LOADING), trouble=LOADING)
    (finding,) = run_check(serving.ready, URL, failed, server)
    assert (finding.fix or "").startswith(start)


def test_reasoning_counts_as_an_answer() -> None:
    thinking = Reply(seconds=1, model="m", completion_tokens=16, reasoning=80, chunks=16)
    answers = Answers(model="m", asked_tokens=16, chat=thinking, chat_stream=thinking)
    assert outcomes(serving.endpoint_answers, answers) == []
