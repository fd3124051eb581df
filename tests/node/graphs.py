"""Graphs of Dynamo with the mocker as engine, one of each kind."""

from typing import Any

from tests.controlplane.api import Object
from tests.dynamo.build import Home
from tests.dynamo.server import CONTEXT, MODEL
from tests.node.operator import KIND

_IMAGE = "registry.example/runtime:1.6.1"


def aggregated(namespace: str, home: Home) -> Object:
    """A frontend and a worker."""
    return _graph("agg", namespace, _frontend(), _worker(home, "Worker", "worker"))


def routed(namespace: str, home: Home) -> Object:
    """Four workers behind a router that follows their caches."""
    workers = _worker(home, "Worker", "worker") | {"replicas": 4}
    return _graph("routed", namespace, _frontend("--router-mode", "kv"), workers)


def disaggregated(namespace: str, home: Home) -> Object:
    """A worker for prefill and one for decode."""
    prefill = _worker(
        home, "Prefill", "prefill", "--disaggregation-mode", "prefill", "--bootstrap-ports", "50100"
    )
    decode = _worker(home, "Decode", "decode", "--disaggregation-mode", "decode")
    return _graph("disagg", namespace, _frontend(), prefill, decode)


def _graph(name: str, namespace: str, *components: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    spec = {"components": list(components)}
    return {"apiVersion": KIND[0], "kind": KIND[1], "metadata": metadata, "spec": spec}


def _frontend(*options: str) -> Object:
    return _component("Frontend", "frontend", "dynamo.frontend", *options)


def _worker(home: Home, name: str, kind: str, *options: str) -> Object:
    model = ["--model-path", str(home.model), "--model-name", MODEL, "--max-model-len", str(CONTEXT)]
    return _component(name, kind, "dynamo.mocker", *model, "--speedup-ratio", "10", *options)


def _component(name: str, kind: str, module: str, *options: str) -> dict[str, Any]:
    command = ["python", "-m", module, "--discovery-backend", "file", *options]
    container = {"name": "main", "image": _IMAGE, "command": command}
    return {"name": name, "type": kind, "podTemplate": {"spec": {"containers": [container]}}}
