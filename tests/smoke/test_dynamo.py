"""`dynocheck smoke` against the real Dynamo frontend, well and in each kind of trouble."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dynocheck.serving.prometheus import parse
from tests.command import interrupt, start, until
from tests.dynamo.build import Home
from tests.dynamo.server import MODEL, Dynamo
from tests.smoke.asking import bad, failure, skipped, smoke
from tests.smoke.lying import serve_proxy

_STARTED = "dynamo_frontend_requests_started_total"


def first_worker(server: Dynamo, kind: str = "") -> str:
    return next(name for name in server.status_ports if name.startswith(kind))


def send(server: Dynamo, text: str, tokens: int, *, stream: bool = True) -> int:
    """Ask, read all of it, and give the HTTP status; 0 for what broke off."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": tokens}
    body = json.dumps({**asked, "stream": stream}).encode()
    url = f"{server.url}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, http.client.HTTPException):
        return 0


# A deployment that is well. The frontend passes on its worker's refusal of a long prompt as its own failure.


def test_one_worker(dynamo: Dynamo) -> None:
    ended = smoke(dynamo.url)
    assert (ended.code, bad(ended)) == (0, {"endpoint.too-long": "warn"})
    assert skipped(ended) == {"endpoint.disaggregated", "endpoint.every-worker", "endpoint.kv-routing"}
    target = {"url": dynamo.url, "way": "direct", "model": MODEL, "server": "Dynamo"}
    assert ended.report["target"] == target
    assert [row[0] for row in ended.tables["endpoint.measured"]["rows"]][:2] == ["first of all", "chat"]
    assert ended.tables["load.requests"]["rows"][0][:4] == ["4 at a time", 32, 32, 0]
    assert [row[3] > 0 for row in ended.tables["endpoint.cache"]["rows"]] == [False, True, True, True]


@pytest.mark.parametrize(
    ("server", "skips"),
    [
        ("dynamo_kv", {"endpoint.disaggregated"}),
        ("dynamo_split", {"endpoint.every-worker", "endpoint.kv-routing", "endpoint.prefix-cache"}),
    ],
    ids=["four workers behind a router that knows their caches", "prefill and decode apart"],
)
def test_several_workers(request: pytest.FixtureRequest, server: str, skips: set[str]) -> None:
    ended = smoke(request.getfixturevalue(server).url)
    assert (ended.code, bad(ended)) == (0, {"endpoint.too-long": "warn"})
    assert skipped(ended) == skips


def test_two_workers_for_prefill_and_two_for_decode(dynamo_home: Home) -> None:
    with Dynamo(workers=0, prefill=2, decode=2) as server:
        ended = smoke(server.url, "--select", "endpoint.every-worker", "--select", "endpoint.disaggregated")
    assert ended.outcomes == {"endpoint.every-worker": "pass", "endpoint.disaggregated": "pass"}


def test_a_prefill_worker_of_two_that_hangs_costs_no_answer_and_is_found(dynamo_home: Home) -> None:
    with Dynamo(workers=0, prefill=2, decode=1) as server:
        server.freeze(first_worker(server, "prefill"))
        ended = smoke(server.url, "--select", "endpoint.every-worker", "--select", "endpoint.ready")
    check, finding = failure(ended)
    assert (check, len(finding["evidence"]["answered"])) == ("endpoint.every-worker", 1)


def test_a_cache_that_is_smaller_than_the_context(dynamo_home: Home) -> None:
    """Every short request is answered, and none of more than 1280 tokens."""
    with Dynamo(worker=["--num-gpu-blocks-override", "20"]) as server:
        ended = smoke(server.url)
    check, finding = failure(ended)
    assert (check, finding["evidence"]) == ("endpoint.kv-room", {"class": "http-5xx"})
    assert finding["fix"].startswith("--max-model-len 1280")
    assert ended.outcomes["load.errors"] == "pass"


