"""The servers that other tests lean on are what they say they are."""

import json
import urllib.request
from typing import Any

import pytest

from tests.dynamo.build import Home
from tests.dynamo.server import MODEL, Dynamo


def types(server: Dynamo) -> dict[str, int]:
    (namespace,) = server.get(f"/v1/models/{MODEL}/ready")["namespaces"].values()
    return {name: kind["workers"] for name, kind in namespace["worker_types"].items()}


def complete(server: Dynamo) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    url, kind = f"{server.url}/v1/chat/completions", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), kind)
    with urllib.request.urlopen(request, timeout=20) as answer:
        done: dict[str, Any] = json.load(answer)
    return done


def test_one_worker_serves(dynamo: Dynamo) -> None:
    assert types(dynamo) == {"aggregated": 1}
    assert complete(dynamo)["usage"]["completion_tokens"] == 4
    assert complete(dynamo)["choices"][0]["message"]["content"]


def test_four_workers_have_metrics_of_their_own(dynamo_kv: Dynamo) -> None:
    assert types(dynamo_kv) == {"aggregated": 4}
    assert len(set(dynamo_kv.status_ports.values())) == 4
    assert complete(dynamo_kv)["usage"]["completion_tokens"] == 4


def test_prefill_and_decode_are_apart(dynamo_split: Dynamo) -> None:
    assert types(dynamo_split) == {"prefill": 1, "decode": 1}
    assert complete(dynamo_split)["usage"]["completion_tokens"] == 4


def test_workers_come_and_go(dynamo_home: Home) -> None:
    with Dynamo(workers=0) as server:
        assert server.get("/v1/models")["data"] == []
        name = server.add_worker()
        assert complete(server)["model"] == MODEL
        server.kill(name)
    with pytest.raises(OSError, match="refused"):
        server.get("/health")
