"""`dynocheck smoke` and `load` on the real server of llama.cpp."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from tests.command import dynocheck
from tests.controlplane.processes import free_port
from tests.smoke.asking import bad, failure, smoke

pytestmark = [pytest.mark.verify, pytest.mark.timeout(300)]
LOAD = ("--requests", "40", "--concurrency", "4", "--isl", "40", "--osl", "8", "-o", "json")


@contextmanager
def server(home: Path, **settings: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its URL, from the start of its process on: who asks waits for it."""
    port = str(free_port())
    script = Path(__file__).with_name("server.py")
    serve = [str(home / "bin" / "python"), str(script), str(home / "model.gguf"), port, json.dumps(settings)]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def test_a_healthy_one_is_fit(llamacpp: Path) -> None:
    """Without a warning, although it answers to any name and closes its connection after each stream."""
    with server(llamacpp) as (url, _):
        ended = smoke(url, "--timeout", "60", "--strict")
        load = dynocheck("load", "--url", url, *LOAD)
    assert (ended.code, bad(ended)) == (0, {}), ended.out
    assert ended.report["target"]["server"].startswith("llama.cpp ")
    assert ended.outcomes["endpoint.too-long"] == ended.outcomes["endpoint.prefix-cache"] == "pass"
    assert load.outcomes["load.errors"] == "pass"


def test_under_a_name_that_it_does_not_list(llamacpp: Path) -> None:
    with server(llamacpp) as (url, _):
        ended = smoke(url, "--model", "other", "--timeout", "60")
    assert (ended.code, bad(ended)) == (0, {"endpoint.listed": "warn", "endpoint.model-name": "warn"})


def test_a_key_that_is_missing(llamacpp: Path) -> None:
    with server(llamacpp, api_keys=["sesame"]) as (url, _):
        given = smoke(url, "--timeout", "60", "--strict", "--api-key-env", "IT", IT="sesame")
        check, finding = failure(smoke(url, "--timeout", "60"))
    assert (given.code, check) == (0, "endpoint.ready")
    assert "--api-key-env" in finding["fix"]


def test_one_that_dies_under_load(llamacpp: Path) -> None:
    with server(llamacpp) as (url, process):
        smoke(url, "--timeout", "60", "--select", "endpoint.ready")
        killer = Timer(2.0, process.kill)
        killer.start()
        many = dynocheck("load", "--url", url, "--requests", "5000", *LOAD[2:])
        killer.join()
        check, finding = failure(smoke(url, "--timeout", "1"))
    assert (many.code, many.outcomes["load.errors"], check) == (1, "fail", "endpoint.ready")
    assert finding["fix"].startswith("start the server")
