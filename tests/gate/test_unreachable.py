"""A cluster that nobody can reach: one reason, told once in every format, by each verb that reads it."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pytest

from tests.command import run_inside
from tests.kube.servers import FakeServer, Handler, Request, items, make_trusted_tls, reply, serve
from tests.kube.test_misbehaving import answer_busy, free_port, reset

_RESOLVE = socket.getaddrinfo
RECIPE = "recipes/qwen3-32b"
VERBS = {
    "preflight": "preflight",
    "recipe": f"recipe {RECIPE} --cluster --select platform.* --select gpu.*",
    "smoke": "smoke some-graph",
}
REASONS = {
    "nobody listens": "Connection refused",
    "no such host": "cannot reach https://nowhere.invalid",
    "slow resolver": "the lookup of its name timed out",
    "resolver slow at times": "Name or service not known",
    "not its certificate": "TLS: ",
    "silent": "no complete response within 2 s",
    "resets": "Connection reset by peer",
    "always 503": "status 503",
}


@contextmanager
def serve_badly(how: str, folder: Path) -> Iterator[FakeServer]:
    handlers: dict[str, Handler | None] = {
        "silent": None,
        "resets": lambda _, connection: reset(connection),
        "always 503": lambda _, connection: answer_busy(503)(connection),
    }
    if how in handlers:
        context = serve(handlers[how])
    elif how == "not its certificate":
        context = serve(reply(200, items()), make_trusted_tls(folder)[0])
    else:
        host = f"127.0.0.1:{free_port()}" if how == "nobody listens" else "nowhere.invalid"
        context = nullcontext(FakeServer(f"https://{host}", b""))  # type: ignore[assignment]
    waits = {"slow resolver": (3.0,), "resolver slow at times": (3.0, 0.0)}.get(how, (0.0,))
    with context as server, patch("socket.getaddrinfo", partial(_resolve_late, cycle(waits))):
        yield server


def _resolve_late(waits: Iterator[float], *asked: Any, **options: Any) -> Any:
    """What the system's resolver says, some seconds later: the network of a laptop, or of a CI machine."""
    if asked[0] == "nowhere.invalid" and not options.get("flags"):
        time.sleep(next(waits))
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _RESOLVE(*asked, **options)


@pytest.mark.parametrize(
    ("verb", "how"),
    [
        *(("preflight", how) for how in REASONS),
        ("recipe", "resets"),
        ("smoke", "nobody listens"),
    ],
)
def test_one_reason_is_told_once(tmp_path: Path, verb: str, how: str) -> None:
    formats = ("json", "junit", "github", "sarif", "table")
    outputs = [word for name in formats for word in ("-o", f"{name}={tmp_path / name}")]
    with serve_badly(how, tmp_path) as server:
        common = ("--kubeconfig", str(server.kubeconfig(tmp_path)), "--timeout", "2")
        result = run_inside(*VERBS[verb].split(), *common, *outputs)
    assert result.code == 3, result.err
    texts = {name: (tmp_path / name).read_text() for name in formats}
    findings = [f for verdict in json.loads(texts["json"])["verdicts"] for f in verdict["findings"]]
    unknown = [finding for finding in findings if finding["outcome"] == "unknown"]
    assert len(unknown) > 5
    (cause,) = [finding for finding in unknown if finding.get("explained_by") is None]
    assert REASONS[how] in cause["message"]
    assert [e.get("message") for e in ElementTree.fromstring(texts["junit"]).iter("error")] == [
        cause["message"]
    ]
    assert texts["github"].count("::error") == 1
    (run,) = json.loads(texts["sarif"])["runs"]
    levels = [each["level"] for each in run["invocations"][0]["toolExecutionNotifications"]]
    assert levels.count("error") == 1
    assert texts["table"].count("could not look: ") == 1


def test_a_snapshot_tells_one_reason_once(tmp_path: Path) -> None:
    with serve(lambda _, connection: reset(connection)) as server:
        result = run_inside("snapshot", tmp_path / "s", "--kubeconfig", server.kubeconfig(tmp_path))
    assert result.code == 3
    assert result.err.count("Connection reset by peer") == 1


def test_requests_that_were_tried_again_are_told(tmp_path: Path) -> None:
    def answer(request: Request, _: object) -> bytes:
        first = sum(each.target == request.target for each in server.requests) == 1
        return reply(503 if first else 404, {"message": "restarting"})

    with serve(answer) as server:
        kubeconfig = str(server.kubeconfig(tmp_path))
        plain = ("preflight", "--kubeconfig", kubeconfig, "--select", "gpu.nodes-present")
        assert run_inside(*plain, "-o", "json").report["target"]["retried"].startswith("status 503 (")
        server.requests.clear()
        assert "retried status 503 (" in " ".join(run_inside(*plain, "-v").out.split())
        server.requests.clear()
        assert "retried" not in run_inside(*plain).out
