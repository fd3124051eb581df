"""The simulated engine keeps to the API, and to the times that it says."""

import subprocess
import sys
from typing import Any

import pytest

from dynocheck.serving import CompletionRequest, Exchange, FailureKind
from dynocheck.simulated import SimulatedEngine, serve, serve_in_subprocess
from tests.command import until
from tests.serving.asking import completed, got


def fast() -> SimulatedEngine:
    return SimulatedEngine(token_s=0.0, prefill_s=0.0)


def complete(url: str, **asked: Any) -> Exchange:
    given = {"model": "simulated-model", "prompt": "one two three", "max_tokens": 5, **asked}
    return completed(url, CompletionRequest(**given))


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_answers_as_the_api_has_them(chat: bool, stream: bool) -> None:
    with serve(fast()) as url:
        found = complete(url, chat=chat, stream=stream, keep_text=True)
    assert (found.failure, found.text) == (None, "this engine is simulated and")
    assert (found.finish_reason, found.model) == ("length", "simulated-model")
    assert found.usage is not None
    assert (found.usage.prompt, found.usage.completion) == (3, 5)


def test_it_says_what_it_is() -> None:
    with serve(fast()) as url:
        answer = got(url)
    assert answer.headers["server"].strip() == "dynocheck-simulated"
    assert answer.json()["data"][0]["owned_by"] == "dynocheck-simulated"


def test_tokens_take_their_time_and_a_known_beginning_none() -> None:
    prompt = "word " * 64
    with serve(SimulatedEngine(token_s=0.01, prefill_s=0.004)) as url:
        first, again = (complete(url, prompt=prompt, max_tokens=8) for _ in range(2))
        text = got(url, "/metrics").body.decode()
    assert first.times.first_content is not None
    assert first.times.first_content - first.times.started >= 64 * 0.004
    assert first.times.last_content is not None
    assert first.times.last_content - first.times.first_content >= 7 * 0.01
    assert (first.usage and first.usage.cached, again.usage and again.usage.cached) == (0, 64)
    assert "simulated_requests_total 2\n" in text
    assert "simulated_output_tokens_total 16\n" in text


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"model": "other"}, 404),
        ({"prompt": "word " * 3000}, 400),
        ({"max_tokens": -1}, 400),
        ({"more": {"messages": []}}, 400),
        ({"more": {"tools": [{}]}}, 400),
        ({"more": {"response_format": {"type": "json_object"}}}, 400),
    ],
)
def test_what_it_cannot_do_is_refused(asked: dict[str, Any], status: int) -> None:
    with serve(fast()) as url:
        found = complete(url, **asked)
    assert found.failure is not None
    assert (found.failure.kind, found.status) == (FailureKind.HTTP_4XX, status)


def test_in_a_process_of_its_own_it_ends_with_the_block() -> None:
    with serve_in_subprocess() as url:
        assert complete(url).ok
    assert got(url).status is None


def test_nothing_is_left_of_a_process_whose_parent_is_gone() -> None:
    script = (
        "import os\nfrom dynocheck.simulated import serve_in_subprocess\n"
        "with serve_in_subprocess() as url:\n    print(url, flush=True)\n    os._exit(1)\n"
    )
    url = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False, timeout=30
    ).stdout.strip()
    until(lambda: got(url).status is None, 5)