def test_one_frontends_metrics_tell_nothing_of_what_another_answered(dynamo_home: Home) -> None:
    """Each request goes to another of two frontends, as through an API server or a gateway. The first has a
    past, so that the counters fall from one look to the next.
    """
    with Dynamo(workers=0, prefill=1, decode=1, router="kv") as server:
        smoke(server.url, "--skip", "load")
        with serve_proxy(server.url, server.add_frontend()) as url:
            ended = smoke(url, "--skip", "load")
    assert (ended.code, bad(ended)) == (0, {"endpoint.too-long": "warn"})
    for check in ("endpoint.disaggregated", "endpoint.kv-routing"):
        (verdict,) = [verdict for verdict in ended.report["verdicts"] if verdict["check"] == check]
        assert (verdict["outcome"], "one of several frontends" in verdict["message"]) == ("skip", True)


def test_a_prompt_over_the_context_is_refused_as_a_failure_of_the_server(dynamo: Dynamo) -> None:
    ended = smoke(dynamo.url, "--select", "endpoint.too-long", "--strict")
    assert ended.code == 1
    whole, streamed = ended.findings("endpoint.too-long")
    assert whole["evidence"] == {"class": "http-5xx", "status": 500}
    assert streamed["evidence"] == {"class": "in-stream-error", "status": 200}


# Trouble


def test_no_worker(dynamo_home: Home) -> None:
    with Dynamo(workers=0) as server:
        ended = smoke(server.url, "--timeout", "2")
    check, finding = failure(ended)
    assert (ended.code, check) == (1, "endpoint.ready")
    assert "no model is listed: no worker is registered; /health returns 200" in finding["message"]
    assert "pass" not in ended.outcomes.values()
    assert ended.outcomes["endpoint.answers"] == "unknown"


def test_a_worker_that_comes_late_is_waited_for(dynamo_home: Home) -> None:
    waiting = ("--timeout", "40", "--select", "endpoint.ready")
    with Dynamo(workers=0) as server, start("smoke", "--url", server.url, *waiting) as run:
        time.sleep(1)
        assert run.poll() is None
        server.add_worker()
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 0, out


def test_a_worker_that_is_gone(dynamo_home: Home) -> None:
    with Dynamo() as server:
        server.kill(first_worker(server))
        ended = smoke(server.url, "--model", MODEL, "--timeout", "2")
    check, finding = failure(ended)
    assert check == "endpoint.ready"
    assert "missing worker types: aggregated" in finding["message"]


def test_prefill_is_missing(dynamo_home: Home) -> None:
    with Dynamo(workers=0, prefill=1, decode=1) as server:
        server.kill(first_worker(server, "prefill"))
        ended = smoke(server.url, "--timeout", "2")  # the frontend takes ten seconds to notice
    check, finding = failure(ended)
    assert check == "endpoint.ready"
    assert "request 1 of 3 in a row: HTTP 503" in finding["message"]


def test_a_prefill_worker_takes_a_plain_one_out_of_service(dynamo_home: Home) -> None:
    """As graph.both-sides says of a vLLM worker without a mode, which is an aggregated one."""
    with Dynamo() as server:
        server.launch("prefill")
        until(lambda: server.get("/v1/models")["data"] == [])
        ended = smoke(server.url, "--model", MODEL, "--timeout", "2")
    check, finding = failure(ended)
    assert check == "endpoint.ready"
    assert "missing worker types: decode" in finding["message"]


def test_another_model_is_asked_for(dynamo: Dynamo) -> None:
    ended = smoke(dynamo.url, "--model", "other", "--timeout", "1")
    check, finding = failure(ended)
    assert (check, finding["fix"]) == ("endpoint.ready", f"--model {MODEL}")
    assert f"other is not listed; listed: {MODEL}" in finding["message"]


def test_a_worker_that_hangs(dynamo_home: Home) -> None:
    with Dynamo() as server:
        server.freeze(first_worker(server))
        ended = smoke(server.url, "--timeout", "3")
    check, finding = failure(ended)
    assert check == "endpoint.ready"
    assert "request accepted but never answered" in finding["message"]


def test_overload(dynamo_home: Home) -> None:
    small = ["--num-gpu-blocks-override", "100"]
    refusing = ["--active-decode-blocks-threshold", "0.01"]
    with Dynamo(router="kv", frontend=refusing, worker=small, speedup=0.05) as server:
        for number in range(8):
            text = f"{number} {'zo ka ' * 60}"
            threading.Thread(target=send, args=(server, text, 900), daemon=True).start()
        until(lambda: send(server, "hello", 1, stream=False) == 529)
        ended = smoke(server.url, "--timeout", "2")
    check, finding = failure(ended)
    assert check == "endpoint.ready"
    assert "HTTP 529" in finding["message"]
    assert "the server is overloaded" in finding["message"]


def started(server: Dynamo, kind: str = "") -> int:
    """How many requests the frontend has begun with: of all kinds, or as a stream or unary."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        metrics = parse(answer.read().decode())
    return round(metrics.total(_STARTED, **({"request_type": kind} if kind else {})))


@contextmanager
def killing(server: Dynamo, when: Callable[[], bool], after_s: float = 0.0) -> Iterator[None]:
    """Kill the first worker some time after something has come to hold, while the block runs."""

    def kill() -> None:
        until(when, 50)
        time.sleep(after_s)
        server.kill(first_worker(server))

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()


def test_a_worker_is_killed_in_the_middle_of_a_stream(dynamo_home: Home) -> None:
    """Some of its 16 tokens, of 0.1 s each, are out."""
    with Dynamo(speedup=0.05) as server, killing(server, lambda: started(server, "stream") > 0, after_s=0.6):
        ended = smoke(server.url, "--select", "endpoint.answers")
    assert ended.code == 1
    broken = ended.findings("endpoint.answers")[0]
    assert broken["message"].startswith("streamed chat: ")
    assert broken["evidence"]["class"] == "in-stream-error"
    assert broken["evidence"]["chunks"] > 0


def test_a_worker_of_two_is_killed_while_requests_come_in(dynamo_home: Home) -> None:
    with Dynamo(workers=2) as server, killing(server, lambda: started(server) > 60):
        ended = smoke(server.url, "--select", "endpoint.steady", "--requests", "400")
    assert ended.code == 1
    findings = ended.findings("endpoint.steady")
    assert {finding["evidence"]["class"] for finding in findings} <= {"http-5xx", "in-stream-error"}


def test_ctrl_c_while_its_load_runs_leaves_what_was_measured(dynamo_home: Home) -> None:
    """As many requests as all stages before the load make, and a few more: the load is under way."""
    with Dynamo(speedup=0.6) as server:
        smoke(server.url, "--skip", "load")
        before_the_load = started(server)
        with start("smoke", "--url", server.url, "-o", "json") as run:
            until(lambda: started(server) > 2 * before_the_load + 14, 60)
            ended = interrupt(run)
    assert "interrupted" in ended.err
    assert (ended.outcomes["endpoint.ready"], ended.outcomes["load.errors"]) == ("pass", "pass")
    assert "unknown" not in ended.outcomes.values()
    row = ended.row("load.requests")
    assert 0 < row["ok"] < 32
    assert row["failed"] == 0


def test_ctrl_c_before_the_load_leaves_the_load_unknown(dynamo_home: Home) -> None:
    with Dynamo(workers=0) as server, start("smoke", "--url", server.url, "-o", "json") as run:
        assert run.stderr is not None
        said = run.stderr.readline()  # comes in a log once it has waited a while
        ended = interrupt(run)
    assert said.endswith("waiting for: readiness, no model is listed: no worker is registered\n")
    assert "interrupted" in ended.err
    assert (ended.outcomes["endpoint.ready"], ended.outcomes["load.errors"]) == ("unknown", "unknown")


def test_a_name_with_a_slash(dynamo_home: Home) -> None:
    with Dynamo(model="org/tiny-1.0") as server:
        ended = smoke(server.url, "--select", "endpoint.ready")
        assert (ended.code, ended.report["target"]["model"]) == (0, "org/tiny-1.0")
        server.kill(first_worker(server))
        ended = smoke(server.url, "--model", "org/tiny-1.0", "--timeout", "1")
    assert "org/tiny-1.0 as not ready: missing worker types: aggregated" in failure(ended)[1]["message"]
